package face

import (
	"encoding/binary"
	"errors"
	"image"
	"math"
	"testing"

	"github.com/lintel-access/lintel/inference/gray"
)

// stub is a model whose outputs the test writes.
type stub struct {
	in, out [2][]float32
	err     error
	ran     int
}

func (s *stub) Input(i int) []float32  { return s.in[i] }
func (s *stub) Output(i int) []float32 { return s.out[i] }
func (s *stub) Run() error             { s.ran++; return s.err }

// bench is a pipeline over stubs that see one face.
type bench struct {
	detector, landmarks, extractor *stub
	parts                          Parts
}

func newBench() *bench {
	b := &bench{detector: new(stub), landmarks: new(stub), extractor: new(stub)}
	b.detector.in[0] = make([]float32, 320*240)
	b.detector.out = [2][]float32{{.1, .9}, {.3, .2, .6, .8}}
	b.landmarks.in[0] = make([]float32, 64*64)
	b.landmarks.out[0] = make([]float32, 136)
	for i := range 68 { // scattered over the box; the points that matter lie as in the template
		b.landmarks.out[0][2*i], b.landmarks.out[0][2*i+1] = .1+.8*float32(i%9)/8, .1+.8*float32(i%8)/7
	}
	put := func(q Point, at ...int) {
		for _, i := range at {
			b.landmarks.out[0][2*i], b.landmarks.out[0][2*i+1] = q.X/112, q.Y/112
		}
	}
	put(template[0], 37, 38, 40, 41)
	put(template[1], 43, 44, 46, 47)
	put(template[2], 30)
	put(template[3], 48, 60)
	put(template[4], 54, 64)
	b.extractor.in[0] = make([]float32, 112*112*3)
	b.extractor.out[0] = make([]float32, 128)
	b.extractor.out[0][5] = 3
	b.extractor.out[0][6] = 4
	b.parts = Parts{
		Detector: b.detector, DetectorInput: gray.Input{Width: 320, Height: 240, Channels: 1, Mean: 127, Scale: 1. / 128},
		Decoder: UltraFace, Threshold: .65, Overlap: .4,
		Landmarks: b.landmarks, LandmarksInput: gray.Input{Width: 64, Height: 64, Channels: 1, Scale: 1. / 256},
		Extractor: b.extractor, ExtractorInput: gray.Input{Width: 112, Height: 112, Channels: 3, Mean: 127, Scale: 1. / 128},
		Template: template,
	}
	return b
}

func (b *bench) pipeline(tb testing.TB) *Pipeline {
	p, err := New(b.parts, Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func frame() *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range img.Pix {
		img.Pix[i] = byte(i%640*3 ^ i/640*5)
	}
	return img
}

func TestPipelineOnOneFace(t *testing.T) {
	b := newBench()
	p, img := b.pipeline(t), frame()
	faces, err := p.Look(img)
	if err != nil || len(faces) != 1 {
		t.Fatalf("%v, %d faces", err, len(faces))
	}
	f := &faces[0]
	if want := (Box{192, 96, 384, 384}); f.Box != want || f.Track != 1 || f.Score != .9 || f.Measured() {
		t.Errorf("%+v", f)
	}
	probe := make([]float32, p.ProbeSize())
	if err := p.Extract(img, f, probe); err == nil {
		t.Error("a face that is not measured was extracted")
	}
	if err := p.Measure(img, f); err != nil || !f.Measured() {
		t.Fatal(err)
	}
	if math.Abs(float64(f.Yaw)) > 5 || math.Abs(float64(f.Roll)) > 1 || f.Visible != 1 || f.Level < 1 {
		t.Errorf("yaw %v roll %v visible %v level %v", f.Yaw, f.Roll, f.Visible, f.Level)
	}
	if err := p.Extract(img, f, probe); err != nil || math.Abs(float64(probe[5])-.6) > 1e-6 || math.Abs(float64(probe[6])-.8) > 1e-6 {
		t.Errorf("%v, probe %v", err, probe[5:7])
	}
	plain := append([]float32(nil), b.extractor.in[0]...)
	if err := p.ExtractMirrored(img, f, probe); err != nil || math.Abs(float64(probe[5])-.6) > 1e-6 {
		t.Errorf("%v, mirrored probe %v", err, probe[5:7])
	}
	for i, v := range b.extractor.in[0] {
		if want := plain[i/112*112+111-i%112]; v != want {
			t.Fatalf("mirrored input %d is %v, want %v", i, v, want)
		}
	}
	if err := p.Extract(img, f, probe[:5]); err == nil {
		t.Error("a probe was written where there is no room")
	}
}

// Extracting two faces of one frame in turn gives the same input as extracting each right after Measure.
func TestExtractSamplesTheRightFace(t *testing.T) {
	b := newBench()
	b.detector.out = [2][]float32{{.1, .9, .1, .8}, {.1, .2, .4, .8, .6, .3, .8, .7}}
	p, img := b.pipeline(t), frame()
	faces, err := p.Look(img)
	if err != nil || len(faces) != 2 {
		t.Fatalf("%v, %d faces", err, len(faces))
	}
	probe := make([]float32, p.ProbeSize())
	var want [2][]float32
	for i := range faces {
		if err := errors.Join(p.Measure(img, &faces[i]), p.Extract(img, &faces[i], probe)); err != nil {
			t.Fatal(err)
		}
		want[i] = append(want[i], b.extractor.in[0]...)
	}
	other, err := New(b.parts, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range []*Pipeline{p, p, other, other, p, other} {
		i %= 2
		if err := p.Extract(img, &faces[i], probe); err != nil {
			t.Fatal(err)
		}
		for j, v := range b.extractor.in[0] {
			if v != want[i][j] {
				t.Fatalf("face %d: input %d is %v, want %v", i, j, v, want[i][j])
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*bench){
		"no detector":         func(b *bench) { b.parts.Detector = nil },
		"no landmarks":        func(b *bench) { b.parts.Landmarks = nil },
		"no extractor":        func(b *bench) { b.parts.Extractor = nil },
		"input too short":     func(b *bench) { b.detector.in[0] = b.detector.in[0][1:] },
		"unknown decoder":     func(b *bench) { b.parts.Decoder = "guess" },
		"no scores":           func(b *bench) { b.detector.out[0] = nil },
		"boxes do not fit":    func(b *bench) { b.detector.out[1] = b.detector.out[1][:3] },
		"five landmarks":      func(b *bench) { b.landmarks.out[0] = b.landmarks.out[0][:10] },
		"a probe of one":      func(b *bench) { b.extractor.out[0] = b.extractor.out[0][:1] },
		"threshold 0":         func(b *bench) { b.parts.Threshold = 0 },
		"overlap NaN":         func(b *bench) { b.parts.Overlap = float32(math.NaN()) },
		"template of a point": func(b *bench) { b.parts.Template = [5]Point{} },
	} {
		b := newBench()
		change(b)
		if _, err := New(b.parts, Limits{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestModelsThatFailOrTalkNonsense(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	broken := errors.New("no such provider")
	for _, c := range []struct {
		name   string
		change func(*bench)
		faces  int
		want   error // of the first step that has one
	}{
		{"detector fails", func(b *bench) { b.detector.err = broken }, 0, broken},
		{"score NaN", func(b *bench) { b.detector.out[0][1] = nan }, 0, nil},
		{"score infinite", func(b *bench) { b.detector.out[0][1] = inf }, 0, nil},
		{"box NaN", func(b *bench) { b.detector.out[1][2] = nan }, 0, nil},
		{"box infinite", func(b *bench) { b.detector.out[1][0] = -inf }, 0, nil},
		{"box inside out", func(b *bench) { b.detector.out[1] = []float32{.6, .8, .3, .2} }, 0, nil},
		{"box of a hundredth of a pixel", func(b *bench) { b.detector.out[1] = []float32{.5, .5, .50001, .50001} }, 1, ErrMeasure},
		{"landmarks fail", func(b *bench) { b.landmarks.err = broken }, 1, broken},
		{"landmark NaN", func(b *bench) { b.landmarks.out[0][100] = nan }, 1, ErrMeasure},
		{"landmark far outside", func(b *bench) { b.landmarks.out[0][100] = 1e9 }, 1, ErrMeasure},
		{"all landmarks alike", func(b *bench) { clear(b.landmarks.out[0]) }, 1, ErrMeasure},
		{"extractor fails", func(b *bench) { b.extractor.err = broken }, 1, broken},
		{"probe NaN", func(b *bench) { b.extractor.out[0][0] = nan }, 1, ErrExtract},
		{"probe zero", func(b *bench) { clear(b.extractor.out[0]) }, 1, ErrExtract},
		{"probe infinite", func(b *bench) { b.extractor.out[0][0] = inf }, 1, ErrExtract},
	} {
		b := newBench()
		c.change(b)
		p, img := b.pipeline(t), frame()
		faces, err := p.Look(img)
		if len(faces) != c.faces {
			t.Errorf("%s: %d faces, want %d", c.name, len(faces), c.faces)
		}
		if err == nil && len(faces) > 0 {
			if err = p.Measure(img, &faces[0]); err == nil {
				err = p.Extract(img, &faces[0], make([]float32, p.ProbeSize()))
			} else if faces[0].Measured() {
				t.Errorf("%s: counts as measured", c.name)
			}
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestFramesThatAreNone(t *testing.T) {
	b := newBench()
	p := b.pipeline(t)
	faces, err := p.Look(frame())
	if err != nil || p.Measure(frame(), &faces[0]) != nil {
		t.Fatal(err)
	}
	f := faces[0]
	ran := b.detector.ran
	for name, img := range map[string]*image.Gray{
		"nil": nil, "empty": {}, "short": {Pix: make([]byte, 10), Stride: 640, Rect: image.Rect(0, 0, 640, 480)},
		"huge": {Pix: make([]byte, 10), Stride: 1 << 30, Rect: image.Rect(0, 0, 1<<30, 1<<30)},
	} {
		if _, err := p.Look(img); err == nil {
			t.Errorf("%s: looked at", name)
		}
		g := f
		if err := p.Measure(img, &g); err == nil {
			t.Errorf("%s: measured", name)
		}
	}
	if b.detector.ran != ran {
		t.Error("the detector ran on a frame that is none")
	}
	for _, size := range [][2]int{{1, 1}, {1, 4096}, {4096, 1}, {7, 5}, {321, 241}} {
		img := image.NewGray(image.Rect(0, 0, size[0], size[1]))
		if _, err := p.Look(img); err != nil {
			t.Errorf("%v: %v", size, err)
		}
		g := f
		if err := p.Measure(img, &g); err != nil { // a box of another frame lies outside; the border's value is seen
			t.Errorf("%v: %v", size, err)
		}
	}
}

func TestSuppressKeepsTheStrongest(t *testing.T) {
	got := suppress([]detection{
		{Box{0, 0, 10, 10}, .7}, {Box{1, 1, 11, 11}, .9}, {Box{30, 0, 40, 10}, .8}, {Box{36, 0, 46, 10}, .75},
	}, .4)
	if len(got) != 3 || got[0].score != .9 || got[1].score != .8 || got[2].score != .75 {
		t.Errorf("%+v", got)
	}
}

func TestDecodeIsBounded(t *testing.T) {
	scores, boxes := make([]float32, 2*4420), make([]float32, 4*4420)
	for i := range 4420 {
		scores[2*i+1] = .99
		boxes[4*i+2], boxes[4*i+3] = .5, .5
	}
	if got := decodeUltraFace(nil, scores, boxes, .65); len(got) != maxDetections {
		t.Errorf("%d detections", len(got))
	}
}

// floats reads hostile bytes as model outputs: any bit pattern, NaN and infinity among them.
func floats(dst []float32, raw []byte) {
	for i := 0; i < len(dst) && len(raw) >= 4; i, raw = i+1, raw[4:] {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw))
	}
}

func FuzzHostileOutputs(f *testing.F) {
	word := func(v ...float32) (raw []byte) {
		for _, x := range v {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
		return raw
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	f.Add(word(.1, .9, .3, .2, .6, .8), word(.5, .5), word(1), uint16(640), uint16(480))
	f.Add(word(.1, .9, -.9, -.9, 1.9, 1.9), word(1.9, -.9, nan), word(nan), uint16(1), uint16(1))
	f.Add(word(.1, 1, 0, 0, 1e-30, 1e-30), word(inf, 3e38), word(3e38), uint16(33), uint16(2))
	f.Add(word(.1, 1, 0, 0, 1, 1), word(-.99, 1.99, .5, .5), word(1e-38), uint16(4096), uint16(3))
	f.Fuzz(func(t *testing.T, detector, landmarks, extractor []byte, w, h uint16) {
		if int(w)*int(h) > 1<<20 {
			return
		}
		b := newBench()
		var head [6]float32
		floats(head[:], detector)
		copy(b.detector.out[0], head[:2])
		copy(b.detector.out[1], head[2:])
		floats(b.landmarks.out[0], landmarks)
		floats(b.extractor.out[0], extractor)
		p := b.pipeline(t)
		img := image.NewGray(image.Rect(0, 0, int(w), int(h)))
		faces, err := p.Look(img)
		if err != nil || len(faces) == 0 {
			return
		}
		if i, _ := Choose(faces, int(w), int(h), 0); i >= len(faces) {
			t.Fatalf("face %d of %d", i, len(faces))
		}
		if p.Measure(img, &faces[0]) != nil {
			return
		}
		if q := faces[0].Quality; !(q >= 0 && q <= 1) {
			t.Fatalf("quality %v", q)
		}
		probe := make([]float32, p.ProbeSize())
		if p.Extract(img, &faces[0], probe) != nil {
			return
		}
		var norm float64
		for _, v := range probe {
			norm += float64(v) * float64(v)
		}
		if math.Abs(norm-1) > 1e-3 {
			t.Fatalf("a probe of norm %v", norm)
		}
	})
}

// A face that was aligned gives the probe that the frame gives, and what is aligned is sampled anew for the next face.
func TestAlignedFaceGivesTheSameInput(t *testing.T) {
	b := newBench()
	p := b.pipeline(t)
	img := frame()
	faces, err := p.Look(img)
	if err != nil || len(faces) != 1 {
		t.Fatalf("%v, %d faces", err, len(faces))
	}
	f := faces[0]
	if _, err := p.Align(img, &f); !errors.Is(err, ErrMeasure) {
		t.Errorf("a face that is not measured was aligned: %v", err)
	}
	if err := p.Measure(img, &f); err != nil {
		t.Fatal(err)
	}
	dst := make([]float32, p.ProbeSize())
	if err := p.Extract(img, &f, dst); err != nil {
		t.Fatal(err)
	}
	want := append([]float32(nil), b.extractor.in[0]...)
	moved := f
	for i := range moved.Points {
		moved.Points[i].X += 9
	}
	aligned, err := p.Align(img, &moved)
	if err != nil || len(aligned) != p.AlignedSize() {
		t.Fatalf("%d values, %v", len(aligned), err)
	}
	other := append([]float32(nil), aligned...)
	if err := p.Extract(img, &f, dst); err != nil {
		t.Fatal(err)
	}
	for i, v := range b.extractor.in[0] {
		if v != want[i] {
			t.Fatalf("after another face was aligned, value %d is %v, want %v", i, v, want[i])
		}
	}
	if err := p.ExtractAligned(other, dst); err != nil || b.extractor.in[0][0] == want[0] && b.extractor.in[0][500] == want[500] {
		t.Errorf("the other face was not the input: %v", err)
	}
	if aligned, err = p.Align(img, &f); err != nil {
		t.Fatal(err)
	}
	if err := p.ExtractAligned(aligned, dst); err != nil || b.extractor.in[0][500] != want[500] || dst[5] == 0 {
		t.Errorf("the aligned face gives another input: %v", err)
	}
	if p.ExtractAligned(aligned[1:], dst) == nil || p.ExtractAligned(aligned, dst[1:]) == nil {
		t.Error("a part of a face, or no room for its probe, is no error")
	}
}
