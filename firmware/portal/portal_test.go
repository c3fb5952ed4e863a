package portal

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

func TestPowerOnSecuresFirst(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		d.want(t, access.Secured, false)
		if first := d.bench.history[0]; first.line != board.Relay || first.on {
			t.Errorf("the first write is %+v, want the relay secured", first)
		}
		if !d.book.has(access.EventPortalStarted) {
			t.Error("the start is not recorded")
		}
	})
}

func TestPowerOnAsFound(t *testing.T) {
	found := func(lines ...board.Line) func(*Config, *bench, *book) {
		return func(_ *Config, b *bench, _ *book) {
			for _, l := range lines {
				b.levels[l] = true
			}
		}
	}
	t.Run("fire", func(t *testing.T) {
		atDoor(t, found(board.Fire), func(t *testing.T, d *door) {
			d.want(t, access.FireReleased, true)
			if slices.ContainsFunc(d.bench.writes(board.Relay), func(w write) bool { return !w.on }) {
				t.Error("the relay was secured in a fire")
			}
		})
	})
	t.Run("open", func(t *testing.T) {
		atDoor(t, found(board.Contact), func(t *testing.T, d *door) {
			d.want(t, access.Open, false)
			d.after(times.HeldOpen)
			d.want(t, access.HeldOpen, false)
		})
	})
	t.Run("tamper", func(t *testing.T) {
		atDoor(t, found(board.Tamper), func(t *testing.T, d *door) {
			if !d.State().Tamper || !d.book.has(access.EventTamperOpened) {
				t.Error("the open enclosure was not noticed")
			}
		})
	})
	t.Run("REX pressed", func(t *testing.T) {
		atDoor(t, found(board.REX), func(t *testing.T, d *door) {
			d.want(t, access.Released, true)
			d.after(times.Release)
			d.want(t, access.Secured, false)
		})
	})
	t.Run("lockdown survived", func(t *testing.T) {
		atDoor(t, func(c *Config, _ *bench, _ *book) { c.Lockdown = true }, func(t *testing.T, d *door) {
			d.want(t, access.LockedDown, false)
		})
	})
}

func TestRelease(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		begun := d.now()
		at, err := d.Release(t.Context(), d.pass(t, 1))
		if err != nil || at != begun {
			t.Fatalf("Release = %v, %v; want %v", at, err, begun)
		}
		synctest.Wait()
		d.want(t, access.Released, true)
		d.after(times.Release - time.Millisecond)
		d.want(t, access.Released, true)
		d.after(time.Millisecond)
		d.want(t, access.Secured, false)
		for _, e := range d.book.entries {
			if e.Event == access.EventReleaseUnused && e.Session != (access.SessionID{Boot: 1, Number: 1}) {
				t.Errorf("unused release belongs to walk-up %v", e.Session)
			}
		}
		want := []access.Event{access.EventPortalStarted, access.EventDoorReleased, access.EventReleaseUnused, access.EventDoorRelocked}
		if got := d.book.events(); !slices.Equal(got, want) {
			t.Errorf("recorded %v, want %v", got, want)
		}
	})
}

func TestRelockAsTheDoorOpens(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		if _, err := d.Release(t.Context(), d.passFor(t, 1, true)); err != nil {
			t.Fatal(err)
		}
		d.after(10 * time.Second) // the extended release still runs
		d.want(t, access.Released, true)
		d.press(board.Contact, true)
		d.want(t, access.Open, false)
		d.press(board.Contact, false)
		d.want(t, access.Secured, false)
	})
}

func TestPassRefused(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		early, late := d.pass(t, 4), d.pass(t, 7)
		refuse := func(name string, p access.Pass, want error) {
			t.Helper()
			before := len(d.bench.writes(board.Relay))
			if at, err := d.Release(t.Context(), p); !errors.Is(err, want) || at != 0 {
				t.Errorf("%s: Release = %v, %v; want %v", name, at, err, want)
			}
			if n := len(d.bench.writes(board.Relay)); n != before || d.relayOn() {
				t.Errorf("%s: the relay was written", name)
			}
		}
		settle := func() { d.after(times.Release + time.Second) }

		refuse("zero", access.Pass{}, ErrPassInvalid)
		if _, err := d.Release(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		d.press(board.Contact, true)
		d.press(board.Contact, false)
		refuse("used", late, ErrPassUsed)
		refuse("older than a used one", early, ErrPassUsed)
		settle()
		expired := d.pass(t, 8)
		d.after(2*time.Second + time.Nanosecond)
		refuse("expired", expired, ErrPassExpired)

		if err := d.Lockdown(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		locked := d.pass(t, 9)
		refuse("locked down", locked, ErrLockedDown)
		if err := d.Lockdown(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		refuse("refused in lockdown and kept for later", locked, ErrPassUsed)

		gone, cancel := context.WithCancel(t.Context())
		cancel()
		before := len(d.bench.writes(board.Relay))
		if _, err := d.Release(gone, d.pass(t, 10)); err == nil && !d.relayOn() {
			t.Error("a caller who has left is told that the door is released")
		} else if err != nil && len(d.bench.writes(board.Relay)) != before {
			t.Error("a caller who has left is refused and the relay is set")
		}
		if err := d.end(); !errors.Is(err, context.Canceled) {
			t.Fatalf("Run = %v", err)
		}
		refuse("stopped", d.pass(t, 11), ErrStopped)
	})
}

func TestLockdownNeverStopsREX(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		if err := d.Lockdown(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		d.want(t, access.LockedDown, false)
		d.press(board.REX, true)
		d.want(t, access.Released, true)
		if _, err := d.Release(t.Context(), d.pass(t, 1)); !errors.Is(err, ErrLockedDown) {
			t.Errorf("a Pass in lockdown during an exit: %v", err)
		}
		d.press(board.REX, false)
		d.want(t, access.Released, true)
		d.after(times.Release)
		d.want(t, access.LockedDown, false)
	})
}

// A portal starts before anybody can read whether a lockdown stood: locked down, and quietly open to Passes once it is told. REX does not wait.
func TestLockdownFoundLate(t *testing.T) {
	for _, stood := range []bool{false, true} {
		atDoor(t, func(c *Config, _ *bench, _ *book) { c.Lockdown = true }, func(t *testing.T, d *door) {
			d.press(board.REX, true)
			d.want(t, access.Released, true)
			d.press(board.REX, false)
			d.after(times.Release)
			d.want(t, access.LockedDown, false)
			if err := d.Found(t.Context(), stood); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := d.State(); got.Lockdown != stood {
				t.Errorf("found %v: lockdown is %v", stood, got.Lockdown)
			}
			for _, e := range d.book.events() {
				if e == access.EventLockdownLifted || e == access.EventLockdownSet {
					t.Errorf("found %v: recorded as %v", stood, e)
				}
			}
		})
	}
}

func TestFireWins(t *testing.T) {
	atDoor(t, func(c *Config, _ *bench, _ *book) { c.Lockdown = true }, func(t *testing.T, d *door) {
		d.press(board.Fire, true)
		d.want(t, access.FireReleased, true)
		if err := d.Lockdown(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		d.after(time.Hour) // far above the relay's bound: no guard in a fire
		d.want(t, access.FireReleased, true)
		if n := len(d.bench.writes(board.Relay)); n != 3 {
			t.Errorf("%d writes of the relay, want 3: power-on twice, fire", n)
		}
		d.press(board.Fire, false)
		d.want(t, access.LockedDown, false)
	})
}

// TestNothingWaitsForTheDisk: with a recorder that never returns, REX, fire and alarms work on and nothing piles up without end.
func TestNothingWaitsForTheDisk(t *testing.T) {
	atDoor(t, func(_ *Config, _ *bench, b *book) { b.block = make(chan struct{}) }, func(t *testing.T, d *door) {
		for range 3 * journalSize {
			d.press(board.REX, true)
			if !d.relayOn() {
				t.Fatal("REX waits for the disk")
			}
			d.after(times.Release)
			d.want(t, access.Secured, false)
		}
		d.press(board.Fire, true)
		d.want(t, access.FireReleased, true)
		d.press(board.Fire, false)
		d.press(board.Contact, true)
		d.want(t, access.ForcedOpen, false)
		close(d.book.block)
		synctest.Wait()
		for _, e := range []access.Event{access.EventFireStarted, access.EventDoorForcedOpen, access.EventEventsLost} {
			if !d.book.has(e) {
				t.Errorf("%q was lost among exits", e)
			}
		}
		var lost, kept uint64
		for _, e := range d.book.entries {
			if lost += e.Lost; e.Event != access.EventEventsLost {
				kept++
			}
		}
		// Started; REX, released, unused, relocked for each exit; fire twice, forced.
		if all := uint64(1 + 4*3*journalSize + 3); lost+kept != all {
			t.Errorf("%d kept and %d reported lost, of %d", kept, lost, all)
		}
	})
}

func TestFailedRecordsAreCounted(t *testing.T) {
	atDoor(t, func(_ *Config, _ *bench, b *book) { b.fail = true }, func(t *testing.T, d *door) {
		d.press(board.Contact, true)
		d.book.mu.Lock()
		d.book.fail = false
		d.book.mu.Unlock()
		d.press(board.Contact, false)
		want := []access.Event{access.EventDoorClosed, access.EventEventsLost}
		if got := d.book.events(); !slices.Equal(got, want) || d.book.entries[1].Lost != 2 {
			t.Errorf("recorded %v", d.book.entries)
		}
	})
}

func TestAlarms(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		d.press(board.Contact, true)
		d.want(t, access.ForcedOpen, false)
		d.after(time.Minute)
		d.want(t, access.ForcedOpen, false)
		d.press(board.Contact, false)
		d.want(t, access.Secured, false)

		d.press(board.REX, true)
		d.press(board.Contact, true)
		d.after(times.HeldOpen - times.PreAlarm)
		if in := d.View().Indication; in.Buzzer != access.Reminder {
			t.Errorf("in the pre-alarm the door shows %+v", in)
		}
		d.after(times.PreAlarm)
		d.want(t, access.HeldOpen, false)
		d.press(board.Contact, false)
		d.want(t, access.Secured, false)
		for _, e := range []access.Event{access.EventDoorForcedOpen, access.EventHeldOpenWarned, access.EventDoorHeldOpen} {
			if !d.book.has(e) {
				t.Errorf("%q is not recorded", e)
			}
		}
	})
}

// TestStopSecures: however the portal ends, the relay is secured, unless there is fire.
func TestStopSecures(t *testing.T) {
	released := func(t *testing.T, d *door) {
		t.Helper()
		d.press(board.REX, true)
		d.want(t, access.Released, true)
	}
	ends := map[string]struct {
		how  func(d *door)
		want func(error) bool
		says string
	}{
		"ordered":    {func(d *door) { d.stop() }, func(err error) bool { return errors.Is(err, context.Canceled) }, "ordered to stop"},
		"lines gone": {func(d *door) { close(d.bench.edges) }, func(err error) bool { return errors.Is(err, ErrLinesGone) }, ErrLinesGone.Error()},
		"panic": {func(d *door) { d.calls <- func() { panic("bug") } },
			func(err error) bool { return err != nil && err.Error() == "panic: bug" }, "panic: bug"},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			atDoor(t, nil, func(t *testing.T, d *door) {
				released(t, d)
				begun := d.now()
				end.how(d)
				if err := <-d.ended; !end.want(err) {
					t.Errorf("Run = %v", err)
				}
				if d.relayOn() || d.now()-begun > time.Second {
					t.Errorf("relay %v after %v", d.relayOn(), d.now()-begun)
				}
				if last := d.book.last(); last.Event != access.EventPortalStopped || last.Detail != end.says {
					t.Errorf("the end is recorded as %v %q, want %q", last.Event, last.Detail, end.says)
				}
			})
		})
		t.Run(name+" in a fire", func(t *testing.T) {
			atDoor(t, nil, func(t *testing.T, d *door) {
				d.press(board.Fire, true)
				end.how(d)
				<-d.ended
				if !d.relayOn() {
					t.Error("the door was locked in a fire")
				}
			})
		})
	}
}

func TestStopDoesNotWaitForTheDisk(t *testing.T) {
	atDoor(t, func(_ *Config, _ *bench, b *book) { b.block = make(chan struct{}) }, func(t *testing.T, d *door) {
		begun := d.now()
		if err := d.end(); !errors.Is(err, context.Canceled) || d.now()-begun > stopGrace {
			t.Errorf("Run = %v after %v", err, d.now()-begun)
		}
	})
}

func TestSetErrorEndsTheDoor(t *testing.T) {
	broken := errors.New("no such device")
	atDoor(t, nil, func(t *testing.T, d *door) {
		begun := d.now()
		d.bench.breaks(func(line board.Line, on bool) error {
			if line == board.Relay && on {
				return broken
			}
			return nil
		})
		if _, err := d.Release(t.Context(), d.pass(t, 1)); !errors.Is(err, broken) {
			t.Errorf("Release = %v", err)
		}
		if err := <-d.ended; !errors.Is(err, broken) || d.now()-begun > time.Second {
			t.Errorf("Run = %v after %v", err, d.now()-begun)
		}
		if last := slices.Clone(d.bench.writes(board.Relay)); last[len(last)-1].on {
			t.Error("the last write leaves the relay released")
		}
	})
}

// TestRelayFollowsTheDoor drives a door at random for a while and compares the relay line with what may be: on only after
// Pass, REX or fire, never longer than the bound after the last of them, and no pulse within one step.
func TestRelayFollowsTheDoor(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		const seed = 20261122
		random := rand.New(rand.NewPCG(seed, seed))
		inputs := []board.Line{board.Contact, board.Contact, board.REX, board.Tamper, board.Fire}
		level := map[board.Line]bool{}
		bound := desk(t).Door.MaxPulse.Duration()
		cause, number := time.Duration(0), uint64(0)
		for step := range 1500 {
			before := len(d.bench.writes(board.Relay))
			was := d.relayOn()
			may := false
			switch k := random.IntN(9); {
			case k < len(inputs):
				line := inputs[k]
				level[line] = !level[line]
				d.press(line, level[line])
				may = level[line] && (line == board.REX || line == board.Fire)
			case k == 5:
				number++
				_, err := d.Release(t.Context(), d.passFor(t, number, random.IntN(2) == 0))
				may = err == nil
			case k == 6:
				if err := d.Lockdown(t.Context(), random.IntN(2) == 0); err != nil {
					t.Fatal(err)
				}
			default:
				d.after(time.Duration(random.Int64N(int64(4 * time.Second))))
			}
			synctest.Wait()
			if may {
				cause = d.now()
			}
			switch on, a := d.relayOn(), d.State(); {
			case on != a.Relay:
				t.Fatalf("step %d: relay %v, believed %v", step, on, a.Relay)
			case on && !was && !may:
				t.Fatalf("step %d: released without a cause", step)
			case on && !a.Fire && d.now()-cause > bound:
				t.Fatalf("step %d: released %v after its cause", step, d.now()-cause)
			case len(d.bench.writes(board.Relay)) > before+1 && on == was:
				t.Fatalf("step %d: the relay glitched: %v", step, d.bench.writes(board.Relay)[before:])
			}
		}
		if d.book.has(access.EventReleaseGuarded) || d.book.has(access.EventEventsLost) {
			t.Error("the guard had to act or events were lost on a healthy board")
		}
		if number < 100 || d.now() < 70*time.Minute {
			t.Errorf("only %d passes in %v", number, d.now())
		}
	})
}

func TestTimesMustFitTheBoard(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		long := times
		long.ExtendedRelease = 20 * time.Second // the desk's bound, which leaves the guard no room
		if err := d.SetTimes(t.Context(), long); err == nil {
			t.Error("times above the relay's bound are accepted")
		}
		cfg := d.cfg
		cfg.Times = long
		if _, err := New(cfg); err == nil {
			t.Error("a portal with times above the relay's bound is made")
		}
		cfg.Times = access.DoorTimes{}
		if _, err := New(cfg); err == nil {
			t.Error("a portal without times is made")
		}
		if _, err := New(Config{Board: cfg.Board, Times: times}); err == nil {
			t.Error("a portal without lines is made")
		}
		short := times
		short.Release = 2 * time.Second
		if err := d.SetTimes(t.Context(), short); err != nil {
			t.Fatal(err)
		}
		d.press(board.REX, true)
		d.after(2 * time.Second)
		d.want(t, access.Secured, false)

		// Whoever passes has the times with which they began.
		d.press(board.REX, true)
		stays := times
		stays.Release, stays.RelockOnOpen = 4*time.Second, !short.RelockOnOpen
		if err := d.SetTimes(t.Context(), stays); err != nil {
			t.Fatal(err)
		}
		d.press(board.Contact, true)
		d.want(t, access.Open, !short.RelockOnOpen)
		d.press(board.Contact, false)
		d.after(2 * time.Second)
		d.want(t, access.Secured, false)
		d.press(board.REX, true)
		d.press(board.Contact, true)
		d.want(t, access.Open, short.RelockOnOpen)
		d.press(board.Contact, false)
		d.after(4*time.Second - time.Millisecond)
		d.want(t, access.Released, true)
		d.after(time.Millisecond)
		d.want(t, access.Secured, false)
		if err := d.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if err := d.Run(t.Context()); err == nil {
			t.Error("a portal runs twice")
		}
	})
}
