package main

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/inference"
)

const (
	minEyes = 34 // pixels between the eyes: enough for a face that fills a third of the picture
	maxYaw  = 22 // degrees: the other side of a face cannot be made up
	// maxPitch, in degrees: the relief looks straight ahead, and on the photograph of a bowed head the nose hangs where the relief has none.
	maxPitch = 22
	maxCast  = 40
	// samePerson is the comparison score from which two faces are taken for one person's.
	samePerson = 0.38
)

// cast finds different people in the photographs of a folder, in the order of the files.
func cast(dir string, e *inference.Engine) (c twin.Cast, err error) {
	var files []string
	for _, ending := range []string{"jpg", "jpeg", "png"} {
		found, err := filepath.Glob(filepath.Join(dir, "*."+ending))
		if err != nil {
			return c, err
		}
		files = append(files, found...)
	}
	var probes [][]float32
	for _, file := range files {
		photo, err := readGray(file)
		if err != nil {
			return c, fmt.Errorf("read %q: %w", file, err)
		}
		e.Face.Forget()
		faces, err := e.Face.Look(photo)
		if err != nil {
			return c, err
		}
		for i := range faces {
			f := &faces[i]
			probe := make([]float32, e.Face.ProbeSize())
			if e.Face.Measure(photo, f) != nil || f.Eyes < minEyes || max(f.Yaw, -f.Yaw) > maxYaw || max(f.Pitch, -f.Pitch) > maxPitch || e.Face.Extract(photo, f, probe) != nil {
				continue
			}
			if known(probes, probe) || len(c.Enrolled) == maxCast {
				continue
			}
			var points [5][2]float64
			for k, p := range f.Points {
				points[k] = [2]float64{float64(p.X), float64(p.Y)}
			}
			person, err := twin.NewPerson(fmt.Sprintf("%s/%d", filepath.Base(file), i+1), photo, points)
			if err != nil {
				continue
			}
			probes = append(probes, probe)
			c.Enrolled = append(c.Enrolled, person)
		}
	}
	if len(c.Enrolled) < 2 {
		return c, fmt.Errorf("%d usable faces in %q, two or more are needed (make deps fetches some)", len(c.Enrolled), dir)
	}
	return c, nil
}

func known(probes [][]float32, probe []float32) bool {
	for _, p := range probes {
		var score float32
		for i := range p {
			score += p[i] * probe[i]
		}
		if score > samePerson {
			return true
		}
	}
	return false
}

func readGray(file string) (*image.Gray, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	img, _, err := image.Decode(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	b := img.Bounds()
	gray := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			gray.Pix[y*gray.Stride+x] = color.GrayModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.Gray).Y
		}
	}
	return gray, nil
}
