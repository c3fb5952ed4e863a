package deadman

import (
	"fmt"
	"time"
)

// State is where a watched program stands. The zero State is Waiting.
//
//	             Fed                      Ready
//	Waiting ───────────► Starting ─────────────────► Living
//	   │ ▲ ◄──────────────── │ ◄────── Ended ─────────  │
//	   │ │  Ended            │ SilenceOver, GraceOver   │ SilenceOver
//	   │ GraceOver           ▼                          │
//	   └─────────────► Condemned ◄──────────────────────┘   nothing leads out of it: the machine resets
//
// The grace runs in Waiting and Starting, and is not renewed by another start: a program that dies again and again before it is ready does
// not live. It covers the end of a machine that is told to go down as well. The silence runs in Starting and Living.
type State uint8

// The states.
const (
	Waiting   State = 0 // no program, or one that has not been heard
	Starting  State = 1 // its loop turns, but it does not do its work yet
	Living    State = 2
	Condemned State = 3
)

// String is the participle used in logs.
func (s State) String() string {
	names := [...]string{"waiting", "starting", "living", "condemned"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Event is something that happened to the program.
type Event uint8

// The events.
const (
	Fed         Event = 0 // its loop has answered since the last time
	Ready       Event = 1 // the same, of a program that does its work
	Ended       Event = 2 // the process is gone
	SilenceOver Event = 3
	GraceOver   Event = 4

	events = 5
)

// Effect is what follows for the two clocks. The zero Effect does nothing.
type Effect uint8

// The effects.
const (
	NoEffect     Effect = 0
	RenewSilence Effect = 1
	RenewGrace   Effect = 2
)

// Next is the transition function: total over every state and event. An event that has no place in a state changes nothing.
func (s State) Next(e Event) (State, Effect) {
	switch s {
	case Waiting:
		switch e {
		case Fed:
			return Starting, RenewSilence
		case Ready:
			return Living, RenewSilence
		case GraceOver:
			return Condemned, NoEffect
		}
	case Starting:
		switch e {
		case Fed:
			return Starting, RenewSilence
		case Ready:
			return Living, RenewSilence
		case Ended:
			return Waiting, NoEffect
		case SilenceOver, GraceOver:
			return Condemned, NoEffect
		}
	case Living:
		switch e {
		case Fed, Ready:
			return Living, RenewSilence
		case Ended:
			return Waiting, RenewGrace
		case SilenceOver:
			return Condemned, NoEffect
		}
	}
	return s, NoEffect
}

// Limits are how long a program may be silent.
type Limits struct {
	Silence time.Duration // from one feed to the next
	Grace   time.Duration // from power-on or the end of a living program until it is ready
	Words   time.Duration // for a condemned program's last record
}

// DefaultLimits are the product's.
//
// Silence is five missed feeds. An overloaded desk was seen to open 1.8 s late; whoever presses REX at a dead door waits for this, and then for the
// machine. Grace is generous, not measured: a desk's door is ready within seconds, a slow TPM and a large vault take longer. It also covers
// the end of a machine that goes down in order. Words is a fsynced record on a slow card.
func DefaultLimits() Limits {
	return Limits{Silence: 5 * period, Grace: time.Minute, Words: time.Second}
}

// period is the time between two feeds, of the program and of the hardware.
const period = time.Second

func (l Limits) validate() error {
	if l.Silence <= 0 || l.Grace < l.Silence || l.Words < 0 {
		return fmt.Errorf("limits %+v contradict themselves", l)
	}
	return nil
}
