// Package face finds, follows and measures faces in 8-bit gray frames and extracts their probes.
//
//	frame ─ Look ─► detect ─► track ─► []Face ─ Choose ─► the face at the door
//	                                     │
//	                                     ├─ Measure ─► 68 landmarks ─► 5 points ─► pose, light, sharpness ─► Hint, Quality
//	                                     └─ Extract ─► similarity align ─► extractor ─► probe, L2 norm 1
//
// All pixels are read straight from the gray plane; no colour image and no copy of the frame is made, and after the first frame
// of a size nothing is allocated.
//
// Cadence: while nobody is there, one Look every 200 ms is enough (a person walks 0.3 m in that time). While somebody is there, Look
// at every frame, a quarter of the evidence path, or, on a slow processor, at every second one and drop the others. Measure needs the
// box of the same frame: in one that is an eighth of its height off, points were seen to lie 0.3 distances between the eyes elsewhere.
//
// Coordinates are pixels of the frame, relative to the top left corner of the image's rectangle; the centre of the first pixel is
// (0.5, 0.5).
package face

import (
	"errors"
	"fmt"
	"image"

	"github.com/lintel-access/lintel/inference/gray"
)

// Model is one loaded network with one buffer an input and an output. Run computes the outputs from what the inputs hold.
type Model interface {
	Input(i int) []float32
	Output(i int) []float32
	Run() error
}

// Decoder names how a detector's outputs are read.
type Decoder string

// UltraFace: output 0 holds scores [N][2] (background, face), output 1 boxes [N][4] (x0, y0, x1, y1) in parts of the input's width
// and height.
const UltraFace Decoder = "ultraface"

// Parts are the three networks of a bundle and what its manifest says about them.
type Parts struct {
	Detector      Model
	DetectorInput gray.Input
	Decoder       Decoder
	Threshold     float32 // a detection's score is above this
	Overlap       float32 // intersection over union above which the weaker of two detections is dropped

	Landmarks      Model // output 0: 68 points as x, y in parts of the box
	LandmarksInput gray.Input

	Extractor      Model // output 0: the probe, not normalised
	ExtractorInput gray.Input
	Template       [5]Point // where the five points go in the extractor's input, pixel centres at whole numbers
}

// Point is a position in the frame, in pixels.
type Point struct{ X, Y float32 }

// Box is an axis-aligned rectangle in pixels.
type Box struct{ X0, Y0, X1, Y1 float32 }

// Width in pixels.
func (b Box) Width() float32 { return b.X1 - b.X0 }

// Height in pixels.
func (b Box) Height() float32 { return b.Y1 - b.Y0 }

// Center of the box.
func (b Box) Center() Point { return Point{(b.X0 + b.X1) / 2, (b.Y0 + b.Y1) / 2} }

// overlap is the intersection of two boxes over their union, 0..1.
func (b Box) overlap(o Box) float32 {
	w := min(b.X1, o.X1) - max(b.X0, o.X0)
	h := min(b.Y1, o.Y1) - max(b.Y0, o.Y0)
	if !(w > 0 && h > 0) {
		return 0
	}
	i := w * h
	return i / (b.Width()*b.Height() + o.Width()*o.Height() - i)
}

// usable reports whether the box is finite, at least minSide wide and high, and not absurdly far outside a frame.
func (b Box) usable() bool {
	const minSide, far = 4, 16384 // px
	return b.Width() >= minSide && b.Height() >= minSide && b.X0 > -far && b.Y0 > -far && b.X1 < far && b.Y1 < far
}

// Face is one face in one frame. Look fills the first block, Measure the second.
type Face struct {
	Track uint32  // the same number as long as the face is followed; never 0
	Box   Box     // the detector's box
	Score float32 // the detector's score, 0..1
	Seen  uint32  // looks in which this track was found, this one included

	Marks     [68]Point // in the order of the iBUG 68-point scheme
	Points    [5]Point  // left eye, right eye, nose tip, left and right mouth corner, left and right of the frame
	Eyes      float32   // distance between the eyes as if the head were not turned, pixels
	Yaw       float32   // degrees; positive: the nose points to the right of the frame
	Pitch     float32   // degrees; positive: it points up
	Roll      float32   // degrees; positive: the right eye is the lower one
	Level     float32   // mean gray level of the face, 0..255
	Clipped   float32   // share of the face's pixels that are saturated, 0..1
	Sharpness float32   // as Limits.Sharpness
	Visible   float32   // share of the aligned face that lies inside the frame, 0..1
	Quality   float32   // 0..1, the weight of this frame when probes are fused
	Hint      Hint      // the first quality rule that the face breaks, HintNone when it breaks none

	by      *Pipeline // that measured or last sampled this face; nil when it is not measured
	sampled uint64    // that pipeline's count then
}

// Measured reports whether Measure has filled the face.
func (f *Face) Measured() bool { return f.by != nil }

// ErrMeasure says that the landmark model gave no usable points for this face.
var ErrMeasure = errors.New("measure face: landmarks are not usable")

// ErrExtract says that the extractor gave no usable probe for this face.
var ErrExtract = errors.New("extract probe: output is not usable")

// Pipeline runs one bundle on the frames of one camera. It is not safe for concurrent use.
type Pipeline struct {
	parts   Parts
	limits  Limits
	sampler gray.Sampler
	found   []detection
	tracker tracker
	aligned []float32 // the face measured last, as the extractor wants to see it, gray levels
	serial  uint64    // counts what aligned held
}

// New checks that the parts fit together and returns a pipeline without any track.
func New(parts Parts, limits Limits) (*Pipeline, error) {
	if err := errors.Join(
		check("detector", parts.Detector, parts.DetectorInput),
		check("landmarks", parts.Landmarks, parts.LandmarksInput),
		check("extractor", parts.Extractor, parts.ExtractorInput),
	); err != nil {
		return nil, err
	}
	if parts.Decoder != UltraFace {
		return nil, fmt.Errorf("prepare detector: unknown decoder %q", parts.Decoder)
	}
	if n, m := len(parts.Detector.Output(0)), len(parts.Detector.Output(1)); n == 0 || n%2 != 0 || m != 2*n {
		return nil, fmt.Errorf("prepare detector: outputs hold %d scores and %d corners", n, m)
	}
	if n := len(parts.Landmarks.Output(0)); n != 2*68 {
		return nil, fmt.Errorf("prepare landmarks: output holds %d values, want 136", n)
	}
	if n := len(parts.Extractor.Output(0)); n < 16 || n > 4096 {
		return nil, fmt.Errorf("prepare extractor: a probe of %d values is out of bounds", n)
	}
	if !(parts.Threshold > 0 && parts.Threshold < 1 && parts.Overlap > 0 && parts.Overlap < 1) {
		return nil, errors.New("prepare detector: threshold and overlap must lie between 0 and 1")
	}
	if _, ok := similarity(&parts.Template, &parts.Template); !ok {
		return nil, errors.New("prepare extractor: template is degenerate")
	}
	parts.Template = fit(parts.Template, parts.ExtractorInput)
	return &Pipeline{
		parts: parts, limits: limits, found: make([]detection, 0, maxDetections),
		aligned: make([]float32, parts.ExtractorInput.Width*parts.ExtractorInput.Height),
	}, nil
}

// ProbeSize is the number of values that Extract writes.
func (p *Pipeline) ProbeSize() int { return len(p.parts.Extractor.Output(0)) }

// Look detects the faces of a frame and follows those of the frames before. The result is ordered by size, largest first, and
// valid until the next call of Look. An image that is empty, larger than 4096 pixels a side or shorter than it claims is an error.
func (p *Pipeline) Look(img *image.Gray) ([]Face, error) {
	src, err := gray.Read(img)
	if err != nil {
		return nil, err
	}
	in := p.parts.DetectorInput
	fit := stretch(src)
	p.sampler.Resize(src, gray.Rect(fit), in, p.parts.Detector.Input(0))
	if err := p.parts.Detector.Run(); err != nil {
		return nil, fmt.Errorf("detect faces: %w", err)
	}
	p.found = decodeUltraFace(p.found[:0], p.parts.Detector.Output(0), p.parts.Detector.Output(1), p.parts.Threshold)
	p.found = suppress(p.found, p.parts.Overlap)
	for i := range p.found {
		p.found[i].box = fit.place(p.found[i].box)
	}
	return p.tracker.update(p.found), nil
}

// Forget drops all tracks. Numbers of tracks go on rising, so that none is used twice.
func (p *Pipeline) Forget() { p.tracker.forget() }

func check(name string, m Model, in gray.Input) error {
	if m == nil {
		return fmt.Errorf("prepare %s: no model", name)
	}
	if err := in.Check(len(m.Input(0))); err != nil {
		return fmt.Errorf("prepare %s: %w", name, err)
	}
	return nil
}
