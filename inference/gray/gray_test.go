package gray

import (
	"image"
	"math"
	"testing"
)

// pattern is an image with detail at every scale.
func pattern(w, h int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Pix[y*img.Stride+x] = byte(x*3 ^ y*5 + (x*y)>>4)
		}
	}
	return img
}

func mustRead(tb testing.TB, img *image.Gray) Plane {
	p, err := Read(img)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestReadRefusesWhatIsNotThere(t *testing.T) {
	whole := pattern(20, 10)
	for name, img := range map[string]*image.Gray{
		"nil":          nil,
		"zero":         {},
		"no height":    {Pix: make([]byte, 9), Stride: 3, Rect: image.Rect(0, 0, 3, 0)},
		"too wide":     {Pix: make([]byte, 5000), Stride: 5000, Rect: image.Rect(0, 0, 5000, 1)},
		"too high":     {Pix: make([]byte, 5000), Stride: 1, Rect: image.Rect(0, 0, 1, 5000)},
		"short":        {Pix: make([]byte, 199), Stride: 20, Rect: image.Rect(0, 0, 20, 10)},
		"narrow":       {Pix: make([]byte, 200), Stride: 10, Rect: image.Rect(0, 0, 20, 10)},
		"no stride":    {Pix: make([]byte, 200), Stride: 0, Rect: image.Rect(0, 0, 20, 10)},
		"minus stride": {Pix: make([]byte, 200), Stride: -20, Rect: image.Rect(0, 0, 20, 10)},
		"empty part":   whole.SubImage(image.Rect(5, 5, 5, 5)).(*image.Gray),
	} {
		if _, err := Read(img); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
	part := whole.SubImage(image.Rect(3, 2, 9, 8)).(*image.Gray)
	if p := mustRead(t, part); p.W != 6 || p.H != 6 || p.Pix[0] != whole.GrayAt(3, 2).Y {
		t.Errorf("part of an image: %dx%d from %d", p.W, p.H, p.Pix[0])
	}
}

func TestInputCheck(t *testing.T) {
	good := Input{Width: 64, Height: 32, Channels: 3, Mean: 127, Scale: 1. / 128}
	if err := good.Check(64 * 32 * 3); err != nil {
		t.Error(err)
	}
	nan := float32(math.NaN())
	for name, change := range map[string]func(*Input){
		"small": func(in *Input) { in.Width = 31 }, "large": func(in *Input) { in.Height = 1025 }, "two channels": func(in *Input) { in.Channels = 2 },
		"no scale": func(in *Input) { in.Scale = 0 }, "scale NaN": func(in *Input) { in.Scale = nan }, "mean NaN": func(in *Input) { in.Mean = nan },
	} {
		in := good
		change(&in)
		if in.Check(in.Width*in.Height*in.Channels) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if good.Check(64*32) == nil {
		t.Error("a buffer for one channel of three was accepted")
	}
}

// coverage is what Resize approximates: the exact mean over the area of each output pixel.
func coverage(p Plane, r Rect, w, h, x, y int) float64 {
	sx, sy := float64(r.X1-r.X0)/float64(w), float64(r.Y1-r.Y0)/float64(h)
	x0, y0 := float64(r.X0)+float64(x)*sx, float64(r.Y0)+float64(y)*sy
	var sum, area float64
	for j := int(math.Floor(y0)); float64(j) < y0+sy; j++ {
		for i := int(math.Floor(x0)); float64(i) < x0+sx; i++ {
			a := (min(x0+sx, float64(i+1)) - max(x0, float64(i))) * (min(y0+sy, float64(j+1)) - max(y0, float64(j)))
			sum += a * float64(p.Pix[clamp(j, 0, p.H-1)*p.Stride+clamp(i, 0, p.W-1)])
			area += a
		}
	}
	return sum / area
}

func TestResizeIsAreaCoverage(t *testing.T) {
	p := mustRead(t, pattern(211, 173))
	const w, h = 40, 36
	in := Input{Width: w, Height: h, Channels: 3, Mean: 100, Scale: .5}
	dst := make([]float32, 3*w*h)
	var s Sampler
	for _, r := range []Rect{{0, 0, 40, 36}, {10, 20, 50, 56}, {10, 20, 82, 92}, {-20, -10, 50, 50}, {170, 150, 240, 220}} {
		s.Resize(p, r, in, dst)
		for y := range h {
			for x := range w {
				want := (coverage(p, r, w, h, x, y) - 100) * .5
				if got := float64(dst[y*w+x]); math.Abs(got-want) > 1 {
					t.Fatalf("%v at %d,%d: %.2f, want %.2f", r, x, y, got, want)
				}
			}
		}
		for i, v := range dst[:w*h] {
			if dst[w*h+i] != v || dst[2*w*h+i] != v {
				t.Fatal("the channels differ")
			}
		}
	}
}

// Halving first keeps the mean and moves nothing: a ramp stays the same ramp.
func TestShrinkingKeepsPlace(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 250, 250))
	for i := range img.Pix {
		img.Pix[i] = byte(i % 250)
	}
	p := mustRead(t, img)
	in := Input{Width: 32, Height: 32, Channels: 1, Scale: 1}
	dst := make([]float32, 32*32)
	var s Sampler
	for _, r := range []Rect{{3, 5, 67, 69}, {3.5, 5, 131.5, 133}, {7, 1, 247, 241}, {101.25, 3, 141.25, 43}} {
		s.Resize(p, r, in, dst)
		for i, v := range dst {
			want := float64(r.X0) + (float64(i%32)+.5)/32*float64(r.X1-r.X0) - .5
			if math.Abs(float64(v)-want) > .75 {
				t.Fatalf("resize %v: pixel %d is %.2f, want %.2f", r, i, v, want)
			}
		}
	}
	for _, scale := range []float64{.7, 1, 1.4, 1.6, 2.5, 3.7} {
		s.Warp(p, Transform{A: scale, X0: 40.3, Y0: 60}, 32, 32, dst)
		for i, v := range dst {
			if want := 40.3 + scale*float64(i%32); math.Abs(float64(v)-want) > .75 {
				t.Fatalf("warp by %v: pixel %d is %.2f, want %.2f", scale, i, v, want)
			}
		}
	}
}

func TestHalveEqualsTheGeneralWay(t *testing.T) {
	p := mustRead(t, pattern(128, 96))
	in := Input{Width: 64, Height: 48, Channels: 1, Mean: 127, Scale: 1. / 128}
	fast, slow := make([]float32, 64*48), make([]float32, 64*48)
	var s Sampler
	s.Resize(p, Rect{0, 0, 128, 96}, in, fast)
	for y := range 48 {
		for x := range 64 {
			slow[y*64+x] = float32((coverage(p, Rect{0, 0, 128, 96}, 64, 48, x, y) - 127) / 128)
		}
	}
	for i := range fast {
		if math.Abs(float64(fast[i]-slow[i])) > 1e-6 {
			t.Fatalf("value %d: %v, want %v", i, fast[i], slow[i])
		}
	}
}

func TestWarpTurnsAndClamps(t *testing.T) {
	p := mustRead(t, pattern(50, 50))
	at := func(x, y int) float32 { return float32(p.Pix[clamp(y, 0, 49)*p.Stride+clamp(x, 0, 49)]) }
	dst := make([]float32, 40*40)
	var s Sampler
	for name, c := range map[string]struct {
		t    Transform
		x, y func(u, v int) int
	}{
		"as it is":     {Transform{A: 1}, func(u, _ int) int { return u }, func(_, v int) int { return v }},
		"shifted":      {Transform{A: 1, X0: 7, Y0: 3}, func(u, _ int) int { return u + 7 }, func(_, v int) int { return v + 3 }},
		"quarter turn": {Transform{B: 1, X0: 45, Y0: 2}, func(_, v int) int { return 45 - v }, func(u, _ int) int { return u + 2 }},
		"over borders": {Transform{A: 1, X0: -20, Y0: 30}, func(u, _ int) int { return u - 20 }, func(_, v int) int { return v + 30 }},
		"outside":      {Transform{A: 1, X0: 500, Y0: -900}, func(int, int) int { return 49 }, func(int, int) int { return 0 }},
	} {
		s.Warp(p, c.t, 40, 40, dst)
		for i, v := range dst {
			if want := at(c.x(i%40, i/40), c.y(i%40, i/40)); v != want {
				t.Fatalf("%s: pixel %d,%d is %v, want %v", name, i%40, i/40, v, want)
			}
		}
	}
}

func FuzzResizeAndWarp(f *testing.F) {
	f.Add(uint16(640), uint16(480), float32(0), float32(0), float32(640), float32(480), 1.0, 0.0)
	f.Add(uint16(1), uint16(1), float32(-5), float32(-5), float32(9), float32(9), 100.0, 3.0)
	f.Add(uint16(17), uint16(4096), float32(16383), float32(-16383), float32(16384), float32(16383), 999.0, 0.0)
	f.Add(uint16(16), uint16(16), float32(3), float32(3), float32(3), float32(3), .001, .001)
	f.Fuzz(func(t *testing.T, w, h uint16, x0, y0, x1, y1 float32, a, b float64) {
		if w < 1 || h < 1 || w > 4096 || h > 4096 || int(w)*int(h) > 1<<18 || !(x1 >= x0 && y1 >= y0) {
			return
		}
		for _, v := range []float32{x0, y0, x1, y1} {
			if !(v >= -16384 && v <= 16384) {
				return
			}
		}
		img := image.NewGray(image.Rect(0, 0, int(w), int(h)))
		for i := range img.Pix {
			img.Pix[i] = 77
		}
		p := mustRead(t, img)
		var s Sampler
		dst := make([]float32, 40*33)
		s.Resize(p, Rect{x0, y0, x1, y1}, Input{Width: 40, Height: 33, Channels: 1, Scale: 1}, dst)
		flat(t, dst)
		tr := Transform{A: a, B: b, X0: float64(x0), Y0: float64(y1)}
		if k := tr.Scale(); k < 1000 && k > 1e-3 {
			s.Warp(p, tr, 40, 33, dst)
			flat(t, dst)
		}
	})
}

// flat checks that an image of one gray level stays of that level, however it is sampled.
func flat(t *testing.T, v []float32) {
	for i, x := range v {
		if x != 77 {
			t.Fatalf("value %d is %v, want 77", i, x)
		}
	}
}

func TestSamplerDoesNotAllocate(t *testing.T) {
	p := mustRead(t, pattern(640, 480))
	in := Input{Width: 128, Height: 128, Channels: 1, Scale: 1}
	dst := make([]float32, 128*128)
	var s Sampler
	shift := float32(0)
	frame := func() {
		shift++
		s.Resize(p, Rect{shift, 0, 400 + 2*shift, 410}, in, dst)
		s.Warp(p, Transform{A: 1.8, B: .1, X0: 100 + float64(shift), Y0: 60}, 112, 112, dst)
	}
	frame()
	if n := testing.AllocsPerRun(50, frame); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkHalve(b *testing.B) {
	p := mustRead(b, pattern(640, 480))
	dst := make([]float32, 320*240)
	var s Sampler
	for b.Loop() {
		s.Resize(p, Rect{0, 0, 640, 480}, Input{Width: 320, Height: 240, Channels: 1, Mean: 127, Scale: 1. / 128}, dst)
	}
}

func BenchmarkResize(b *testing.B) {
	p := mustRead(b, pattern(640, 480))
	dst := make([]float32, 128*128)
	var s Sampler
	for b.Loop() {
		s.Resize(p, Rect{100.3, 20.7, 505.3, 425.7}, Input{Width: 128, Height: 128, Channels: 1, Scale: 1}, dst)
	}
}

func BenchmarkWarp(b *testing.B) {
	p := mustRead(b, pattern(640, 480))
	dst := make([]float32, 112*112)
	var s Sampler
	for b.Loop() {
		s.Warp(p, Transform{A: 1.7, B: .1, X0: 200, Y0: 200}, 112, 112, dst)
	}
}
