package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lintel-access/lintel/access/match"
)

// identification is the open-set search: one reference each of the first people.
type identification struct {
	Gallery  int        `json:"gallery"` // people enrolled
	Mated    int        `json:"mated_probes"`
	Nonmated int        `json:"nonmated_searches"`
	Rank1    interval   `json:"rank1"`
	Points   []operates `json:"points"`
}

// operates is what a search gives at one false-positive identification rate.
type operates struct {
	FPIR      float64  `json:"fpir"`
	Searches  string   `json:"searches"` // "nonmated", or "extended" by all mated images searched without their own person
	Threshold float64  `json:"threshold"`
	Allowed   int      `json:"false_positives_allowed"`
	Missed    int      `json:"mated_missed"`
	FNIR      interval `json:"fnir"`
}

// found is the outcome of one search: the score of the best candidate, and for a mated probe whether that is the right person.
type found struct {
	person int
	score  float64
	right  bool
}

// galleries are the sizes that the protocol names, as far as there are people, and all of them.
func galleries(enrolled int) []int {
	sizes := slices.DeleteFunc([]int{100, 350, 700}, func(n int) bool { return n >= enrolled })
	return append(sizes, enrolled)
}

// identify searches with access/match, as the product does. Failures to acquire score -1 as probes and are absent as references.
func identify(photos []photo, samples []sample, people int) ([]identification, error) {
	var enrolled []int
	for i, p := range photos {
		if p.role == roleEnrol {
			enrolled = append(enrolled, i)
		}
	}
	if len(enrolled) < 2 {
		return nil, nil
	}
	dim := 0
	for _, s := range samples {
		dim = max(dim, len(s.probe))
	}
	if dim == 0 {
		return nil, nil
	}
	var all []identification
	for _, n := range galleries(len(enrolled)) {
		id, err := identifyAmong(photos, samples, people, enrolled[:n], dim)
		if err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, nil
}

func identifyAmong(photos []photo, samples []sample, people int, enrolled []int, dim int) (identification, error) {
	g, err := match.NewFloat32(make([]float32, len(enrolled)*dim), dim)
	if err != nil {
		return identification{}, fmt.Errorf("identify: %w", err)
	}
	in := make([]bool, people)
	for _, i := range enrolled {
		in[photos[i].person] = true
		if samples[i].probe == nil {
			continue
		}
		if _, err := g.Append(uint32(photos[i].person), samples[i].probe); err != nil {
			return identification{}, fmt.Errorf("identify: %w", err)
		}
	}
	scores := make([]float32, len(enrolled))
	var mated, nonmated, extended []found
	for i, p := range photos {
		if p.role != roleMated && p.role != roleNonmated {
			continue
		}
		var r match.Result
		if samples[i].probe != nil {
			if r, err = g.Search(samples[i].probe, scores); err != nil {
				return identification{}, fmt.Errorf("identify: %w", err)
			}
		}
		best, other := found{person: p.person, score: notAcquired}, found{person: p.person, score: notAcquired}
		if r.Found {
			best.score, best.right = float64(r.Score), int(r.Owner) == p.person
			other.score = best.score
			if best.right {
				other.score = max(notAcquired, float64(r.Other))
			}
		}
		if p.role == roleNonmated {
			nonmated = append(nonmated, best)
			extended = append(extended, best)
			continue
		}
		extended = append(extended, other)
		if in[p.person] {
			mated = append(mated, best)
		}
	}
	id := identification{Gallery: len(enrolled), Mated: len(mated), Nonmated: len(nonmated)}
	if len(mated) == 0 {
		return id, nil
	}
	id.measure(people, mated, nonmated, extended)
	return id, nil
}

func (id *identification) measure(people int, mated, nonmated, extended []found) {
	id.Rank1.Value = share(mated, nil, -2)
	var rank1 []float64
	once := make([]float64, people)
	var present []int
	for _, list := range [][]found{mated, extended} {
		for _, f := range list {
			if once[f.person] == 0 {
				once[f.person] = 1
				present = append(present, f.person)
			}
		}
	}
	type variant struct {
		searches []found
		point    operates
		drawn    []float64
	}
	var variants []variant
	for _, fpir := range []float64{.01, .001} {
		for name, list := range map[string][]found{"nonmated": nonmated, "extended": extended} {
			slices.SortFunc(list, func(a, b found) int { return cmp.Compare(b.score, a.score) })
			allowed := int(fpir * float64(len(list)))
			if allowed < 1 {
				continue // the threshold would rest on one single image
			}
			t := list[allowed].score
			fnir := 1 - share(mated, nil, t)
			variants = append(variants, variant{list, operates{
				FPIR: fpir, Searches: name, Threshold: t, Allowed: allowed,
				Missed: int(fnir*float64(len(mated)) + .5), FNIR: interval{Value: fnir},
			}, nil})
		}
	}
	slices.SortFunc(variants, func(a, b variant) int {
		return cmp.Or(cmp.Compare(b.point.FPIR, a.point.FPIR), cmp.Compare(b.point.Searches, a.point.Searches))
	})
	resample(present, people, func(w []float64) {
		rank1 = append(rank1, share(mated, w, -2))
		for i := range variants {
			v := &variants[i]
			v.drawn = append(v.drawn, 1-share(mated, w, weightedThreshold(v.searches, w, v.point.FPIR)))
		}
	})
	span(&id.Rank1, rank1)
	for _, v := range variants {
		span(&v.point.FNIR, v.drawn)
		id.Points = append(id.Points, v.point)
	}
}

// share is the part of the mated probes whose best candidate is the right person above the threshold, each weighing as its person does.
func share(mated []found, weight []float64, threshold float64) float64 {
	var hit, all float64
	for _, f := range mated {
		w := 1.0
		if weight != nil {
			w = weight[f.person]
		}
		all += w
		if f.right && f.score > threshold {
			hit += w
		}
	}
	return hit / all
}

// weightedThreshold is the lowest threshold with at most the share rate of the searches, in descending order, above.
func weightedThreshold(searches []found, weight []float64, rate float64) float64 {
	var all, above float64
	for _, f := range searches {
		all += weight[f.person]
	}
	for _, f := range searches {
		if above += weight[f.person]; above > rate*all {
			return f.score
		}
	}
	return -2
}
