package main

import "testing"

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
