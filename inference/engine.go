// Package inference is one engine over a model bundle: the pipeline that finds and extracts faces, and the meter that measures them
// against attacks. The rooms beneath do the work; here a manifest becomes their parts.
package inference

import (
	"errors"
	"fmt"
	"image"
	"math"

	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/gray"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/inference/ort"
	"github.com/lintel-access/lintel/inference/pad"
)

// Config says what an engine is made of.
type Config struct {
	Library   string // path of the ONNX Runtime library
	Bundle    string // folder of the prepared models
	Manifest  *model.Manifest
	Providers []ort.Provider // in the order of preference; CPU stands behind the last
	Threads   int            // of each session
	Limits    face.Limits
}

// Engine measures frames with one bundle. One goroutine may use Face and Light while another uses Fuse, Align and Reflect; neither may be shared.
type Engine struct {
	Face   *face.Pipeline
	Light  *pad.Meter // levels and texture
	Report ort.Report

	runtime *ort.Runtime
	bundle  *ort.Bundle

	// Of Fuse, Align and Reflect.
	extract  *face.Pipeline
	learned  *pad.Meter
	probe    []float32
	response []float32
}

// Open loads the library and the bundle. An error names the file at fault.
func Open(c Config) (*Engine, error) {
	runtime, err := ort.Open(c.Library)
	if err != nil {
		return nil, err
	}
	bundle, err := runtime.Load(c.Bundle, c.Manifest, c.Providers, c.Threads)
	if err != nil {
		return nil, errors.Join(err, runtime.Close())
	}
	e := &Engine{runtime: runtime, bundle: bundle, Report: bundle.Report}
	if err := e.assemble(c.Manifest, c.Limits); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close releases the sessions and the library.
func (e *Engine) Close() error { return errors.Join(e.bundle.Close(), e.runtime.Close()) }

func (e *Engine) assemble(m *model.Manifest, limits face.Limits) (err error) {
	parts, err := Parts(m, e.bundle)
	if err != nil {
		return err
	}
	if e.Face, err = face.New(parts, limits); err != nil {
		return err
	}
	if e.extract, err = face.New(parts, limits); err != nil {
		return err
	}
	e.Light, e.learned = new(pad.Meter), new(pad.Meter)
	if spec, ok := m.Spec(model.PAD); ok {
		if e.learned, err = pad.New(e.bundle.Session(model.PAD), input(spec), spec.Crop, spec.BonaFide); err != nil {
			return err
		}
	}
	e.probe, e.response = make([]float32, e.Face.ProbeSize()), make([]float32, e.Face.AlignedSize())
	return nil
}

// Parts makes the pipeline's parts of a manifest and its sessions.
func Parts(m *model.Manifest, b *ort.Bundle) (face.Parts, error) {
	var p face.Parts
	for _, role := range []model.Role{model.Detector, model.Landmarks, model.Extractor} {
		spec, ok := m.Spec(role)
		if !ok {
			return p, fmt.Errorf("bundle %q has no %s", m.Name, role)
		}
		session := b.Session(role)
		switch role {
		case model.Detector:
			p.Detector, p.DetectorInput, p.Decoder = session, input(spec), face.Decoder(spec.Decoder)
			p.Threshold, p.Overlap = spec.Threshold, spec.Overlap
		case model.Landmarks:
			p.Landmarks, p.LandmarksInput = session, input(spec)
		case model.Extractor:
			p.Extractor, p.ExtractorInput = session, input(spec)
			if len(spec.Template) != len(p.Template) {
				return p, fmt.Errorf("bundle %q: template of %d points, want %d", m.Name, len(spec.Template), len(p.Template))
			}
			for i, t := range spec.Template {
				p.Template[i] = face.Point{X: t[0], Y: t[1]}
			}
		}
	}
	return p, nil
}

func input(s model.Spec) gray.Input {
	p := s.Pixels
	return gray.Input{Channels: p.Channels, Height: p.Height, Width: p.Width, Mean: p.Mean, Scale: p.Scale}
}

// Fuser gathers the probe of one walk-up: the mean of the probes of its good frames, each weighed by its quality. The zero Fuser
// is empty.
type Fuser struct {
	sum      []float32
	liveness float64
	scored   int
	count    int
}

// Count is the number of frames fused so far.
func (f *Fuser) Count() int { return f.count }

// Fuse extracts the probe of a measured face and adds it to f, every other one from the mirrored face (face.ExtractMirrored says
// why). A frame that gives no usable probe is no error and adds nothing.
func (e *Engine) Fuse(img *image.Gray, at *face.Face, f *Fuser) error {
	defer clear(e.probe) // whatever comes of it
	extract := e.extract.Extract
	if f.count%2 == 1 {
		extract = e.extract.ExtractMirrored
	}
	if err := extract(img, at, e.probe); err != nil {
		if errors.Is(err, face.ErrExtract) {
			return nil
		}
		return err
	}
	score, err := e.learned.Score(img, at)
	if err != nil {
		return err
	}
	if f.sum == nil {
		f.sum = make([]float32, len(e.probe))
	}
	for i, v := range e.probe {
		f.sum[i] += v * at.Quality
	}
	if score != pad.Absent {
		f.liveness += float64(score)
		f.scored++
	}
	f.count++
	return nil
}

// Align adds a measured face of a frame to a series of at most so many.
func (e *Engine) Align(img *image.Gray, at *face.Face, s *pad.Series, most int) error {
	aligned, err := e.extract.Align(img, at)
	if err != nil {
		return err
	}
	s.Add(aligned, most)
	return nil
}

// Reflect is the probe of what answered the changing light in a series that was fitted, with norm 1; nil when nothing did, or it gives no probe.
func (e *Engine) Reflect(s *pad.Series) ([]float32, error) {
	if !s.Response(e.response) {
		return nil, nil
	}
	defer clear(e.response)
	probe := make([]float32, e.extract.ProbeSize())
	if err := e.extract.ExtractAligned(e.response, probe); errors.Is(err, face.ErrExtract) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return probe, nil
}

// Result is the fused probe with norm 1, the mean learned score (pad.Absent without a model) and the number of frames; 0 frames when
// there is no usable probe. The probe is a copy.
func (f *Fuser) Result() (probe []float32, liveness float32, frames int) {
	var norm float64
	for _, v := range f.sum {
		norm += float64(v) * float64(v)
	}
	if f.count == 0 || !(norm > 0) {
		return nil, pad.Absent, 0
	}
	probe = make([]float32, len(f.sum))
	scale := float32(1 / math.Sqrt(norm))
	for i, v := range f.sum {
		probe[i] = v * scale
	}
	liveness = pad.Absent
	if f.scored > 0 {
		liveness = float32(f.liveness / float64(f.scored))
	}
	return probe, liveness, f.count
}

// Wipe forgets all that was fused.
func (f *Fuser) Wipe() {
	clear(f.sum)
	f.liveness, f.scored, f.count = 0, 0, 0
}
