//go:build lab

package camera

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lintel-access/lintel/tests/lab/vm"
)

// feeder feeds the loopback camera with frames that carry their number.
type feeder struct {
	*vm.Feed
	format Format
	raw    []byte
}

const feedWidth, feedHeight, feedRate = 320, 240, 30

func feed(t *testing.T, format Format) *feeder {
	t.Helper()
	f, err := vm.NewFeed(vm.VideoDevice(t, vm.Loopback), feedWidth, feedHeight, (string(format) + "    ")[:4])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &feeder{f, format, make([]byte, format.row(feedWidth)*feedHeight)}
}

// fill makes frame number n: noise that n seeds, and n itself in the high bits of the first pixels.
func (f *feeder) fill(n uint8) []byte {
	r := rand.NewChaCha8([32]byte{n})
	r.Read(f.raw)
	if f.format == Grey {
		f.raw[0] = n
	} else {
		f.raw[1] = n // of Y16
	}
	return f.raw
}

func (f *feeder) show(t *testing.T, n uint8) {
	t.Helper()
	if _, err := f.Write(f.fill(n)); err != nil {
		t.Error(err)
	}
}

func (f *feeder) settings(t *testing.T) Settings {
	return Settings{
		Path: vm.VideoDevice(t, vm.Loopback), Format: f.format, Width: feedWidth, Height: feedHeight, Rate: feedRate,
		Stall: 300 * time.Millisecond, AllowVirtual: true,
	}
}

func TestLoopbackShowsTheSameBytes(t *testing.T) {
	for _, format := range []Format{Grey, Y16} {
		t.Run(string(format), func(t *testing.T) {
			w := feed(t, format)
			w.show(t, 0)
			c := opened(t, w.settings(t))
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				tick := time.NewTicker(time.Second / feedRate)
				defer tick.Stop()
				for n := uint8(1); ; n++ {
					select {
					case <-stop:
						return
					case <-tick.C:
						w.show(t, n)
					}
				}
			}()
			same := &feeder{nil, format, make([]byte, len(w.raw))}
			pix, want := pixels(c), pixels(c)
			for range 90 {
				read(t, c, pix)
				format.gray(want, same.fill(pix[0]), feedWidth, feedHeight, format.row(feedWidth))
				for i := range pix {
					if pix[i] != want[i] {
						t.Fatalf("frame %d: pixel %d is %#x, want %#x", pix[0], i, pix[i], want[i])
					}
				}
			}
			close(stop)
			<-stopped
			vm.Measured(t, "90 frames identical; %+v", c.Counts())
		})
	}
}

func TestLoopbackFreezesAndGoesAway(t *testing.T) {
	w := feed(t, Grey)
	w.show(t, 1)
	s := w.settings(t)
	c := opened(t, s)
	pix := pixels(c)
	w.show(t, 2)
	read(t, c, pix)
	soonest := time.Minute
	for range 3 {
		began := time.Now()
		for { // what is still in the driver comes first
			if _, err := c.Next(t.Context(), pix); errors.Is(err, ErrStalled) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			began = time.Now()
		}
		took := time.Since(began)
		vm.Measured(t, "freeze noticed after %v of %v", took, s.Stall)
		if took < s.Stall {
			t.Errorf("freeze noticed after %v of %v", took, s.Stall)
		}
		soonest = min(soonest, took)
		w.show(t, 3)
		if read(t, c, pix); pix[0] != 3 {
			t.Errorf("after the freeze frame %d", pix[0])
		}
	}
	if soonest > s.Stall+300*time.Millisecond { // a machine with one processor may be late, but not each time
		t.Errorf("freeze noticed after %v of %v at best", soonest, s.Stall)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(t.Context(), pix); !errors.Is(err, ErrStalled) {
		t.Errorf("without a writer: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if c, err := Open(s); err == nil {
		c.Close()
		t.Error("opened without a writer")
	} else if !errors.Is(err, ErrNotCamera) && !errors.Is(err, ErrBusy) {
		t.Errorf("without a writer: %v", err)
	} else {
		t.Logf("without a writer: %v", err)
	}
	again := feed(t, Grey)
	again.show(t, 9)
	c = opened(t, s)
	again.show(t, 10)
	if read(t, c, pix); pix[0] != 10 && pix[0] != 9 {
		t.Errorf("from the new writer frame %d", pix[0])
	}
}
