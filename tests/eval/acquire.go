package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/gray"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/inference/ort"
	"github.com/lintel-access/lintel/inference/pad"
)

// sample is what the product's pipeline made of one photograph. The zero sample is a failure to acquire.
type sample struct {
	probe     []float32
	reference []float32 // as an enrolment would keep it
	live      float32   // learned PAD score, pad.Absent without a model
	bordered  bool      // found only with a black border
	unread    error     // the file is not a photograph
}

// evaluator is the product's pipeline, once a worker.
type evaluator struct {
	pipeline *face.Pipeline
	meter    *pad.Meter
}

func newEvaluator(m *model.Manifest, b *ort.Bundle) (*evaluator, error) {
	parts, err := inference.Parts(m, b)
	if err != nil {
		return nil, err
	}
	p, err := face.New(parts, face.DefaultLimits())
	if err != nil {
		return nil, err
	}
	e := &evaluator{pipeline: p, meter: new(pad.Meter)}
	if s, ok := m.Spec(model.PAD); ok {
		e.meter, err = pad.New(b.Session(model.PAD), gray.Input(s.Pixels), s.Crop, s.BonaFide)
	}
	return e, err
}

// acquire takes the face that stands at the door in this photograph. Where none is found it tries once more with a black border of half
// the width on every side: crops that end at the chin show the detector too little.
func (e *evaluator) acquire(img *image.Gray, withPAD bool) (sample, error) {
	s, err := e.once(img, withPAD)
	if err != nil || s.probe != nil || 2*img.Rect.Dx() > maxSide || img.Rect.Dy()+img.Rect.Dx() > maxSide {
		return s, err
	}
	s, err = e.once(bordered(img, (img.Rect.Dx()+1)/2), withPAD)
	s.bordered = true
	return s, err
}

func (e *evaluator) once(img *image.Gray, withPAD bool) (sample, error) {
	e.pipeline.Forget()
	faces, err := e.pipeline.Look(img)
	if err != nil {
		return sample{}, err
	}
	at, _ := face.Choose(faces, img.Rect.Dx(), img.Rect.Dy(), 0)
	if at < 0 {
		return sample{}, nil
	}
	f := &faces[at]
	if err := e.pipeline.Measure(img, f); err != nil {
		return sample{}, nil
	}
	s := sample{probe: make([]float32, e.pipeline.ProbeSize()), reference: make([]float32, e.pipeline.ProbeSize()), live: pad.Absent}
	if withPAD {
		if s.live, err = e.meter.Score(img, f); err != nil {
			return sample{}, err
		}
	}
	if err := e.pipeline.Extract(img, f, s.probe); err != nil {
		return sample{}, nil
	}
	if err := e.pipeline.ExtractReference(img, f, s.reference); err != nil {
		return sample{}, nil
	}
	return s, nil
}

// acquireAll works through the set with one goroutine an evaluator and reports progress.
func acquireAll(ctx context.Context, s *set, workers []*evaluator, progress io.Writer) ([]sample, error) {
	samples := make([]sample, len(s.photos))
	errs := make([]error, len(workers))
	withPAD := s.has(roleLive)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for w, e := range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(s.photos) || errs[w] != nil || ctx.Err() != nil {
					return
				}
				img, err := readPhoto(filepath.Join(s.dir, s.photos[i].path))
				if err != nil {
					samples[i] = sample{unread: err}
				} else {
					samples[i], errs[w] = e.acquire(img, withPAD)
				}
				if n := done.Add(1); n%250 == 0 || int(n) == len(s.photos) {
					fmt.Fprintf(progress, "eval: %d of %d photographs\n", n, len(s.photos))
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return samples, ctx.Err()
}
