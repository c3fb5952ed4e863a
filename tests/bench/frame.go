package main

import (
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // the photographs are JPEG
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/gray"
)

const (
	frameWidth, frameHeight = 640, 480
	faceWidth               = 150 // pixels: a person at half a metre before a camera of 70 degrees
)

// frame cuts a frame with one large face in its middle out of one of the photographs.
func (p *path) frame(dir string) (*image.Gray, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		photo, err := readGray(name)
		if err != nil {
			return nil, err
		}
		p.pipeline.Forget()
		faces, err := p.pipeline.Look(photo)
		if err != nil {
			return nil, err
		}
		for _, f := range faces {
			img, err := cut(photo, f.Box)
			if err != nil {
				return nil, err
			}
			p.pipeline.Forget()
			seen, err := p.pipeline.Look(img)
			if err != nil {
				return nil, err
			}
			if len(seen) == 1 && seen[0].Box.Width() > 0.8*faceWidth && seen[0].Box.Width() < 1.2*faceWidth {
				p.pipeline.Forget()
				return img, nil
			}
		}
	}
	return nil, errors.New("no photograph in " + dir + " gives a frame with one face (make deps fetches them)")
}

// cut resizes the surroundings of a face into a frame in which it is faceWidth wide.
func cut(photo *image.Gray, b face.Box) (*image.Gray, error) {
	src, err := gray.Read(photo)
	if err != nil {
		return nil, err
	}
	c, k := b.Center(), b.Width()/faceWidth
	region := gray.Rect{
		X0: c.X - frameWidth/2*k, Y0: c.Y - frameHeight/2*k,
		X1: c.X + frameWidth/2*k, Y1: c.Y + frameHeight/2*k,
	}
	plane := make([]float32, frameWidth*frameHeight)
	var s gray.Sampler
	s.Resize(src, region, gray.Input{Width: frameWidth, Height: frameHeight, Channels: 1, Scale: 1}, plane)
	img := image.NewGray(image.Rect(0, 0, frameWidth, frameHeight))
	for i, v := range plane {
		img.Pix[i] = uint8(v + .5)
	}
	return img, nil
}

func readGray(name string) (*image.Gray, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("decode %q: %w", name, err)
	}
	b := img.Bounds()
	out := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			out.Set(x, y, img.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	return out, nil
}
