package pad

import (
	"math"
	"slices"
)

// A Series is the aligned face of the frames of one session, as gray levels, in their order. It tells what of each place of the face followed the light
// on the whole face, and what did not. The zero Series is empty.
type Series struct {
	size   int // values of a face
	slab   []float32
	used   int
	level  []float32 // of each frame, on the whole face
	mean   []float32 // of each place
	gain   []float32 // of each place: gray levels that it changes by when the face changes by one
	change []float32 // of the places that Restless looks at
	even   float32   // mean of level
}

// Add keeps a copy of an aligned face. The first makes room for most of them, and all have its size; more, or others, are left out.
func (s *Series) Add(aligned []float32, most int) {
	if s.used == 0 {
		s.size = len(aligned)
		if len(s.slab) < s.size*most {
			s.slab, s.level = make([]float32, s.size*most), make([]float32, most)
			s.mean, s.gain, s.change = make([]float32, s.size), make([]float32, s.size), make([]float32, (s.size+sparse-1)/sparse)
		}
	}
	if len(aligned) != s.size || s.size == 0 || s.used == len(s.level) {
		return
	}
	copy(s.face(s.used), aligned)
	var sum float64
	for _, v := range aligned {
		sum += float64(v)
	}
	s.level[s.used] = float32(sum / float64(s.size))
	s.used++
}

// Len is the number of faces.
func (s *Series) Len() int { return s.used }

func (s *Series) face(i int) []float32 { return s.slab[i*s.size : (i+1)*s.size] }

// Fit finds how each place follows the light on the whole face: a straight line through its levels over the face's. Nothing has to say in which frames
// the lamp was lit. Response and Restless are those of the faces that were there then.
func (s *Series) Fit() {
	clear(s.mean)
	clear(s.gain)
	s.even = 0
	for _, v := range s.level[:s.used] {
		s.even += v / float32(s.used)
	}
	var square float32
	for i, v := range s.level[:s.used] {
		w := v - s.even
		square += w * w
		for k, x := range s.face(i) {
			s.mean[k] += x / float32(s.used)
			s.gain[k] += w * x
		}
	}
	if !(s.swing() >= 1) { // a gray level
		clear(s.gain) // the light did not change: no place follows it
		return
	}
	for k := range s.gain {
		s.gain[k] /= square
	}
}

// Response is the face in the changing light alone, as bright as the brightest frame was: what did not answer it is black. dst must hold a face. It reports
// false when the light on the face hardly changed.
func (s *Series) Response(dst []float32) bool {
	if len(dst) != s.size || !(s.swing() >= leastSwing) {
		return false
	}
	bright := slices.Max(s.level[:s.used])
	for k, v := range s.gain {
		dst[k] = max(0, min(v*bright, 255))
	}
	return true
}

// swing is by how much the light on the whole face changed, gray levels; 0 for no face.
func (s *Series) swing() float32 {
	if s.used == 0 {
		return 0
	}
	return slices.Max(s.level[:s.used]) - slices.Min(s.level[:s.used])
}

// leastSwing of the face's level, in gray levels, makes a picture of what answers it: below, its noise is as strong as the picture.
const leastSwing = 4

// sparse is the distance of the places that Restless looks at: two thousand of a face make a median.
const sparse = 5

// Restless is how much frame i differs from the mean of the one before and the one after it, besides what the light on the whole face explains: the
// median over the face of what the standard deviation of one value in one frame would be, in gray levels. An even movement cancels, and edges that move
// are fewer than half of a face, so of a living one this is a little more than the sensor's noise after the alignment has smoothed it. It is 0 for the
// first and the last frame.
func (s *Series) Restless(i int) float32 {
	if i < 1 || i+1 >= s.used {
		return 0
	}
	before, at, after := s.face(i-1), s.face(i), s.face(i+1)
	swing := s.level[i-1] - 2*s.level[i] + s.level[i+1]
	for i := range s.change {
		k := i * sparse
		s.change[i] = float32(math.Abs(float64(before[k] - 2*at[k] + after[k] - swing*s.gain[k])))
	}
	slices.Sort(s.change)
	// A normal variable exceeds .6745 of its standard deviation in half of all cases; the squares of 1, -2 and 1 add up to 6.
	return s.change[len(s.change)/2] / (.6745 * 2.4495)
}

// Wipe forgets the faces.
func (s *Series) Wipe() {
	clear(s.slab[:s.used*s.size])
	for _, v := range [][]float32{s.mean, s.gain, s.change, s.level} {
		clear(v)
	}
	s.used, s.even = 0, 0
}
