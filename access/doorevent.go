package access

import "time"

// DoorEventKind says what happened at a door.
type DoorEventKind uint8

const (
	PoweredOn     DoorEventKind = iota + 1 // with Found
	PassAccepted                           // with Extended
	ExitRequested                          // REX
	ContactOpened
	ContactClosed
	TimeOver // with Timer
	LockdownSet
	LockdownLifted
	FireStarted
	FireEnded
	TamperOpened
	TamperClosed
)

// DoorEvent is one input of AccessPoint.Next. The zero DoorEvent changes nothing.
type DoorEvent struct {
	Kind     DoorEventKind
	Timer    DoorTimer // of TimeOver
	Extended bool      // of PassAccepted
	Found    DoorFound // of PoweredOn
}

// DoorFound is the door as it is found at power-on: the inputs, and the lockdown that survived the restart.
type DoorFound struct {
	Ajar     bool
	Fire     bool
	Tamper   bool
	Lockdown bool
}

// DoorTimer names a timer of an access point. Each runs at most once at a time.
type DoorTimer uint8

const (
	ReleaseTimer  DoorTimer = iota + 1 // the release is over
	PreAlarmTimer                      // the door should be closed soon
	HeldOpenTimer                      // the door is held open
)

// DoorEffectKind says what shall be done.
type DoorEffectKind uint8

const (
	ReleaseRelay DoorEffectKind = iota + 1 // for For at most: a guard ends it then, whatever happens
	HoldRelay                              // release without limit: fire alone
	SecureRelay
	StartTimer // Timer, For; restarts it when it runs
	StopTimer  // Timer
	Raise      // Event
)

// DoorEffect is one thing to do, in order.
type DoorEffect struct {
	Kind  DoorEffectKind
	Timer DoorTimer
	For   time.Duration
	Event Event
}

// maxDoorEffects is the most that one transition asks for; TestDoorWalk proves that it is enough.
const maxDoorEffects = 10

// DoorEffects is a short list without allocation.
type DoorEffects struct {
	list [maxDoorEffects]DoorEffect
	n    int
}

// All are the effects in the order in which they must be carried out.
func (e *DoorEffects) All() []DoorEffect { return e.list[:e.n] }

func (e *DoorEffects) add(f DoorEffect) {
	e.list[e.n] = f
	e.n++
}

func (e *DoorEffects) raise(event Event) { e.add(DoorEffect{Kind: Raise, Event: event}) }
func (e *DoorEffects) stop(t DoorTimer)  { e.add(DoorEffect{Kind: StopTimer, Timer: t}) }
func (e *DoorEffects) start(t DoorTimer, d time.Duration) {
	e.add(DoorEffect{Kind: StartTimer, Timer: t, For: d})
}
