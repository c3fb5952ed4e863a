package wiring

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

func desk(t testing.TB) board.Board {
	t.Helper()
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	b.Lines[board.Lamp2] = board.Wire{} // every line there is
	return b
}

// events are all that can happen, each kind with each of its arguments.
func events() (list []Event) {
	list = append(list, Event{}, Event{Kind: 99})
	for _, l := range []board.Line{board.REX, board.Tamper, board.Contact, board.Fire, board.Lamp, "no line"} {
		for _, on := range []bool{false, true} {
			list = append(list, Event{Kind: Moved, Line: l, On: on}, Event{Kind: Found, Line: l, On: on})
		}
	}
	for _, on := range []bool{false, true} {
		list = append(list, Event{Kind: DoorIs, Released: on}, Event{Kind: DoorIs, Released: on, Lockdown: true})
	}
	for timer := range Timer(Timers + 1) {
		list = append(list, Event{Kind: TimeOver, Timer: timer})
	}
	return list
}

// keeps checks what holds after every transition, and that the relay is released for a press alone.
func keeps(t *testing.T, from Test, e Event, to Test, do Effects) {
	t.Helper()
	started := map[Timer]bool{}
	for i, f := range do.All() {
		switch f.Kind {
		case Release:
			if from.State != Asking || from.Step != Relay || from.phase != holds || from.released || from.level[contact] || from.moves[exit] == 0 {
				t.Fatalf("%+v, %+v: releases the relay", from, e)
			}
			if to.phase != gives || i != len(do.All())-1 {
				t.Fatalf("%+v, %+v: can release it twice for a press", from, e)
			}
		case StartTimer:
			started[f.Timer] = true
		case StopTimer:
			started[f.Timer] = false
		case TakeLamp, SetLamp, GiveLamp:
			if !from.Step.lamp() && !to.Step.lamp() || f.Line != Lamp.Line() && f.Line != Lamp2.Line() {
				t.Fatalf("%+v, %+v: switches the lamp", from, e)
			}
		case Report:
			if len(f.Detail) > access.MaxDetail || !f.Event.Known() {
				t.Fatalf("%+v, %+v: record %v %q", from, e, f.Event, f.Detail)
			}
		default:
			t.Fatalf("%+v, %+v: effect %+v", from, e, f)
		}
	}
	switch {
	case to.State > Telling || to.Step >= steps:
		t.Fatalf("%+v, %+v: leads to %+v", from, e, to)
	case (to.State == Asking || to.State == Judged) && to.Step == NoStep:
		t.Fatalf("%+v, %+v: asks for nothing: %+v", from, e, to)
	case to.State == Idle && from.State != Idle && (started[HoldTimer] || started[StepTimer] || started[PhaseTimer] || started[LimitTimer]):
		t.Fatalf("%+v, %+v: a timer goes on", from, e)
	case to.Running() && to.level[fire] && !from.level[fire] && e.Kind == Moved, to.Running() && to.lockdown && e.Kind == DoorIs:
		t.Fatalf("%+v, %+v: goes on in a fire or a lockdown", from, e)
	case to.Running() && !from.Running() && (from.State != Holding || e.Kind != TimeOver || !from.level[tamper] || !from.level[exit]):
		t.Fatalf("%+v, %+v: begins", from, e)
	case to.Running() != (to.Display() != Display{}):
		t.Fatalf("%+v shows %+v", to, to.Display())
	case len(to.Display().Text) > access.MaxText:
		t.Fatalf("%+v shows %q, more than a display holds", to, to.Display().Text)
	}
}

// TestTotal gives every event to every state, step, phase and level.
func TestTotal(t *testing.T) {
	b, list := desk(t), events()
	var cases int
	for state := range Telling + 1 {
		for step := range Step(steps) {
			if (state == Asking || state == Judged) && step == NoStep {
				continue
			}
			for bits := range 1 << 8 {
				from := New(b)
				from.State, from.Step, from.phase = state, step, uint8(bits>>6)
				for in := range inputs {
					from.level[in] = bits>>in&1 != 0
				}
				from.released, from.pressed = bits>>4&1 != 0, bits>>5&1 != 0
				if state == Holding && !(from.level[tamper] && from.level[exit]) {
					continue
				}
				if from.phase >= holds && (step != Relay || from.released && from.phase == holds || from.level[contact] && from.phase == holds) {
					continue // what no transition leads to; TestWalk walks those that they do
				}
				if from.phase >= holds {
					from.moves[exit] = 1
				}
				for _, e := range list {
					to, do := from.Next(e)
					keeps(t, from, e, to, do)
					cases++
				}
			}
		}
	}
	if cases < 100_000 {
		t.Errorf("%d cases", cases)
	}
}

// TestWalk lets anything happen in any order for a long time. With a button that nobody presses, nothing begins and nothing opens.
func TestWalk(t *testing.T) {
	const seed = 20261122
	random := rand.New(rand.NewPCG(seed, seed))
	list := events()
	for name, button := range map[string]bool{"with the button": true, "without the button": false} {
		var begun, released, presses int
		var steps [steps]int
		for range 400 {
			at := New(desk(t))
			at, _ = at.Next(Event{Kind: Found, Line: board.REX, On: random.IntN(2) == 0}) // even one that reads pressed all the time
			for range 1500 {
				e := list[random.IntN(len(list))]
				// What ends a test must be rare, or none comes far.
				ends := e.Lockdown || e.Line == board.Fire || e.Line == board.Tamper && !e.On && at.Step != Tamper && at.State != Telling ||
					e.Kind == TimeOver && (e.Timer == LimitTimer || e.Timer == StepTimer && at.State == Asking)
				if ends && random.IntN(100) > 0 {
					continue
				}
				if e.Line == board.REX && e.Kind == Moved && !button || e.Kind == Found {
					continue
				}
				to, do := at.Next(e)
				keeps(t, at, e, to, do)
				if to.Running() && !at.Running() {
					begun++
				}
				if e.Kind == Moved && e.Line == board.REX && e.On && !at.level[exit] {
					presses++
				}
				for _, f := range do.All() {
					if f.Kind == Release {
						released++
					}
				}
				steps[to.Step]++
				at = to
			}
		}
		switch {
		case released > presses:
			t.Errorf("%s: %d releases of the relay for %d presses", name, released, presses)
		case !button && (begun > 0 || released > 0):
			t.Errorf("%s: it began %d times and released %d times", name, begun, released)
		case button && (begun < 100 || released == 0 || steps[Fire] == 0):
			t.Errorf("%s: the walk does not come far: begun %d, released %d, %v", name, begun, released, steps)
		}
	}
}

// TestOneReleaseForAPress lets anything happen in the relay's step: the test releases at most once for each press of the button in it, and never ahead of one.
// Proves Y2.
//
// Control: Y2
func TestOneReleaseForAPress(t *testing.T) {
	const seed = 20261122
	random := rand.New(rand.NewPCG(seed, seed))
	list := []Event{{Kind: DoorIs}, {Kind: DoorIs, Released: true}, {Kind: TimeOver, Timer: PhaseTimer}}
	for _, l := range []board.Line{board.Contact, board.REX} {
		list = append(list, Event{Kind: Moved, Line: l}, Event{Kind: Moved, Line: l, On: true})
	}
	var all int
	for range 1000 {
		at := New(desk(t))
		at.level[tamper], at.Results[Contact] = true, Result{Verdict: Right}
		var do Effects
		at = at.ask(Relay, &do)
		var presses, releases int
		for range 300 {
			e := list[random.IntN(len(list))]
			if e.Line == board.REX && random.IntN(4) > 0 {
				continue
			}
			if e.Line == board.REX && e.On && !at.level[exit] {
				presses++
			}
			if at, do = at.Next(e); at.State != Asking || at.Step != Relay {
				break
			}
			for _, f := range do.All() {
				if f.Kind == Release {
					releases++
				}
			}
			if releases > presses {
				t.Fatalf("%d releases for %d presses: %+v", releases, presses, at)
			}
		}
		all += releases
	}
	if all < 100 {
		t.Errorf("%d releases: the walk does not come far", all)
	}
}

// TestBeginsByTheButtonAlone: an open enclosure and a button that is newly pressed and held, in this order, and nothing less.
// Proves Y2.
//
// Control: Y2
func TestBeginsByTheButtonAlone(t *testing.T) {
	found := func(l board.Line, on bool) Event { return Event{Kind: Found, Line: l, On: on} }
	moved := func(l board.Line, on bool) Event { return Event{Kind: Moved, Line: l, On: on} }
	held := Event{Kind: TimeOver, Timer: HoldTimer}
	open, press, letGo := moved(board.Tamper, true), moved(board.REX, true), moved(board.REX, false)
	for name, c := range map[string]struct {
		events []Event
		begins bool
	}{
		"opened, pressed, held":    {[]Event{open, press, held}, true},
		"found open":               {[]Event{found(board.Tamper, true), press, held}, true},
		"enclosure alone":          {[]Event{open, held, held}, false},
		"button alone":             {[]Event{press, held}, false},
		"pressed, then opened":     {[]Event{press, open, held}, false},
		"found pressed":            {[]Event{found(board.REX, true), open, press, held}, false},
		"found pressed, let go":    {[]Event{found(board.REX, true), open, letGo, press, held}, true},
		"let go too early":         {[]Event{open, press, letGo, held}, false},
		"closed too early":         {[]Event{open, press, moved(board.Tamper, false), held}, false},
		"in a lockdown":            {[]Event{{Kind: DoorIs, Lockdown: true}, open, press, held}, false},
		"a lockdown comes":         {[]Event{open, press, {Kind: DoorIs, Lockdown: true}, held}, false},
		"in a fire":                {[]Event{moved(board.Fire, true), open, press, held}, false},
		"a fire comes":             {[]Event{open, press, moved(board.Fire, true), held}, false},
		"the door moves meanwhile": {[]Event{open, press, moved(board.Contact, true), held}, true},
	} {
		at := New(desk(t))
		for _, e := range c.events {
			at, _ = at.Next(e)
		}
		if at.Running() != c.begins {
			t.Errorf("%s: running %v", name, at.Running())
		}
	}
	b := desk(t)
	delete(b.Lines, board.Tamper)
	for _, at := range []Test{New(b), {}} {
		for _, e := range []Event{open, press, held} {
			at, _ = at.Next(e)
		}
		if at.Running() {
			t.Error("a board without a tamper switch begins a test")
		}
	}
}

// TestLampKeepsToTheBoard: whoever looks into the lamp from the ladder is as safe as who stands at the door.
func TestLampKeepsToTheBoard(t *testing.T) {
	for _, c := range []struct {
		duty    int
		longest board.Millis
		on, off time.Duration
	}{
		{100, 60_000, lampToggle, lampToggle}, {50, 60_000, lampToggle, lampToggle}, {20, 60_000, lampToggle, 4 * lampToggle},
		{10, 100, 100 * time.Millisecond, 900 * time.Millisecond}, {90, 100, 100 * time.Millisecond, lampToggle},
	} {
		b := desk(t)
		b.Lamp.MaxDuty, b.Lamp.MaxOn = c.duty, c.longest
		at := New(b)
		at.State, at.level[tamper] = Judged, true
		at.Step = Buzzer
		at, _ = at.Next(Event{Kind: TimeOver, Timer: StepTimer})
		var on, off time.Duration
		for range 10 {
			lit := at.lit
			var do Effects
			at, do = at.Next(Event{Kind: TimeOver, Timer: PhaseTimer})
			for _, f := range do.All() {
				switch {
				case f.Kind == SetLamp && f.On == lit:
					t.Errorf("duty %d: the lamp does not toggle", c.duty)
				case f.Kind == StartTimer && !lit:
					on = f.For
				case f.Kind == StartTimer:
					off = f.For
				}
			}
		}
		if on != c.on || off != c.off {
			t.Errorf("duty %d, at most %d ms: lit for %v, dark for %v; want %v and %v", c.duty, c.longest, on, off, c.on, c.off)
		}
	}
}

// TestDocument compares docs/INSTALL.md with the steps and the words of the records.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/INSTALL.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, " | "); len(cells) > 1 && strings.HasPrefix(line, "| ") {
			rows[strings.Trim(cells[0]+" "+cells[1], "| `")] = true
			rows[strings.Trim(cells[0], "| `")] = true
		}
	}
	for s := LEDRed; s < steps; s++ {
		if want := strings.Replace(s.String(), " ", " `", 1); !rows[want] {
			t.Errorf("docs/INSTALL.md has no row of step %v", s)
		}
	}
	for f := NoFault + 1; f <= NotOpened; f++ {
		if want := strings.TrimSuffix(f.say(), ": "); !rows[want] {
			t.Errorf("docs/INSTALL.md does not say what %q means", want)
		}
	}
}

func TestWords(t *testing.T) {
	for s := range Step(steps) {
		if s != NoStep && s.Line() == "" {
			t.Errorf("step %d has no line", s)
		}
	}
	for f := NoFault + 1; f <= NotOpened; f++ {
		if f.say() == "" {
			t.Errorf("fault %d says nothing", f)
		}
	}
	for _, c := range []struct{ got, want string }{
		{Step(99).String(), "99 "}, {Result{}.String(), "not tried"}, {Result{Verdict: Right}.String(), "right"},
		{Result{Wrong, OtherMoved, board.Tamper}.String(), "wrong: moved instead: tamper"},
		{Result{Verdict: Wrong, Fault: 99}.String(), "wrong: fault 99"}, {Result{Verdict: 9}.String(), "not tried"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
