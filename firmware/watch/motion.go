package watch

import (
	"errors"
	"math"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
)

// compare fills in what only the frames together tell: the probe of what answered the lamp, what changes from frame to frame by itself, and how the head
// moved. Measure must have been called.
func (r *reel) compare(e *inference.Engine, p *access.Presentation) (err error) {
	p.Sway, p.Flex = r.motion()
	for i := range p.Frames {
		p.Frames[i].Restless = -1 // a face that cannot be aligned is not one without noise
	}
	for i := range min(r.used, len(p.Frames)) {
		if p.Frames[i].Track == 0 {
			return nil // not one face from start to end: nothing is compared
		}
		switch err := e.Align(&r.shots[i].image, &r.faces[i], &r.series, access.MaxFrames); {
		case errors.Is(err, face.ErrMeasure):
			return nil
		case err != nil:
			return err
		}
	}
	r.series.Fit()
	for i := range r.series.Len() {
		p.Frames[i].Restless = min(r.series.Restless(i), 255)
	}
	p.Reflected, err = e.Reflect(&r.series)
	return err
}

// motion is how the landmarks moved in the frames in which they were found, in distances between the eyes: the whole head around an even movement, and
// the landmarks around the head's.
func (r *reel) motion() (sway, flex float32) {
	var seen []*shot
	for i := range r.shots[:r.used] {
		if r.shots[i].seen {
			seen = append(seen, &r.shots[i])
		}
	}
	if len(seen) < 3 {
		return 0, 0
	}
	// Where the head is, and each landmark relative to it and its size.
	n := float64(len(seen))
	var shape, square [68][2]float64
	var moved [2]line
	var eyes float64
	for _, s := range seen {
		var x, y, size float64
		for _, m := range s.face.Marks {
			x, y = x+float64(m.X)/68, y+float64(m.Y)/68
		}
		for _, m := range s.face.Marks {
			size += (float64(m.X)-x)*(float64(m.X)-x) + (float64(m.Y)-y)*(float64(m.Y)-y)
		}
		size = math.Sqrt(size / 68)
		if !(size > 0) {
			return 0, 0
		}
		eyes += math.Hypot(float64(s.face.Points[1].X-s.face.Points[0].X), float64(s.face.Points[1].Y-s.face.Points[0].Y)) / size / n
		t := (s.stamp - seen[0].stamp).Seconds()
		for i, v := range [2]float64{x, y} {
			moved[i].add(t, v/size)
		}
		for i, m := range s.face.Marks {
			u, v := (float64(m.X)-x)/size, (float64(m.Y)-y)/size
			shape[i][0], shape[i][1] = shape[i][0]+u/n, shape[i][1]+v/n
			square[i][0], square[i][1] = square[i][0]+u*u/n, square[i][1]+v*v/n
		}
	}
	if !(eyes > 0) {
		return 0, 0
	}
	var within float64
	for i := range shape {
		for k := range shape[i] {
			within += max(square[i][k]-shape[i][k]*shape[i][k], 0) / 68
		}
	}
	bounded := func(variance float64) float32 { return float32(min(math.Sqrt(variance)/eyes, access.MaxMotion)) }
	return bounded(moved[0].left() + moved[1].left()), bounded(within)
}

// line is a straight line through values over time, by the least sum of squares.
type line struct{ n, t, v, tt, tv, vv float64 }

func (l *line) add(t, v float64) {
	l.n, l.t, l.v, l.tt, l.tv, l.vv = l.n+1, l.t+t, l.v+v, l.tt+t*t, l.tv+t*v, l.vv+v*v
}

// left is the variance of the values around the line.
func (l *line) left() float64 {
	tt, tv, vv := l.tt-l.t*l.t/l.n, l.tv-l.t*l.v/l.n, l.vv-l.v*l.v/l.n
	if !(tt > 0) {
		return max(vv, 0) / l.n
	}
	return max(vv-tv*tv/tt, 0) / l.n
}
