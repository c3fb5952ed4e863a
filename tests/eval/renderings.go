package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"path/filepath"

	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/gray"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/inference/ort"
	"github.com/lintel-access/lintel/inference/pad"
)

// looked is a frame of the set with the face that the product found in it.
type looked struct {
	shown
	path string
	face face.Face
}

// lookAtAll scores every live and print frame as the product does, in gray. Faces are kept, so that other renderings are judged on the same ones.
func lookAtAll(ctx context.Context, s *set, e *inference.Engine, progress io.Writer) ([]looked, error) {
	var all []looked
	for i, p := range s.photos {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if p.role != roleLive && p.role != rolePrint {
			continue
		}
		l := looked{shown: shown{person: p.person, score: notAcquired, live: p.role == roleLive}, path: filepath.Join(s.dir, p.path)}
		img, err := readPhoto(l.path)
		if err != nil {
			return nil, err
		}
		got, err := acquireAsIs(e, img)
		if err != nil {
			return nil, fmt.Errorf("work on %q: %w", p.path, err)
		}
		if got.probe != nil {
			l.score, l.face = float64(got.live), got.face
		}
		all = append(all, l)
		if n := i + 1; n%250 == 0 || n == len(s.photos) {
			fmt.Fprintf(progress, "eval: %d of %d photographs\n", n, len(s.photos))
		}
	}
	return all, nil
}

// inColour scores the same faces with the network as it was published, which takes three planes. The product's camera has no colour: this says what
// the network is worth where it was trained.
func inColour(ctx context.Context, all []looked, cache string, m *model.Manifest, threads int) (frames []shown, err error) {
	runtime, err := ort.Open(filepath.Join(cache, "ort", "libonnxruntime.so.1"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, runtime.Close()) }()
	m = m.Unprepared()
	spec, ok := m.Spec(model.PAD)
	if !ok || spec.Pixels.Channels != 3 {
		return nil, errors.New("judge in colour: the bundle has no PAD network of three planes")
	}
	data, err := m.Load(filepath.Join(cache, "origin"), model.PAD)
	if err != nil {
		return nil, err
	}
	session, err := runtime.NewSession(data, spec, threads)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	planes := &planar{Session: session}
	p := spec.Pixels
	meter, err := pad.New(planes, gray.Input{Channels: 1, Height: p.Height, Width: p.Width, Mean: p.Mean, Scale: p.Scale}, spec.Crop, spec.BonaFide)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if l.score >= 0 {
			if l.score, err = planes.score(meter, l); err != nil {
				return nil, fmt.Errorf("work on %q: %w", l.path, err)
			}
		}
		frames = append(frames, l.shown)
	}
	return frames, nil
}

// planar has a meter of single planes fill the three of a colour network, one after the other; it runs when the last is full.
type planar struct {
	*ort.Session
	plane int
}

// Input is the plane that is filled next.
func (p *planar) Input(int) []float32 {
	all := p.Session.Input(0)
	n := len(all) / 3
	return all[p.plane*n : (p.plane+1)*n]
}

// Run runs the network once every plane is full.
func (p *planar) Run() error {
	if p.plane < 2 {
		return nil
	}
	return p.Session.Run()
}

// score is that of a frame in colour: planes blue, green, red, as the network's authors trained it (docs/MODELS.md).
func (p *planar) score(m *pad.Meter, l looked) (score float64, err error) {
	planes, err := readPlanes(l.path)
	if err != nil {
		return 0, err
	}
	var s float32
	for i, plane := range [3]*image.Gray{planes[2], planes[1], planes[0]} {
		p.plane = i
		if s, err = m.Score(plane, &l.face); err != nil {
			return 0, err
		}
	}
	return float64(s), nil
}
