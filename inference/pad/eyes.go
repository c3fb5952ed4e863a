package pad

import (
	"image"

	"github.com/lintel-access/lintel/inference/face"
)

// Halves of the window over an eye, in eye distances: the lids end there.
const (
	eyeHalfWidth  = 0.09
	eyeHalfHeight = 0.07
)

// Eyes is the highest and the mean gray level of the eyes of a measured face, each the mean of both eyes. A wet eye is a small mirror, which shows a lamp
// as a point: it raises the highest level and hardly the mean. An eye outside the frame reads 0.
func (m *Meter) Eyes(img *image.Gray, f *face.Face) (peak, level float32, err error) {
	src, eyes, err := measured(img, f)
	if err != nil {
		return 0, 0, err
	}
	for _, c := range f.Points[:2] {
		x0, y0, x1, y1 := c.X-eyeHalfWidth*eyes, c.Y-eyeHalfHeight*eyes, c.X+eyeHalfWidth*eyes, c.Y+eyeHalfHeight*eyes
		level += mean(area(src, x0, y0, x1, y1)) / 2
		var most byte
		for y := edge(y0, src.H); y < edge(y1, src.H); y++ {
			for _, v := range src.Pix[y*src.Stride+edge(x0, src.W) : y*src.Stride+max(edge(x0, src.W), edge(x1, src.W))] {
				most = max(most, v)
			}
		}
		peak += float32(most) / 2
	}
	return peak, level, nil
}
