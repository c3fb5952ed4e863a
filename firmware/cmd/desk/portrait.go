//go:build !kiosk

package main

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
)

// portrait is where in a photograph somebody of the cast is.
type portrait struct {
	path   string
	points [5][2]float64 // as of found
	turned float32       // as of found
}

const (
	portraitEyes   = 100 // pixels from eye to eye of a portrait, more than the 40 that headquarters asks for
	portraitAround = 1.9 // distances from eye to eye that it shows on each side of the nose: the head, and nobody beside it
)

// encode cuts the person out of the photograph, as a PNG of one person such as an enroller would take.
func (p portrait) encode() ([]byte, error) {
	photo, err := readGray(p.path)
	if err != nil {
		return nil, err
	}
	eyes := math.Hypot(p.points[1][0]-p.points[0][0], p.points[1][1]-p.points[0][1])
	if !(eyes >= 1) {
		return nil, errors.New("cut out portrait: no eyes")
	}
	scale, side := eyes/portraitEyes, int(2*portraitAround*portraitEyes)
	out := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			u := p.points[2][0] + (float64(x)-float64(side)/2)*scale
			v := p.points[2][1] + (float64(y)-float64(side)/2)*scale
			out.SetGray(x, y, color.Gray{Y: between(photo, u, v)})
		}
	}
	var data bytes.Buffer
	err = png.Encode(&data, out)
	return data.Bytes(), err
}

// between is the gray at a place between pixels; beyond the edge it is that of the edge.
func between(g *image.Gray, u, v float64) uint8 {
	x, y := math.Floor(u), math.Floor(v)
	at := func(dx, dy float64) float64 {
		i := min(max(int(x+dx), g.Rect.Min.X), g.Rect.Max.X-1)
		j := min(max(int(y+dy), g.Rect.Min.Y), g.Rect.Max.Y-1)
		return float64(g.GrayAt(i, j).Y)
	}
	fx, fy := u-x, v-y
	return uint8((at(0, 0)*(1-fx)+at(1, 0)*fx)*(1-fy) + (at(0, 1)*(1-fx)+at(1, 1)*fx)*fy + 0.5)
}
