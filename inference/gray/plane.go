// Package gray reads regions of 8-bit gray frames as models want them: resized or warped, normalised, as planes of float32, straight from
// the frame's bytes and without allocating.
//
// Coordinates are pixels relative to the top left corner of the image's rectangle; the centre of the first pixel is (0.5, 0.5). What
// lies outside the frame has the gray level of the nearest border pixel.
package gray

import (
	"errors"
	"fmt"
	"image"
	"math"
)

// maxSide bounds a frame, so that 16.16 fixed-point positions, the scaler's buffers and the time for one frame are bounded.
const maxSide = 4096

// maxInput bounds a model's input, pixels a side.
const maxInput = 1024

// Plane is the gray plane of a checked image: row y starts at y*Stride, and H rows of W pixels are there.
type Plane struct {
	Pix          []byte
	Stride, W, H int
}

// Read checks an image. One that is empty, larger than 4096 pixels a side or shorter than it claims is an error.
func Read(img *image.Gray) (Plane, error) {
	if img == nil {
		return Plane{}, errors.New("read frame: no image")
	}
	p := Plane{Pix: img.Pix, Stride: img.Stride, W: img.Rect.Dx(), H: img.Rect.Dy()}
	if p.W < 1 || p.H < 1 || p.W > maxSide || p.H > maxSide {
		return Plane{}, fmt.Errorf("read frame: size %dx%d is out of bounds", p.W, p.H)
	}
	if p.Stride < p.W || len(p.Pix) < p.W || (len(p.Pix)-p.W)/p.Stride < p.H-1 {
		return Plane{}, fmt.Errorf("read frame: %d bytes of stride %d do not hold %dx%d pixels", len(p.Pix), p.Stride, p.W, p.H)
	}
	return p, nil
}

// Input says what pixels a model wants: Channels planes (1 or 3, all alike) of Height rows of Width values (gray-Mean)*Scale.
type Input struct {
	Width, Height, Channels int
	Mean, Scale             float32
}

// Check says why an input, with a buffer of n values, cannot be filled.
func (in Input) Check(n int) error {
	const minInput = 32 // below, a weight of the scaler could fall under its step of 1/256 for the largest frame
	if in.Width < minInput || in.Height < minInput || in.Width > maxInput || in.Height > maxInput || in.Channels != 1 && in.Channels != 3 {
		return fmt.Errorf("input of %dx%dx%d is out of bounds", in.Channels, in.Height, in.Width)
	}
	if want := in.Width * in.Height * in.Channels; n != want {
		return fmt.Errorf("input holds %d values, want %d", n, want)
	}
	if k := float64(in.Scale); !(math.Abs(k) > 0 && math.Abs(k) < 1e6 && math.Abs(float64(in.Mean)) < 1e6) {
		return errors.New("input has no usable normalisation")
	}
	return nil
}

// Replicate copies the first plane of a model input into the others.
func (in Input) Replicate(dst []float32) {
	area := in.Width * in.Height
	for c := 1; c < in.Channels; c++ {
		copy(dst[c*area:(c+1)*area], dst[:area])
	}
}

// Rect is an axis-aligned region of a frame, in pixels. It may reach beyond the frame.
type Rect struct{ X0, Y0, X1, Y1 float32 }
