package walkup

import (
	"slices"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// Who comes at the wrong hour is refused with that reason, and is not locked out for it: the right hour may be a minute away.
func TestSiteRulesRefuse(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.PersonLimit = 1 })
	b.enrolled(0, access.Permitted)
	b.locked(func() {
		b.objections = map[access.PersonID]access.Reason{{1}: access.ReasonOutsideSchedule, {}: access.ReasonAllowed}
	})
	if o := b.decided(5); o.Verdict != access.Denied || o.Reason != access.ReasonOutsideSchedule || o.Released != 0 {
		t.Fatalf("outcome %+v, want denied outside the schedule", o)
	}
	b.locked(func() {
		r := b.records[len(b.records)-1]
		if r.Event != access.EventWalkupDenied || r.Reason != access.ReasonOutsideSchedule || r.Subject == [16]byte{} {
			t.Errorf("record %+v, want a denial of a known person", r)
		}
		if len(b.refusals) != 0 {
			t.Errorf("counted towards a lockout: %+v", b.refusals)
		}
		b.objections = nil
	})
	b.stand(6, access.HintNone, func() bool { n := 0; b.locked(func() { n = b.released }); return n == 1 })
}

// An operator settles who somebody is, not when they may come.
func TestSiteRulesOutlastAnOperatorsWord(t *testing.T) {
	b, p := alike(t, nil)
	b.locked(func() { b.objections = map[access.PersonID]access.Reason{p.Second: access.ReasonNoRule} })
	if err := b.w.Confirm(b.ctx, p.Session, p.Second, ""); err == nil {
		t.Error("opened for somebody whom the site's rules do not let pass")
	}
	b.locked(func() {
		if b.released != 0 {
			t.Errorf("released %d times", b.released)
		}
	})
}

// Rules take effect at once, all of them together, and records name them; a session that was made to clear less ends with a retry.
func TestRulesAreEnforcedAtOnce(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.GrantPause = 0 })
	b.enrolled(0, access.Permitted)
	r := Rules{Policy: b.w.cfg.Policy, PolicyHash: [32]byte{9}, Threshold: b.w.cfg.Threshold, Objection: func(access.PersonID) access.Reason { return access.ReasonNoRule }}
	enforce := func() {
		t.Helper()
		if err := b.w.Enforce(b.ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	enforce()
	if o := b.decided(5); o.Reason != access.ReasonNoRule {
		t.Fatalf("outcome %+v, want no rule", o)
	}
	b.locked(func() {
		if last := b.records[len(b.records)-1]; last.Policy != r.PolicyHash || b.released != 0 {
			t.Errorf("recorded under policy %x; released %d times", last.Policy, b.released)
		}
	})

	r.Objection, r.Policy.Profile = nil, access.High
	r.Policy.Challenge.NeedRelief = true
	released, stepped := 0, false
	b.stand(6, access.HintNone, func() bool {
		if b.w.View().State == access.Capturing && !stepped {
			enforce()
			stepped = true
		}
		b.locked(func() { released = b.released })
		return released == 1
	})
	if !slices.ContainsFunc(b.w.View().Outcomes, func(o ipc.Outcome) bool { return o.Reason == access.ReasonSteppedUp }) {
		t.Errorf("a session of a lower profile opened the door: %+v", b.w.View().Outcomes)
	}

	r.Policy.Version = 0
	if b.w.Enforce(b.ctx, r) == nil {
		t.Error("a policy that is none is enforced")
	}
}
