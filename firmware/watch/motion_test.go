package watch

import (
	"image"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// played runs a session of 16 frames on a Watcher, each drawn by light from the portrait, and returns what door is told.
func played(t *testing.T, s *stage, number uint64, light func(v float32, lit bool) float32, noise float64) *access.Presentation {
	t.Helper()
	still := portrait(t, s.w.Engine)
	s.f.Image = image.NewGray(still.Rect)
	r := rand.New(rand.NewPCG(number, 7))
	draw := func(lit bool) {
		for i, v := range still.Pix {
			s.f.Image.Pix[i] = byte(max(0, min(float64(light(float32(v), lit))+r.NormFloat64()*noise+.5, 255)))
		}
		s.next(t)
	}
	for range 3 {
		draw(true)
	}
	if s.door.last.Track == 0 {
		t.Fatal("nobody is seen in the portrait")
	}
	id := s.session(t, number)
	for i := range 16 {
		draw(i%4 < 2)
		s.w.Settle()
	}
	began := time.Now()
	s.order(t, ipc.KindConclude, ipc.Conclude{Session: id, Until: s.f.Stamp})
	s.next(t)
	t.Logf("concluded after %v", time.Since(began))
	p := s.door.shown
	if p == nil || len(p.Frames) < 14 || len(p.Probe) == 0 {
		t.Fatalf("presentation %+v", p)
	}
	s.door.shown = nil
	if slices.ContainsFunc(s.door.lent, func(v float32) bool { return v != 0 }) {
		t.Fatal("a probe that was sent stays")
	}
	return p
}

func cosine(a, b []float32) (sum float32) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// What answers the lamp is the face that is compared, or it is not; and a camera's noise is there, or it is not.
//
// Control: C08
func TestFramesTogetherTellMore(t *testing.T) {
	s := newStage(t)
	s.work(t)
	reflecting := func(v float32, lit bool) float32 {
		if lit {
			return v * .9
		}
		return v * .45
	}
	// A screen that shines by itself, behind glass that throws the lamp back evenly.
	shining := func(v float32, lit bool) float32 {
		if lit {
			return v*.7 + 60
		}
		return v * .7
	}
	p := played(t, s, 1, reflecting, 2)
	if c := cosine(p.Probe, p.Reflected); len(p.Reflected) != access.ProbeSize || c < .7 {
		t.Errorf("a face in the lamp's light: cosine %.2f of %d values", c, len(p.Reflected))
	}
	seen := map[access.PixelHash]bool{}
	for i, f := range p.Frames[1 : len(p.Frames)-1] {
		if f.Restless < .3 || f.Restless > 3 {
			t.Errorf("frame %d: restless %.2f at a noise of 2 gray levels before the alignment", i+1, f.Restless)
		}
		if f.EyeLevel <= 0 || f.EyePeak < f.EyeLevel || seen[f.Pixels] {
			t.Errorf("frame %d: eyes %v and %v, pixels %x", i+1, f.EyePeak, f.EyeLevel, f.Pixels)
		}
		seen[f.Pixels] = true
	}
	if p = played(t, s, 2, shining, 2); len(p.Reflected) != 0 && cosine(p.Probe, p.Reflected) > .25 {
		t.Errorf("a screen behind glass: cosine %.2f", cosine(p.Probe, p.Reflected))
	}
	p = played(t, s, 3, reflecting, 0)
	for i, f := range p.Frames[1 : len(p.Frames)-1] {
		if f.Restless > .2 {
			t.Errorf("frame %d of a rendered face: restless %.2f", i+1, f.Restless)
		}
	}
	for i := range s.w.reel.shots {
		for _, v := range s.w.reel.shots[i].image.Pix {
			if v != 0 {
				t.Fatal("a frame outlives its session")
			}
		}
	}
	if s.w.reel.series.Len() != 0 {
		t.Error("the aligned faces outlive their session")
	}
}
