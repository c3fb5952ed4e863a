package gpio

import (
	"errors"
	"strings"
	"testing"
)

// usual is what alarm panels use, with a pull-up of the size of the line.
var usual = Ladder{PullUp: 2200, Series: 1000, Across: 2200, Percent: 5}

type adc struct {
	reading int
	err     error
}

func (a adc) Sample() (int, error) { return a.reading, a.err }

func TestLadder(t *testing.T) {
	if err := usual.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reading int
		want    Circuit
	}{
		{0, Short}, {rail, Short}, {rail + 1, Unclear},
		{3125, Closed}, // 1000 of 3200 ohms
		{2950, Closed}, {3305, Closed}, {2900, Unclear}, {3400, Unclear},
		{5926, Opened}, // 3200 of 5400 ohms
		{5690, Opened}, {6160, Opened}, {5600, Unclear}, {6250, Unclear},
		{FullScale - rail - 1, Unclear}, {FullScale - rail, Cut}, {FullScale, Cut},
	} {
		got, err := usual.Read(adc{reading: c.reading})
		if err != nil || got != c.want {
			t.Errorf("reading %d is %v (%v), want %v", c.reading, got, err, c.want)
		}
		if got.Fault() != (c.want != Closed && c.want != Opened) {
			t.Errorf("%v: fault %v", got, got.Fault())
		}
	}
}

func TestLadderRefuses(t *testing.T) {
	for _, l := range []Ladder{
		{},
		{PullUp: 2200, Series: 1000, Across: 100, Percent: 5},     // open looks like closed
		{PullUp: 220000, Series: 100, Across: 220000, Percent: 5}, // closed looks like a short
		{PullUp: 100, Series: 1000, Across: 100000, Percent: 5},   // open looks like a cut wire
		{PullUp: 2200, Series: 1000, Across: 2200, Percent: 0},
		{PullUp: 2200, Series: 1000, Across: 2200, Percent: 50},
		{PullUp: 2200, Series: -5, Across: 2200, Percent: 5},
		{PullUp: 2200, Series: maxOhms + 1, Across: 2200, Percent: 5},
	} {
		if err := l.Validate(); err == nil {
			t.Errorf("%+v is accepted", l)
		}
		if got := l.Decode(3125); got != Unclear {
			t.Errorf("%+v decodes %v", l, got)
		}
	}
	for _, a := range []adc{{reading: -1}, {reading: FullScale + 1}, {reading: 3125, err: errors.New("bus is stuck")}} {
		if got, err := usual.Read(a); err == nil || got != Unclear || a.err != nil && !strings.Contains(err.Error(), "bus is stuck") {
			t.Errorf("%+v reads %v, %v", a, got, err)
		}
	}
}

// FuzzLadder has any line that resistors of the ladder's tolerance can make read as what it is.
func FuzzLadder(f *testing.F) {
	f.Add(2200, 1000, 2200, 5, int8(100), int8(-100))
	f.Add(10000, 4700, 4700, 2, int8(0), int8(37))
	f.Add(1, 1, 1, 1, int8(1), int8(1))
	f.Fuzz(func(t *testing.T, up, series, across, percent int, p, q int8) {
		l := Ladder{up, series, across, percent}
		if l.Validate() != nil {
			return
		}
		off := func(ohms int, part int8) float64 {
			return float64(ohms) * (1 + float64(max(part, -100))/100*float64(percent)/100)
		}
		if p > 100 || q > 100 {
			return
		}
		for _, c := range []struct {
			ohms int
			want Circuit
		}{{series, Closed}, {series + across, Opened}} {
			line, pull := off(c.ohms, p), off(up, q)
			if got := l.Decode(int(FullScale * line / (line + pull))); got != c.want {
				t.Fatalf("%+v: %g of %g ohms is %v, want %v", l, line, line+pull, got, c.want)
			}
		}
	})
}
