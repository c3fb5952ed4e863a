package access

import (
	"math"
	"testing"
	"time"
)

func question() Question {
	return Question{
		Session: SessionID{Boot: 1, Number: 1}, Checked: true, Threshold: 0.5, Calibrated: true, Now: time.Minute, Bar: Bar{Profile: Office},
		Candidate: Candidate{Found: true, Person: PersonID{7}, Standing: Permitted, Score: 0.8, Second: 0.1},
	}
}

// Control: A27
// Control: A28
func TestDecide(t *testing.T) {
	nan := float32(math.NaN())
	tests := []struct {
		name    string
		bend    func(*Policy, *Question)
		verdict Verdict
		reason  Reason
	}{
		{"all good", func(*Policy, *Question) {}, Granted, ReasonAllowed},
		{"zero policy", func(p *Policy, _ *Question) { *p = Policy{} }, Denied, ReasonClosed},
		{"zero question", func(_ *Policy, q *Question) { *q = Question{} }, Denied, ReasonNotReady},
		{"checks not asked", func(_ *Policy, q *Question) { q.Checked = false }, Denied, ReasonNotReady},
		{"wrong answer to the lamp beats a good score", func(_ *Policy, q *Question) { q.Check = ReasonWrongAnswer }, Denied, ReasonWrongAnswer},
		{"flat beats a good score", func(_ *Policy, q *Question) { q.Check = ReasonFlat }, Denied, ReasonFlat},
		{"too bright is a retry", func(_ *Policy, q *Question) { q.Check = ReasonTooBright }, Retry, ReasonTooBright},
		{"no calibration", func(_ *Policy, q *Question) { q.Calibrated = false }, Denied, ReasonNoCalibration},
		{"threshold zero", func(_ *Policy, q *Question) { q.Threshold = 0 }, Denied, ReasonNoCalibration},
		{"threshold NaN", func(_ *Policy, q *Question) { q.Threshold = nan }, Denied, ReasonNoCalibration},
		{"empty gallery", func(_ *Policy, q *Question) { q.Candidate = Candidate{} }, Denied, ReasonUnknown},
		{"stranger", func(_ *Policy, q *Question) { q.Candidate.Score = 0.3 }, Denied, ReasonUnknown},
		{"exactly the threshold", func(p *Policy, q *Question) { p.SiteOffset = 0; q.Candidate.Score = 0.5 }, Denied, ReasonUnknown},
		{"above the table, below the site's offset", func(p *Policy, q *Question) { p.SiteOffset = 0.1; q.Candidate.Score = 0.55 }, Denied, ReasonUnknown},
		{"NaN score", func(_ *Policy, q *Question) { q.Candidate.Score = nan }, Denied, ReasonUnknown},
		{"nobody's id", func(_ *Policy, q *Question) { q.Candidate.Person = PersonID{} }, Denied, ReasonUnknown},
		{"two alike", func(_ *Policy, q *Question) { q.Candidate.Second = 0.79 }, Uncertain, ReasonAmbiguous},
		{"second NaN", func(_ *Policy, q *Question) { q.Candidate.Second = nan }, Uncertain, ReasonAmbiguous},
		{"revoked", func(_ *Policy, q *Question) { q.Candidate.Standing = Revoked }, Denied, ReasonRevoked},
		{"standing unknown", func(_ *Policy, q *Question) { q.Candidate.Standing = 99 }, Denied, ReasonNotPermitted},
		{"zero standing", func(_ *Policy, q *Question) { q.Candidate.Standing = 0 }, Denied, ReasonNotPermitted},
		{"suspended", func(_ *Policy, q *Question) { q.Candidate.Standing = Suspended }, Denied, ReasonSuspended},
		{"expired", func(_ *Policy, q *Question) { q.Candidate.Standing = Expired }, Denied, ReasonExpired},
		{"outside schedule", func(_ *Policy, q *Question) { q.Candidate.Objection = ReasonOutsideSchedule }, Denied, ReasonOutsideSchedule},
		{"no rule, and locked out", func(_ *Policy, q *Question) { q.Candidate.Objection, q.Candidate.Locked = ReasonNoRule, true }, Denied, ReasonNoRule},
		{"no rule, and revoked", func(_ *Policy, q *Question) { q.Candidate.Objection, q.Candidate.Standing = ReasonNoRule, Revoked }, Denied, ReasonRevoked},
		{"no rule for a stranger", func(_ *Policy, q *Question) { q.Candidate.Objection, q.Candidate.Score = ReasonNoRule, 0.3 }, Denied, ReasonUnknown},
		{"an objection that is none", func(_ *Policy, q *Question) { q.Candidate.Objection = ReasonAllowed }, Denied, ReasonAllowed},
		{"locked out", func(_ *Policy, q *Question) { q.Candidate.Locked = true }, Denied, ReasonLockedOut},
		{"revoked and locked out", func(_ *Policy, q *Question) { q.Candidate.Standing, q.Candidate.Locked = Revoked, true }, Denied, ReasonRevoked},
		{"locked out stranger", func(_ *Policy, q *Question) { q.Candidate.Score, q.Candidate.Locked = 0.3, true }, Denied, ReasonUnknown},
		{"locked out, in a lockdown", func(_ *Policy, q *Question) { q.Candidate.Locked, q.Lockdown = true, true }, Denied, ReasonLockedOut},
		{"lockdown", func(_ *Policy, q *Question) { q.Lockdown = true }, Denied, ReasonLockdown},
		{"open enclosure", func(_ *Policy, q *Question) { q.Tamper = true }, Denied, ReasonTamper},
	}
	for _, tt := range tests {
		p, q := DefaultPolicy(), question()
		tt.bend(&p, &q)
		d := Decide(p, q)
		if d.Verdict != tt.verdict || d.Reason != tt.reason {
			t.Errorf("%s: %v, %v; want %v, %v", tt.name, d.Verdict, d.Reason, tt.verdict, tt.reason)
		}
		if valid := d.Pass().Valid(); valid != (tt.verdict == Granted) {
			t.Errorf("%s: verdict %v with a pass that is valid = %v", tt.name, d.Verdict, valid)
		}
	}
}

func TestUnrecordedDecisionHasNoPass(t *testing.T) {
	d := Decide(DefaultPolicy(), question()).Unrecorded()
	if d.Verdict != Denied || d.Reason != ReasonNotRecorded || d.Pass().Valid() {
		t.Errorf("unrecorded grant still opens: %+v", d)
	}
}

// Control: A34
func TestPolicyCannotSwitchProtectionsOff(t *testing.T) {
	if err := DefaultPolicy().Validate(); err != nil {
		t.Fatalf("the embedded default is refused: %v", err)
	}
	// Control: C29
	bends := map[string]func(*Policy){
		"version 0":             func(p *Policy) { p.Version = 0 },
		"no door":               func(p *Policy) { p.Door = "" },
		"rate 0":                func(p *Policy) { p.FalseMatchRate = 0 },
		"rate 1 %":              func(p *Policy) { p.FalseMatchRate = 0.01 },
		"rate NaN":              func(p *Policy) { p.FalseMatchRate = math.NaN() },
		"negative site offset":  func(p *Policy) { p.SiteOffset = -0.1 },
		"no failure limit":      func(p *Policy) { p.FailureLimit = 0 },
		"no failure window":     func(p *Policy) { p.FailureWindow = 0 },
		"no cool-down":          func(p *Policy) { p.Cooldown = 0 },
		"endless session":       func(p *Policy) { p.Deadline = time.Hour },
		"no lamp depth":         func(p *Policy) { p.Challenge.MinDepth = 0 },
		"no rank margin":        func(p *Policy) { p.Challenge.RankMargin = 0 },
		"ring ratio below 1":    func(p *Policy) { p.Challenge.MinRingRatio = 0.5 },
		"no profile":            func(p *Policy) { p.Profile = 0 },
		"unknown profile":       func(p *Policy) { p.Profile = 4 },
		"high without relief":   func(p *Policy) { p.Profile = High },
		"probe of no frame":     func(p *Policy) { p.Capture.MinFused = 0 },
		"unbounded frame gap":   func(p *Policy) { p.Capture.MaxGap = time.Hour },
		"endless relay release": func(p *Policy) { p.Times.Release = time.Hour },
		"no person limit":       func(p *Policy) { p.PersonLimit = 0 },
		"person limit 21":       func(p *Policy) { p.PersonLimit = 21 },
		"no person window":      func(p *Policy) { p.PersonWindow = 0 },
		"person window 25 h":    func(p *Policy) { p.PersonWindow = 25 * time.Hour },
		"no person lock":        func(p *Policy) { p.PersonLock = 0 },
		"person lock 25 h":      func(p *Policy) { p.PersonLock = 25 * time.Hour },
		"look-alike 0.6":        func(p *Policy) { p.LookAlike = 0.6 },
		"look-alike NaN":        func(p *Policy) { p.LookAlike = float32(math.NaN()) },
		"no retention":          func(p *Policy) { p.Keep = Retention{} },
		"revoked for an hour":   func(p *Policy) { p.Keep.Revoked = time.Hour },
		"expired for ever":      func(p *Policy) { p.Keep.Expired = 401 * day },
		"suspended for ever":    func(p *Policy) { p.Keep.Suspended = 401 * day },
		"lockouts for an hour":  func(p *Policy) { p.Keep.Lockout = time.Hour },
		"events for ever":       func(p *Policy) { p.Keep.Events = 401 * day },
	}
	for name, bend := range bends {
		p := DefaultPolicy()
		bend(&p)
		if p.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
