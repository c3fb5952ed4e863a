package main

import (
	"context"
	"fmt"
	"image"
	"io"
	"math"
	"path/filepath"

	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
)

// sample is what the product's pipeline made of one photograph. The zero sample is a failure to acquire.
type sample struct {
	probe    []float32
	face     face.Face // that was measured
	live     float32   // learned PAD score, pad.Absent without a model
	bordered bool      // a black border was put around the photograph
	unread   error     // the file is not a photograph
}

// cropWidth is the width in pixels below which a photograph is a crop around the face: it shows the detector too little, whose box is
// then off by a tenth or absent.
const cropWidth = 128

// acquire takes the probe of the person in this photograph. A narrow one, and one in which no face is found, gets a black border
// of half the width on every side.
func acquire(e *inference.Engine, img *image.Gray) (s sample, err error) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w >= cropWidth {
		if s, err = acquireAsIs(e, img); err != nil || s.probe != nil {
			return s, err
		}
	}
	if 2*w > maxSide || w+h > maxSide {
		return s, nil
	}
	s, err = acquireAsIs(e, bordered(img, (w+1)/2))
	s.bordered = true
	return s, err
}

func acquireAsIs(e *inference.Engine, img *image.Gray) (sample, error) {
	e.Face.Forget()
	faces, err := e.Face.Look(img)
	if err != nil {
		return sample{}, err
	}
	at := subject(faces, img.Rect.Dx(), img.Rect.Dy())
	if at < 0 || e.Face.Measure(img, &faces[at]) != nil {
		return sample{}, nil
	}
	var fuser inference.Fuser
	for range framesFused {
		if err := e.Fuse(img, &faces[at], &fuser); err != nil {
			return sample{}, err
		}
	}
	probe, live, _ := fuser.Result()
	return sample{probe: probe, face: faces[at], live: live}, nil
}

// subject is the largest, most central face, which the data's protocol takes for the person in question: the one whose height exceeds
// its distance from the middle the most. At a door face.Choose decides, which also knows who stays; it cares less for the middle,
// as people stand beside it and photographers aim at theirs.
func subject(faces []face.Face, w, h int) int {
	at, best := -1, float32(math.Inf(-1))
	for i, f := range faces {
		c := f.Box.Center()
		away := math.Hypot(float64(c.X)-float64(w)/2, float64(c.Y)-float64(h)/2)
		if v := f.Box.Height() - float32(away); v > best {
			at, best = i, v
		}
	}
	return at
}

// framesFused is how many frames of a person who stands still the photograph stands for: the least that a probe is fused from by the
// default policy, and a reference too.
const framesFused = 2

// acquireAll works through the set and reports progress.
func acquireAll(ctx context.Context, s *set, e *inference.Engine, progress io.Writer) ([]sample, error) {
	samples := make([]sample, len(s.photos))
	for i, p := range s.photos {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		img, err := readPhoto(filepath.Join(s.dir, p.path))
		if err != nil {
			samples[i] = sample{unread: err}
		} else if samples[i], err = acquire(e, img); err != nil {
			return nil, fmt.Errorf("work on %q: %w", p.path, err)
		}
		if n := i + 1; n%250 == 0 || n == len(s.photos) {
			fmt.Fprintf(progress, "eval: %d of %d photographs\n", n, len(s.photos))
		}
	}
	return samples, nil
}
