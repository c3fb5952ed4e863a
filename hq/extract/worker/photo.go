package worker

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"

	"github.com/lintel-access/lintel/hq/extract"
)

const (
	maxPixels = 50 << 20 // as the text of extract.TooLarge says
	minSide   = 64       // pixels
	// maxSide is what a photograph is reduced to, pixels: the pipeline takes 4096, and a face that fills half of 2048 has more pixels than the
	// extractor looks at.
	maxSide = 2048
)

// decode makes of a file the gray plane that a camera would give, upright and of at most maxSide a side. The size is looked at before memory is given
// to what the file claims to hold.
func decode(photo []byte) (*image.Gray, extract.Outcome) {
	config, open, turn := png.DecodeConfig, png.Decode, upright
	switch {
	case len(photo) > extract.MaxPhoto:
		return nil, extract.TooLarge
	case bytes.HasPrefix(photo, []byte("\xff\xd8\xff")):
		config, open, turn = jpeg.DecodeConfig, jpeg.Decode, orientation(photo)
	case !bytes.HasPrefix(photo, []byte("\x89PNG\r\n\x1a\n")):
		return nil, extract.NotAnImage
	}
	c, err := config(bytes.NewReader(photo))
	switch {
	case err != nil:
		return nil, extract.Unreadable
	case c.Width < minSide || c.Height < minSide:
		return nil, extract.TooSmall
	case c.Width > maxPixels/c.Height:
		return nil, extract.TooLarge
	}
	img, err := open(bytes.NewReader(photo))
	if err != nil || img.Bounds().Dx() != c.Width || img.Bounds().Dy() != c.Height {
		return nil, extract.Unreadable
	}
	return turn.apply(reduced(img)), extract.Extracted
}

// reduced is the image in gray, 0.299 R + 0.587 G + 0.114 B, each pixel the mean of a square of so many that the image fits.
func reduced(img image.Image) *image.Gray {
	b := img.Bounds()
	step := (max(b.Dx(), b.Dy()) + maxSide - 1) / maxSide
	out := image.NewGray(image.Rect(0, 0, b.Dx()/step, b.Dy()/step))
	level := luma(img)
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			var sum uint32
			for j := range step {
				for i := range step {
					sum += level(b.Min.X+x*step+i, b.Min.Y+y*step+j)
				}
			}
			n := uint32(step * step)
			out.Pix[y*out.Stride+x] = uint8((sum + n/2) / n)
		}
	}
	return out
}

// luma reads the gray level of a pixel, 0..255. What a JPEG holds as luma is that level already.
func luma(img image.Image) func(x, y int) uint32 {
	switch img := img.(type) {
	case *image.YCbCr:
		return func(x, y int) uint32 { return uint32(img.Y[img.YOffset(x, y)]) }
	case *image.Gray:
		return func(x, y int) uint32 { return uint32(img.Pix[img.PixOffset(x, y)]) }
	}
	return func(x, y int) uint32 {
		r, g, b, _ := img.At(x, y).RGBA()
		return (299*r + 587*g + 114*b + 500) / 1000 >> 8
	}
}

// bordered puts a black border of half the width around an image.
func bordered(img *image.Gray) *image.Gray {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	n := min((w+1)/2, (4096-max(w, h))/2)
	out := image.NewGray(image.Rect(0, 0, w+2*n, h+2*n))
	for y := range h {
		copy(out.Pix[(y+n)*out.Stride+n:][:w], img.Pix[y*img.Stride:][:w])
	}
	return out
}
