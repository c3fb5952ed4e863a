package pad

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

const testSide = 41

// session is a series of n faces in the light of a lamp: every second pair of them lit, with so much of a sensor's noise.
func session(n int, noise float64, reflects func(k int) float32, more func(i, k int) float32) *Series {
	r := rand.New(rand.NewPCG(1, 2))
	s := new(Series)
	face := make([]float32, testSide*testSide)
	for i := range n {
		for k := range face {
			v := 40 + .1*reflects(k)
			if i/2%2 == 1 {
				v += reflects(k)
			}
			if more != nil {
				v += more(i, k)
			}
			face[k] = v + float32(r.NormFloat64()*noise)
		}
		s.Add(face, n)
	}
	s.Fit()
	return s
}

func stripes(k int) float32 { return 30 + 60*float32(k%testSide/10%2) }

func TestResponseIsWhatAnswersTheLight(t *testing.T) {
	got := make([]float32, testSide*testSide)
	// A bright badge is in the picture, and answers nothing.
	badge := func(_, k int) float32 {
		if k < 5*testSide {
			return 80
		}
		return 0
	}
	answers := func(k int) float32 {
		if k < 5*testSide {
			return 0
		}
		return stripes(k)
	}
	s := session(12, 2, answers, badge)
	if !s.Response(got) {
		t.Fatal("no response")
	}
	var most float32
	for k := 6 * testSide; k < len(got); k++ {
		most = max(most, got[k])
	}
	for k, v := range got {
		want := answers(k) / 90 * most
		if d := v - want; d < -most/6 || d > most/6 {
			t.Fatalf("place %d: %.1f, want about %.1f", k, v, want)
		}
	}
	if most < 60 || most > 255 {
		t.Errorf("the brightest place has %.0f", most)
	}
}

func TestNothingAnswers(t *testing.T) {
	dst := make([]float32, testSide*testSide)
	none := func(int) float32 { return 0 }
	if session(12, 2, none, nil).Response(dst) {
		t.Error("noise is a response")
	}
	if session(12, 0, none, nil).Response(dst) || new(Series).Response(nil) || new(Series).Response(dst) {
		t.Error("a frozen picture, or none, is a response")
	}
	if s := session(12, 2, stripes, nil); s.Response(dst[1:]) {
		t.Error("a response without room for it")
	}
}

// The median over the face is the noise of one value, whatever the lamp does, as long as little moves.
//
// Control: C08
func TestRestlessIsTheNoise(t *testing.T) {
	for _, noise := range []float64{0, .5, 2, 8} {
		s := session(14, noise, stripes, func(i, k int) float32 {
			if k%testSide < 4 {
				return float32(i*i%7) * 10 * float32(1-k%2*2) // edges that move
			}
			return 0
		})
		for i := 1; i < 13; i++ {
			if got := float64(s.Restless(i)); math.Abs(got-noise) > .25*noise+.35 {
				t.Errorf("noise %.1f, frame %d: %.2f", noise, i, got)
			}
		}
		if s.Restless(0) != 0 || s.Restless(13) != 0 || s.Restless(-1) != 0 || s.Restless(99) != 0 {
			t.Error("a frame without neighbours is restless")
		}
	}
	// The same picture again and again, with and without a lamp.
	for name, reflects := range map[string]func(int) float32{"in one light": func(int) float32 { return 0 }, "in the lamp": stripes} {
		s := session(12, 0, reflects, nil)
		for i := range 12 {
			if got := s.Restless(i); got > .02 {
				t.Errorf("a rendered face %s: %v in frame %d", name, got, i)
			}
		}
	}
	// A cut: from here on it is another face.
	s := session(12, 1, stripes, func(i, k int) float32 { return float32(i/6) * (float32(k*7%50) - 24.5) })
	if got := max(s.Restless(5), s.Restless(6)); got < 5 {
		t.Errorf("a cut leaves %v", got)
	}
}

func TestSeriesIsBoundedAndWiped(t *testing.T) {
	s := new(Series)
	s.Add(nil, 3)
	for range 5 {
		s.Add(slices.Repeat([]float32{9}, 100), 3)
	}
	s.Add(make([]float32, 99), 3)
	if s.Len() != 3 {
		t.Errorf("%d faces, want 3", s.Len())
	}
	s.Fit()
	s.Wipe()
	for _, list := range [][]float32{s.slab, s.level, s.mean, s.gain, s.change} {
		if slices.ContainsFunc(list, func(v float32) bool { return v != 0 }) {
			t.Fatal("something of a face is left")
		}
	}
	face := make([]float32, 100)
	if n := testing.AllocsPerRun(10, func() {
		for range 3 {
			s.Add(face, 3)
		}
		s.Fit()
		s.Restless(1)
		s.Wipe()
	}); n > 0 {
		t.Errorf("%v allocations for a session after the first", n)
	}
}
