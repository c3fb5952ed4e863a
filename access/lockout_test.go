package access

import (
	"slices"
	"testing"
	"time"
)

func TestOnlyThePersonsOwnReasonsCount(t *testing.T) {
	own := []Reason{ReasonRevoked, ReasonExpired, ReasonSuspended, ReasonNotPermitted}
	for r := range Reason(len(reasonNames) + 1) {
		if r.Own() != slices.Contains(own, r) {
			t.Errorf("%v counts: %v", r, r.Own())
		}
	}
}

// The lockout of a person over every age of a refusal and every number of them.
//
// Control: A25
func TestPersonLockout(t *testing.T) {
	p := DefaultPolicy()
	p.PersonLimit, p.PersonWindow, p.PersonLock = 3, time.Hour, 15*time.Minute
	const m = time.Minute
	tests := []struct {
		name           string
		before         []time.Duration
		now            time.Duration
		locked, served bool
		after          []time.Duration // one more refusal
		lockedAfter    bool
	}{
		{"first", nil, 5 * m, false, false, []time.Duration{5 * m}, false},
		{"second", []time.Duration{5 * m}, 6 * m, false, false, []time.Duration{5 * m, 6 * m}, false},
		{"third locks", []time.Duration{5 * m, 6 * m}, 7 * m, false, false, []time.Duration{5 * m, 6 * m, 7 * m}, true},
		{"third, the first is too old", []time.Duration{5 * m, 6 * m}, 66 * m, false, false, []time.Duration{6 * m, 66 * m}, false},
		{"just within the window", []time.Duration{5 * m, 6 * m}, 65 * m, false, false, []time.Duration{5 * m, 6 * m, 65 * m}, true},
		{"locked: does not prolong itself", []time.Duration{5 * m, 6 * m, 7 * m}, 21 * m, true, false, []time.Duration{5 * m, 6 * m, 7 * m}, true},
		{"served: counts from nothing", []time.Duration{5 * m, 6 * m, 7 * m}, 22 * m, false, true, []time.Duration{22 * m}, false},
		{"more than a lowered limit", []time.Duration{4 * m, 5 * m, 6 * m, 7 * m}, 8 * m, true, false, []time.Duration{4 * m, 5 * m, 6 * m, 7 * m}, true},
	}
	for _, tt := range tests {
		before := slices.Clone(tt.before)
		locked, served := p.LockedOut(before, tt.now), p.Served(before, tt.now)
		after := p.Refused(before, tt.now)
		if locked != tt.locked || served != tt.served || !slices.Equal(after, tt.after) || p.LockedOut(after, tt.now) != tt.lockedAfter {
			t.Errorf("%s: locked %v, served %v, then %v", tt.name, locked, served, after)
		}
		if !slices.Equal(before, tt.before) {
			t.Errorf("%s: the argument was changed", tt.name)
		}
	}
	// The zero policy locks nobody for ever and remembers without end nobody: it admits nobody at all.
	if (Policy{}).LockedOut(nil, 0) || (Policy{}).Served(nil, 0) {
		t.Error("nobody was refused, and is locked out")
	}
}

// However often somebody is refused, what is remembered stays within the limit.
func TestRefusalsStayBounded(t *testing.T) {
	p := DefaultPolicy()
	var refusals []time.Duration
	lockouts := 0
	for now := time.Duration(0); now < 10*time.Hour; now += 10 * time.Second {
		was := p.LockedOut(refusals, now)
		refusals = p.Refused(refusals, now)
		if is := p.LockedOut(refusals, now); is && !was {
			lockouts++
		}
		if len(refusals) > int(p.PersonLimit) {
			t.Fatalf("%d refusals are remembered", len(refusals))
		}
	}
	// A lockout of 15 min, then 4 refusals 10 s apart before the next begins.
	if lockouts < 38 || lockouts > 40 {
		t.Errorf("%d lockouts in 10 h, want one about every 940 s", lockouts)
	}
}
