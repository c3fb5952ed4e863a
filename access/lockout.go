package access

import "time"

// LockedOut tells whether a person is locked out at an instant, by the refusals that are remembered of them: CLOCK_MONOTONIC, oldest
// first. The lockout begins with the refusal that reaches the limit.
func (p Policy) LockedOut(refusals []time.Duration, now time.Duration) bool {
	return p.reached(refusals) && now-refusals[len(refusals)-1] < p.PersonLock
}

// Served tells whether a lockout that these refusals brought about has ended: they count no more.
func (p Policy) Served(refusals []time.Duration, now time.Duration) bool {
	return p.reached(refusals) && !p.LockedOut(refusals, now)
}

func (p Policy) reached(refusals []time.Duration) bool {
	return len(refusals) > 0 && len(refusals) >= int(p.PersonLimit)
}

// Refused is what is remembered after one refusal more. Refusals that are older than the window, or before a lockout that has ended,
// are forgotten; while the person is locked out nothing is added.
func (p Policy) Refused(refusals []time.Duration, now time.Duration) []time.Duration {
	switch {
	case p.LockedOut(refusals, now):
		return refusals
	case p.reached(refusals):
		refusals = nil
	}
	for len(refusals) > 0 && now-refusals[0] > p.PersonWindow {
		refusals = refusals[1:]
	}
	return append(refusals[:len(refusals):len(refusals)], now)
}
