package watch

import (
	"errors"
	"image"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
)

// A frame that this camera cannot have taken ends the watching; what a busy machine does to frames does not.
func TestSteady(t *testing.T) {
	const now = time.Hour
	vga, other := image.NewGray(image.Rect(0, 0, 640, 480)), image.NewGray(image.Rect(0, 0, 640, 400))
	before := frames.Frame{Image: vga, Seq: 7, Stamp: now - 2*interval}
	for name, c := range map[string]struct {
		frame  frames.Frame
		steady bool
	}{
		"next":                     {frames.Frame{Image: vga, Seq: 8, Stamp: now - interval}, true},
		"frames lost between":      {frames.Frame{Image: vga, Seq: 80, Stamp: now - interval}, true},
		"reckoned end ahead":       {frames.Frame{Image: vga, Seq: 8, Stamp: now + interval/2}, true},
		"another image, same size": {frames.Frame{Image: image.NewGray(vga.Rect), Seq: 8, Stamp: now - interval}, true},
		"ahead":                    {frames.Frame{Image: vga, Seq: 8, Stamp: now + 2*interval}, false},
		"an hour ahead":            {frames.Frame{Image: vga, Seq: 8, Stamp: now + time.Hour}, false},
		"old":                      {frames.Frame{Image: vga, Seq: 8, Stamp: now - 6*time.Second}, false},
		"same count":               {frames.Frame{Image: vga, Seq: 7, Stamp: now - interval}, false},
		"count anew":               {frames.Frame{Image: vga, Seq: 1, Stamp: now - interval}, false},
		"same stamp":               {frames.Frame{Image: vga, Seq: 8, Stamp: before.Stamp}, false},
		"backwards":                {frames.Frame{Image: vga, Seq: 8, Stamp: before.Stamp - time.Millisecond}, false},
		"another size":             {frames.Frame{Image: other, Seq: 8, Stamp: now - interval}, false},
	} {
		var s steady
		if err := s.next(before, now, interval); err != nil {
			t.Fatal(err)
		}
		if err := s.next(c.frame, now, interval); (err == nil) != c.steady || err != nil && !errors.Is(err, ErrCamera) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if new(steady).next(frames.Frame{Image: vga, Stamp: now - time.Minute}, now, interval) == nil {
		t.Error("the first frame is a minute old")
	}
}

func TestBlank(t *testing.T) {
	for name, c := range map[string]struct {
		level, point byte
		want         access.Hint
	}{
		"black":                {0, 0, access.HintTooDark},
		"dark noise":           {3, 8, access.HintTooDark},
		"a point in the dark":  {3, 9, access.HintNobody},
		"white":                {255, 255, access.HintSaturated},
		"flooded":              {250, 247, access.HintSaturated},
		"a point in the light": {255, 246, access.HintNobody},
		"gray":                 {90, 90, access.HintNobody},
	} {
		m := image.NewGray(image.Rect(0, 0, 64, 48))
		for i := range m.Pix {
			m.Pix[i] = c.level
		}
		m.Pix[24*m.Stride+32] = c.point
		if got := blank(m); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
