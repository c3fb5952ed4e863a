package wiring

import "github.com/lintel-access/lintel/board"

// button is the installer's answer: a short press says yes, or asks for the step again; a long one says no.
func (t Test) button(on bool, do *Effects) Test {
	if on {
		t.pressed = true
		if t.Step != Exit {
			do.start(HoldTimer, holdToDeny)
		}
		return t
	}
	if !t.pressed {
		return t // pressed before the step began
	}
	t.pressed = false
	do.stop(HoldTimer)
	switch t.Step {
	case Tamper, Contact, Fire:
		return t.ask(t.Step, do)
	case Relay:
		return t.pull(do)
	}
	return t.judge(Result{Verdict: Right}, do)
}

// input serves a line other than the button, in a step.
func (t Test) input(in input, on bool, do *Effects) Test {
	switch {
	case t.Step == Tamper && in == tamper && on:
		return t.judge(Result{Verdict: Right}, do)
	case t.Step == Contact && in == contact:
		if t.moves[contact] > 1 { // opened and shut: what it says when it rests is judged
			do.start(PhaseTimer, settleFor)
		}
	case t.Step == Relay && in == contact && !on:
		return t.pull(do)
	case t.Step == Relay && in == contact:
		switch t.phase {
		case holds:
			return t.judge(Result{Verdict: Wrong, Fault: NotHeld}, do)
		case gives:
			return t.judge(Result{Verdict: Right}, do)
		}
	}
	return t
}

// The phases of the relay's step. Only a press of the button leads from the first to the second.
const (
	waits uint8 = iota // for the button
	asked              // for the door to be shut and the relay secured
	holds              // pull: the door must hold
	gives              // pull: the relay is released, the door must open
)

// pull goes on with the relay's step once the button asked for it, the door is shut and the release that the button itself made is over.
func (t Test) pull(do *Effects) Test {
	if t.Step != Relay || t.phase == gives || t.moves[exit] == 0 {
		return t
	}
	t.phase = asked
	do.stop(PhaseTimer)
	do.start(StepTimer, answerIn)
	switch {
	case t.released:
		do.stop(StepTimer) // a policy may release for longer; the portal ends it
	case !t.level[contact]:
		t.phase = holds
		do.start(PhaseTimer, pullFor)
	}
	return t
}

// relay serves a change of the relay.
func (t Test) relay(do *Effects) Test {
	if t.State != Asking || t.Step != Relay {
		return t
	}
	if t.phase == gives && !t.released { // released, and not opened: the button asks for it again
		t.phase, t.moves[exit] = waits, 0
		do.start(StepTimer, answerIn)
		return t
	}
	return t.pull(do)
}

// unanswered ends a test whose step came to nothing in time: nobody is there, or what the button says arrives elsewhere.
func (t Test) unanswered(do *Effects) Test {
	if _, watched := inputOf(t.Step.Line()); watched || t.Step == Relay || t.moves[exit] > 0 {
		return t.tell(t.Step, t.denied(), do)
	}
	if other, moved := t.other(exit); moved {
		return t.tell(Exit, Result{Verdict: Wrong, Fault: OtherMoved, Instead: other}, do)
	}
	return t.tell(Exit, Result{Verdict: Wrong, Fault: NoAnswer}, do)
}

// denied is the result of a step that was answered with no.
func (t Test) denied() Result {
	line, watched := inputOf(t.Step.Line())
	switch {
	case t.Step == Relay:
		return Result{Verdict: Wrong, Fault: NotOpened}
	case !watched:
		return Result{Verdict: Wrong, Fault: NotSeen}
	case t.moves[line] > 0:
		return Result{Verdict: Wrong, Fault: HalfMoved}
	}
	if other, moved := t.other(line); moved {
		return Result{Verdict: Wrong, Fault: OtherMoved, Instead: other}
	}
	return Result{Verdict: Wrong, Fault: NotMoved}
}

// other is an input that moved there and back in this step although another one was asked for. Once is nothing: somebody shut the door. The button does
// not count: it answers.
func (t Test) other(than input) (board.Line, bool) {
	for in := tamper; in < inputs; in++ {
		if in != than && t.moves[in] > 1 {
			return in.line(), true
		}
	}
	return "", false
}
