package health

import "fmt"

// Profile is what a kiosk can do. The zero Profile can do nothing, and people leave by the wiring alone. Of several, each part of it is the least
// of theirs: the order in which they are taken does not matter.
type Profile struct {
	Assurance Assurance // for which a walk-up may be granted at most
	Egress    Egress
	Alarms    Alarms // that can be raised
	Recording Recording
	Remote    bool // headquarters is heard, and hears
	Scheduled bool // rights that depend on the time of day can be told
}

// full is a kiosk of which every part works.
func full() Profile {
	return Profile{Assurance: High, Egress: ByKiosk, Alarms: DoorAlarms | TamperAlarm | FireAlarm, Recording: Everything, Remote: true, Scheduled: true}
}

// Recognises reports whether anybody can be recognised.
func (p Profile) Recognises() bool { return p.Assurance > Nobody }

// meet is what both allow.
func (p Profile) meet(q Profile) Profile {
	return Profile{
		Assurance: min(p.Assurance, q.Assurance), Egress: min(p.Egress, q.Egress), Alarms: p.Alarms & q.Alarms,
		Recording: min(p.Recording, q.Recording), Remote: p.Remote && q.Remote, Scheduled: p.Scheduled && q.Scheduled,
	}
}

// Assurance is how hard the lamp's code is to guess that this kiosk can ask for; a policy names what its door needs.
type Assurance uint8

// Append only.
const (
	Nobody     Assurance = 0 // nobody is recognised
	Office     Assurance = 1
	Restricted Assurance = 2
	High       Assurance = 3
)

// String is the word of docs/OPERATIONS.md; an unknown value recognises nobody.
func (a Assurance) String() string {
	names := [...]string{"nobody", "office at most", "restricted at most", "all"}
	if int(a) < len(names) {
		return names[a]
	}
	return fmt.Sprintf("nobody (assurance %d)", uint8(a))
}

// Egress is how people get out. Nothing that a kiosk decides takes it away.
type Egress uint8

// Append only.
const (
	ByWire  Egress = 0 // the kiosk cannot help: the exit button, the handle or the fire panel acts on the lock itself (docs/BOARDS.md)
	ByKiosk Egress = 1 // the kiosk serves REX and fire as well
)

// String is the word of docs/OPERATIONS.md.
func (e Egress) String() string {
	if e == ByKiosk {
		return "yes"
	}
	return "by the wire alone"
}

// Alarms are a set.
type Alarms uint8

// The alarms.
const (
	DoorAlarms  Alarms = 1 << 0 // forced open, held open
	TamperAlarm Alarms = 1 << 1
	FireAlarm   Alarms = 1 << 2 // the fire input releases, and is recorded
)

// String lists those that are missing.
func (a Alarms) String() string {
	switch lost := ^a & (DoorAlarms | TamperAlarm | FireAlarm); lost {
	case 0:
		return "all"
	case DoorAlarms:
		return "not of the door"
	case TamperAlarm:
		return "not of tamper"
	case FireAlarm:
		return "not of fire"
	default:
		return fmt.Sprintf("not %03b", lost)
	}
}

// Recording is what gets into a log.
type Recording uint8

// Append only.
const (
	Unrecorded Recording = 0
	Emergency  Recording = 1 // into a log for which nobody vouches
	Vital      Recording = 2 // all but walk-ups that were denied or came to nothing
	Everything Recording = 3
)

// String is the word of docs/OPERATIONS.md; an unknown value records nothing.
func (r Recording) String() string {
	names := [...]string{"nothing", "emergency log", "grants and alarms", "all"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("nothing (recording %d)", uint8(r))
}
