package portal

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/wiring"
)

// TestInstallerFindsWhatIsMiswired lets an installer work at a site that is right, and at each way in which one can be wrong.
// Proves Y2.
//
// Control: Y2
func TestInstallerFindsWhatIsMiswired(t *testing.T) {
	type results map[wiring.Step]wiring.Result
	wrong := func(f wiring.Fault) wiring.Result { return wiring.Result{Verdict: wiring.Wrong, Fault: f} }
	moved := func(l board.Line) wiring.Result {
		return wiring.Result{Verdict: wiring.Wrong, Fault: wiring.OtherMoved, Instead: l}
	}
	untried := wiring.Result{}
	bent := func(l board.Line, how func(bool) bool) func(*site) {
		return func(s *site) { s.bent[l] = how }
	}
	swapped := func(a, b board.Line) func(*site) {
		return func(s *site) { s.to[a], s.to[b] = b, a }
	}
	never := "never begins"
	for name, c := range map[string]struct {
		site   func(*site)
		wrong  results // all other lines are right
		ended  string  // in the record of the end; never: there is none
		events []access.Event
	}{
		"right":            {func(*site) {}, nil, "all lines right", nil},
		"red LED dead":     {bent(board.LEDRed, dead), results{wiring.LEDRed: wrong(wiring.NotSeen)}, "wrong: led-red", nil},
		"green LED on":     {bent(board.LEDGreen, stuck), results{wiring.LEDRed: wrong(wiring.NotSeen), wiring.LEDBlue: wrong(wiring.NotSeen)}, "wrong: led-red, led-blue", nil},
		"LEDs swapped":     {swapped(board.LEDRed, board.LEDGreen), results{wiring.LEDRed: wrong(wiring.NotSeen), wiring.LEDGreen: wrong(wiring.NotSeen)}, "wrong: led-red, led-green", nil},
		"buzzer dead":      {bent(board.Buzzer, dead), results{wiring.Buzzer: wrong(wiring.NotSeen)}, "wrong: buzzer", nil},
		"lamp dead":        {bent(board.Lamp, dead), results{wiring.Lamp: wrong(wiring.NotSeen)}, "wrong: lamp", nil},
		"lamp always on":   {bent(board.Lamp, stuck), results{wiring.Lamp: wrong(wiring.NotSeen)}, "wrong: lamp", nil},
		"contact dead":     {bent(board.Contact, dead), results{wiring.Contact: wrong(wiring.NotMoved), wiring.Relay: wrong(wiring.NoContact)}, "wrong: contact, relay", nil},
		"contact reversed": {bent(board.Contact, reversed), results{wiring.Contact: wrong(wiring.Reversed), wiring.Relay: wrong(wiring.NoContact)}, "wrong: contact, relay", nil},
		"contact cut":      {bent(board.Contact, stuck), results{wiring.Contact: wrong(wiring.NotMoved), wiring.Relay: wrong(wiring.NoContact)}, "wrong: contact, relay", nil},
		"relay dead":       {bent(board.Relay, dead), results{wiring.Relay: wrong(wiring.NotOpened)}, "wrong: relay", nil},
		"relay reversed":   {bent(board.Relay, reversed), results{wiring.Relay: wrong(wiring.NotHeld)}, "wrong: relay", nil},
		"lock always open": {bent(board.Relay, stuck), results{wiring.Relay: wrong(wiring.NotHeld)}, "wrong: relay", nil},
		"fire dead":        {bent(board.Fire, dead), results{wiring.Fire: wrong(wiring.NotMoved)}, "wrong: fire", nil},
		"button reversed":  {bent(board.REX, reversed), results{wiring.Exit: wrong(wiring.Stuck), 0: untried}, "wrong: rex", nil},
		"button dead":      {bent(board.REX, dead), nil, never, nil},
		"tamper dead":      {bent(board.Tamper, dead), nil, never, nil},
		"tamper reversed":  {bent(board.Tamper, reversed), nil, never, nil},
		"fire reversed":    {bent(board.Fire, reversed), nil, never, []access.Event{access.EventFireStarted}},
		"relay, lamp":      {swapped(board.Relay, board.Lamp), results{wiring.Lamp: wrong(wiring.NotSeen), wiring.Relay: wrong(wiring.NotHeld)}, "wrong: lamp, relay", nil},
		"contact, tamper":  {swapped(board.Contact, board.Tamper), results{wiring.Tamper: moved(board.Contact), wiring.Contact: untried, wiring.Relay: untried, wiring.Fire: untried}, "ended by: enclosure closed; wrong: tamper", nil},
		"contact, button":  {swapped(board.Contact, board.REX), nil, never, nil},
		"contact, fire":    {swapped(board.Contact, board.Fire), nil, never, []access.Event{access.EventFireStarted}},
		"button, tamper":   {swapped(board.REX, board.Tamper), nil, never, nil},
		"button, fire":     {swapped(board.REX, board.Fire), nil, never, []access.Event{access.EventFireStarted}},
		"tamper, fire":     {swapped(board.Tamper, board.Fire), nil, never, []access.Event{access.EventFireStarted}},
	} {
		t.Run(name, func(t *testing.T) {
			atSite(t, func(_ *Config, s *site) { c.site(s) }, func(t *testing.T, s *site) {
				s.install(t)
				s.after(2 * time.Second)
				var ended []string
				for _, e := range s.book.entries {
					if e.Event == access.EventWiringEnded {
						ended = append(ended, e.Detail)
					}
				}
				for _, e := range c.events {
					if !s.book.has(e) {
						t.Errorf("%v is not recorded", e)
					}
				}
				if c.ended == never {
					if s.book.has(access.EventWiringStarted) || ended != nil {
						t.Errorf("it began: %v", s.book.entries)
					}
					return
				}
				if len(ended) != 1 || !strings.Contains(ended[0], c.ended) {
					t.Errorf("recorded at the end %q, want %q", ended, c.ended)
				}
				_, none := c.wrong[0]
				for step, got := range s.at().Results {
					want, listed := c.wrong[wiring.Step(step)]
					if !listed && step > 0 && !none {
						want = wiring.Result{Verdict: wiring.Right}
					}
					if got != want {
						t.Errorf("%v: %v, want %v", wiring.Step(step), got, want)
					}
				}
				if s.View().Testing || s.at().State != wiring.Idle {
					t.Errorf("it goes on: %+v", s.at())
				}
				one, _ := s.bench.Level(board.Lamp)
				if two, _ := s.bench.Level(board.Lamp2); !one || two {
					t.Errorf("after the test the lamps are lit %v and %v, were true and false", one, two)
				}
				if s.book.has(access.EventReleaseGuarded) || s.book.has(access.EventEventsLost) {
					t.Errorf("the guard had to act, or records were lost: %v", s.book.entries)
				}
			})
		})
	}
}

// TestStepsAreCountedOut counts on the buzzer's line what somebody hears who has nothing but that line.
func TestStepsAreCountedOut(t *testing.T) {
	atSite(t, func(c *Config, _ *site) { delete(c.Board.Lines, board.Fire) }, func(t *testing.T, s *site) {
		// heard are the tones that began since an act, within the time that a number is told in.
		heard := func(act func()) (short, long int) {
			begun := len(s.bench.writes(board.Buzzer))
			act()
			s.after(5900 * time.Millisecond)
			var since time.Duration
			for _, w := range s.bench.writes(board.Buzzer)[begun:] {
				switch {
				case w.on:
					since = w.at
				case since == 0:
				case w.at-since > 300*time.Millisecond:
					long++
				default:
					short++
				}
			}
			return short, long
		}
		nothing := func() {}
		s.short()
		s.does(board.Contact, true)
		s.does(board.Tamper, true)
		s.does(board.REX, true)
		s.after(4900 * time.Millisecond)
		if short, long := heard(nothing); short != 0 || long != 1 {
			t.Errorf("at the beginning %d short, %d long; want one long", short, long)
		}
		next := func() { s.does(board.REX, false) }
		for step := wiring.LEDRed; step <= wiring.Relay; step++ {
			if short, long := heard(next); short != int(step) || long != 0 {
				t.Errorf("step %v: %d short, %d long", step, short, long)
			}
			switch step {
			case wiring.LEDRed, wiring.LEDGreen, wiring.LEDBlue, wiring.Buzzer:
				s.short()
			case wiring.Lamp:
				s.long() // no
			default:
				s.step(t, step)
			}
			if at := s.at(); at.State != wiring.Judged && step < wiring.Relay {
				t.Fatalf("step %v: %+v", step, at)
			}
			next = func() { s.after(1500 * time.Millisecond) }
		}
		for quiet := 0; quiet < 15; quiet++ { // until the pause between two numbers
			if s.after(100 * time.Millisecond); s.sees(board.Buzzer) {
				quiet = 0
			}
		}
		for range 3 { // the one that is wrong, again and again
			if short, _ := heard(nothing); short != int(wiring.Lamp) {
				t.Errorf("at the end %d beeps, want %d", short, wiring.Lamp)
			}
			s.after(100 * time.Millisecond)
		}
		if text := s.View().Indication.Text; text != "Wrong: 5 lamp" {
			t.Errorf("the page shows %q", text)
		}
	})
}

// TestNobodyOutsideOpensByATest: who has the enclosure open and no button gets nothing, not even from a test that somebody inside began.
func TestNobodyOutsideOpensByATest(t *testing.T) {
	for name, begun := range map[string]bool{"alone": false, "after somebody began it": true} {
		t.Run(name, func(t *testing.T) {
			atSite(t, nil, func(t *testing.T, s *site) {
				if begun {
					s.begin()
					if !s.View().Testing {
						t.Fatal("the test did not begin")
					}
				}
				s.after(times.Release)
				before := len(s.bench.writes(board.Relay))
				const seed = 20261122
				random := rand.New(rand.NewPCG(seed, seed))
				for range 2000 {
					s.does(board.Tamper, random.IntN(3) > 0)
					s.after(time.Duration(random.Int64N(int64(3 * time.Second))))
				}
				if n := len(s.bench.writes(board.Relay)); n != before || s.relayOn() {
					t.Errorf("the relay was written %d times", n-before)
				}
			})
		})
	}
}

// TestExitAndFireInEveryStep: whoever wants out gets out, and nobody else gets in.
func TestExitAndFireInEveryStep(t *testing.T) {
	for step := wiring.LEDRed; step <= wiring.Fire; step++ {
		t.Run(step.String(), func(t *testing.T) {
			to := func(t *testing.T, s *site) {
				t.Helper()
				s.begin()
				for range 40 {
					switch at := s.at(); {
					case at.State == wiring.Asking && at.Step == step:
						s.after(times.Release) // of the last press
						return
					case at.State == wiring.Asking:
						s.step(t, at.Step)
					default:
						s.after(1600 * time.Millisecond)
					}
				}
				t.Fatalf("the step does not come: %+v", s.at())
			}
			atSite(t, nil, func(t *testing.T, s *site) {
				to(t, s)
				_, err := s.Release(t.Context(), s.pass(t, 1))
				synctest.Wait()
				if !errors.Is(err, ErrTesting) || s.relayOn() || !s.book.has(access.EventReleaseRefused) {
					t.Errorf("a Pass during the test: %v, relay %v", err, s.relayOn())
				}
				s.does(board.REX, true)
				if !s.relayOn() {
					t.Error("the exit button does not release")
				}
				s.does(board.REX, false)
				s.after(times.Release)
				if s.relayOn() && s.at().Step != wiring.Relay {
					t.Error("the release does not end")
				}
				s.does(board.Fire, true)
				if !s.relayOn() || s.View().Testing || s.View().Indication != access.IndicateDoor(s.State()) || s.State().State != access.FireReleased {
					t.Errorf("in a fire: relay %v, %+v", s.relayOn(), s.View())
				}
				s.after(time.Hour)
				if !s.relayOn() {
					t.Error("the fire's release ended")
				}
			})
			atSite(t, nil, func(t *testing.T, s *site) {
				to(t, s)
				if err := s.Lockdown(t.Context(), true); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if s.View().Testing || s.relayOn() {
					t.Errorf("in a lockdown: testing %v, relay %v", s.View().Testing, s.relayOn())
				}
			})
			atSite(t, nil, func(t *testing.T, s *site) {
				to(t, s)
				s.after(61 * time.Second)
				if at := s.at(); at.State != wiring.Telling || s.relayOn() {
					t.Errorf("with nobody there: %+v, relay %v", at, s.relayOn())
				}
				s.after(10 * time.Minute)
				if s.View().Testing {
					t.Error("it goes on for more than ten minutes")
				}
				if _, err := s.Release(t.Context(), s.pass(t, 1)); err != nil {
					t.Errorf("a Pass after the test: %v", err)
				}
			})
		})
	}
}

// TestRelayIsReadBack: whoever asks is told what the relay's line reads after each change.
func TestRelayIsReadBack(t *testing.T) {
	type reading struct {
		want, have bool
		err        error
	}
	var all []reading
	atDoor(t, func(c *Config, _ *bench, _ *book) {
		c.ReadBack = func(want, have bool, err error) { all = append(all, reading{want, have, err}) }
	}, func(t *testing.T, d *door) {
		d.press(board.REX, true)
		d.bench.breaks(func(line board.Line, on bool) error {
			if line == board.Relay { // set, and pulled the other way by something
				go func() {
					d.bench.mu.Lock()
					defer d.bench.mu.Unlock()
					d.bench.levels[line] = true
				}()
			}
			return nil
		})
		d.after(times.Release)
	})
	if len(all) < 3 || all[0] != (reading{}) || all[1] != (reading{true, true, nil}) || all[2].want {
		t.Errorf("read back %v", all)
	}
}
