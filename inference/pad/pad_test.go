package pad

import (
	"errors"
	"image"
	"math"
	"testing"

	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/gray"
)

type stub struct {
	in, out []float32
	err     error
}

func (s *stub) Input(int) []float32  { return s.in }
func (s *stub) Output(int) []float32 { return s.out }
func (s *stub) Run() error           { return s.err }

// pipeline measures one face whose landmarks stand where marks says, in parts of the square box 240,160..400,320.
func measuredFace(t *testing.T, img *image.Gray) *face.Face {
	t.Helper()
	marks := make([]float32, 136)
	for i := range 68 {
		marks[2*i], marks[2*i+1] = .5, .5
	}
	put := func(x, y float32, at ...int) {
		for _, i := range at {
			marks[2*i], marks[2*i+1] = x, y
		}
	}
	put(.30, .35, 36, 37, 38, 39, 40, 41)
	put(.70, .35, 42, 43, 44, 45, 46, 47)
	put(.45, .25, 21)
	put(.55, .25, 22)
	put(.50, .55, 29, 30)
	put(.36, .77, 48, 60)
	put(.64, .77, 54, 64)
	put(.50, .82, 57)
	put(.50, .99, 8)
	put(.12, .52, 2)
	put(.88, .52, 14)
	put(.10, .05, 19) // so that the box around the marks is the detector's box
	detector := &two{stub{in: make([]float32, 320*240)}, [2][]float32{{.1, .9}, {240. / 640, 160. / 480, 400. / 640, 320. / 480}}}
	parts := face.Parts{
		Detector: detector, DetectorInput: gray.Input{Width: 320, Height: 240, Channels: 1, Scale: 1}, Decoder: face.UltraFace, Threshold: .5, Overlap: .4,
		Landmarks: &stub{in: make([]float32, 64*64), out: marks}, LandmarksInput: gray.Input{Width: 64, Height: 64, Channels: 1, Scale: 1},
		Extractor: &stub{in: make([]float32, 112*112), out: make([]float32, 128)}, ExtractorInput: gray.Input{Width: 112, Height: 112, Channels: 1, Scale: 1},
		Template: [5]face.Point{{X: 38, Y: 51}, {X: 73, Y: 51}, {X: 56, Y: 71}, {X: 41, Y: 92}, {X: 70, Y: 92}},
	}
	p, err := face.New(parts, face.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	faces, err := p.Look(img)
	if err != nil || len(faces) != 1 {
		t.Fatalf("%v, %d faces", err, len(faces))
	}
	if err := p.Measure(img, &faces[0]); err != nil {
		t.Fatal(err)
	}
	return &faces[0]
}

type two struct {
	stub
	outs [2][]float32
}

func (s *two) Output(i int) []float32 { return s.outs[i] }

func fill(img *image.Gray, r image.Rectangle, v byte) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			img.Pix[y*img.Stride+x] = v
		}
	}
}

func TestLevelsFollowThePatches(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	fill(img, img.Rect, 20)
	f := measuredFace(t, img)
	var m Meter
	patches, ring, err := m.Levels(img, f)
	if err != nil || ring != 20 || patches != [5]float32{20, 20, 20, 20, 20} {
		t.Fatalf("a flat scene: %v %v %v", patches, ring, err)
	}
	// One spot after another is lit, and one patch alone answers.
	eyes := f.Points[1].X - f.Points[0].X
	nose := f.Points[2]
	for i, spot := range [5]face.Point{
		{X: nose.X, Y: f.Points[0].Y - .65*eyes}, {X: nose.X - .75*eyes, Y: nose.Y}, {X: nose.X + .75*eyes, Y: nose.Y}, nose, {X: nose.X, Y: nose.Y + .9*eyes},
	} {
		lit := image.NewGray(img.Rect)
		copy(lit.Pix, img.Pix)
		r := int(.3 * eyes)
		fill(lit, image.Rect(int(spot.X)-r, int(spot.Y)-r, int(spot.X)+r, int(spot.Y)+r), 200)
		got, ring, err := m.Levels(lit, f)
		if err != nil || ring != 20 {
			t.Fatalf("patch %d: ring %v, %v", i, ring, err)
		}
		for j, v := range got {
			if (v > 150) != (i == j) {
				t.Errorf("spot %d lit: patch %d reads %v", i, j, v)
			}
		}
	}
	// Only the surroundings are lit.
	lit := image.NewGray(img.Rect)
	fill(lit, img.Rect, 200)
	fill(lit, image.Rect(int(nose.X-1.4*eyes), 0, int(nose.X+1.4*eyes), 480), 20)
	if got, ring, _ := m.Levels(lit, f); ring < 190 || got != patches {
		t.Errorf("only the surroundings lit: %v, ring %v", got, ring)
	}
}

// A frame without room for the ring must look as a flat sheet does, never as a head before a far background.
func TestAHiddenRingReadsAsTheFace(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	fill(img, img.Rect, 90)
	f := measuredFace(t, img)
	narrow := img.SubImage(image.Rect(0, 0, 640, 480)).(*image.Gray)
	f.Points[0].X -= 4000
	f.Points[1].X += 4000 // an eye distance beyond the frame
	patches, ring, err := new(Meter).Levels(narrow, f)
	var mean float32
	for _, v := range patches {
		mean += v / 5
	}
	if err != nil || ring != mean {
		t.Errorf("ring %v, face %v, %v", ring, patches, err)
	}
}

// Control: C09
func TestTexture(t *testing.T) {
	flat, relief := image.NewGray(image.Rect(0, 0, 640, 480)), image.NewGray(image.Rect(0, 0, 640, 480))
	fill(flat, flat.Rect, 90)
	for i := range relief.Pix {
		relief.Pix[i] = byte(90 + 40*math.Sin(float64(i%640)/9))
	}
	var m Meter
	a, err1 := m.Texture(flat, measuredFace(t, flat))
	b, err2 := m.Texture(relief, measuredFace(t, relief))
	if err1 != nil || err2 != nil || a != 0 || math.Abs(float64(b)-40/math.Sqrt2) > 3 {
		t.Errorf("flat %v %v, relief %v %v", a, err1, b, err2)
	}
}

func TestScore(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range img.Pix {
		img.Pix[i] = byte(i % 640 / 4)
	}
	f := measuredFace(t, img)
	if s, err := new(Meter).Score(img, f); s != Absent || err != nil {
		t.Errorf("without a model: %v %v", s, err)
	}
	in := gray.Input{Width: 128, Height: 128, Channels: 3, Scale: 1}
	model := &stub{in: make([]float32, 3*128*128), out: []float32{1, 0, 0}}
	m, err := New(model, in, 2.7, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Score(img, f)
	if want := math.E / (math.E + 2); err != nil || math.Abs(float64(s)-want) > 1e-6 {
		t.Errorf("score %v %v, want %v", s, err, want)
	}
	// The crop is 432 px around (320, 240): its first column shows x = 104..107, its last 532..535.
	if first, last := model.in[64*128], model.in[64*128+127]; math.Abs(float64(first)-26) > 1 || math.Abs(float64(last)-133) > 1 {
		t.Errorf("the crop runs from %v to %v", first, last)
	}
	model.out[1] = float32(math.NaN())
	if _, err := m.Score(img, f); err == nil {
		t.Error("an answer that is not a number was taken")
	}
	model.err = errors.New("no such provider")
	if _, err := m.Score(img, f); !errors.Is(err, model.err) {
		t.Errorf("the model failed: %v", err)
	}
	for name, bad := range map[string]func() (*Meter, error){
		"no model":      func() (*Meter, error) { return New(nil, in, 2.7, 0) },
		"other input":   func() (*Meter, error) { return New(&stub{in: make([]float32, 5), out: model.out}, in, 2.7, 0) },
		"one class":     func() (*Meter, error) { return New(&stub{in: model.in, out: model.out[:1]}, in, 2.7, 0) },
		"unknown class": func() (*Meter, error) { return New(model, in, 2.7, 3) },
		"crop NaN":      func() (*Meter, error) { return New(model, in, float32(math.NaN()), 0) },
	} {
		if _, err := bad(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHostileFaces(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	good := measuredFace(t, img)
	m, err := New(&stub{in: make([]float32, 128*128), out: make([]float32, 3)}, gray.Input{Width: 128, Height: 128, Channels: 1, Scale: 1}, 2.7, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e30, -1e30, 0, -5, 16000} {
		for i := range 6 {
			f := *good
			switch i {
			case 0:
				f.Points[0].X = v
			case 1:
				f.Points[2].Y = v
			case 2:
				f.Marks[8] = face.Point{X: v, Y: v}
			case 3:
				f.Box.X0 = v
			case 4:
				f.Box.Y1 = v
			case 5:
				f.Box = face.Box{X0: v, Y0: v, X1: v, Y1: v}
			}
			for _, frame := range []*image.Gray{img, image.NewGray(image.Rect(0, 0, 1, 1)), image.NewGray(image.Rect(0, 0, 4096, 2)), nil} {
				p, ring, err := m.Levels(frame, &f)
				for _, x := range append(p[:], ring) {
					if err == nil && !(x >= 0 && x <= 255) {
						t.Fatalf("value %v in field %d: level %v", v, i, x)
					}
				}
				if peak, level, err := m.Eyes(frame, &f); err == nil && !(peak >= 0 && peak <= 255 && level >= 0 && level <= 255) {
					t.Fatalf("value %v in field %d: eyes %v and %v", v, i, peak, level)
				}
				if x, err := m.Texture(frame, &f); err == nil && !(x >= 0 && x <= 128) {
					t.Fatalf("value %v in field %d: texture %v", v, i, x)
				}
				if x, err := m.Score(frame, &f); err == nil && !(x >= 0 && x <= 1) {
					t.Fatalf("value %v in field %d: score %v", v, i, x)
				}
			}
		}
	}
	if _, _, err := m.Levels(img, new(face.Face)); err == nil {
		t.Error("a face that is not measured has levels")
	}
}
