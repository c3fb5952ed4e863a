package main

import (
	"cmp"
	"math"
	"slices"
)

// interval is a measured value with its 95 % interval.
type interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// point is what verification gives at one false-match rate.
type point struct {
	FMR       float64  `json:"fmr"`
	Threshold float64  `json:"threshold"` // lowest with at most Allowed impostor scores above
	Allowed   int      `json:"false_matches_allowed"`
	Missed    int      `json:"genuine_missed"`
	FNMR      interval `json:"fnmr"`
}

// verification is the comparison of all unordered pairs of photographs.
type verification struct {
	Genuine  int      `json:"genuine_pairs"`
	Impostor int      `json:"impostor_pairs"`
	EER      interval `json:"eer"`
	Points   []point  `json:"points"`
	Curve    []point  `json:"curve"`

	genuine  []pair // ascending
	impostor []pair // descending, the highest keptImpostors only
}

// pair is one comparison of photographs of persons a and b.
type pair struct {
	score float32
	a, b  int32
}

// keptImpostors bounds the impostor pairs that are kept and sorted; thresholds of interest lie among the highest scores. Four
// million are all pairs of 2,800 photographs.
const keptImpostors = 4_000_000

var (
	pointsAt = []float64{1e-3, 1e-4, 1e-5}
	curveAt  = []float64{1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6}
)

// notAcquired is the score of a comparison with a photograph without a usable face.
const notAcquired = -1

// verify compares every unordered pair. photos and samples run in parallel.
func verify(photos []photo, samples []sample, people int) *verification {
	v := new(verification)
	cut := float32(-2)
	for i := range photos {
		for j := range i {
			p := pair{score: compare(samples[j].probe, samples[i].probe), a: int32(photos[j].person), b: int32(photos[i].person)}
			if p.a == p.b {
				v.genuine = append(v.genuine, p)
				continue
			}
			v.Impostor++
			if p.score >= cut {
				v.impostor = append(v.impostor, p)
			}
			if len(v.impostor) == 2*keptImpostors {
				v.sortImpostors()
				v.impostor = v.impostor[:keptImpostors]
				cut = v.impostor[keptImpostors-1].score
			}
		}
	}
	v.sortImpostors()
	v.impostor = v.impostor[:min(len(v.impostor), keptImpostors)]
	slices.SortFunc(v.genuine, func(a, b pair) int { return cmp.Compare(a.score, b.score) })
	v.Genuine = len(v.genuine)
	if v.Genuine == 0 || v.Impostor == 0 {
		return v
	}
	for _, f := range pointsAt {
		if p, ok := v.at(f); ok {
			v.Points = append(v.Points, p)
		}
	}
	for _, f := range curveAt {
		if p, ok := v.at(f); ok {
			v.Curve = append(v.Curve, p)
		}
	}
	v.EER.Value = v.eer()
	v.intervals(photos, people)
	return v
}

func (v *verification) sortImpostors() {
	slices.SortFunc(v.impostor, func(a, b pair) int { return cmp.Compare(b.score, a.score) })
}

func compare(a, b []float32) float32 {
	if a == nil || b == nil {
		return notAcquired
	}
	var s [4]float32
	for i := 0; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s[0] += x[0] * y[0]
		s[1] += x[1] * y[1]
		s[2] += x[2] * y[2]
		s[3] += x[3] * y[3]
	}
	return s[0] + s[1] + s[2] + s[3]
}

// at is the operating point for a false-match rate; false where not a single false match is allowed, since one image would decide.
func (v *verification) at(fmr float64) (point, bool) {
	allowed := int(fmr * float64(v.Impostor))
	if allowed < 1 || allowed >= len(v.impostor) {
		return point{}, false
	}
	t := v.impostor[allowed].score
	missed, _ := slices.BinarySearchFunc(v.genuine, t, func(p pair, t float32) int {
		if p.score <= t {
			return -1
		}
		return 1
	})
	return point{
		FMR: fmr, Threshold: float64(t), Allowed: allowed,
		Missed: missed, FNMR: interval{Value: float64(missed) / float64(v.Genuine)},
	}, true
}

// eer is the rate at which false matches and false non-matches are equal, by walking both lists from the highest threshold down.
func (v *verification) eer() float64 {
	g := len(v.genuine)
	for i, p := range v.impostor {
		for g > 0 && v.genuine[g-1].score > p.score {
			g--
		}
		if fmr, fnmr := float64(i)/float64(v.Impostor), float64(g)/float64(v.Genuine); fmr >= fnmr {
			return (fmr + fnmr) / 2
		}
	}
	return math.NaN()
}
