package face_test

import (
	"errors"
	"image"
	_ "image/jpeg"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
)

// open gives the shipped bundle. These tests need what make deps fetches; without it they fail, they do not skip.
func open(t *testing.T) *inference.Engine {
	t.Helper()
	m, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	const cache = "../../.lintel"
	e, err := inference.Open(inference.Config{
		Library: filepath.Join(cache, "ort", "libonnxruntime.so.1"), Bundle: filepath.Join(cache, "bundle"),
		Manifest: m, Threads: 1, Limits: face.DefaultLimits(),
	})
	if err != nil {
		t.Fatalf("%v (run make deps)", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// photos are the desk's group photographs in gray.
func photos(t *testing.T) []*image.Gray {
	t.Helper()
	names, err := filepath.Glob("../../.lintel/photos/*.jpg")
	if err != nil || len(names) == 0 {
		t.Fatalf("no photographs (run make deps): %v", err)
	}
	var list []*image.Gray
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		img, _, err := image.Decode(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		g, ok := img.(*image.YCbCr)
		if !ok {
			t.Fatalf("%s is no colour JPEG", name)
		}
		list = append(list, &image.Gray{Pix: g.Y, Stride: g.YStride, Rect: g.Rect})
	}
	return list
}

func cosine(a, b []float32) (s float64) {
	for i := range a {
		s += float64(a[i]) * float64(b[i])
	}
	return s
}

// TestRealModels runs the whole evidence path on photographs: every person is found again in the same photograph cut differently,
// nobody is taken for another, and nothing is allocated.
func TestRealModels(t *testing.T) {
	e := open(t)
	p := e.Face
	var probes [][]float32
	for n, img := range photos(t) {
		p.Forget()
		found, err := p.Look(img)
		if err != nil || len(found) == 0 {
			t.Fatalf("photograph %d: %v, %d faces", n, err, len(found))
		}
		first := append([]face.Face(nil), found...)
		// The same without the outermost rows and columns: another scale and place in every model's input.
		cut := img.SubImage(img.Rect.Inset(17)).(*image.Gray)
		p.Forget()
		again, err := p.Look(cut)
		if err != nil {
			t.Fatal(err)
		}
		again = append([]face.Face(nil), again...)
		for i := range first {
			f := &first[i]
			if p.Measure(img, f) != nil || f.Eyes < 30 || f.Hint != face.HintNone {
				continue
			}
			probe := make([]float32, p.ProbeSize())
			if err := p.Extract(img, f, probe); err != nil || math.Abs(cosine(probe, probe)-1) > 1e-5 {
				t.Fatalf("%v, norm %v", err, cosine(probe, probe))
			}
			probes = append(probes, probe)
			second := make([]float32, p.ProbeSize())
			if err := p.ExtractMirrored(img, f, second); err != nil || cosine(probe, second) < .8 {
				t.Errorf("photograph %d, face %d: mirrored score %.3f, %v", n, i, cosine(probe, second), err)
			}
			best := -1.0
			for j := range again {
				if p.Measure(cut, &again[j]) == nil && p.Extract(cut, &again[j], second) == nil {
					best = max(best, cosine(probe, second))
				}
			}
			if best < .8 {
				t.Errorf("photograph %d, face %d: best score in the cut photograph %.3f", n, i, best)
			}
		}
	}
	if len(probes) < 8 {
		t.Errorf("%d good faces in the photographs, want at least 8", len(probes))
	}
	t.Logf("%d good faces", len(probes))
}

func TestEvidencePathDoesNotAllocate(t *testing.T) {
	e := open(t)
	p, img := e.Face, photos(t)[0]
	var fuser inference.Fuser
	var held uint32
	frame := func() {
		faces, err := p.Look(img)
		if err != nil {
			t.Fatal(err)
		}
		i, _ := face.Choose(faces, img.Rect.Dx(), img.Rect.Dy(), held)
		if i < 0 {
			t.Fatal("nobody")
		}
		f := &faces[i]
		held = f.Track
		if err := errors.Join(p.Measure(img, f), e.Fuse(img, f, &fuser)); err != nil { // extraction and the learned PAD score
			t.Fatal(err)
		}
		_, _, err1 := e.Light.Levels(img, f)
		_, err2 := e.Light.Texture(img, f)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
	}
	frame()
	first := held
	if n := testing.AllocsPerRun(20, frame); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
	if held != first {
		t.Errorf("the same face, seen 22 times, has the tracks %d and %d", first, held)
	}
}
