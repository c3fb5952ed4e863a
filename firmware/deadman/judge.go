package deadman

import "time"

// judge runs the two clocks of a State. Time is what it is told has passed.
type judge struct {
	limits Limits
	state  State
	quiet  time.Duration // since the last feed
	unripe time.Duration // of the grace
	cause  Event         // of the sentence
}

// longestStep is what counts at most of the time between two looks. More of it was spent in a machine that stood still, the program with the judge:
// what it sent meanwhile is read first.
const longestStep = period

// step is how often the judge looks at its clocks.
const step = 100 * time.Millisecond

// hear takes an event.
func (j *judge) hear(e Event) {
	next, effect := j.state.Next(e)
	if next == Condemned && j.state != Condemned {
		j.cause = e
	}
	j.state = next
	switch effect {
	case RenewSilence:
		j.quiet = 0
	case RenewGrace:
		j.unripe = 0
	}
}

// pass lets d pass.
func (j *judge) pass(d time.Duration) {
	d = max(0, min(d, longestStep))
	j.quiet += d
	j.unripe += d
	if j.quiet >= j.limits.Silence {
		j.hear(SilenceOver)
	}
	if j.unripe >= j.limits.Grace {
		j.hear(GraceOver)
	}
}
