//go:build !kiosk

package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
)

// State is all that the page shows at one moment. It has no place for a person's id or a comparison score: people appear by the
// name that the bench gave them.
type State struct {
	Version   uint64 // rises with every change
	Door      Door
	Sighting  Sighting
	Decisions []Decision // newest first
	Programs  []Program  // eye, door, link
	Scenes    []Scene    // in the order of the buttons
	Scene     string     // name of the scene that plays, empty when none does
	Task      string     // what the desk itself is busy with, as in "enrolling Ada (1 of 3)"; empty when nothing
	Told      []string   // what the desk has to say about what it did, oldest first; the newest few are shown
	Degraded  []string   // modes in which something is missing, a sentence each
	Closed    bool       // nobody is recognised; the first of Degraded says why
	People    []Person   // the enrolled
	Reviews   []Review   // faces whose walk-ups failed again and again, until somebody says that it is no attack
	Waiting   []string   // bench names of the look-alikes of whom one stands at the door, until an operator says which; empty when nobody waits
	Enrolled  uint32
	Records   uint64 // in the audit log
	Backlog   uint64 // of these, not yet acknowledged by headquarters
	Afar      Afar
}

// Afar is headquarters, as the desk and the kiosk see it.
type Afar struct {
	Known     bool          // there is one
	Network   bool          // the cable to it is whole
	Connected bool          // the kiosk has a session with it
	Since     time.Time     // when it got or lost that; zero: it never had one
	Timed     bool          // it vouches for a time
	Ahead     time.Duration // how far that is ahead of this machine's
	Applied   uint64        // the newest command that the kiosk has carried out
	Newest    uint64        // the newest that there is
	Governed  bool          // its rules are in force
	Alarms    []string      // a sentence each
	Visitor   string        // bench name of whom it may enrol; empty: nobody is left
	Enrolled  bool          // the visitor is
}

// Door is the access point as the twin's lines and door's own report show it.
type Door struct {
	State      access.DoorState
	Walkup     access.SessionState
	Indication access.Indication
	Ajar       bool // the contact says open
	Released   bool // the relay line is set
	Lamp       bool // the infrared lamp is lit
	Fire       bool
	Tamper     bool
	Lockdown   bool
}

// Sighting is the newest face that eye reported, by way of door.
type Sighting struct {
	Box   access.Box // pixels of the 640x480 frame
	Faces uint8      // 0: the box means nothing
	Hint  access.Hint
}

// Decision is one decided walk-up.
type Decision struct {
	Number  uint64 // rises with every walk-up; tells the page which ones are new
	At      time.Time
	Verdict access.Verdict
	Reason  access.Reason
	Person  string        // bench name, empty unless granted
	Latency time.Duration // first frame with this face to the relay edge, 0 when the relay stayed
}

// Phase says where a program stands.
type Phase uint8

const (
	Restarting Phase = 0
	Starting   Phase = 1 // it runs, and door does not hear it yet
	Running    Phase = 2
	Refused    Phase = 3 // its installation is wrong; tried again every few seconds
	Stopped    Phase = 4
)

// String is the word on the page.
func (p Phase) String() string {
	names := [...]string{"restarting", "starting", "running", "refused", "stopped"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Program is one child of the desk.
type Program struct {
	Name     string
	Phase    Phase
	PID      int // 0 when it does not run
	Since    time.Time
	Restarts uint64
	LastExit string // empty before the first
}

// Person is somebody enrolled.
type Person struct {
	Name     string // bench name, what Action carries
	Standing access.Standing
}

// can reports whether an order about the person makes sense as they stand; page.html's data-fits says the same.
func (p Person) can(verb string) bool {
	switch verb {
	case "suspend":
		return p.Standing == access.Permitted
	case "resume":
		return p.Standing == access.Suspended
	case "revoke":
		return p.Standing == access.Permitted || p.Standing == access.Suspended
	case "delete":
		return true
	}
	return false
}

// Review is a face that waits for one: it has a random id, and no name.
type Review struct {
	ID        string // what Action carries
	Count     uint32 // walk-ups that failed
	Materials string
}

// Scene is one walk-up that can be played.
type Scene struct {
	Name  string // what Action carries
	Title string
}

// notice is one plain sentence about something that is not as it should be.
type notice struct {
	Kind string `json:"kind"` // task, told, degraded or down
	Text string `json:"text"`
}

// maxTold is how many sentences of Told are shown.
const maxTold = 3

// notices puts into words what a visitor cannot read off the tables.
func notices(s State) []notice {
	list, degraded := []notice{}, s.Degraded
	if s.Closed {
		why := "nobody is recognised"
		if len(degraded) > 0 {
			why, degraded = degraded[0], degraded[1:]
		}
		list = append(list, notice{"down", sentence(why) + " REX and alarms keep working."})
	}
	for _, p := range s.Programs {
		if s.Closed && p.Name == "eye" && p.Phase == Starting {
			continue // door does not hear it, and has said why
		}
		if text := p.trouble(); text != "" {
			list = append(list, notice{"down", text})
		}
	}
	if s.Task != "" {
		list = append(list, notice{"task", s.Task})
	}
	for _, text := range s.Told[max(0, len(s.Told)-maxTold):] {
		list = append(list, notice{"told", text})
	}
	for _, text := range degraded {
		list = append(list, notice{"degraded", text})
	}
	return list
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.TrimRight(s[1:], ". ") + "."
}

// trouble says what the absence of a program means, and is empty while it runs.
func (p Program) trouble() string {
	var meaning string
	switch p.Name {
	case "eye":
		meaning = "nobody can be recognised; REX and alarms keep working"
	case "door":
		meaning = "nothing is decided and the relay rests in its safe position"
	case "hq":
		meaning = "headquarters says nothing and hears nothing; the door works on"
	case "link":
		meaning = "nothing reaches headquarters; records wait in the audit log and the door works on"
	default:
		meaning = "its part of the work rests"
	}
	switch p.Phase {
	case Running:
		return ""
	case Starting:
		return fmt.Sprintf("%s is starting: until it is ready %s.", p.Name, meaning)
	case Refused:
		return fmt.Sprintf("%s cannot work: %s. It says: %s. It is tried again every few seconds.", p.Name, meaning, strings.TrimRight(p.LastExit, ". "))
	case Stopped:
		return fmt.Sprintf("%s is stopped: %s. It comes back with the desk.", p.Name, meaning)
	}
	return fmt.Sprintf("%s is down: %s; it comes back by itself.", p.Name, meaning)
}
