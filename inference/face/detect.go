package face

import (
	"slices"

	"github.com/lintel-access/lintel/inference/gray"
)

// maxDetections bounds what is kept of one frame before overlapping boxes are merged: merging is quadratic, and 256 candidates are
// ten times what a crowded frame gives.
const maxDetections = 256

type detection struct {
	box   Box
	score float32
}

// stretch is the region of the frame that fills the detector's input. The model was trained on frames stretched to 4:3.
func stretch(src gray.Plane) Box { return Box{0, 0, float32(src.W), float32(src.H)} }

// place turns a box in parts of the region into pixels.
func (b Box) place(part Box) Box {
	return Box{b.X0 + part.X0*b.Width(), b.Y0 + part.Y0*b.Height(), b.X0 + part.X1*b.Width(), b.Y0 + part.Y1*b.Height()}
}

// decodeUltraFace appends the detections above the threshold, boxes in parts of the input. A NaN compares false and is never
// appended; when there are more than maxDetections the rest is ignored.
func decodeUltraFace(found []detection, scores, corners []float32, threshold float32) []detection {
	n := min(len(scores)/2, len(corners)/4)
	for i := range n {
		s := scores[2*i+1]
		if !(s > threshold && s <= 1.001) {
			continue
		}
		c := corners[4*i:][:4]
		b := Box{c[0], c[1], c[2], c[3]}
		// A box of a real face lies mostly inside; this also rejects NaN and infinity.
		if !(b.X0 > -1 && b.Y0 > -1 && b.X1 < 2 && b.Y1 < 2 && b.Width() > 0 && b.Height() > 0) {
			continue
		}
		if len(found) == maxDetections {
			break
		}
		found = append(found, detection{b, s})
	}
	return found
}

// suppress keeps, strongest first, each detection that overlaps no stronger one by more than limit.
func suppress(found []detection, limit float32) []detection {
	slices.SortStableFunc(found, func(a, b detection) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	kept := found[:0]
next:
	for _, d := range found {
		for _, k := range kept {
			if d.box.overlap(k.box) > limit {
				continue next
			}
		}
		kept = append(kept, d)
	}
	return kept
}
