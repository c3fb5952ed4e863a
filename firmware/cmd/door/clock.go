package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/frames"
)

// freshFor is how long headquarters' word about the time is good for, and how long it may be silent before the kiosk counts as stale. A crystal is a few
// seconds astray by then.
const freshFor = 24 * time.Hour

// How far ahead headquarters may put the clock: by the time that is trusted leases end, and what they kept is erased, and it never goes back.
const (
	// correction is what headquarters' own clock may be put right by in all while this kiosk trusts it: NTP on a server that was started with a wrong one.
	correction = 10 * time.Minute
	// drift is how much faster than CLOCK_MONOTONIC time may pass: one part in so many, several times what a bad crystal is astray.
	drift = 1000
	// leap is how far ahead of the newest time that was vouched for the first one of a start may lie: for so long a kiosk is off in a holiday.
	leap = 31 * 24 * time.Hour
	// leapHeld is for how long headquarters has to keep to a time beyond that before it is believed: long enough for whoever reads the alert to act, and
	// a kiosk that comes from storage works by the time of day on the same day.
	leapHeld = 4 * time.Hour
)

// clock is the time of day as headquarters vouches for it, carried on by CLOCK_MONOTONIC. The zero clock was told nothing, and vouches for nothing.
type clock struct {
	mu    sync.Mutex
	told  bool
	at    time.Time
	stamp time.Duration // CLOCK_MONOTONIC when it was at
	first mark          // what was told when the time began to be trusted without a break
	claim mark          // a leap that headquarters has to keep to
}

// mark is a time of day, and CLOCK_MONOTONIC when it was.
type mark struct {
	at    time.Time
	stamp time.Duration
}

// then is what the time of day is by the mark at a later stamp.
func (m mark) then(stamp time.Duration) time.Time { return m.at.Add(stamp - m.stamp) }

func (c *clock) set(at time.Time, stamp time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.told || stamp-c.stamp >= freshFor || at.Before(c.first.at) {
		c.first = mark{at, stamp}
	}
	c.told, c.at, c.stamp, c.claim = true, at, stamp, mark{}
}

// bounded reports whether a time is no further ahead than this kiosk's own clock allows, while it trusts one.
func (c *clock) bounded(at time.Time, stamp time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.told || stamp-c.stamp >= freshFor {
		return true
	}
	return !at.After(c.first.then(stamp).Add((stamp-c.first.stamp)/drift + correction))
}

// held reports whether headquarters has kept to a leap for long enough. fresh says that it is another one than before.
func (c *clock) held(at time.Time, stamp time.Duration) (held, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claim.at.IsZero() || at.Sub(c.claim.then(stamp)).Abs() > correction {
		c.claim = mark{at, stamp}
		return false, true
	}
	return stamp-c.claim.stamp >= leapHeld, false
}

// trusted is the time, and false when nobody vouches for it, or has for too long not done so again.
func (c *clock) trusted() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := frames.Now() - c.stamp
	if !c.told || age < 0 || age >= freshFor {
		return time.Time{}, false
	}
	return c.at.Add(age), true
}

// heard reports whether the clock was told anything since the start.
func (c *clock) heard() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told
}

// wall is the time of day for a record, and who vouches for it.
func (k *kiosk) wall() (time.Time, access.ClockState) {
	if t, ok := k.clock.trusted(); ok {
		return t, access.ClockTrusted
	}
	return time.Now(), access.ClockUntrusted
}

// slack is how far a time may lie behind the newest one that was vouched for: it was on its way for as long as a nonce lives.
const slack = greetedFor

// tell sets the clock to a time that headquarters signed. It never goes back behind what was vouched for in an earlier life of this program, and never
// runs faster than this kiosk's own clock while there is one to compare it with; what leaps after a start is not believed at once.
func (k *kiosk) tell(at time.Time) error {
	floor, since := k.store.Trusted()
	if newest := time.Unix(floor, 0); at.Before(newest) {
		if at.Before(newest.Add(-slack)) {
			return errPast
		}
		at = newest
	}
	now := frames.Now()
	if !k.clock.bounded(at, now) {
		return errAhead
	}
	_, was := k.clock.trusted()
	if newest := time.Unix(floor, 0).Add(since); !was && floor != 0 && at.Sub(newest) > leap {
		switch held, fresh := k.clock.held(at, now); {
		case fresh:
			k.noteComing(&k.leaps, access.EventTimeLeapt)
			fallthrough
		case !held:
			return nil
		}
	}
	k.clock.set(at, now)
	k.stale(k.withheld())
	if was {
		return nil
	}
	k.note(access.EventClockTrusted, "")
	k.look()
	_, err := k.store.Apply(vault.Step{}, nil) // with it the vault remembers the time; otherwise it would only with its next change
	return err
}

// aged looks whether headquarters was heard lately. It is asked each minute.
func (k *kiosk) aged(was *bool) {
	_, trusted := k.clock.trusted()
	if *was && !trusted {
		k.note(access.EventClockUntrusted, fmt.Sprintf("headquarters has not told it for %v", freshFor))
	}
	*was = trusted
	stale := !trusted
	if !k.clock.heard() { // since the start; how long that is since the last time, the vault knows
		at, since := k.store.Trusted()
		stale = at == 0 || since >= freshFor
	}
	k.stale(stale || k.withheld())
}

// withheldFor is how long headquarters may sign that there is something that does not come: somebody between keeps it back, and it may take away what
// somebody is still granted for. Commands and trust documents are sent again after seconds. Each command before it may take withheldEach more, so that a
// new kiosk has the time that it needs.
const (
	withheldFor  = 10 * time.Minute
	withheldEach = 2 * time.Second
)

// Of what is announced within so short a time one announcement is kept, and no more of them than fit into withheldFor. More would wait at once only while
// hundreds of commands are on their way, with more time each; then a newer one counts from when an older one has come.
const (
	announcedEach = 5 * time.Second
	maxAnnounced  = int(withheldFor/announcedEach) + 1
)

// withheld reports whether commands, or a trust document, have been missing for too long.
func (k *kiosk) withheld() bool {
	now := frames.Now()
	return k.commands.long(now) || k.trust.long(now)
}

// missing is what headquarters' answers say of commands, or of a trust document, that did not come.
type missing struct {
	mu   sync.Mutex
	list []announced // the oldest first
}

// announced is how many there are by an answer.
type announced struct {
	has       uint64
	at, until time.Duration // CLOCK_MONOTONIC: when it was said, and by when they must be there
}

// miss hears how many there are by headquarters' signed answer, and how many the kiosk has. Each has its own time: whoever lets one through now and then
// keeps back what is behind it.
func (m *missing) miss(has, had uint64, now time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = slices.DeleteFunc(m.list, func(a announced) bool { return a.has <= had || has <= had })
	if n := len(m.list); has > had && (n == 0 || n < maxAnnounced && has > m.list[n-1].has && now-m.list[n-1].at >= announcedEach) {
		m.list = append(m.list, announced{has, now, now + withheldFor + time.Duration(min(has-had, 1<<20))*withheldEach})
	}
}

// came hears how many the kiosk has: what it was waiting for up to there is missing no more, whether headquarters answers again or not.
func (m *missing) came(had uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = slices.DeleteFunc(m.list, func(a announced) bool { return a.has <= had })
}

func (m *missing) long(now time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.list, func(a announced) bool { return now >= a.until })
}

// turns are those to stale and back. Whatever is held back of them, the log is told the last one in the end.
type turns struct {
	mu   sync.Mutex
	pace comings
	told bool // what the log was told last
}

// stale puts up the signal that headquarters was not heard for too long, or takes it down. Turns are recorded, at the pace of what may use the log's reserve.
func (k *kiosk) stale(up bool) {
	t := &k.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	turned := k.signals().Has(access.SignalStale) != up
	k.raise(access.SignalStale, up)
	if !turned && t.told == up {
		return
	}
	pass := t.pace.pass
	if !turned {
		pass = t.pace.again
	}
	more, ok := pass(frames.Now())
	if !ok {
		return
	}
	r := k.plain(access.EventHeadquartersFresh, more)
	if up {
		r.Event = access.EventHeadquartersStale
	}
	if k.append(auditlog.Vital, r) == nil {
		t.told = up
	}
}
