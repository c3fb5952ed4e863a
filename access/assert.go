package access

import "time"

// An Assertion is an operator's signed word that this door is to be released, given from afar. The zero Assertion releases nothing.
type Assertion struct {
	Session SessionID // that the release is to have
	// Vouched says that the signature over this door and a challenge of its own was verified, and is of somebody who may.
	Vouched          bool
	Asked, Now       time.Duration // when the challenge was made, and now; CLOCK_MONOTONIC
	Lockdown, Tamper bool
}

// AssertWithin is how long a challenge may be answered: an operator looks at a picture of the door and signs; whoever keeps an answer back has it for
// no longer than somebody stands there.
const AssertWithin = 10 * time.Second

// Assert decides about an Assertion. Nobody in particular is let in: the record names whoever signed.
func Assert(p Policy, a Assertion) Decision {
	switch {
	case p.Validate() != nil:
		return Decision{Reason: ReasonClosed}
	case !a.Vouched || a.Session.Number == 0:
		return Decision{Reason: ReasonNotReady}
	case a.Now < a.Asked || a.Now-a.Asked > AssertWithin:
		return Decision{Reason: ReasonStaleChallenge}
	case a.Lockdown:
		return Decision{Reason: ReasonLockdown}
	case a.Tamper:
		return Decision{Reason: ReasonTamper}
	}
	return Decision{Verdict: Granted, Reason: ReasonAllowed, pass: mint(a.Session, PersonID{}, a.Now+passLife, false)}
}
