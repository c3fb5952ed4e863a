package watch

import (
	"image"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/pad"
)

// A reel keeps the frames of one session until it is concluded, so that the light on the face can be measured at places which do not depend on how
// well each frame shows it. Landmarks lie elsewhere in a dark frame than in a lit one, by a pixel or two in the lamp's own beat, and where hair meets
// skin that looks like an answer to the lamp. A head moves smoothly: the reel follows each landmark through the frames around by a polynomial in time.
//
// The zero reel is ready. Its first frame makes room for all, so that no other has to.
type reel struct {
	slab   []byte
	shots  [access.MaxFrames]shot
	used   int
	faces  [access.MaxFrames]face.Face
	series pad.Series
}

type shot struct {
	image image.Gray
	stamp time.Duration
	face  face.Face
	seen  bool // the face was measured in this frame, and not carried on from an earlier one
}

// add keeps a copy of a frame. There is room for the frames of one presentation.
func (r *reel) add(f frames.Frame, at *face.Face, seen bool) {
	if r.used == access.MaxFrames {
		return
	}
	n := len(f.Image.Pix)
	if len(r.slab) < n*access.MaxFrames {
		r.slab = make([]byte, n*access.MaxFrames)
	}
	s := &r.shots[r.used]
	s.image.Pix = append(r.slab[n*r.used:n*r.used:n*(r.used+1)], f.Image.Pix...)
	r.used++
	s.image.Stride, s.image.Rect = f.Image.Stride, f.Image.Rect
	s.stamp, s.face, s.seen = f.Stamp, *at, seen
}

// wipe forgets the frames.
func (r *reel) wipe() {
	for i := range r.used {
		clear(r.shots[i].image.Pix)
		r.shots[i].face = face.Face{}
	}
	clear(r.faces[:r.used])
	r.used = 0
	r.series.Wipe()
}

// measure fills in the light on the face in each frame. evidence is of the same frames, in the same order.
func (r *reel) measure(m *pad.Meter, evidence []access.FrameEvidence) (err error) {
	r.follow()
	for i := range evidence[:min(len(evidence), r.used)] {
		e := &evidence[i]
		if e.Track == 0 {
			continue
		}
		if e.Level, e.Ring, err = m.Levels(&r.shots[i].image, &r.faces[i]); err != nil {
			return err
		}
		if e.Edge, err = m.Edges(&r.shots[i].image, &r.faces[i]); err != nil {
			return err
		}
		if e.EyePeak, e.EyeLevel, err = m.Eyes(&r.shots[i].image, &r.faces[i]); err != nil {
			return err
		}
	}
	return nil
}

const (
	// around is how far before and after a frame its landmarks are followed: in longer times a head may start or stop.
	around    = 300 * time.Millisecond
	maxDegree = 2
	// framesPerDegree is how many frames a degree needs: more freedom would follow the lamp's beat again.
	framesPerDegree = 6
)

// follow fits each landmark's way around each frame and puts it into faces.
func (r *reel) follow() {
	for i := range r.used {
		r.faces[i] = r.shots[i].face
		r.fit(i)
	}
}

// fit puts the landmarks of frame i where their ways lie at its time. It is linear in the landmarks, so one weight for each frame around serves all.
func (r *reel) fit(i int) {
	from, to := i, i
	for from > 0 && r.shots[i].stamp-r.shots[from-1].stamp <= around {
		from--
	}
	for to+1 < r.used && r.shots[to+1].stamp-r.shots[i].stamp <= around {
		to++
	}
	shots := r.shots[from : to+1]
	at := func(j int) [maxDegree + 1]float64 {
		t := float64(shots[j].stamp-r.shots[i].stamp) / float64(around)
		return [maxDegree + 1]float64{1, t, t * t}
	}
	var normal [maxDegree + 1][maxDegree + 1]float64
	seen := 0
	for j := range shots {
		if !shots[j].seen {
			continue
		}
		seen++
		t := at(j)
		for a := range t {
			for b := range t {
				normal[a][b] += t[a] * t[b]
			}
		}
	}
	degree := min(seen/framesPerDegree, maxDegree)
	if degree == 0 {
		return // too little to follow: the landmarks are taken as they are
	}
	inverse, ok := invert(normal, degree+1)
	if !ok {
		return
	}
	f := &r.faces[i]
	clear(f.Marks[:])
	clear(f.Points[:])
	for j := range shots {
		if !shots[j].seen {
			continue
		}
		// The value at the frame's own time is the constant of the polynomial.
		var weight float64
		for a, t := range at(j) {
			weight += inverse[0][a] * t
		}
		g, k := &shots[j].face, float32(weight)
		for m := range f.Marks {
			f.Marks[m].X += k * g.Marks[m].X
			f.Marks[m].Y += k * g.Marks[m].Y
		}
		for m := range f.Points {
			f.Points[m].X += k * g.Points[m].X
			f.Points[m].Y += k * g.Points[m].Y
		}
	}
}

// invert inverts the leading n by n part of a symmetric positive matrix.
func invert(m [maxDegree + 1][maxDegree + 1]float64, n int) (inverse [maxDegree + 1][maxDegree + 1]float64, ok bool) {
	for i := range n {
		inverse[i][i] = 1
	}
	for i := range n {
		pivot := m[i][i]
		if !(pivot > 1e-9) {
			return inverse, false
		}
		for k := range n {
			m[i][k] /= pivot
			inverse[i][k] /= pivot
		}
		for j := range n {
			if j == i {
				continue
			}
			f := m[j][i]
			for k := range n {
				m[j][k] -= f * m[i][k]
				inverse[j][k] -= f * inverse[i][k]
			}
		}
	}
	return inverse, true
}
