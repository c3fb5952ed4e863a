package access

import (
	"errors"
	"fmt"
	"time"
)

// DoorState is where an access point stands. The zero DoorState is Secured.
//
//	           Pass, REX              opened                held-open time
//	Secured ─────────────► Released ──────────► Open ─────────────────────► HeldOpen
//	  │ ▲ ◄─────────────────┘   ▲ release over   │ │                            │
//	  │ │                       └────────────────┘ │ closed                     │ closed
//	  │ └── closed, released no more ──────────────┴────────────────────────────┘
//	  │ opened without a release
//	  └─────────────────────────► ForcedOpen ── closed ──► Secured
//
//	LockedDown   stands in the place of Secured while lockdown is on: Pass releases nothing, REX still does
//	FireReleased from every state while the fire input is on; when it ends: Open if the door stands open, else at rest
//	Tamper       is a flag beside the state
//
// Precedence: fire, then REX, then lockdown, then everything else.
type DoorState uint8

// Append only: the numbers stand in audit records.
const (
	Secured      DoorState = 0
	Released     DoorState = 1 // the lock is released and the door is closed
	Open         DoorState = 2
	HeldOpen     DoorState = 3 // alarm: open for too long
	ForcedOpen   DoorState = 4 // alarm: opened without a release
	LockedDown   DoorState = 5
	FireReleased DoorState = 6
)

// String is the participle used in logs and on the page; an unknown value prints its number.
func (s DoorState) String() string {
	names := [...]string{"secured", "released", "open", "held open", "forced open", "locked down", "fire released"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("door state %d", uint8(s))
}

// AccessPoint is one door as far as the firmware knows it. The zero AccessPoint is secured and closed.
// It is a plain comparable value: Next returns the one that follows.
type AccessPoint struct {
	State    DoorState
	Ajar     bool // the contact says that the door stands open
	Relay    bool // the lock is released
	Egress   bool // this release serves somebody who leaves: lockdown does not end it
	Extended bool // this passage has the longer times
	Entered  bool // the door was opened during this release
	Warned   bool // Open only: the pre-alarm sounds
	Lockdown bool
	Fire     bool
	Tamper   bool
}

// DoorTimes are the timings of a door; a policy carries them.
type DoorTimes struct {
	Release          time.Duration `cbor:"1,keyasint"` // how long the lock stays released
	ExtendedRelease  time.Duration `cbor:"2,keyasint"` // the same for people who need longer
	HeldOpen         time.Duration `cbor:"3,keyasint"` // from opening to the held-open alarm
	ExtendedHeldOpen time.Duration `cbor:"4,keyasint"`
	PreAlarm         time.Duration `cbor:"5,keyasint"` // how long before that alarm the door asks to be closed
	RelockOnOpen     bool          `cbor:"6,keyasint"` // the release ends when the door opens, not when its time is over
}

// Bounds of DoorTimes. Release: the ADA and EN 60839-11-1 leave the time to the site; a second is the shortest in which a hand
// reaches a handle, two minutes let a wheelchair turn. Above ten minutes a held-open alarm guards nothing.
const (
	minRelease  = time.Second
	maxRelease  = 2 * time.Minute
	minHeldOpen = 2 * time.Second
	maxHeldOpen = 10 * time.Minute
	minPreAlarm = time.Second
)

// DefaultDoorTimes suits an office door: 5 s to take the handle, 30 s to close it again, the last 10 s of them with a reminder.
func DefaultDoorTimes() DoorTimes {
	return DoorTimes{
		Release: 5 * time.Second, ExtendedRelease: 15 * time.Second,
		HeldOpen: 30 * time.Second, ExtendedHeldOpen: 90 * time.Second,
		PreAlarm: 10 * time.Second, RelockOnOpen: true,
	}
}

// Validate names the first time that is out of bounds.
func (t DoorTimes) Validate() error {
	switch {
	case t.Release < minRelease || t.Release > maxRelease:
		return fmt.Errorf("check door times: release %v outside %v to %v", t.Release, minRelease, maxRelease)
	case t.ExtendedRelease < t.Release || t.ExtendedRelease > maxRelease:
		return fmt.Errorf("check door times: extended release %v outside %v to %v", t.ExtendedRelease, t.Release, maxRelease)
	case t.HeldOpen < minHeldOpen || t.HeldOpen > maxHeldOpen:
		return fmt.Errorf("check door times: held open %v outside %v to %v", t.HeldOpen, minHeldOpen, maxHeldOpen)
	case t.ExtendedHeldOpen < t.HeldOpen || t.ExtendedHeldOpen > maxHeldOpen:
		return fmt.Errorf("check door times: extended held open %v outside %v to %v", t.ExtendedHeldOpen, t.HeldOpen, maxHeldOpen)
	case t.PreAlarm < minPreAlarm:
		return fmt.Errorf("check door times: pre-alarm %v below %v", t.PreAlarm, minPreAlarm)
	case t.PreAlarm >= t.HeldOpen:
		return errors.New("check door times: the pre-alarm does not come before the held-open alarm ends")
	}
	return nil
}

// Next is the transition of an access point: total over every state and event, without a clock. It answers with the access point
// that follows and with what must be done, in order. An input that reports what is already so changes nothing.
func (a AccessPoint) Next(t DoorTimes, e DoorEvent) (AccessPoint, DoorEffects) {
	var do DoorEffects
	switch e.Kind {
	case PoweredOn:
		a = a.powerOn(t, e.Found, &do)
	case FireStarted:
		a = a.fireStarted(&do)
	case FireEnded:
		a = a.fireEnded(t, &do)
	case ExitRequested:
		if !a.Fire {
			a.Egress = true
			a = a.release(t, &do)
		}
		do.raise(EventExitRequested)
	case PassAccepted:
		a = a.pass(t, e.Extended, &do)
	case LockdownSet:
		a = a.lockdown(&do)
	case LockdownLifted:
		if a.Lockdown {
			do.raise(EventLockdownLifted)
			a.Lockdown = false
			a.State = a.atRest()
		}
	case ContactOpened:
		a = a.opened(t, &do)
	case ContactClosed:
		a = a.closed(&do)
	case TimeOver:
		a = a.timeOver(t, e.Timer, &do)
	case TamperOpened:
		if !a.Tamper {
			do.raise(EventTamperOpened)
		}
		a.Tamper = true
	case TamperClosed:
		if a.Tamper {
			do.raise(EventTamperClosed)
		}
		a.Tamper = false
	}
	return a, do
}

// powerOn starts from the inputs as found and forgets whatever was released before: a relay is never replayed.
func (AccessPoint) powerOn(t DoorTimes, found DoorFound, do *DoorEffects) AccessPoint {
	a := AccessPoint{Ajar: found.Ajar, Lockdown: found.Lockdown, Tamper: found.Tamper}
	a.State = a.restingState()
	if found.Fire {
		a = a.fireStarted(do)
	} else {
		do.add(DoorEffect{Kind: SecureRelay})
		do.stop(ReleaseTimer)
		a = a.stopWatch(do)
	}
	if found.Tamper {
		do.raise(EventTamperOpened)
	}
	if found.Ajar {
		do.raise(EventDoorFoundOpen)
	}
	if found.Ajar && !found.Fire {
		// Nobody knows how it came to stand open, so it is watched like a door that was opened rightly, and not called forced.
		a = a.watchOpen(t, do)
	}
	return a
}

func (a AccessPoint) fireStarted(do *DoorEffects) AccessPoint {
	if a.Fire {
		return a
	}
	do.add(DoorEffect{Kind: HoldRelay})
	do.raise(EventFireStarted)
	do.stop(ReleaseTimer)
	a = a.stopWatch(do)
	return AccessPoint{State: FireReleased, Fire: true, Relay: true, Ajar: a.Ajar, Lockdown: a.Lockdown, Tamper: a.Tamper}
}

func (a AccessPoint) fireEnded(t DoorTimes, do *DoorEffects) AccessPoint {
	if !a.Fire {
		return a
	}
	do.add(DoorEffect{Kind: SecureRelay})
	do.raise(EventFireEnded)
	a.Fire, a.Relay = false, false
	if a.Ajar {
		return a.watchOpen(t, do)
	}
	a.State = a.restingState()
	return a
}

func (a AccessPoint) pass(t DoorTimes, extended bool, do *DoorEffects) AccessPoint {
	switch {
	case a.Fire: // released already
		return a
	case a.Lockdown:
		do.raise(EventReleaseRefused)
		return a
	}
	a.Extended = a.Extended || extended
	return a.release(t, do)
}

// release starts or prolongs a release. A door that stands open is released too: it may fall shut before the person has it. An
// open door's time starts anew, but an alarm ends only when the door closes.
func (a AccessPoint) release(t DoorTimes, do *DoorEffects) AccessPoint {
	d := t.Release
	if a.Extended {
		d = t.ExtendedRelease
	}
	do.add(DoorEffect{Kind: ReleaseRelay, For: d})
	do.start(ReleaseTimer, d)
	do.raise(EventDoorReleased)
	a.Relay, a.Entered = true, false
	switch a.State {
	case Secured, LockedDown:
		a.State = Released
	case Open:
		a = a.watchOpen(t, do)
	}
	return a
}

// secure ends a release. The longer times stay with a door that stands open, until it closes.
func (a AccessPoint) secure(do *DoorEffects) AccessPoint {
	if !a.Relay {
		return a
	}
	do.add(DoorEffect{Kind: SecureRelay})
	do.stop(ReleaseTimer)
	do.raise(EventDoorRelocked)
	a.Relay, a.Egress, a.Entered = false, false, false
	a.Extended = a.Extended && a.Ajar
	if a.State == Released {
		a.State = a.restingState()
	}
	return a
}

func (a AccessPoint) lockdown(do *DoorEffects) AccessPoint {
	if a.Lockdown {
		return a
	}
	a.Lockdown = true
	a.State = a.atRest()
	if !a.Fire && !a.Egress {
		a = a.secure(do)
	}
	do.raise(EventLockdownSet)
	return a
}

func (a AccessPoint) opened(t DoorTimes, do *DoorEffects) AccessPoint {
	if a.Ajar {
		return a
	}
	a.Ajar = true
	switch {
	case a.Fire:
		do.raise(EventDoorOpened)
		return a
	case !a.Relay:
		do.raise(EventDoorForcedOpen)
		a.State = ForcedOpen
		return a
	}
	a.Entered = true
	if t.RelockOnOpen {
		a = a.secure(do) // the relay first: every millisecond counts before a bolt can be held back
	}
	do.raise(EventDoorOpened)
	return a.watchOpen(t, do)
}

func (a AccessPoint) closed(do *DoorEffects) AccessPoint {
	if !a.Ajar {
		return a
	}
	a.Ajar = false
	do.raise(EventDoorClosed)
	if a.Fire {
		return a
	}
	a = a.stopWatch(do)
	a.State, a.Warned = Released, false
	if !a.Relay {
		a.Extended = false
		a.State = a.restingState()
	}
	return a
}

func (a AccessPoint) timeOver(t DoorTimes, timer DoorTimer, do *DoorEffects) AccessPoint {
	switch {
	case a.Fire:
	case timer == ReleaseTimer && a.Relay:
		if a.State == Released && !a.Entered {
			do.raise(EventReleaseUnused)
		}
		a = a.secure(do)
	case timer == PreAlarmTimer && a.State == Open && !a.Warned:
		a.Warned = true
		do.raise(EventHeldOpenWarned)
		do.start(HeldOpenTimer, t.PreAlarm)
	case timer == HeldOpenTimer && a.State == Open && a.Warned:
		a.State, a.Warned = HeldOpen, false
		do.raise(EventDoorHeldOpen)
	}
	return a
}

// watchOpen starts the time that the door may stand open, from its beginning.
func (a AccessPoint) watchOpen(t DoorTimes, do *DoorEffects) AccessPoint {
	d := t.HeldOpen
	if a.Extended {
		d = t.ExtendedHeldOpen
	}
	if a.Warned {
		do.stop(HeldOpenTimer)
	}
	do.start(PreAlarmTimer, d-t.PreAlarm)
	a.State, a.Warned = Open, false
	return a
}

func (a AccessPoint) stopWatch(do *DoorEffects) AccessPoint {
	do.stop(PreAlarmTimer)
	do.stop(HeldOpenTimer)
	a.Warned = false
	return a
}

// restingState is that of a closed, secured door.
func (a AccessPoint) restingState() DoorState {
	if a.Lockdown {
		return LockedDown
	}
	return Secured
}

// atRest is the state after lockdown changed: a door that is not at rest stays where it is.
func (a AccessPoint) atRest() DoorState {
	if a.State == Secured || a.State == LockedDown {
		return a.restingState()
	}
	return a.State
}
