package walkup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/access"
)

// Lamp is an infrared lamp. Set returns the CLOCK_MONOTONIC time at which the line really changed.
type Lamp interface {
	Set(on bool) (time.Duration, error)
}

// lamps are the one lamp of a board, or the left and the right one of two.
type lamps []Lamp

// all sets every lamp, although one of them fails.
func (l lamps) all(on bool) (err error) {
	for _, lamp := range l {
		_, e := lamp.Set(on)
		err = errors.Join(err, e)
	}
	return err
}

// light sets each lamp that is not as wanted, or every one if it is not known how they are, and says when the first of them changed and when the last: two
// lines cannot be switched at the same moment.
func (l lamps) light(was *[2]bool, want [2]bool) (first, last time.Duration, err error) {
	for i, lamp := range l {
		if was != nil && was[i] == want[i] {
			continue
		}
		at, err := lamp.Set(want[i])
		if err != nil {
			return 0, 0, fmt.Errorf("switch lamp %d: %w", i+1, err)
		}
		if last == 0 {
			first = at
		}
		last = max(last, at)
	}
	return first, last, nil
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

// shine plays a code on the lamps, chip k from start + steps[k] to start + steps[k+1], and returns the chips as they happened. All lamps
// are lit afterwards, whatever happened: people are found by their light.
//
// A chip begins when its last line has really changed, and ends when the first one changes again. One that was switched too late overlaps an exposure and
// loses that frame, which access.Examine treats as missing, never as an answer.
func shine(ctx context.Context, lit lamps, now func() time.Duration, code access.Code, start time.Duration, steps []time.Duration) (chips []access.Chip, err error) {
	defer func() {
		if e := lit.all(true); e != nil && err == nil {
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
	var was *[2]bool
	for k := range int(code.Length) {
		from := start + steps[k]
		if err := wait(from); err != nil {
			return nil, err
		}
		var want [2]bool
		want[0], want[1] = code.Lamps(k)
		first, last, err := lit.light(was, want)
		if err != nil {
			return nil, err
		}
		was = &want
		if last == 0 { // as before
			first, last = from, from
		}
		if k > 0 {
			chips[k-1].To = min(chips[k-1].To, first)
		}
		chip := access.Chip{From: last, To: start + steps[k+1], Lit: code.Lit(k)}
		if len(lit) == 2 {
			chip.Left, chip.Right = want[0], want[1]
		}
		chips = append(chips, chip)
	}
	end := start + steps[code.Length]
	if err := wait(end); err != nil {
		return nil, err
	}
	return chips, nil
}
