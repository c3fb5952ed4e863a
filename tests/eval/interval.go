package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	replicates = 400
	seed       = 2602 // fixed, so that two runs print the same intervals
)

// resample calls use with the number of times that each person is drawn, for every replicate. People are drawn and not
// photographs, because photographs of one person are alike.
func resample(people []int, size int, use func(weight []float64)) {
	r := rand.New(rand.NewPCG(seed, 0))
	weight := make([]float64, size)
	for range replicates {
		clear(weight)
		for range people {
			weight[people[r.IntN(len(people))]]++
		}
		use(weight)
	}
}

// span puts the middle 95 % of the replicates' values into an interval.
func span(to *interval, values []float64) {
	values = slices.DeleteFunc(values, math.IsNaN)
	if len(values) == 0 {
		to.Low, to.High = to.Value, to.Value
		return
	}
	slices.Sort(values)
	to.Low = values[int(.025*float64(len(values)-1)+.5)]
	to.High = values[int(.975*float64(len(values)-1)+.5)]
}

// tail is how many of the highest impostor pairs a replicate walks through: ten times the highest rate of interest.
func (v *verification) tail() []pair {
	return v.impostor[:min(len(v.impostor), max(10_000, int(0.03*float64(v.Impostor))))]
}

// intervals fills the 95 % intervals of the points and of the EER: in each replicate every pair counts as often as the product
// of its people's draws (a genuine pair as often as its person), and the threshold is chosen anew.
func (v *verification) intervals(photos []photo, people int) {
	images := make([]float64, people)
	for _, p := range photos {
		images[p.person]++
	}
	var present []int
	for id, n := range images {
		if n > 0 {
			present = append(present, id)
		}
	}
	tail := v.tail()
	rates := make([][]float64, len(v.Points))
	var eers []float64
	resample(present, people, func(w []float64) {
		var sum, squares, genuine float64
		for id, n := range images {
			sum += w[id] * n
			squares += w[id] * n * w[id] * n
		}
		for _, p := range v.genuine {
			genuine += w[p.a]
		}
		impostor := (sum*sum - squares) / 2
		if genuine == 0 || impostor == 0 {
			return
		}
		missed, g := genuine, len(v.genuine) // of the genuine pairs, those not yet above the threshold
		matched, next, eer := 0.0, len(v.Points)-1, math.NaN()
		for _, p := range tail {
			for g > 0 && v.genuine[g-1].score > p.score {
				g--
				missed -= w[v.genuine[g].a]
			}
			for next >= 0 && matched+w[p.a]*w[p.b] > v.Points[next].FMR*impostor {
				rates[next] = append(rates[next], missed/genuine)
				next--
			}
			if fmr, fnmr := matched/impostor, missed/genuine; math.IsNaN(eer) && fmr >= fnmr {
				eer = (fmr + fnmr) / 2
			}
			if next < 0 && !math.IsNaN(eer) {
				break
			}
			matched += w[p.a] * w[p.b]
		}
		eers = append(eers, eer)
	})
	for i := range v.Points {
		span(&v.Points[i].FNMR, rates[i])
	}
	span(&v.EER, eers)
}
