package match

import (
	"encoding/binary"
	"math"
	"testing"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		v  []float32
		ok bool
	}{
		"unit":              {[]float32{0.6, 0.8}, true},
		"a little long":     {[]float32{1.0009}, true},
		"a little short":    {[]float32{0.9991}, true},
		"too long":          {[]float32{1.0011}, false},
		"too short":         {[]float32{0.9989}, false},
		"zero":              {[]float32{0, 0}, false},
		"empty":             {nil, false},
		"nan":               {[]float32{1, nan}, false},
		"infinite":          {[]float32{inf, 0}, false},
		"negative infinite": {[]float32{-inf, 0}, false},
		"infinite and nan":  {[]float32{inf, nan}, false},
		"largest float":     {[]float32{math.MaxFloat32, math.MaxFloat32}, false},
	} {
		if err := Check(c.v); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNormalise(t *testing.T) {
	for name, v := range map[string][]float32{
		"short":     {3, 4},
		"huge":      {math.MaxFloat32, -math.MaxFloat32, 1},
		"subnormal": {math.SmallestNonzeroFloat32, math.SmallestNonzeroFloat32},
	} {
		if !Normalise(v) || Check(v) != nil {
			t.Errorf("%s: %v", name, v)
		}
	}
	for name, v := range map[string][]float32{"empty": nil, "zero": {0, 0}, "nan": {1, nan}, "infinite": {1, inf}, "both": {-inf, nan}} {
		before := append([]float32(nil), v...)
		if Normalise(v) {
			t.Errorf("%s: normalised", name)
		}
		for i := range v {
			if math.Float32bits(v[i]) != math.Float32bits(before[i]) {
				t.Errorf("%s: component %d was changed", name, i)
			}
		}
	}
}

func TestFuse(t *testing.T) {
	x, y, minusX := []float32{1, 0}, []float32{0, 1}, []float32{-1, 0}
	for name, c := range map[string]struct {
		probes  [][]float32
		weights []float32
		want    []float32 // nil: an error and a zero dst
	}{
		"one":             {[][]float32{x}, []float32{2}, x},
		"weighted":        {[][]float32{x, y}, []float32{3, 4}, []float32{0.6, 0.8}},
		"a weight of 0":   {[][]float32{x, y}, []float32{0, 1}, y},
		"none":            {nil, nil, nil},
		"weights missing": {[][]float32{x, y}, []float32{1}, nil},
		"zero weights":    {[][]float32{x, y}, []float32{0, 0}, nil},
		"negative weight": {[][]float32{x, y}, []float32{2, -1}, nil},
		"nan weight":      {[][]float32{x}, []float32{nan}, nil},
		"infinite weight": {[][]float32{x}, []float32{inf}, nil},
		"short probe":     {[][]float32{{1}}, []float32{1}, nil},
		"long probe":      {[][]float32{{1, 0, 0}}, []float32{1}, nil},
		"not unit":        {[][]float32{{1, 1}}, []float32{1}, nil},
		"nan probe":       {[][]float32{x, {nan, 0}}, []float32{1, 1}, nil},
		"nearly cancel":   {[][]float32{x, {-0.9999, 0.01414}}, []float32{1, 1}, nil},
		"cancel out":      {[][]float32{x, minusX}, []float32{1, 1}, nil},
	} {
		dst := []float32{9, 9}
		err := Fuse(dst, c.probes, c.weights)
		want := c.want
		if want == nil {
			want = []float32{0, 0}
		}
		if (err == nil) != (c.want != nil) || math.Abs(float64(dst[0]-want[0])) > 1e-6 || math.Abs(float64(dst[1]-want[1])) > 1e-6 {
			t.Errorf("%s: %v, %v; want %v", name, dst, err, c.want)
		}
	}
}

func TestFuseAndNormaliseDoNotAllocate(t *testing.T) {
	r := seeded(t)
	probes, weights := [][]float32{unit(r, 512), unit(r, 512), unit(r, 512)}, []float32{1, 2, 3}
	dst := make([]float32, 512)
	if n := testing.AllocsPerRun(20, func() {
		if Fuse(dst, probes, weights) != nil || !Normalise(dst) {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestQuantiseRoundsToTheNearest(t *testing.T) {
	// In steps of the scale, which is 127 over the largest component.
	steps := []float32{127, -127, 0.4, -0.4, 0.6, -0.6, 63.4, -63.6, 0}
	want := []int8{127, -127, 0, 0, 1, -1, 63, -64, 0}
	if !Normalise(steps) {
		t.Fatal("not normalised")
	}
	got := make([]int8, len(steps))
	inverse := quantise(got, steps)
	var sum float64
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("component %d: %d, want %d", i, got[i], want[i])
		}
		sum += float64(want[i]) * float64(want[i])
	}
	if math.Abs(float64(inverse)*math.Sqrt(sum)-1) > 1e-6 {
		t.Errorf("inverse norm %v of norm %v", inverse, math.Sqrt(sum))
	}
}

// A probe comes from another process: whatever its bits, it is refused or has a norm of 1.
func FuzzNormalise(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0x80, 0x7f, 0, 0, 0xc0, 0x7f})
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0x7f, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		v := make([]float32, min(len(data)/4, MaxDim))
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		if !Normalise(v) {
			return
		}
		if err := Check(v); err != nil {
			t.Errorf("normalised, but: %v", err)
		}
		q := make([]int8, len(v))
		if inverse := quantise(q, v); !(inverse > 0) || inverse > 1.0/127 {
			t.Errorf("quantised to an inverse norm of %v", inverse)
		}
		for i, c := range q {
			if c == -128 {
				t.Errorf("component %d is -128", i)
			}
		}
	})
}
