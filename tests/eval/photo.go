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
	var img *image.Gray
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

func decodeJPEG(data []byte) (*image.Gray, error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if err := checkSize(c.Width, c.Height); err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return toGray(img), nil
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
			var r, g, bl uint32
			if yc, ok := img.(*image.YCbCr); ok {
				c := yc.YCbCrAt(b.Min.X+x, b.Min.Y+y)
				r8, g8, b8 := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
				r, g, bl = uint32(r8), uint32(g8), uint32(b8)
			} else {
				r, g, bl, _ = img.At(b.Min.X+x, b.Min.Y+y).RGBA()
				r, g, bl = r>>8, g>>8, bl>>8
			}
			out.Pix[y*out.Stride+x] = uint8((299*r + 587*g + 114*bl + 500) / 1000)
		}
	}
	return out
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
