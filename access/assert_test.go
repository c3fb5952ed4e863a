package access

import (
	"testing"
	"time"
)

// Control: A22
func TestAssert(t *testing.T) {
	good := Assertion{Session: SessionID{Boot: 1, Number: 2}, Vouched: true, Asked: time.Minute, Now: time.Minute + AssertWithin}
	for name, c := range map[string]struct {
		change func(*Assertion)
		want   Reason
	}{
		"in time":       {func(*Assertion) {}, ReasonAllowed},
		"nothing":       {func(a *Assertion) { *a = Assertion{} }, ReasonNotReady},
		"not vouched":   {func(a *Assertion) { a.Vouched = false }, ReasonNotReady},
		"no session":    {func(a *Assertion) { a.Session.Number = 0 }, ReasonNotReady},
		"late":          {func(a *Assertion) { a.Now++ }, ReasonStaleChallenge},
		"before it was": {func(a *Assertion) { a.Now = a.Asked - 1 }, ReasonStaleChallenge},
		"locked down":   {func(a *Assertion) { a.Lockdown = true }, ReasonLockdown},
		"tampered with": {func(a *Assertion) { a.Tamper = true }, ReasonTamper},
	} {
		a := good
		c.change(&a)
		d := Assert(DefaultPolicy(), a)
		if granted := c.want == ReasonAllowed; d.Reason != c.want || (d.Verdict == Granted) != granted || d.Pass().Valid() != granted || !d.Pass().Person().IsZero() {
			t.Errorf("%s: %v, %v, pass %t", name, d.Verdict, d.Reason, d.Pass().Valid())
		}
	}
	if d := Assert(Policy{}, good); d.Verdict != Denied || d.Reason != ReasonClosed {
		t.Errorf("a policy that is none: %v, %v", d.Verdict, d.Reason)
	}
}
