package main

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/lintel-access/lintel/access/match"
)

const (
	references   = 50_000
	components   = 512
	searchRounds = 31
)

type searchResult struct {
	exact, coarse   series
	toRead, toExact series
}

// measureSearch searches random references, which take the time of real ones: the kernels have no branch on a component.
func measureSearch() (res searchResult, err error) {
	slab := make([]float32, references*components)
	exact, err := match.NewFloat32(slab, components)
	if err != nil {
		return res, err
	}
	coarse, err := match.NewInt8(make([]int8, (references+1)*components), components)
	if err != nil {
		return res, err
	}
	r := rand.New(rand.NewPCG(1, 2))
	template := make([]float32, components)
	probe := make([]float32, components)
	for i := range references {
		for j := range template {
			template[j] = r.Float32() - .5
		}
		match.Normalise(template)
		if i == references/2 {
			copy(probe, template)
		}
		if _, err := exact.Append(uint32(i), template); err != nil {
			return res, err
		}
		if _, err := coarse.Append(uint32(i), template); err != nil {
			return res, err
		}
	}
	scores := make([]float32, references)
	search := func(g interface {
		Search(probe, scores []float32) (match.Result, error)
	}) (time.Duration, error) {
		start := time.Now()
		found, err := g.Search(probe, scores)
		spent := time.Since(start)
		if err == nil && found.Owner != references/2 {
			err = errors.New("search: the right reference is not the nearest")
		}
		return spent, err
	}
	for range searchRounds {
		start := time.Now()
		if match.ReadFloor(slab) == 0 {
			return res, errors.New("search: nothing was read")
		}
		read := time.Since(start)
		float, err := search(exact)
		if err != nil {
			return res, err
		}
		quantised, err := search(coarse)
		if err != nil {
			return res, err
		}
		res.exact, res.coarse = append(res.exact, milliseconds(float)), append(res.coarse, milliseconds(quantised))
		res.toRead = append(res.toRead, float64(float)/float64(read))
		res.toExact = append(res.toExact, float64(quantised)/float64(float))
	}
	return res, nil
}
