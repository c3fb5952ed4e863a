package access

import "time"

// Standing is whether a person is permitted. The zero Standing is not.
type Standing uint8

// Append only.
const (
	NotPermitted Standing = 0
	Permitted    Standing = 1
	Revoked      Standing = 2
	Suspended    Standing = 3
	Expired      Standing = 4
)

// refusal is why a standing admits nobody; ReasonNone for the one that does.
func (s Standing) refusal() Reason {
	switch s {
	case Permitted:
		return ReasonNone
	case Revoked:
		return ReasonRevoked
	case Suspended:
		return ReasonSuspended
	case Expired:
		return ReasonExpired
	}
	return ReasonNotPermitted
}

// Candidate is the best person that a comparison found. The zero Candidate is nobody.
type Candidate struct {
	Found        bool // the gallery held anybody at all
	Person       PersonID
	Standing     Standing
	Locked       bool     // locked out: refused too often
	Score        float32  // comparison score of the best reference, -1..1
	Second       float32  // best score of any other person, -1 when there is none
	SecondPerson PersonID // who scored Second; zero when there is none
	Extended     bool     // needs the door's longer times
	Objection    Reason   // of the site's rules, at this door and this moment; ReasonNone when they have none, or there are none
}

// Question is all that a decision rests on.
type Question struct {
	Session   SessionID
	Check     Reason // outcome of Check; ReasonNone when every check against attacks passed
	Checked   bool   // Check was asked at all
	Threshold float32
	// Calibrated says that Threshold was translated from the policy's rate for the very model bundle of the probe.
	Calibrated bool
	Candidate  Candidate
	Lockdown   bool
	Tamper     bool
	Signals    Signals       // that are up, Lockdown and Tamper besides
	Bar        Bar           // that the session was made to clear
	Now        time.Duration // CLOCK_MONOTONIC

	confirmed bool // by an operator: Confirm alone says so
}

// Up are all signals, those among them that have a field of their own.
func (q Question) Up() Signals {
	up := q.Signals
	if q.Lockdown {
		up = up.With(SignalLockdown, true)
	}
	if q.Tamper {
		up = up.With(SignalTamper, true)
	}
	return up
}

// Decision is the answer to a Question. The zero Decision denies.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Person  PersonID // who it was, when the candidate reached the threshold; for the audit record, whatever the verdict

	pass Pass
}

// Pass is what portal.Release accepts. It is valid only on a Granted decision, and only once Record has been made durable: that
// order is the caller's duty and is tested there.
func (d Decision) Pass() Pass { return d.pass }

// Unrecorded is the decision that stands when the audit record could not be made durable: nobody enters unseen.
func (d Decision) Unrecorded() Decision {
	return Decision{Verdict: Denied, Reason: ReasonNotRecorded, Person: d.Person}
}

// passLife is how long a Pass may wait for the relay after the decision: long enough for one fsync on a slow card.
const passLife = 2 * time.Second

// Decide applies the policy. It is total: whatever is missing, unknown or out of range denies.
func Decide(p Policy, q Question) Decision {
	if p.Validate() != nil {
		return Decision{Reason: ReasonClosed}
	}
	if !q.Checked {
		return Decision{Reason: ReasonNotReady}
	}
	if q.Check != ReasonNone {
		if q.Check.Again() {
			return Decision{Verdict: Retry, Reason: q.Check}
		}
		return Decision{Reason: q.Check}
	}
	up := q.Up()
	if !q.Bar.clears(p.Bar(up)) {
		return Decision{Verdict: Retry, Reason: ReasonSteppedUp} // before anybody is looked at: it tells nothing of who is enrolled
	}
	if !q.Calibrated || !(q.Threshold > 0 && q.Threshold < 1) {
		return Decision{Reason: ReasonNoCalibration}
	}
	c := q.Candidate
	// Written so that a NaN score denies.
	if !c.Found || !(c.Score > q.Threshold+p.SiteOffset) || c.Person.IsZero() {
		return Decision{Reason: ReasonUnknown}
	}
	if !(c.Score-c.Second >= p.Margin) {
		return Decision{Verdict: Uncertain, Reason: ReasonAmbiguous}
	}
	d := Decision{Person: c.Person}
	if d.Reason = c.Standing.refusal(); d.Reason != ReasonNone {
		return d
	}
	if c.Objection != ReasonNone {
		d.Reason = c.Objection
		return d
	}
	if c.Locked {
		d.Reason = ReasonLockedOut
		return d
	}
	switch strongest, _, why := p.heed(up); {
	case strongest >= EffectDeny:
		d.Reason = why
		return d
	case strongest == EffectConfirm && !q.confirmed:
		return Decision{Verdict: Uncertain, Reason: ReasonUnconfirmed, Person: c.Person}
	}
	d.Verdict, d.Reason = Granted, ReasonAllowed
	d.pass = mint(q.Session, c.Person, q.Now+passLife, c.Extended)
	return d
}
