// Package pad measures what tells a living person from a presentation attack in one frame: how light falls on the face and around it,
// the face's texture, and the score of a learned model. It gives no verdict; the decision side does.
//
// All of it reads the raw frame: an equalised or normalised one would let a flat print look like skin.
package pad

import (
	"errors"
	"fmt"
	"image"
	"math"

	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/gray"
)

// Model is a loaded network; output 0 holds one value a class.
type Model interface {
	Input(i int) []float32
	Output(i int) []float32
	Run() error
}

// Absent is the learned score of a Meter without a model. It lies below every threshold that is in use.
const Absent = -1

// Meter measures one face at a time. The zero Meter has no learned model. Not safe for concurrent use.
type Meter struct {
	model    Model
	input    gray.Input
	crop     float32
	bonaFide int
	sampler  gray.Sampler
	patch    []float32
}

// New returns a Meter with a learned model: crop is the side of the square that it looks at, in heights of the detector's box, and
// bonaFide is the class that means a living person. The score can only deny: no model is known that finds attacks on gray or
// infrared frames reliably (docs/MODELS.md).
func New(m Model, in gray.Input, crop float32, bonaFide int) (*Meter, error) {
	if m == nil {
		return nil, errors.New("prepare pad: no model")
	}
	if err := in.Check(len(m.Input(0))); err != nil {
		return nil, fmt.Errorf("prepare pad: %w", err)
	}
	if n := len(m.Output(0)); n < 2 || n > 16 || bonaFide < 0 || bonaFide >= n {
		return nil, fmt.Errorf("prepare pad: no class %d of %d", bonaFide, n)
	}
	if !(crop >= 1 && crop <= 8) {
		return nil, errors.New("prepare pad: crop must lie between 1 and 8 heights of the box")
	}
	return &Meter{model: m, input: in, crop: crop, bonaFide: bonaFide}, nil
}

// Score is the learned probability that the face is a living person's, 0..1, or Absent without a model. A model whose answer is not
// a number is an error.
func (m *Meter) Score(img *image.Gray, f *face.Face) (float32, error) {
	if m.model == nil {
		return Absent, nil
	}
	src, err := gray.Read(img)
	if err != nil {
		return 0, err
	}
	region, ok := cropAround(src, f.Box, m.crop)
	if !ok {
		return 0, errors.New("score pad: box is not usable")
	}
	m.sampler.Resize(src, region, m.input, m.model.Input(0))
	if err := m.model.Run(); err != nil {
		return 0, fmt.Errorf("score pad: %w", err)
	}
	return softmax(m.model.Output(0), m.bonaFide)
}

// cropAround is the square of crop heights of the box around its centre, made smaller where the frame is too small for it and moved
// inside the frame: what the model was trained on has no border.
func cropAround(src gray.Plane, b face.Box, crop float32) (gray.Rect, bool) {
	w, h := float32(src.W), float32(src.H)
	c := b.Center()
	side := min(crop*b.Height(), w, h)
	if !(side >= 4 && c.X > -4*w && c.X < 5*w && c.Y > -4*h && c.Y < 5*h) {
		return gray.Rect{}, false
	}
	x := max(0, min(c.X-side/2, w-side))
	y := max(0, min(c.Y-side/2, h-side))
	return gray.Rect{X0: x, Y0: y, X1: x + side, Y1: y + side}, true
}

// softmax is the share of one class.
func softmax(v []float32, class int) (float32, error) {
	top := v[0]
	for _, x := range v {
		top = max(top, x)
	}
	var sum float64
	for _, x := range v {
		sum += math.Exp(float64(x - top))
	}
	p := math.Exp(float64(v[class]-top)) / sum
	if math.IsNaN(p) {
		return 0, errors.New("score pad: the model's answer is not a number")
	}
	return float32(p), nil
}

// textureSide is the pinned scale of Texture: the square from brows to chin becomes this many pixels wide, whatever the distance.
const textureSide = 64

// Texture is the standard deviation of the gray levels of a measured face at a pinned scale, on the raw frame. A face in front of
// an infrared lamp has relief; a print or a dark display is flat.
func (m *Meter) Texture(img *image.Gray, f *face.Face) (float32, error) {
	src, eyes, err := measured(img, f)
	if err != nil {
		return 0, err
	}
	if m.patch == nil {
		m.patch = make([]float32, textureSide*textureSide)
	}
	// The nose tip is the middle of the face; 1.1 eye distances to each side stay within its outline.
	c, r := f.Points[2], 1.1*eyes
	m.sampler.Resize(src, gray.Rect{X0: c.X - r, Y0: c.Y - r, X1: c.X + r, Y1: c.Y + r},
		gray.Input{Width: textureSide, Height: textureSide, Channels: 1, Scale: 1}, m.patch)
	var sum, sum2 float64
	for _, v := range m.patch {
		sum += float64(v)
		sum2 += float64(v) * float64(v)
	}
	n := float64(len(m.patch))
	return float32(math.Sqrt(max(0, sum2/n-sum/n*sum/n))), nil
}

// measured checks what both pixel measures need: a readable frame and a face with plausible points. It returns the distance
// between the eyes.
func measured(img *image.Gray, f *face.Face) (gray.Plane, float32, error) {
	src, err := gray.Read(img)
	if err != nil {
		return gray.Plane{}, 0, err
	}
	const far = 16384 // px; beyond this no point of a frame of at most 4096 pixels can lie
	d := float32(math.Hypot(float64(f.Points[1].X-f.Points[0].X), float64(f.Points[1].Y-f.Points[0].Y)))
	if !f.Measured() || !(d >= 2 && d < far) || !(f.Points[2].X > -far && f.Points[2].X < far && f.Points[2].Y > -far && f.Points[2].Y < far) {
		return gray.Plane{}, 0, errors.New("measure light: face is not measured")
	}
	return src, d, nil
}
