package walkup

import (
	"testing"

	"github.com/lintel-access/lintel/access"
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
