package watch

import (
	"math"
	"testing"
	"time"

	"github.com/lintel-access/lintel/inference/face"
)

// Movement of the whole head, at any distance, is none of the landmarks against each other; where a quarter of them moves alone, it is.
//
// Control: C27
func TestMovementOfHeadAndFace(t *testing.T) {
	const frames, eyes = 12, 40.0 // pixels from eye to eye
	play := func(move func(i, mark int, p *face.Point), size func(i int) float32) (sway, flex float32) {
		var r reel
		for i := range frames {
			s := &r.shots[i]
			s.stamp, s.seen = time.Duration(i)*33*time.Millisecond, true
			k := size(i)
			s.face.Points = [5]face.Point{{X: 100 * k, Y: 100 * k}, {X: (100 + eyes) * k, Y: 100 * k}}
			for m := range s.face.Marks {
				p := face.Point{X: float32(80 + m%10*9), Y: float32(80 + m/10*12)}
				move(i, m, &p)
				s.face.Marks[m] = face.Point{X: p.X * k, Y: p.Y * k}
			}
		}
		r.used = frames
		return r.motion()
	}
	still := func(int, int, *face.Point) {}
	same := func(int) float32 { return 1 }
	to := func(i int) float32 { return float32(i%2)*2 - 1 } // -1 and 1 in turn
	for name, c := range map[string]struct {
		move       func(i, mark int, p *face.Point)
		size       func(i int) float32
		sway, flex float64 // distances between the eyes
	}{
		"nothing":              {still, same, 0, 0},
		"an even walk":         {func(i, _ int, p *face.Point) { p.X += float32(3 * i) }, same, 0, 0},
		"a head":               {func(i, _ int, p *face.Point) { p.X += 2 * to(i) }, same, 2 / eyes, 0},
		"a head comes":         {still, func(i int) float32 { return 1 + float32(i)/40 }, -1, 0},
		"a mouth of a quarter": {func(i, m int, p *face.Point) { p.Y += 3 * to(i) * float32(m%4/3) }, same, -1, 3 * math.Sqrt(3) / 4 / eyes},
	} {
		sway, flex := play(c.move, c.size)
		if c.sway >= 0 && math.Abs(float64(sway)-c.sway) > .001 || math.Abs(float64(flex)-c.flex) > .001 {
			t.Errorf("%s: sway %.4f and flex %.4f, want %.4f and %.4f", name, sway, flex, c.sway, c.flex)
		}
	}
}
