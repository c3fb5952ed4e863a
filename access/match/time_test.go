package match

import (
	"slices"
	"testing"
	"time"
)

const (
	// timeTolerance is how far the medians of two kinds of search may lie apart. A walk that stops at the match differs by
	// half the gallery on average; one mispredicted branch a block would be 2 %.
	timeTolerance = 0.03
	// timeAttempts: other work on the machine can only make even times look uneven, never uneven ones even again and again.
	timeAttempts = 30
	leakAttempts = 8
	timeRounds   = 200
)

// spread runs the cases in turn, round after round, and returns how far the slowest median lies above the fastest: turns keep
// a slow phase of the machine from hitting one case alone.
func spread(cases []func()) float64 {
	times := make([][]time.Duration, len(cases))
	for round := range timeRounds {
		for i := range cases {
			at := (i + round) % len(cases) // nobody is always first
			start := time.Now()
			cases[at]()
			times[at] = append(times[at], time.Since(start))
		}
	}
	var medians []time.Duration
	for _, ts := range times {
		slices.Sort(ts)
		medians = append(medians, ts[len(ts)/2])
	}
	return float64(slices.Max(medians))/float64(slices.Min(medians)) - 1
}

// evenTime passes when one attempt of timeAttempts is within the tolerance.
func evenTime(cases []func()) (best float64, even bool) {
	best = spread(cases)
	for range timeAttempts - 1 {
		if best <= timeTolerance {
			break
		}
		best = min(best, spread(cases))
	}
	return best, best <= timeTolerance
}

// Control: C31
func TestSearchTimeDoesNotTellWhoMatches(t *testing.T) {
	const rows, dim = 1024, 512
	eachGallery(t, rows, dim, func(t *testing.T, g gallery, _ func(int) bool) {
		r := seeded(t)
		templates := make([][]float32, rows)
		for i := range templates {
			templates[i] = unit(r, dim)
			mustAppend(t, g, uint32(i/2), templates[i])
		}
		scores := make([]float32, rows)
		search := func(probe []float32, want func(Result) bool) func() {
			return func() {
				result, err := g.Search(probe, scores)
				if err != nil || !want(result) {
					t.Fatalf("%+v, %v", result, err)
				}
			}
		}
		matches := func(row int) func(Result) bool {
			return func(r Result) bool { return r.Index == row && r.Score > 0.99 }
		}
		best, even := evenTime([]func(){
			search(templates[0], matches(0)),
			search(templates[rows/2], matches(rows/2)),
			search(templates[rows-1], matches(rows-1)),
			search(unit(r, dim), func(r Result) bool { return r.Score < 0.3 }),
		})
		if !even {
			t.Errorf("first, middle, last and no match lie %.1f %% apart in each of %d attempts", 100*best, timeAttempts)
		}
		t.Logf("medians within %.2f %%", 100*best)
	})
}

// The whole gallery is walked: every score is written in every search, wherever the match stands.
//
// Control: C31
func TestSearchWalksTheWholeGallery(t *testing.T) {
	const rows, dim = 2*searchBlock + 3, 32
	r := seeded(t)
	templates := make([][]float32, rows)
	for i := range templates {
		templates[i] = unit(r, dim)
	}
	eachGallery(t, rows, dim, func(t *testing.T, g gallery, _ func(int) bool) {
		for i := range templates {
			mustAppend(t, g, uint32(i), templates[i])
		}
		scores := make([]float32, rows)
		for _, match := range []int{0, 1, searchBlock - 1, searchBlock, rows / 2, rows - 1} {
			for i := range scores {
				scores[i] = canary
			}
			result, err := g.Search(templates[match], scores)
			if err != nil || result.Index != match {
				t.Fatalf("looked for row %d: %+v, %v", match, result, err)
			}
			if i := slices.Index(scores, canary); i >= 0 {
				t.Errorf("match in row %d: row %d was not compared", match, i)
			}
		}
	})
}

// The choice among the scores is even in time for every order of them: a branch on "better than the best so far" would be
// taken always, never, or unforeseeably.
//
// Control: C31
func TestSelectionTimeDoesNotTellTheOrder(t *testing.T) {
	const n = 8192
	r := seeded(t)
	owners := make([]uint32, n)
	random := make([]float32, n)
	for i := range random {
		owners[i] = uint32(r.IntN(n))
		random[i] = 2*r.Float32() - 1
	}
	rising := slices.Sorted(slices.Values(random))
	falling := slices.Clone(rising)
	slices.Reverse(falling)

	scores := make([]float32, n) // one memory for all, so that only the content differs
	var sink Result
	var cases []func()
	for _, order := range [][]float32{random, rising, falling, make([]float32, n)} {
		cases = append(cases, func() {
			copy(scores, order)
			s := newSelection()
			s.add(scores, owners)
			sink, _ = s.result(scores, owners)
		})
	}
	best, even := evenTime(cases)
	if !even {
		t.Errorf("random, rising, falling and equal scores lie %.1f %% apart in each of %d attempts", 100*best, timeAttempts)
	}
	t.Logf("medians within %.2f %%; last %t", 100*best, sink.Found)
}

// The measurement itself is tried on a search that leaks: it stops at the first good score.
func TestTimeMeasurementSeesALeak(t *testing.T) {
	const rows, dim = 256, 512
	r := seeded(t)
	var slab []float32
	for range rows {
		slab = append(slab, unit(r, dim)...)
	}
	leaky := func(match int) func() {
		probe := slab[match*dim:][:dim]
		return func() {
			for i := range rows {
				if dotFloat32(slab[i*dim:][:dim], probe) > 0.9 {
					return
				}
			}
		}
	}
	// One tenth of the walk is a smaller leak than an early end usually gives.
	apart := 0.0
	for range leakAttempts {
		if apart >= timeTolerance {
			break
		}
		apart = max(apart, spread([]func(){leaky(rows - 1), leaky(rows - rows/10)}))
	}
	if apart < timeTolerance {
		t.Errorf("an early end shows as only %.1f %% in the best of %d attempts", 100*apart, leakAttempts)
	}
}
