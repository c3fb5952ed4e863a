package portal

import (
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
)

func TestRhythms(t *testing.T) {
	const ms = time.Millisecond
	cases := []struct {
		name    string
		r       rhythm
		elapsed time.Duration
		on      bool
		left    time.Duration
	}{
		{"dark", light(access.Dark), 0, false, 0},
		{"unknown", light(200), time.Hour, false, 0},
		{"steady", light(access.Steady), time.Hour, true, 0},
		{"blink begins", light(access.Blink), 0, true, 500 * ms},
		{"blink goes off", light(access.Blink), 500 * ms, false, 500 * ms},
		{"blink comes again", light(access.Blink), 10_100 * ms, true, 400 * ms},
		{"second wink", light(access.Wink), 400 * ms, true, 100 * ms},
		{"chirp", sound(access.Chirp), 99 * ms, true, ms},
		{"chirp is over", sound(access.Chirp), 100 * ms, false, 0},
		{"alarm goes on", sound(access.Alarm), 6_000 * ms, true, 400 * ms},
		{"silent", sound(access.Silent), 0, false, 0},
		{"unknown sound", sound(200), 0, false, 0},
	}
	for _, c := range cases {
		if on, left := c.r.at(c.elapsed); on != c.on || left != c.left {
			t.Errorf("%s: %v for %v, want %v for %v", c.name, on, left, c.on, c.left)
		}
	}
	for p := range access.LEDPattern(access.Wink + 1) {
		var flashes int
		for at, was := time.Duration(0), false; at < time.Second; at += ms {
			on, _ := light(p).at(at)
			if on && !was {
				flashes++
			}
			was = on
		}
		if flashes > 3 {
			t.Errorf("pattern %d flashes %d times in a second: above 3 it can cause a seizure", p, flashes)
		}
	}
}

func TestIndicatorPlays(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		level := func(l board.Line) bool {
			on, _ := d.bench.Level(l)
			return on
		}
		if !level(board.LEDBlue) || level(board.LEDRed) || level(board.LEDGreen) || level(board.Buzzer) {
			t.Error("a door at rest does not show blue alone")
		}
		d.Show(access.IndicateVerdict(access.Granted))
		d.after(indicatorPace)
		if !level(board.LEDGreen) || level(board.LEDBlue) || !level(board.Buzzer) {
			t.Error("a grant does not show green alone and chirp")
		}
		d.after(100 * time.Millisecond)
		if !level(board.LEDGreen) || level(board.Buzzer) {
			t.Error("the chirp does not end")
		}
		d.press(board.Contact, true) // forced: the alarm covers the walk-up
		d.after(indicatorPace)
		if !level(board.LEDRed) || level(board.LEDGreen) || !level(board.Buzzer) {
			t.Error("a forced door does not show red alone and sound")
		}
		d.after(200 * time.Millisecond)
		if level(board.LEDRed) {
			t.Error("the alarm does not flash")
		}
		d.end()
		for _, l := range []board.Line{board.LEDRed, board.LEDGreen, board.LEDBlue, board.Buzzer} {
			if level(l) {
				t.Errorf("%q stays on when the door has stopped", l)
			}
		}
	})
}

func TestIndicatorPace(t *testing.T) {
	atDoor(t, nil, func(t *testing.T, d *door) {
		before, begun := len(d.bench.history), d.now()
		for i := range 2000 {
			d.Show(access.IndicateVerdict(access.Verdict(i % 2)))
			d.after(time.Millisecond)
		}
		most := int((d.now()-begun)/indicatorPace+1) * len(d.indicator.has)
		if n := len(d.bench.history) - before; n > most || n == 0 {
			t.Errorf("%d writes in %v, want 1 to %d", n, d.now()-begun, most)
		}
	})
}

// TestIndicatorFailureIsNotTheDoors: a broken LED is one event, and the door works on.
func TestIndicatorFailureIsNotTheDoors(t *testing.T) {
	prepare := func(_ *Config, b *bench, _ *book) {
		b.breaks(func(line board.Line, _ bool) error {
			if line == board.LEDRed {
				return errors.New("expander does not answer")
			}
			return nil
		})
	}
	atDoor(t, prepare, func(t *testing.T, d *door) {
		d.after(time.Minute)
		d.press(board.REX, true)
		d.want(t, access.Released, true)
		var failures int
		for _, e := range d.book.events() {
			if e == access.EventIndicatorFailed {
				failures++
			}
		}
		if failures != 1 {
			t.Errorf("%d events of a failed indicator, want 1", failures)
		}
	})
}

func TestChangedIsTold(t *testing.T) {
	var told int
	atDoor(t, func(c *Config, _ *bench, _ *book) { c.Changed = func() { told++ } }, func(t *testing.T, d *door) {
		before := told
		d.press(board.Tamper, true)
		if told == before {
			t.Error("a change of the door is not told")
		}
		before = told
		d.press(board.Tamper, true)
		if told != before {
			t.Error("no change is told")
		}
		d.Show(access.IndicateVerdict(access.Denied))
		if v := d.View(); told == before || v.Indication != access.IndicateVerdict(access.Denied) || !v.Point.Tamper {
			t.Errorf("the walk-up's indication is not told: %+v", v)
		}
	})
}
