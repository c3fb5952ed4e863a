package main

import (
	"math"
	"testing"
)

// The expected values are the closed forms for none and all, and published tables.
func TestClopperPearson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 60, 0, 1 - math.Pow(0.025, 1./60)}, {0, 300, 0, 1 - math.Pow(0.025, 1./300)}, {60, 60, math.Pow(0.025, 1./60), 1},
		{1, 10, 0.0025, 0.4450}, {5, 10, 0.1871, 0.8129}, {10, 100, 0.0490, 0.1762}, {0, 0, 0, 1},
	} {
		got := clopperPearson(c.k, c.n)
		if math.Abs(got.low-c.low) > 6e-5 || math.Abs(got.high-c.high) > 6e-5 {
			t.Errorf("%d of %d: %.5f-%.5f, want %.5f-%.5f", c.k, c.n, got.low, got.high, c.low, c.high)
		}
	}
	if c := clopperPearson(30, 1000); c.low > 0.03 || c.high < 0.03 || c.high-c.low > 0.03 {
		t.Errorf("30 of 1000: %v", c)
	}
}

func TestAdaptiveGuesserCountsTheCodes(t *testing.T) {
	memo := map[beginning]float64{}
	for length, want := range map[int]float64{12: 616, 18: 20498, 26: 2309246} {
		empty := beginning{chips: length}
		if n := memoWays(memo, empty, true) + memoWays(memo, empty, false); n != want {
			t.Errorf("%d chips: %v codes, want %v", length, n, want)
		}
	}
	at := beginning{chips: 12}
	for range 3 {
		at, _ = at.after(true)
	}
	if memoWays(memo, at, true) != 0 || memoWays(memo, at, false) == 0 {
		t.Error("a fourth lit chip in a row was taken for possible, or a dark one not")
	}
}
