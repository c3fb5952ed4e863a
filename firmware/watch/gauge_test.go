package watch

import (
	"image"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// glimpses is door while it measures.
type glimpses struct{ got []ipc.Gauged }

func (g *glimpses) Send(_ ipc.Kind, body any) error {
	g.got = append(g.got, body.(ipc.Gauged))
	return nil
}

func TestGaugeTellsEachFrame(t *testing.T) {
	door := &glimpses{}
	w := &Watcher{Door: door, gauging: &gauge{until: 10 * time.Second}}
	img := image.NewGray(image.Rect(0, 0, 64, 48))
	f := frames.Frame{Image: img, Exposure: time.Millisecond}
	for n := range 11 {
		for i := range img.Pix {
			img.Pix[i] = uint8(10 * n)
		}
		f.Stamp = time.Duration(n+1) * time.Second
		if err := w.glimpse(f); err != nil {
			t.Fatal(err)
		}
	}
	if len(door.got) != 1 || w.gauging != nil {
		t.Fatalf("answered %d times", len(door.got))
	}
	if list := door.got[0].Frames; len(list) != 10 || list[3] != (access.Glimpse{Stamp: 4 * time.Second, Level: 30}) {
		t.Errorf("told %v", list)
	}
	// However long door plays, the answer is bounded.
	w.gauging = &gauge{until: time.Hour}
	for range access.MaxGlimpses + 1 {
		if err := w.glimpse(f); err != nil {
			t.Fatal(err)
		}
	}
	if len(door.got) != 2 || len(door.got[1].Frames) != access.MaxGlimpses {
		t.Errorf("%d answers", len(door.got))
	}
}

func TestFramesAreReportedByTheirLight(t *testing.T) {
	w := &Watcher{}
	f := frames.Frame{Stamp: time.Second, Exposure: 8 * time.Millisecond}
	if got := w.timed(f); got != f {
		t.Errorf("without a measurement %+v", got)
	}
	w.timing = ipc.Timing{Delay: 40 * time.Millisecond, Exposure: 5 * time.Millisecond}
	if got := w.timed(f); got.Stamp != 960*time.Millisecond || got.Exposure != 5*time.Millisecond {
		t.Errorf("with one %+v", got)
	}
}
