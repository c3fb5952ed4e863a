package main

import (
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"time"

	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/gray"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/inference/ort"
	"github.com/lintel-access/lintel/inference/pad"
)

// timed is a session that adds up what its runs take.
type timed struct {
	*ort.Session
	spent time.Duration
}

func (t *timed) Run() error {
	start := time.Now()
	err := t.Session.Run()
	t.spent += time.Since(start)
	return err
}

// stage is one part of the path: all of it, and the model runs within.
type stage struct {
	name         string
	whole, inner series
}

type pathResult struct {
	stages         []stage
	stock          series
	toOwn, toStock series
}

// path is the product's pipeline over timed sessions.
type path struct {
	sessions map[model.Role]*timed
	pipeline *face.Pipeline
	meter    *pad.Meter
	probe    []float32
	held     uint32
}

func measurePath(cache string, rounds int) (res pathResult, err error) {
	m, err := model.Default()
	if err != nil {
		return res, err
	}
	r, err := ort.Open(filepath.Join(cache, "ort", "libonnxruntime.so.1"))
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	bundle, err := r.Load(filepath.Join(cache, "bundle"), m, nil, 1)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, bundle.Close()) }()
	p, err := newPath(m, bundle)
	if err != nil {
		return res, err
	}
	img, err := p.frame(filepath.Join(cache, "photos"))
	if err != nil {
		return res, err
	}
	stock, closeStock, err := published(r, m, filepath.Join(cache, "origin"))
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, closeStock()) }()

	stages := p.stages(img)
	if _, _, err := p.pass(stages); err != nil { // fills the inputs that the published models are given too
		return res, err
	}
	for role, s := range stock {
		in := s.Input(0)
		for n := 0; n < len(in); {
			n += copy(in[n:], p.sessions[role].Input(0))
		}
	}
	const warmUp = 5
	res.stages = make([]stage, len(stages)+1)
	for round := range warmUp + rounds {
		whole, inner, err := p.pass(stages)
		if err != nil {
			return res, err
		}
		start := time.Now()
		for _, s := range stock {
			if err := s.Run(); err != nil {
				return res, err
			}
		}
		published := time.Since(start)
		if round < warmUp {
			continue
		}
		var all, own time.Duration
		for i := range stages {
			res.stages[i].add(stages[i].name, whole[i], inner[i])
			all, own = all+whole[i], own+inner[i]
		}
		res.stages[len(stages)].add("whole evidence path", all, own)
		res.stock = append(res.stock, milliseconds(published))
		res.toOwn = append(res.toOwn, float64(all)/float64(own))
		res.toStock = append(res.toStock, float64(all)/float64(published))
	}
	return res, nil
}

func (s *stage) add(name string, whole, inner time.Duration) {
	s.name = name
	s.whole, s.inner = append(s.whole, milliseconds(whole)), append(s.inner, milliseconds(inner))
}

func newPath(m *model.Manifest, bundle *ort.Bundle) (*path, error) {
	p := &path{sessions: map[model.Role]*timed{}}
	for _, s := range m.Specs {
		p.sessions[s.Role] = &timed{Session: bundle.Session(s.Role)}
	}
	parts, err := inference.Parts(m, bundle)
	if err != nil {
		return nil, err
	}
	parts.Detector, parts.Landmarks, parts.Extractor = p.sessions[model.Detector], p.sessions[model.Landmarks], p.sessions[model.Extractor]
	if p.pipeline, err = face.New(parts, face.DefaultLimits()); err != nil {
		return nil, err
	}
	spec, ok := m.Spec(model.PAD)
	if !ok {
		return nil, fmt.Errorf("bundle %q has no PAD model: the ratios are about four models", m.Name)
	}
	p.meter, err = pad.New(p.sessions[model.PAD], gray.Input(spec.Pixels), spec.Crop, spec.BonaFide)
	p.probe = make([]float32, p.pipeline.ProbeSize())
	return p, err
}

// published loads the models as their authors published them.
func published(r *ort.Runtime, m *model.Manifest, dir string) (map[model.Role]*ort.Session, func() error, error) {
	original := m.Unprepared()
	sessions := map[model.Role]*ort.Session{}
	closeAll := func() error {
		var errs []error
		for _, s := range sessions {
			errs = append(errs, s.Close())
		}
		return errors.Join(errs...)
	}
	for _, spec := range original.Specs {
		data, err := original.Load(dir, spec.Role)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		s, err := r.NewSession(data, spec, 1)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		sessions[spec.Role] = s
	}
	return sessions, closeAll, nil
}

// step is one stage to run.
type step struct {
	name string
	run  func() error
}

// stages is the evidence path on one frame.
func (p *path) stages(img *image.Gray) []step {
	var f *face.Face
	return []step{
		{"detect and track", func() error {
			faces, err := p.pipeline.Look(img)
			if err != nil {
				return err
			}
			at, _ := face.Choose(faces, img.Rect.Dx(), img.Rect.Dy(), p.held)
			if at < 0 {
				return errors.New("no face in the frame")
			}
			f, p.held = &faces[at], faces[at].Track
			return nil
		}},
		{"landmarks, align, quality", func() error { return p.pipeline.Measure(img, f) }},
		{"extract", func() error { return p.pipeline.Extract(img, f, p.probe) }},
		{"light on face and ring", func() error {
			_, _, err := p.meter.Levels(img, f)
			if err != nil {
				return err
			}
			_, err = p.meter.Texture(img, f)
			return err
		}},
		{"learned PAD score", func() error {
			_, err := p.meter.Score(img, f)
			return err
		}},
	}
}

// pass runs every stage once and says what each took, and what of it were model runs.
func (p *path) pass(stages []step) (whole, inner []time.Duration, err error) {
	whole, inner = make([]time.Duration, len(stages)), make([]time.Duration, len(stages))
	for i, s := range stages {
		before := p.spent()
		start := time.Now()
		if err := s.run(); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", s.name, err)
		}
		whole[i], inner[i] = time.Since(start), p.spent()-before
	}
	return whole, inner, nil
}

func (p *path) spent() (sum time.Duration) {
	for _, s := range p.sessions {
		sum += s.spent
	}
	return sum
}
