// Package wiring is the installer's test of a kiosk's lines, one at a time. A product image has no shell: the test is begun by hand, asks by LED and
// buzzer, hears by the exit button and the lines themselves, and answers in the audit log. docs/INSTALL.md is its page for whoever stands on the ladder.
//
// It begins when the enclosure is open and the exit button is newly pressed and held. The exit button is on the secure side of the door: who presses
// it can leave, and let others in, without any test. So the test gives nothing away, and it keeps to that: it releases the relay once for each press
// of the button, and never from the enclosure, which is on the other side, alone. Whoever holds a step up for a minute ends the test.
package wiring

import (
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

// State of a test. The zero State is Idle.
//
//	        open, REX newly pressed            held 5 s              let go
//	Idle ─────────────────────────► Holding ───────────► LettingGo ─────────► Asking ◄─────────────┐
//	 ▲ ◄──── let go, closed ───────────┘                     │ 10 s             │ answered          │ 1.5 s, next step
//	 │                                                       ▼       nobody     ▼                   │
//	 │                                                    Telling ◄── 60 s ── Judged ───────────────┘
//	 └── enclosure closed, 10 min, fire, lockdown ── from each of them ──┘ last step: Telling
type State uint8

// The states.
const (
	Idle      State = 0
	Holding   State = 1 // the button is held; nothing has begun
	LettingGo State = 2 // it has begun; the button must be let go
	Asking    State = 3 // a step runs
	Judged    State = 4 // its verdict is shown
	Telling   State = 5 // the results are told until the enclosure is closed
)

// How long things take.
const (
	holdToBegin = 5 * time.Second  // longer than anybody leans on an exit button
	holdToDeny  = 2 * time.Second  // a press that is a "no"
	letGoWithin = 10 * time.Second // after it has begun
	answerIn    = time.Minute      // a step: to climb down, walk to the door and back
	showVerdict = 1500 * time.Millisecond
	lampToggle  = 500 * time.Millisecond // seen on a telephone's screen; darker for longer where eyes need it
	pullFor     = 5 * time.Second        // the door must hold
	settleFor   = 3 * time.Second        // a door that was shut stays shut
	tellEach    = 6 * time.Second        // one number of a failed step: eleven beeps and a pause
	limit       = 10 * time.Minute       // of the whole
)

// Test is an installer's test as it stands: a plain comparable value. The zero Test, of a board without lines, never begins.
type Test struct {
	State   State
	Step    Step // of Asking and Judged; of Telling, the failed one that is told
	Results [steps]Result

	board    uint16        // set of steps whose line the board has
	on, off  time.Duration // of the lamp, in its step
	level    [inputs]bool
	released bool // the relay
	lockdown bool

	// Of the step.
	pressed bool          // the button, since the step began
	phase   uint8         // of the relay's step
	lit     bool          // the lamp, in its step
	moves   [inputs]uint8 // changes of each; of the button, presses
	turn    uint8         // counts what is to be heard anew
}

// New is the test of a board. Its inputs are told by Found, then by Moved.
func New(b board.Board) Test {
	t := Test{on: min(lampToggle, b.Lamp.MaxOn.Duration()), off: lampToggle}
	if duty := time.Duration(b.Lamp.MaxDuty); duty > 0 {
		t.off = max(t.off, t.on*(100-duty)/duty)
	}
	for s := LEDRed; s < steps; s++ {
		if b.Has(s.Line()) || s == Contact && b.Contact.Kind == board.SupervisedContact {
			t.board |= 1 << s
		}
	}
	return t
}

// Running reports whether the test has begun: nobody is recognised then.
func (t Test) Running() bool { return t.State >= LettingGo }

// Next is the transition: total over every state and event, without a clock.
func (t Test) Next(e Event) (Test, Effects) {
	var do Effects
	switch e.Kind {
	case Found:
		if in, is := inputOf(e.Line); is {
			t.level[in] = e.On
		}
	case Moved:
		if in, is := inputOf(e.Line); is && t.level[in] != e.On {
			t.level[in] = e.On
			t = t.moved(in, &do)
		}
	case DoorIs:
		changed := t.released != e.Released
		t.released, t.lockdown = e.Released, e.Lockdown
		switch {
		case t.lockdown && t.State != Idle:
			t = t.end("lockdown", &do)
		case changed:
			t = t.relay(&do)
		}
	case TimeOver:
		t = t.timeOver(e.Timer, &do)
	}
	return t, do
}

// moved serves a change of an input, whose new level is known.
func (t Test) moved(in input, do *Effects) Test {
	on := t.level[in]
	switch {
	case t.State == Idle:
		if in == exit && on && t.level[tamper] && !t.level[fire] && !t.lockdown && t.board&(1<<Tamper) != 0 {
			t.State = Holding
			do.start(HoldTimer, holdToBegin)
		}
		return t
	case in == fire && on:
		return t.burns(do)
	case t.State == Holding:
		if in == exit || in == tamper {
			t.State = Idle
			do.stop(HoldTimer)
		}
		return t
	case in == tamper && !on && !(t.State == Asking && t.Step == Tamper):
		return t.end("enclosure closed", do)
	case t.State == LettingGo && in == exit:
		return t.advance(do)
	case t.State != Asking:
		return t
	}
	if in != exit || on { // of the button, presses
		t.moves[in] = min(t.moves[in]+1, 9)
	}
	if in == exit {
		return t.button(on, do)
	}
	return t.input(in, on, do)
}

func (t Test) timeOver(timer Timer, do *Effects) Test {
	switch {
	case t.State == Holding && timer == HoldTimer:
		return t.begin(do)
	case t.State == Idle || t.State == Holding:
		return t
	case timer == LimitTimer:
		return t.end("time over", do)
	case t.State == LettingGo && timer == StepTimer:
		return t.tell(Exit, Result{Verdict: Wrong, Fault: Stuck}, do)
	case t.State == Judged && timer == StepTimer:
		return t.advance(do)
	case t.State == Telling && timer == PhaseTimer:
		return t.count(do)
	case t.State != Asking:
		return t
	case timer == HoldTimer && t.pressed:
		t.pressed = false
		return t.judge(t.denied(), do)
	case timer == StepTimer:
		return t.unanswered(do)
	case timer != PhaseTimer:
		return t
	}
	switch {
	case t.Step.lamp():
		t.lit = !t.lit
		do.add(Effect{Kind: SetLamp, Line: t.Step.Line(), On: t.lit})
		if t.lit {
			do.start(PhaseTimer, t.on)
		} else {
			do.start(PhaseTimer, t.off)
		}
	case t.Step == Contact && t.level[contact]:
		return t.judge(Result{Verdict: Wrong, Fault: Reversed}, do)
	case t.Step == Contact:
		return t.judge(Result{Verdict: Right}, do)
	case t.Step == Relay && t.phase == holds:
		t.phase = gives
		do.add(Effect{Kind: Release})
	}
	return t
}

func (t Test) begin(do *Effects) Test {
	t.State, t.Step, t.Results = LettingGo, NoStep, [steps]Result{}
	t.turn++
	do.start(StepTimer, letGoWithin)
	do.start(LimitTimer, limit)
	do.report(access.EventWiringStarted, "")
	return t
}

// advance asks for the next line that the board has.
func (t Test) advance(do *Effects) Test {
	for s := t.Step + 1; s < steps; s++ {
		if t.board&(1<<s) != 0 {
			return t.ask(s, do)
		}
	}
	return t.finish(do)
}

// ask begins a step, or begins it again.
func (t Test) ask(s Step, do *Effects) Test {
	t.State, t.Step, t.pressed, t.phase, t.moves = Asking, s, false, waits, [inputs]uint8{}
	t.turn++
	do.stop(HoldTimer)
	do.stop(PhaseTimer)
	do.start(StepTimer, answerIn)
	switch {
	case s.lamp():
		t.lit = false
		do.takeLamp(s)
		do.start(PhaseTimer, t.off)
	case s == Relay && t.Results[Contact].Verdict != Right:
		return t.judge(Result{Verdict: Wrong, Fault: NoContact}, do)
	}
	return t
}

// judge ends the step.
func (t Test) judge(r Result, do *Effects) Test {
	t = t.close(t.Step, r, do)
	if !t.level[tamper] {
		return t.end("enclosure closed", do)
	}
	t.State = Judged
	do.start(StepTimer, showVerdict)
	return t
}

// tell ends the step, and with it the test: nobody is there, or the button is not to be trusted.
func (t Test) tell(s Step, r Result, do *Effects) Test {
	t = t.close(s, r, do)
	if !t.level[tamper] {
		return t.end("enclosure closed", do)
	}
	return t.finish(do)
}

// close ends the step with a result of this line.
func (t Test) close(s Step, r Result, do *Effects) Test {
	t.Results[s] = r
	t.pressed = false
	t.turn++
	do.stop(HoldTimer)
	do.stop(PhaseTimer)
	if t.Step.lamp() {
		t.lit = false
		do.giveLamp(t.Step)
	}
	do.report(access.EventWiringStep, s.String()+": "+r.String())
	return t
}

// finish tells the results.
func (t Test) finish(do *Effects) Test {
	t.State, t.Step = Telling, NoStep
	do.stop(StepTimer)
	do.report(access.EventWiringEnded, t.summary(""))
	return t.count(do)
}

// count goes to the next step that is not right, and round again.
func (t Test) count(do *Effects) Test {
	for range steps {
		t.Step = (t.Step + 1) % steps
		if t.Results[t.Step].Verdict == Wrong {
			t.turn++
			do.start(PhaseTimer, tellEach)
			return t
		}
	}
	t.Step = NoStep
	return t
}

// burns ends the test at once: the door has released already. In the step of the fire input that is what was asked for; in that of another input it
// tells which wire the panel's place has got.
func (t Test) burns(do *Effects) Test {
	if t.State == Asking {
		if _, watched := inputOf(t.Step.Line()); t.Step == Fire {
			t = t.close(Fire, Result{Verdict: Right}, do)
		} else if watched {
			t.moves[fire]++
			t = t.close(t.Step, t.denied(), do)
		}
	}
	return t.end("fire", do)
}

// end is back to Idle. A test whose results were told has been recorded as ended.
func (t Test) end(why string, do *Effects) Test {
	if t.State == Asking && t.Step.lamp() {
		do.giveLamp(t.Step)
	}
	if t.Running() && t.State != Telling {
		do.report(access.EventWiringEnded, t.summary(why))
	}
	for timer := HoldTimer; timer <= LimitTimer; timer++ {
		do.stop(timer)
	}
	return Test{
		Results: t.Results, board: t.board, on: t.on, off: t.off, level: t.level, released: t.released, lockdown: t.lockdown, turn: t.turn,
	}
}
