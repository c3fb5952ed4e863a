package wiring

import (
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

// Kind says what happened.
type Kind uint8

// The kinds.
const (
	Found    Kind = iota + 1 // Line, On: an input as it was at power-on; nothing begins by it
	Moved                    // Line, On: an input has changed
	DoorIs                   // Released, Lockdown: the door as it stands
	TimeOver                 // Timer
)

// Event is one input of Test.Next. The zero Event changes nothing.
type Event struct {
	Kind     Kind
	Line     board.Line
	On       bool
	Released bool
	Lockdown bool
	Timer    Timer
}

// Timer of a test. Each runs at most once at a time.
type Timer uint8

// The timers.
const (
	HoldTimer  Timer = iota // the button is held
	StepTimer               // the step, or the showing of its verdict, is over
	PhaseTimer              // within a step
	LimitTimer              // of the whole test
)

// Timers is how many there are.
const Timers = 4

// EffectKind says what shall be done.
type EffectKind uint8

// The effects.
const (
	StartTimer EffectKind = iota + 1 // Timer, For; restarts it when it runs
	StopTimer                        // Timer
	TakeLamp                         // Line: remember how it is lit, then dark
	SetLamp                          // Line, On
	GiveLamp                         // Line: as it was
	Release                          // the relay, as for a Pass: bounded by policy and guard
	Report                           // Event, Detail: a record
)

// Effect is one thing to do, in order.
type Effect struct {
	Kind   EffectKind
	Timer  Timer
	For    time.Duration
	Line   board.Line
	On     bool
	Event  access.Event
	Detail string // at most access.MaxDetail bytes
}

// Effects is a short list without allocation.
type Effects struct {
	list [maxEffects]Effect
	n    int
}

// maxEffects is the most that one transition asks for; TestTotal proves that it is enough.
const maxEffects = 14

// All are the effects in the order in which they must be carried out.
func (e *Effects) All() []Effect { return e.list[:e.n] }

func (e *Effects) add(f Effect) {
	e.list[e.n] = f
	e.n++
}

func (e *Effects) start(t Timer, d time.Duration) { e.add(Effect{Kind: StartTimer, Timer: t, For: d}) }
func (e *Effects) stop(t Timer)                   { e.add(Effect{Kind: StopTimer, Timer: t}) }
func (e *Effects) takeLamp(s Step)                { e.add(Effect{Kind: TakeLamp, Line: s.Line()}) }
func (e *Effects) giveLamp(s Step)                { e.add(Effect{Kind: GiveLamp, Line: s.Line()}) }
func (e *Effects) report(event access.Event, detail string) {
	e.add(Effect{Kind: Report, Event: event, Detail: detail})
}
