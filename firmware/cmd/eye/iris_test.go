package main

import (
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/camera"
	"github.com/lintel-access/lintel/firmware/frames"
)

// controls is a camera with exposures in steps of 100 µs.
type controls struct {
	held    []camera.Light
	refuses error
	keeps   bool // the gain control refuses, whatever becomes of the exposure
	least   time.Duration
	most    int32 // gain
}

func (c *controls) Lock(l camera.Light) (camera.Light, error) {
	l.Exposure = l.Exposure.Round(100 * time.Microsecond)
	c.held = append(c.held, l)
	if c.keeps {
		l.Gain = 0
	}
	return l, c.refuses
}

func (c *controls) Bounds() (least, most camera.Light, err error) {
	return camera.Light{Exposure: c.least}, camera.Light{Exposure: time.Second, Gain: c.most}, nil
}

func TestIrisOpensAndFollows(t *testing.T) {
	c := &controls{least: 300 * time.Microsecond, most: 255}
	i, err := openIris(c, board.Camera{Exposure: 8000, Gain: 16, GainMost: 64}, time.Second/30)
	if err != nil {
		t.Fatal(err)
	}
	normal := frames.Light{Exposure: 8 * time.Millisecond, Gain: 1}
	if want := (frames.Light{Exposure: time.Millisecond, Gain: 1}); i.least != want || i.most != (frames.Light{Exposure: 8 * time.Millisecond, Gain: 4}) || i.next() != normal {
		t.Fatalf("%+v", i)
	}
	if held, err := i.set(c, frames.Light{Exposure: 8*time.Millisecond + 40*time.Microsecond, Gain: 2.51}); err != nil || held != (frames.Light{Exposure: 8 * time.Millisecond, Gain: 2.5}) {
		t.Fatalf("held %v, %v", held, err)
	}
	if last := c.held[len(c.held)-1]; last != (camera.Light{Exposure: 8 * time.Millisecond, Gain: 40}) {
		t.Errorf("the camera was told %v", last)
	}
	for n := range followsAfter + 1 {
		want := normal
		if n == followsAfter {
			want.Gain = 2.5
		}
		if got := i.next(); got != want {
			t.Errorf("frame %d was taken by %v, want %v", n, got, want)
		}
	}
}

func TestIrisThatCannotBeTold(t *testing.T) {
	loose := errors.Join(errors.New("no such control"), camera.ErrUnlockable)
	i, err := openIris(&controls{refuses: loose}, board.Camera{}, time.Second/30)
	if !errors.Is(err, camera.ErrUnlockable) || i.most != (frames.Light{}) || i.next().Gain != 0 || i.next().Exposure != (time.Second/30/4).Round(100*time.Microsecond) {
		t.Errorf("%+v, %v", i, err)
	}
	// A gain that nobody knows the unit of stands still.
	c := &controls{}
	if i, err = openIris(c, board.Camera{Exposure: 8000}, time.Second/30); err != nil || i.most.Gain != 1 {
		t.Fatalf("%+v, %v", i, err)
	}
	c.refuses = camera.ErrGone
	if _, err := i.set(c, frames.Light{Exposure: time.Millisecond, Gain: 1}); !errors.Is(err, camera.ErrGone) || i.next().Exposure != 8*time.Millisecond {
		t.Errorf("a camera that is gone: %+v, %v", i, err)
	}
}

// A camera that takes an exposure and refuses the gain has taken the exposure: frames that said otherwise would have evidence and stamps wrong.
func TestIrisThatIsHalfTold(t *testing.T) {
	c := &controls{most: 40}
	i, err := openIris(c, board.Camera{Exposure: 8000, Gain: 16, GainMost: 64}, time.Second/30)
	if err != nil || i.most.Gain != 2.5 {
		t.Fatalf("%+v, %v: the control takes a gain of 40", i, err)
	}
	c.refuses, c.keeps = camera.ErrUnlockable, true
	want := frames.Light{Exposure: time.Millisecond, Gain: 1}
	if held, err := i.set(c, frames.Light{Exposure: time.Millisecond, Gain: 2}); err != nil || held != want {
		t.Errorf("held %v, %v, want %v", held, err, want)
	}
	for range followsAfter {
		i.next()
	}
	if got := i.next(); got != want {
		t.Errorf("a frame says %v, want %v", got, want)
	}
}
