package match

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Goals of make bench, single thread, 50,000 references of 512 components.
const (
	benchRows      = 50_000
	benchDim       = 512
	benchRounds    = 31
	benchTemplates = 64 // repeated: which numbers stand in a row does not change the time
)

type bench struct {
	slab   []float32
	exact  *Float32
	coarse *Int8
	probe  []float32
	scores []float32
}

func newBench(tb testing.TB) bench {
	r := rand.New(rand.NewPCG(5, 5))
	templates := make([][]float32, benchTemplates)
	for i := range templates {
		templates[i] = unit(r, benchDim)
	}
	b := bench{slab: make([]float32, benchRows*benchDim), probe: templates[0], scores: make([]float32, benchRows)}
	var err error
	if b.exact, err = NewFloat32(b.slab, benchDim); err != nil {
		tb.Fatal(err)
	}
	if b.coarse, err = NewInt8(make([]int8, (1+benchRows)*benchDim), benchDim); err != nil {
		tb.Fatal(err)
	}
	for i := range benchRows {
		mustAppend(tb, b.exact, uint32(i), templates[i%benchTemplates])
		mustAppend(tb, b.coarse, uint32(i), templates[i%benchTemplates])
	}
	return b
}

func (b bench) search(tb testing.TB, g gallery) {
	if result, err := g.Search(b.probe, b.scores); err != nil || result.Index != 0 {
		tb.Fatalf("%+v, %v", result, err)
	}
}

// BenchmarkRatios reports the two ratios of make bench: medians over rounds in which read, float32 and int8 took turns, so that
// a slow phase of the machine falls on both sides of a ratio.
func BenchmarkRatios(b *testing.B) {
	set := newBench(b)
	timed := func(f func()) float64 {
		start := time.Now()
		f()
		return time.Since(start).Seconds()
	}
	for b.Loop() {
		var searchRead, int8Float32, reads, searches, coarse []float64
		for range benchRounds {
			read := timed(func() {
				if ReadFloor(set.slab) == 0 {
					b.Fatal("read nothing")
				}
			})
			search := timed(func() { set.search(b, set.exact) })
			quantised := timed(func() { set.search(b, set.coarse) })
			searchRead, int8Float32 = append(searchRead, search/read), append(int8Float32, quantised/search)
			reads, searches, coarse = append(reads, read), append(searches, search), append(coarse, quantised)
		}
		for unit, samples := range map[string][]float64{
			"search/read": searchRead, "int8/float32": int8Float32, "read-s": reads, "float32-s": searches, "int8-s": coarse,
		} {
			slices.Sort(samples)
			b.ReportMetric(samples[len(samples)/2], unit)
		}
	}
}

func BenchmarkSelection(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	scores, owners := make([]float32, benchRows), make([]uint32, benchRows)
	for i := range scores {
		scores[i], owners[i] = r.Float32(), uint32(i)
	}
	for b.Loop() {
		s := newSelection()
		s.add(scores, owners)
		if result, ok := s.result(scores, owners); !ok || !result.Found {
			b.Fatal("nobody")
		}
	}
}
