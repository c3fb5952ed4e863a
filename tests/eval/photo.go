package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"os"
	"strconv"
)

const (
	maxBytes = 32 << 20 // of a file
	maxSide  = 4096     // pixels; the pipeline takes no more
)

// readPhoto reads a JPEG or a binary PGM as 8-bit gray.
func readPhoto(path string) (*image.Gray, error) {
	img, err := readImage(path)
	if err != nil {
		return nil, err
	}
	return toGray(img), nil
}

// readImage reads a JPEG, or a binary PGM as an image.Gray.
func readImage(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("read %q: larger than %d bytes", path, maxBytes)
	}
	var img image.Image
	if bytes.HasPrefix(data, []byte("P5")) {
		img, err = decodePGM(data)
	} else {
		img, err = decodeJPEG(data)
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	return img, nil
}

func decodeJPEG(data []byte) (image.Image, error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if err := checkSize(c.Width, c.Height); err != nil {
		return nil, err
	}
	return jpeg.Decode(bytes.NewReader(data))
}

func checkSize(w, h int) error {
	if w < 1 || h < 1 || w > maxSide || h > maxSide {
		return fmt.Errorf("size %dx%d is out of bounds", w, h)
	}
	return nil
}

// toGray is 0.299 R + 0.587 G + 0.114 B, rounded, as the data's protocol says.
func toGray(img image.Image) *image.Gray {
	if g, ok := img.(*image.Gray); ok {
		return g
	}
	b := img.Bounds()
	out := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			c := colourAt(img, b.Min.X+x, b.Min.Y+y)
			out.Pix[y*out.Stride+x] = uint8((299*c[0] + 587*c[1] + 114*c[2] + 500) / 1000)
		}
	}
	return out
}

// readPlanes reads the planes red, green and blue of a photograph, each as if it were gray.
func readPlanes(path string) (planes [3]*image.Gray, err error) {
	img, err := readImage(path)
	if err != nil {
		return planes, err
	}
	b := img.Bounds()
	for i := range planes {
		planes[i] = image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	}
	for y := range b.Dy() {
		for x := range b.Dx() {
			for i, level := range colourAt(img, b.Min.X+x, b.Min.Y+y) {
				planes[i].Pix[y*b.Dx()+x] = uint8(level)
			}
		}
	}
	return planes, nil
}

// colourAt is red, green and blue of a pixel, 0..255 each.
func colourAt(img image.Image, x, y int) [3]uint32 {
	if yc, ok := img.(*image.YCbCr); ok {
		c := yc.YCbCrAt(x, y)
		r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
		return [3]uint32{uint32(r), uint32(g), uint32(b)}
	}
	r, g, b, _ := img.At(x, y).RGBA()
	return [3]uint32{r >> 8, g >> 8, b >> 8}
}

// decodePGM reads a binary PGM of one byte a pixel, with comment lines in its header.
func decodePGM(data []byte) (*image.Gray, error) {
	rest := data[2:]
	var number [3]int // width, height, largest value
	for i := range number {
		var ok bool
		if number[i], rest, ok = pgmNumber(rest); !ok {
			return nil, errors.New("decode PGM: header is not three numbers")
		}
	}
	w, h := number[0], number[1]
	if err := checkSize(w, h); err != nil {
		return nil, err
	}
	if number[2] != 255 {
		return nil, fmt.Errorf("decode PGM: largest value %d, want 255", number[2])
	}
	if len(rest) < 1+w*h {
		return nil, errors.New("decode PGM: cut off")
	}
	return &image.Gray{Pix: rest[1 : 1+w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}, nil
}

// pgmNumber reads the next number of a header, after white space and comments.
func pgmNumber(b []byte) (n int, rest []byte, ok bool) {
	for len(b) > 0 {
		switch b[0] {
		case ' ', '\t', '\n', '\r':
			b = b[1:]
		case '#':
			_, b, _ = bytes.Cut(b, []byte("\n"))
		default:
			end := bytes.IndexAny(b, " \t\n\r#")
			if end < 1 || end > 6 {
				return 0, nil, false
			}
			n, err := strconv.Atoi(string(b[:end]))
			return n, b[end:], err == nil && n > 0
		}
	}
	return 0, nil, false
}

// bordered puts a black border of n pixels around an image.
func bordered(img *image.Gray, n int) *image.Gray {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := image.NewGray(image.Rect(0, 0, w+2*n, h+2*n))
	for y := range h {
		copy(out.Pix[(y+n)*out.Stride+n:][:w], img.Pix[y*img.Stride:][:w])
	}
	return out
}
