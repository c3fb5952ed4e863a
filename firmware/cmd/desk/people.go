//go:build !kiosk

package main

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/inference"
)

const (
	maxPhotoBytes  = 32 << 20
	maxPhotoPixels = 50 << 20
	maxPhotos      = 200
	// minEyesPhoto is the least distance between the eyes, in pixels of the photograph, for a face that fills a third of the twin's picture.
	minEyesPhoto = 34
	// maxYaw of a photographed face, in degrees: the twin turns heads itself and cannot invent the side that the photograph hides.
	maxYaw = 22
	// samePerson is the comparison score above which two photographs are taken to show one person. It lies below every
	// threshold in use, so that a stranger of the cast is one for the door, too.
	samePerson = 0.38
	// How many of the cast are enrolled, and how many are strangers to the door.
	wantedEnrolled, wantedStrangers = 3, 3
)

// found is one face in one photograph.
type found struct {
	name   string
	path   string // of the photograph: it is read again for those who are chosen, 200 of them would not fit into memory
	points [5][2]float64
	probe  []float32
	merit  float64 // large, frontal faces first
	turned float32 // away from the camera, degrees, to the side or up and down
}

// troupe is the cast, and where its photographs are.
type troupe struct {
	twin.Cast
	portraits map[string]portrait // by name
}

// cast finds the people of the scenes in a folder of photographs. Files that are no photographs are named in skipped.
func cast(dir string, e *inference.Engine, progress io.Writer) (c troupe, skipped []string, err error) {
	files, err := photographs(dir)
	if err != nil {
		return c, nil, err
	}
	c.portraits = map[string]portrait{}
	var all []found
	for i, f := range files {
		fmt.Fprintf(progress, "\rlooking for faces: photograph %d of %d ", i+1, len(files))
		name, err := filepath.Rel(dir, f)
		if err != nil {
			return c, nil, err
		}
		faces, err := facesIn(f, strings.TrimSuffix(name, filepath.Ext(name)), e)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		all = append(all, faces...)
	}
	fmt.Fprintln(progress)
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(b.merit, a.merit) })
	var distinct []found
	for _, f := range all {
		if !slices.ContainsFunc(distinct, func(d found) bool { return score(d.probe, f.probe) > samePerson }) {
			distinct = append(distinct, f)
		}
	}
	if len(distinct) < 2 {
		return c, skipped, fmt.Errorf("%d usable faces in %q: the scenes need one person to enrol and one stranger, better %d and %d, "+
			"each frontal, sharp and at least %d pixels from eye to eye", len(distinct), dir, wantedEnrolled, wantedStrangers, minEyesPhoto)
	}
	enrol := min(wantedEnrolled, (len(distinct)+1)/2)
	for i, f := range distinct {
		if i == enrol+wantedStrangers {
			break
		}
		photo, err := readGray(f.path)
		if err != nil {
			return c, skipped, fmt.Errorf("read %q again: %w", f.path, err)
		}
		p, err := twin.NewPerson(f.name, photo, f.points)
		if err != nil {
			return c, skipped, err
		}
		c.portraits[f.name] = portrait{f.path, f.points, f.turned}
		if i < enrol {
			c.Enrolled = append(c.Enrolled, p)
		} else {
			c.Strangers = append(c.Strangers, p)
		}
	}
	return c, skipped, nil
}

// photographs lists the files of a folder, its subfolders included, in a fixed order.
func photographs(dir string) ([]string, error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("read photographs of %q: it is not a folder", dir)
	}
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".") && d.Name() != "LICENSE" {
			files = append(files, path)
		}
		if len(files) > maxPhotos {
			return fmt.Errorf("more than %d files; choose a smaller folder", maxPhotos)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read photographs of %q: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read photographs of %q: the folder is empty", dir)
	}
	return files, nil
}

// facesIn finds the faces of one photograph that can play. They are called by the photograph's place in its folder, so that two
// files of one name in two subfolders are not taken for one person.
func facesIn(path, name string, e *inference.Engine) ([]found, error) {
	img, err := readGray(path)
	if err != nil {
		return nil, err
	}
	e.Face.Forget()
	faces, err := e.Face.Look(img)
	if err != nil {
		return nil, err
	}
	var list []found
	for i := range faces {
		f := &faces[i]
		if e.Face.Measure(img, f) != nil || f.Eyes < minEyesPhoto || abs(f.Yaw) > maxYaw {
			continue
		}
		probe := make([]float32, e.Face.ProbeSize())
		if e.Face.Extract(img, f, probe) != nil {
			continue
		}
		n := found{
			path: path, probe: probe, merit: float64(f.Quality) * float64(min(f.Eyes, 90)), turned: max(abs(f.Yaw), abs(f.Pitch)),
			name: fmt.Sprintf("%s/%d", filepath.ToSlash(name), len(list)+1),
		}
		for k, p := range f.Points {
			n.points[k] = [2]float64{float64(p.X), float64(p.Y)}
		}
		list = append(list, n)
	}
	return list, nil
}

// readGray reads a JPEG or PNG file as the gray plane that a camera would give.
func readGray(path string) (*image.Gray, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cfg, kind, err := image.DecodeConfig(io.LimitReader(f, maxPhotoBytes))
	if err != nil {
		return nil, errors.New("not a JPEG or PNG photograph")
	}
	if cfg.Width < 64 || cfg.Height < 64 || cfg.Width*cfg.Height > maxPhotoPixels {
		return nil, fmt.Errorf("%s of %dx%d pixels is too small or too large", kind, cfg.Width, cfg.Height)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	src, _, err := image.Decode(io.LimitReader(f, maxPhotoBytes))
	if err != nil {
		return nil, fmt.Errorf("broken %s: %w", kind, err)
	}
	// Photographs wider than the detector can take are halved until they fit.
	b := src.Bounds()
	step := 1
	for b.Dx()/step > 4096 || b.Dy()/step > 4096 {
		step *= 2
	}
	gray := image.NewGray(image.Rect(0, 0, b.Dx()/step, b.Dy()/step))
	for y := range gray.Rect.Dy() {
		for x := range gray.Rect.Dx() {
			gray.Pix[y*gray.Stride+x] = color.GrayModel.Convert(src.At(b.Min.X+x*step, b.Min.Y+y*step)).(color.Gray).Y
		}
	}
	return gray, nil
}

func score(a, b []float32) float32 {
	var s float32
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func abs(v float32) float32 { return max(v, -v) }
