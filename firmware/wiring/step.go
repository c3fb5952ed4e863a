package wiring

import (
	"fmt"
	"strings"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

// Step is one line of the test. Its number is beeped, and stands in docs/INSTALL.md.
type Step uint8

// Append only; a board without the line leaves its number out.
const (
	NoStep   Step = 0
	LEDRed   Step = 1
	LEDGreen Step = 2
	LEDBlue  Step = 3
	Buzzer   Step = 4
	Lamp     Step = 5
	Lamp2    Step = 6
	Exit     Step = 7
	Tamper   Step = 8
	Contact  Step = 9
	Relay    Step = 10
	Fire     Step = 11 // the last: it ends the test

	steps = 12
)

// Line is the one that the step is about; an unknown step is about none.
func (s Step) Line() board.Line {
	lines := [...]board.Line{"", board.LEDRed, board.LEDGreen, board.LEDBlue, board.Buzzer, board.Lamp, board.Lamp2, board.REX, board.Tamper, board.Contact,
		board.Relay, board.Fire}
	if int(s) < len(lines) {
		return lines[s]
	}
	return ""
}

func (s Step) lamp() bool { return s == Lamp || s == Lamp2 }

// String is the step's number and line.
func (s Step) String() string { return fmt.Sprintf("%d %s", s, s.Line()) }

// input is a line that the test listens to.
type input uint8

const (
	exit input = iota
	tamper
	contact
	fire

	inputs = 4
)

func (in input) line() board.Line {
	return [inputs]board.Line{board.REX, board.Tamper, board.Contact, board.Fire}[in]
}

func inputOf(l board.Line) (input, bool) {
	for in := range input(inputs) {
		if in.line() == l {
			return in, true
		}
	}
	return 0, false
}

// Verdict of a step. The zero Verdict says that it was not tried.
type Verdict uint8

// The verdicts.
const (
	Untried Verdict = 0
	Right   Verdict = 1
	Wrong   Verdict = 2
)

// Fault is what is wrong with a line.
type Fault uint8

// The faults.
const (
	NoFault    Fault = iota
	NotSeen          // the installer saw or heard nothing, or something else
	NoAnswer         // nobody answered
	NotMoved         // the input did not move
	HalfMoved        // it moved and did not come back
	OtherMoved       // another input moved instead
	Reversed         // it reads open while the door is shut
	Stuck            // the button reads pressed while nobody presses it
	NoContact        // the relay is judged by the contact, which is not right
	NotHeld          // the door opened while the relay was secured
	NotOpened        // it did not open while the relay was released
)

// Result of a step.
type Result struct {
	Verdict Verdict
	Fault   Fault
	Instead board.Line // of OtherMoved
}

// String is what the record says.
func (r Result) String() string {
	switch r.Verdict {
	case Right:
		return "right"
	case Wrong:
		return "wrong: " + r.Fault.say() + string(r.Instead)
	}
	return "not tried"
}

func (f Fault) say() string {
	says := [...]string{"", "not seen or heard", "nobody answered", "did not move", "did not come back", "moved instead: ", "reads open while the door is shut",
		"reads pressed while nobody presses", "the contact must be right first", "the door opened while secured", "the door did not open"}
	if int(f) < len(says) {
		return says[f]
	}
	return fmt.Sprintf("fault %d", uint8(f))
}

// summary says of all lines how they are; why, if not empty, ended the test before its end.
func (t Test) summary(why string) string {
	named := func(v Verdict) string {
		var list []string
		for s := LEDRed; s < steps; s++ {
			if t.board&(1<<s) != 0 && t.Results[s].Verdict == v {
				list = append(list, string(s.Line()))
			}
		}
		return strings.Join(list, ", ")
	}
	var parts []string
	if why != "" {
		parts = append(parts, "ended by: "+why)
	}
	wrong, untried := named(Wrong), named(Untried)
	if wrong != "" {
		parts = append(parts, "wrong: "+wrong)
	}
	if untried != "" {
		parts = append(parts, "not tried: "+untried)
	}
	if wrong == "" && untried == "" {
		parts = append(parts, "all lines right")
	}
	return strings.Join(parts, "; ")
}

// Display is what the installer sees and hears. Two that differ in Turn alone are heard anew.
type Display struct {
	access.Indication
	Beeps uint8 // short ones, once; instead of the indication's buzzer if not 0
	Turn  uint8
}

// Display of a test that has begun. Until then, and after it, the door shows its own.
func (t Test) Display() Display {
	show := func(c access.Colour, p access.LEDPattern, b access.BuzzerPattern, text string) Display {
		return Display{Indication: access.Indication{LED: c, Pattern: p, Buzzer: b, Text: text}, Turn: t.turn}
	}
	switch t.State {
	case LettingGo:
		return show(access.Amber, access.Steady, access.LowBuzz, "Wiring test: let go")
	case Asking:
		d := show(access.Amber, access.Blink, access.Silent, fmt.Sprintf("Wiring test %d: %s", t.Step, t.Step.Line()))
		d.Beeps = uint8(t.Step)
		switch {
		case t.Step == LEDRed, t.Step == Relay && t.phase == holds:
			d.LED, d.Pattern = access.Red, access.Steady
		case t.Step == LEDGreen, t.Step == Relay && t.phase == gives:
			d.LED, d.Pattern = access.Green, access.Steady
		case t.Step == LEDBlue:
			d.LED, d.Pattern = access.Blue, access.Steady
		}
		return d
	case Judged:
		if t.Results[t.Step].Verdict == Right {
			return show(access.Green, access.Steady, access.Silent, "Right")
		}
		return show(access.Red, access.Steady, access.LowBuzz, "Wrong")
	case Telling:
		if t.Step == NoStep {
			return show(access.Green, access.Breathe, access.LowBuzz, "Wiring test: all right")
		}
		d := show(access.Red, access.Blink, access.Silent, fmt.Sprintf("Wrong: %d %s", t.Step, t.Step.Line()))
		d.Beeps = uint8(t.Step)
		return d
	}
	return Display{}
}
