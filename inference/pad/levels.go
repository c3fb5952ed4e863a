package pad

import (
	"image"

	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/gray"
)

// Sizes of the patches and the ring in distances between the eyes (63 mm in adults).
const (
	patchHalf = 0.22 // half a patch's side: 14 mm, small enough to lie on one surface, 25 pixels at the least distance that is accepted
	ringInner = 1.45 // from the nose to the ring's inner edge: ears and hair end before it
	ringOuter = 2.10
	ringUp    = 1.30 // from the eyes up, above the shoulders of the person, whom the lamp lights as much as the face
	ringDown  = 0.60
)

// Levels is the mean gray level of five patches of a measured face (forehead, left cheek, right cheek, nose, chin, left and right
// of the frame) and of the background on both sides of the head, 0..255. A patch outside the frame reads 0, so that it answers to
// no lamp. When the frame shows nothing of the ring, the ring reads as the face does: that is how a flat sheet answers, and is refused.
func (m *Meter) Levels(img *image.Gray, f *face.Face) (patches [5]float32, ring float32, err error) {
	src, eyes, err := measured(img, f)
	if err != nil {
		return patches, 0, err
	}
	brow := middle(f.Marks[21], f.Marks[22])
	mouth := middle(f.Points[3], f.Points[4])
	between := middle(f.Points[0], f.Points[1])
	// The face's own upward direction, from the mouth to the eyes, in eye distances.
	ux, uy := (between.X-mouth.X)/1.05, (between.Y-mouth.Y)/1.05
	centres := [5]face.Point{
		{X: brow.X + 0.45*ux, Y: brow.Y + 0.45*uy},
		middle(middle(f.Points[0], f.Points[3]), f.Marks[2]),
		middle(middle(f.Points[1], f.Points[4]), f.Marks[14]),
		middle(f.Marks[29], f.Marks[30]),
		middle(f.Marks[57], f.Marks[8]),
	}
	r := patchHalf * eyes
	var all float32
	for i, c := range centres {
		sum, n := area(src, c.X-r, c.Y-r, c.X+r, c.Y+r)
		patches[i] = mean(sum, n)
		all += patches[i] / 5
	}
	nose := f.Points[2].X
	top, bottom := between.Y-ringUp*eyes, between.Y+ringDown*eyes
	s1, n1 := area(src, nose-ringOuter*eyes, top, nose-ringInner*eyes, bottom)
	s2, n2 := area(src, nose+ringInner*eyes, top, nose+ringOuter*eyes, bottom)
	if n1+n2 == 0 {
		return patches, all, nil
	}
	return patches, mean(s1+s2, n1+n2), nil
}

const (
	edgeHalf = 0.09 // half a side of the patches of Edges, in eye distances: 6 mm, for the surface turns quickly there
	edgeIn   = 0.12 // of the way from the outline of the face to the nose: hair, ears and what lies behind are not to be in it
)

// Edges is the mean gray level of five small patches where the surface of a head turns: the left and the right side of the face just inside its outline,
// the left and the right flank of the nose, and its ridge. A patch outside the frame reads 0.
func (m *Meter) Edges(img *image.Gray, f *face.Face) (edges [5]float32, err error) {
	src, eyes, err := measured(img, f)
	if err != nil {
		return edges, err
	}
	ridge := middle(f.Marks[29], f.Marks[30])
	inside := func(mark face.Point) face.Point {
		return face.Point{X: mark.X + edgeIn*(f.Marks[30].X-mark.X), Y: mark.Y + edgeIn*(f.Marks[30].Y-mark.Y)}
	}
	flank := func(wing face.Point) face.Point { // as far from the ridge as the wing of the nose is from its middle
		return face.Point{X: ridge.X + wing.X - f.Marks[33].X, Y: ridge.Y + wing.Y - f.Marks[33].Y}
	}
	r := edgeHalf * eyes
	for i, c := range [5]face.Point{inside(f.Marks[2]), inside(f.Marks[14]), flank(f.Marks[31]), flank(f.Marks[35]), ridge} {
		edges[i] = mean(area(src, c.X-r, c.Y-r, c.X+r, c.Y+r))
	}
	return edges, nil
}

func middle(a, b face.Point) face.Point { return face.Point{X: (a.X + b.X) / 2, Y: (a.Y + b.Y) / 2} }

func mean(sum, n uint64) float32 {
	if n == 0 {
		return 0
	}
	return float32(float64(sum) / float64(n))
}

// area is the sum and the number of the pixels whose centres lie in a rectangle, as far as it is inside the frame.
func area(src gray.Plane, x0, y0, x1, y1 float32) (sum, n uint64) {
	left, right := edge(x0, src.W), edge(x1, src.W)
	top, bottom := edge(y0, src.H), edge(y1, src.H)
	if left >= right {
		return 0, 0
	}
	for y := top; y < bottom; y++ {
		var s uint32 // 4096 pixels of 255 fit
		for _, v := range src.Pix[y*src.Stride+left : y*src.Stride+right] {
			s += uint32(v)
		}
		sum += uint64(s)
		n += uint64(right - left)
	}
	return sum, n
}

// edge is the number of pixel centres left of (or above) a position, 0..size. A position that is not a number gives 0.
func edge(v float32, size int) int {
	if !(v > 0) {
		return 0
	}
	return int(min(v+.5, float32(size)))
}
