package main

import (
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/sync/wire"
)

func TestTimeRunsNoFasterThanTheKiosksOwnClock(t *testing.T) {
	told := time.Unix(2_000_000_000, 0)
	for name, tt := range map[string]struct {
		after time.Duration // CLOCK_MONOTONIC since the clock was told
		at    time.Duration // what it is told then, since
		want  bool
	}{
		"at once":                        {0, 0, true},
		"put right":                      {0, correction, true},
		"put right by too much":          {0, correction + time.Second, false},
		"an hour later":                  {time.Hour, time.Hour, true},
		"an hour later, put right":       {time.Hour, time.Hour + correction + 3*time.Second, true},
		"an hour later, by too much":     {time.Hour, time.Hour + correction + 4*time.Second, false},
		"back":                           {time.Hour, -time.Hour, true}, // the vault has the floor
		"a year, while a day is trusted": {freshFor - 1, 365 * 24 * time.Hour, false},
		"a year, when none is any more":  {freshFor, 365 * 24 * time.Hour, true},
	} {
		var c clock
		if !c.bounded(told, time.Minute) {
			t.Fatal("the first time has a bound")
		}
		c.set(told, time.Minute)
		if got := c.bounded(told.Add(tt.at), time.Minute+tt.after); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
	// In many steps it comes no further than in one.
	var c clock
	c.set(told, 0)
	at, stamp := told, time.Duration(0)
	for range 1000 {
		if stamp += time.Minute; c.bounded(at.Add(time.Minute+correction), stamp) {
			at = at.Add(time.Minute + correction)
			c.set(at, stamp)
		}
	}
	if ahead := at.Sub(told) - stamp; ahead > 2*correction {
		t.Errorf("in many steps it came %v ahead", ahead)
	}
}

// One time that the server's key signs, within its grant and all, ends no lease while the kiosk has a time to compare it with, and has nothing erased.
func TestOneTimeEndsNoLeases(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	c.give(1, c.enrolment(access.PersonID{1}, 1, 3)) // until c.now+90_000
	if err := c.answer(c.greeting(), c.now+95_000); !refusedBecause(err, errAhead) {
		t.Errorf("a jump over all leases: %v", err)
	}
	c.refresh()
	c.sweep()
	if s, err := c.shelf.state(access.PersonID{1}); err != nil || s != vault.Active || !c.find(3).Found {
		t.Errorf("the person is %v, %v", s, err)
	}
	if at, ok := c.clock.trusted(); !ok || at.Unix() > c.now+60 {
		t.Errorf("the clock stands at %v", at)
	}
	if err := c.answer(c.greeting(), c.now+60); err != nil {
		t.Errorf("the true time after it: %v", err)
	}
}

// After a start there is nothing to compare with: what lies more than a month ahead has to be kept to.
func TestLeapAfterAStartIsNotBelievedAtOnce(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	c.stop()
	c.start()
	far := time.Unix(c.now, 0).Add(leap + time.Hour)
	believed := func(at time.Time, want bool) {
		t.Helper()
		if err := c.tell(at); err != nil {
			t.Error(err)
		}
		if _, ok := c.clock.trusted(); ok != want {
			t.Errorf("%v is believed: %t", at, ok)
		}
	}
	keep := func() {
		c.clock.mu.Lock()
		c.clock.claim.stamp -= leapHeld
		c.clock.claim.at = c.clock.claim.at.Add(-leapHeld)
		c.clock.mu.Unlock()
	}
	believed(far, false)
	believed(far.Add(time.Second), false)
	c.wantCount(access.EventTimeLeapt, 1)
	keep()
	believed(far.Add(leap), false) // to another one
	c.wantCount(access.EventTimeLeapt, 2)
	if floor, _ := c.store.Trusted(); floor > c.now+60 {
		t.Errorf("the vault remembers %d", floor)
	}
	believed(time.Unix(c.now+60, 0), true)
	c.stop()
	c.start()
	believed(far, false)
	keep()
	believed(far, true)
	if err := c.tell(time.Unix(c.now, 0)); !errors.Is(err, errPast) {
		t.Errorf("back again: %v", err)
	}
	if frames.Now()-c.clock.stamp > time.Minute {
		t.Error("the clock was not set")
	}
}

// A broker that lets the time through and keeps commands back, or a trust document, is found by what headquarters signs with the time.
func TestWhatIsWithheldMakesStale(t *testing.T) {
	for name, what := range map[string]struct {
		missing func(k *kiosk) *missing
		change  func(t *wire.Time)
		come    func(c *centre)
	}{
		"commands": {
			func(k *kiosk) *missing { return &k.commands }, func(t *wire.Time) { t.Seq, t.Head = t.Seq+1, [32]byte{9} },
			func(c *centre) { c.give(0, c.admin(wire.Lockdown{Version: 1, Issued: 1})) },
		},
		"trust": {
			func(k *kiosk) *missing { return &k.trust }, func(t *wire.Time) { t.Trust++ },
			func(c *centre) {
				if err := c.bring(c.sign("root", wire.Fleet(), c.trust(2))); err != nil {
					c.t.Fatal(err)
				}
			},
		},
		"trust in a command": {
			func(k *kiosk) *missing { return &k.trust }, func(t *wire.Time) { t.Trust++ },
			func(c *centre) { c.give(0, c.sign("root", wire.Fleet(), c.trust(2))) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCentre(t)
			c.configure("root")
			c.start()
			trusted, m := false, what.missing(c.kiosk)
			missing := func() {
				t.Helper()
				answer := c.time(c.greeting(), c.now)
				what.change(&answer)
				if err := c.bring(c.sign("server", c.id, answer)); err != nil {
					t.Fatal(err)
				}
			}
			later := func() {
				m.mu.Lock()
				for i := range m.list {
					m.list[i].until -= withheldFor + withheldEach
				}
				m.mu.Unlock()
			}
			missing()
			if c.aged(&trusted); c.signals().Has(access.SignalStale) {
				t.Error("stale by what is on its way")
			}
			later()
			if c.aged(&trusted); !c.signals().Has(access.SignalStale) {
				t.Error("something is kept back, and the kiosk counts as fresh")
			}
			missing()
			if !c.signals().Has(access.SignalStale) {
				t.Error("the next answer that says so ends it")
			}
			if err := c.answer(c.greeting(), c.now); err != nil {
				t.Fatal(err)
			}
			if c.signals().Has(access.SignalStale) {
				t.Error("nothing is missing, and the kiosk is stale")
			}
			missing()
			what.come(c) // and then the network is cut, or headquarters ends: it says nothing more
			later()
			if c.aged(&trusted); c.signals().Has(access.SignalStale) {
				t.Error("stale by what has come")
			}
		})
	}
}

// Whoever lets one come now and then keeps back what is behind it for no longer; whoever catches up has the time for it.
func TestEachThatIsWithheldHasItsTime(t *testing.T) {
	var m missing
	at := func(minute float64) time.Duration { return time.Duration(minute * float64(time.Minute)) }
	for minute := range 40 { // each minute there is one more, and one comes: each nine minutes late
		m.miss(uint64(minute+10), uint64(minute+1), at(float64(minute)))
		if m.long(at(float64(minute))) {
			t.Fatalf("%d minutes: a kiosk that catches up is stale", minute)
		}
	}
	if len(m.list) != 9 {
		t.Errorf("%d are remembered", len(m.list))
	}
	// The tenth comes when it must; the one behind it was announced a minute later, and that was ten minutes ago a minute later.
	m = missing{}
	m.miss(10, 9, 0)
	m.miss(11, 9, at(1))
	m.miss(11, 10, at(10))
	if m.miss(11, 10, at(11)); m.long(at(11)) {
		t.Error("two seconds for each are not given")
	}
	if !m.long(at(11.1)) {
		t.Error("what is behind one that came at the last moment is kept back for longer")
	}
	if m.miss(11, 11, at(12)); m.long(at(99)) {
		t.Error("everything came")
	}
	// What came was not withheld, though headquarters says nothing more; what is behind it is.
	m.miss(12, 11, 0)
	m.miss(13, 11, at(1))
	if m.came(12); m.long(at(10.1)) || !m.long(at(12)) {
		t.Error("one came, and the one behind it did not")
	}
	if m.came(13); m.long(at(99)) {
		t.Error("everything came, and headquarters says nothing more")
	}
	// Headquarters was put back to an older state: nothing is missing of what it has.
	m.miss(20, 11, 0)
	if m.miss(11, 11, at(1)); m.long(at(99)) {
		t.Error("what headquarters does not have is missing")
	}
	// However often it is said.
	for i := range 100_000 {
		m.miss(uint64(100+i), 11, time.Duration(i)*time.Second)
	}
	if len(m.list) != maxAnnounced || !m.long(at(15)) {
		t.Errorf("%d are remembered", len(m.list))
	}
	if m = (missing{}); m.long(0) {
		t.Error("nothing was said")
	}
	m.miss(1000, 0, 0)
	if m.long(at(40)) || !m.long(at(44)) {
		t.Error("a new kiosk has not the time that it needs")
	}
}

// Turns to stale and back are bounded, and the log ends with how it is.
func TestLogEndsWithTheLastTurn(t *testing.T) {
	r := rest(t)
	said := func() (list []access.Event, last access.Record) {
		records, err := tail(r.audit, 4096)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			if rec.Event == access.EventHeadquartersStale || rec.Event == access.EventHeadquartersFresh {
				list, last = append(list, rec.Event), rec
			}
		}
		return list, last
	}
	for i := range 51 { // ends stale
		r.stale(i%2 == 0)
		r.stale(i%2 == 0)
	}
	if list, last := said(); len(list) != comingsBurst || last.Event != access.EventHeadquartersFresh {
		t.Fatalf("%d turns are recorded, the last as %v", len(list), last.Event)
	}
	r.stale(true)
	r.turns.pace.since -= alarmEvery
	for range 3 {
		r.stale(true)
	}
	if list, last := said(); len(list) != comingsBurst+1 || last.Event != access.EventHeadquartersStale || last.Detail != "30 more like it were not recorded before" {
		t.Errorf("%d turns are recorded, the last as %v: %q", len(list), last.Event, last.Detail)
	}
}
