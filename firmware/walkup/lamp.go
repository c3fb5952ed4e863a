package walkup

import (
	"context"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/access"
)

// Lamp is the infrared lamp. Set returns the CLOCK_MONOTONIC time at which the line really changed.
type Lamp interface {
	Set(on bool) (time.Duration, error)
}

// phase is where the camera's exposures lie in time.
type phase struct {
	stamp    time.Duration // end of one exposure
	interval time.Duration
	exposure time.Duration
}

// lead is the least time from planning a switch to switching: a goroutine woken late must still be early enough.
const lead = 6 * time.Millisecond

// boundary is the first moment, at least lead after now, at which chips of so many frames may begin: it lies in the middle between two exposures, or, when
// their number is even, in the middle of one. A frame then lies in the middle of each chip.
func (p phase) boundary(now time.Duration, frames int) time.Duration {
	first := p.stamp + (p.interval-p.exposure)/2
	if frames%2 == 0 {
		first += p.interval / 2
	}
	if n := now + lead - first; n > 0 {
		first += (n + p.interval - 1) / p.interval * p.interval
	}
	return first
}

// even are the beginnings of n chips of one length, and the end of the last, after the first.
func even(n int, chip time.Duration) []time.Duration {
	steps := make([]time.Duration, n+1)
	for k := range steps {
		steps[k] = chip * time.Duration(k)
	}
	return steps
}

// shine plays a code on the lamp, chip k from start + steps[k] to start + steps[k+1], and returns the chips as they happened. The lamp
// is lit afterwards, whatever happened: people are found by its light.
//
// A chip begins when the line has really changed. One that was switched too late overlaps an exposure and loses that frame,
// which access.Answered treats as missing, never as an answer.
func shine(ctx context.Context, lamp Lamp, now func() time.Duration, code access.Code, start time.Duration, steps []time.Duration) (chips []access.Chip, err error) {
	defer func() {
		if _, e := lamp.Set(true); e != nil && err == nil {
			err = fmt.Errorf("light lamp after code: %w", e)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait := func(until time.Duration) error {
		timer.Reset(until - now())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		}
	}
	lit := true
	for k := range int(code.Length) {
		at := start + steps[k]
		if err := wait(at); err != nil {
			return nil, err
		}
		if want := code.Lit(k); k == 0 || want != lit {
			if at, err = lamp.Set(want); err != nil {
				return nil, fmt.Errorf("switch lamp: %w", err)
			}
			lit = want
		}
		if k > 0 {
			chips[k-1].To = min(chips[k-1].To, at)
		}
		chips = append(chips, access.Chip{From: at, To: start + steps[k+1], Lit: lit})
	}
	end := start + steps[code.Length]
	if err := wait(end); err != nil {
		return nil, err
	}
	return chips, nil
}
