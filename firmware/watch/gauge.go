package watch

import (
	"image"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// gauge collects how bright the frames are while door plays the lamp. Its stamps are the camera's own: door finds out what they are worth.
type gauge struct {
	until time.Duration
	seen  ipc.Gauged
}

// glimpse adds a frame, and gives the answer when it was the last. Called with mu held.
func (w *Watcher) glimpse(f frames.Frame) error {
	g := w.gauging
	if g == nil {
		return nil
	}
	if f.Stamp <= g.until && len(g.seen.Frames) < access.MaxGlimpses {
		g.seen.Frames = append(g.seen.Frames, access.Glimpse{Stamp: f.Stamp, Level: brightness(f.Image)})
		return nil
	}
	w.gauging = nil
	return w.Door.Send(ipc.KindGauged, g.seen)
}

// coarse is the distance, in pixels, of the points that the brightness of a picture is taken from.
const coarse = 4

// brightness is the mean gray level of a picture.
func brightness(m *image.Gray) float32 {
	var sum, n int
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y += coarse {
		row := m.Pix[m.PixOffset(m.Rect.Min.X, y):][:m.Rect.Dx()]
		for x := 0; x < len(row); x += coarse {
			sum += int(row[x])
			n++
		}
	}
	return float32(sum) / float32(max(n, 1))
}

// timed gives a frame the time of its light instead of that of its arrival. Called with mu held.
func (w *Watcher) timed(f frames.Frame) frames.Frame {
	if w.timing.Exposure > 0 {
		measured := w.timing.Exposure
		if f.Gain > 0 { // the camera knows, and may gather light for longer than when it was measured
			measured = max(measured, f.Exposure)
		}
		f.Stamp, f.Exposure = f.Stamp-w.timing.Delay, measured
	}
	return f
}
