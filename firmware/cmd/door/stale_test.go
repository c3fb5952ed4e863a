package main

import (
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

// What the rules of the site say of a kiosk that has not heard headquarters for too long holds at the door: nobody passes, or nobody without an operator's
// word, until it is heard again. Without such a rule it decides as before.
func TestStaleKioskDecidesAsThePolicySays(t *testing.T) {
	c := atSide(t)
	c.give(1, c.enrolment(access.PersonID{1}, 1, 3))
	version, trusted := uint64(0), false
	rule := func(e access.Effect) {
		version++
		c.push(version, document(t, func(s *access.Site) { s.Doors[1].Rules[0].Schedule, s.Doors[1].Stale = 0, e }))
	}
	heard := func() {
		t.Helper()
		if err := c.answer(c.greeting(), c.now); err != nil {
			t.Fatal(err)
		}
	}
	silent := func() {
		c.clock.mu.Lock()
		c.clock.stamp -= freshFor
		c.clock.mu.Unlock()
		c.aged(&trusted)
	}
	heard()
	v := c.visits()
	wants := func(when string, want access.Reason) {
		t.Helper()
		opened := c.wires.released()
		if got := v.decided(direction(3)); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
		if got := c.wires.released() > opened; got != (want == access.ReasonAllowed) {
			t.Errorf("%s: the relay was released: %t", when, got)
		}
		if want == access.ReasonAllowed {
			time.Sleep(c.policy.GrantPause) // the same face opens nothing more for so long
		}
	}
	rule(access.EffectDeny)
	wants("while headquarters is heard", access.ReasonAllowed)
	silent()
	wants("stale, at a door that denies then", access.ReasonStale)
	rule(access.EffectConfirm)
	wants("stale, at a door that asks then", access.ReasonUnconfirmed)
	rule(access.EffectNone)
	wants("stale, at a door of which nothing is said", access.ReasonAllowed)
	rule(access.EffectDeny)
	heard()
	wants("once headquarters is heard again", access.ReasonAllowed)
}
