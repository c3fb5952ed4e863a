package portal

import (
	"context"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/wiring"
)

const (
	// indicatorPace is the least time between two changes that are followed; faster ones are skipped.
	indicatorPace = 50 * time.Millisecond
	// indicatorRetry is how long a failed indicator is left alone.
	indicatorRetry = time.Second
)

// rhythm is how long a line is on, off, on, off and so on, from the beginning. The zero rhythm is off.
type rhythm struct {
	times  []time.Duration
	once   bool // off at the end, instead of from the beginning again
	steady bool
}

// at says whether the line is on so long after the beginning, and for how long it stays so; 0 means for ever.
func (r rhythm) at(elapsed time.Duration) (on bool, left time.Duration) {
	var period time.Duration
	for _, d := range r.times {
		period += d
	}
	switch {
	case period <= 0:
		return r.steady, 0
	case r.once && elapsed >= period:
		return false, 0
	}
	elapsed %= period
	for i, d := range r.times {
		if elapsed < d {
			return i%2 == 0, d - elapsed
		}
		elapsed -= d
	}
	return false, period // unreachable: elapsed lies within the period
}

// light is the rhythm of an LED pattern. None flashes more often than three times a second.
func light(p access.LEDPattern) rhythm {
	const ms = time.Millisecond
	switch p {
	case access.Steady:
		return rhythm{steady: true}
	case access.Breathe:
		return rhythm{times: []time.Duration{1700 * ms, 300 * ms}}
	case access.Blink:
		return rhythm{times: []time.Duration{500 * ms, 500 * ms}}
	case access.Flash:
		return rhythm{times: []time.Duration{200 * ms, 200 * ms}}
	case access.Wink:
		return rhythm{times: []time.Duration{150 * ms, 200 * ms, 150 * ms, 900 * ms}}
	}
	return rhythm{}
}

// sound is the rhythm of a buzzer pattern.
func sound(p access.BuzzerPattern) rhythm {
	const ms = time.Millisecond
	switch p {
	case access.Chirp:
		return rhythm{times: []time.Duration{100 * ms}, once: true}
	case access.LowBuzz:
		return rhythm{times: []time.Duration{600 * ms}, once: true}
	case access.Reminder:
		return rhythm{times: []time.Duration{100 * ms, 900 * ms}}
	case access.Alarm:
		return rhythm{times: []time.Duration{400 * ms, 200 * ms}}
	}
	return rhythm{}
}

// beeps counts a number out, slowly enough for whoever stands on a ladder to count along.
func beeps(n uint8) rhythm {
	const ms = time.Millisecond
	r := rhythm{once: true}
	for range n {
		r.times = append(r.times, 150*ms, 250*ms)
	}
	return r
}

// lit says which LEDs mix a colour. A board without a blue LED shows White as amber and leaves Blue dark.
func lit(c access.Colour, l board.Line) bool {
	switch l {
	case board.LEDRed:
		return c == access.Red || c == access.Amber || c == access.White
	case board.LEDGreen:
		return c == access.Green || c == access.Amber || c == access.White
	case board.LEDBlue:
		return c == access.Blue || c == access.White
	}
	return false
}

// indicator plays indications on the LED and buzzer lines that a board has.
type indicator struct {
	lines  Lines
	has    []board.Line
	now    func() time.Duration
	failed func()                // called once for each time that it starts failing
	shown  func() wiring.Display // what is to be played now
	poked  chan struct{}         // it may have changed
}

// poke never blocks.
func (i *indicator) poke() {
	select {
	case i.poked <- struct{}{}:
	default:
	}
}

// play runs until ctx ends, and leaves the lines off.
func (i *indicator) play(ctx context.Context) {
	var (
		in       wiring.Display
		begun    time.Duration // light
		sounding time.Duration // since when
		failing  bool
		levels   = map[board.Line]bool{}
		schedule = time.NewTimer(0)
	)
	defer schedule.Stop()
	defer func() {
		for _, l := range i.has {
			_, _ = i.lines.Set(l, false) // the portal ends; a lamp that stays lit harms nobody
		}
	}()
	for {
		next := i.shown()
		changed := next.LED != in.LED || next.Pattern != in.Pattern || next.Buzzer != in.Buzzer
		if changed {
			begun = i.now()
		}
		if next.Beeps != in.Beeps || next.Turn != in.Turn || changed && next.Beeps == 0 {
			sounding = i.now()
		}
		in = next
		wait, err := i.set(in, i.now()-begun, i.now()-sounding, levels)
		if err != nil {
			if !failing {
				i.failed()
			}
			clear(levels) // nobody knows what they show
			wait = indicatorRetry
		}
		failing = err != nil

		// First the pace, during which pokes gather, then whatever comes next.
		if !sleep(ctx, schedule, min(indicatorPace, wait)) {
			return
		}
		if wait -= indicatorPace; wait <= 0 {
			continue
		}
		schedule.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-schedule.C:
		case <-i.poked:
		}
	}
}

// set writes the lines that differ from what they show, and says for how long nothing changes.
func (i *indicator) set(in wiring.Display, lighting, sounding time.Duration, levels map[board.Line]bool) (time.Duration, error) {
	tone := sound(in.Buzzer)
	if in.Beeps > 0 {
		tone = beeps(in.Beeps)
	}
	bright, forLight := light(in.Pattern).at(lighting)
	loud, forSound := tone.at(sounding)
	for _, l := range i.has {
		on := bright && lit(in.LED, l)
		if l == board.Buzzer {
			on = loud
		}
		if was, known := levels[l]; known && was == on {
			continue
		}
		if _, err := i.lines.Set(l, on); err != nil {
			return 0, err
		}
		levels[l] = on
	}
	wait := time.Hour
	for _, d := range []time.Duration{forLight, forSound} {
		if d > 0 {
			wait = min(wait, d)
		}
	}
	return wait, nil
}

// sleep waits, and reports whether ctx goes on.
func sleep(ctx context.Context, timer *time.Timer, d time.Duration) bool {
	timer.Reset(d)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
