package watch

import (
	"math"
	"testing"
	"time"

	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// Out of a session the camera is told to take in less of a glaring face; in one it is not touched, whatever the frames show.
func TestSessionHoldsTheCamera(t *testing.T) {
	s := newStage(t)
	d := newDial()
	s.w.exposure = newExposure(d)
	s.f.Image = portrait(t, s.w.Engine)
	for i, v := range s.f.Image.Pix { // so dim that more light is asked for
		s.f.Image.Pix[i] = v / 4
	}
	show := func() {
		l := d.next()
		s.f.Exposure, s.f.Gain = l.Exposure, l.Gain
		s.next(t)
	}
	show()
	if !s.w.have {
		t.Fatal("nobody is seen in the portrait")
	}
	told := d.told
	id := s.session(t, 1)
	for range 8 {
		show()
	}
	if settled, err := s.w.adjust(s.f, d.now, false); !settled || err != nil || d.told != told {
		t.Errorf("a session that began while a frame was looked at: settled %v, %v, told %d times", settled, err, d.told-told)
	}
	if d.told != told || len(s.w.session.frames) < 7 {
		t.Errorf("in a session of %d frames the camera was told %d times to change its exposure", len(s.w.session.frames), d.told-told)
	}
	if e := s.w.session.frames[3]; e.Taken <= 0 {
		t.Error("the evidence does not say how much light was taken in")
	}
	s.order(t, ipc.KindAbort, ipc.Abort{Session: id})
	show()
	show()
	if d.told == told {
		t.Error("after a session the camera is never told")
	}
}

// While the camera is adjusted door is told of a face no more often than else, and at once when that is over.
func TestAdjustingHurriesOnce(t *testing.T) {
	s := newStage(t)
	d := newDial()
	s.w.exposure = newExposure(d)
	s.f.Image = portrait(t, s.w.Engine)
	for i, v := range s.f.Image.Pix {
		s.f.Image.Pix[i] = v / 4
	}
	show := func() (told int) {
		before := s.door.approaches
		s.f.Exposure, s.f.Gain = d.now.Exposure, d.now.Gain // which does not follow
		s.next(t)
		return s.door.approaches - before
	}
	for i, want := range []int{1, 0, 1} {
		if n := show(); n != want || !s.door.last.Adjusting {
			t.Fatalf("frame %d: door is told %d times, adjusting %v, want %d", i, n, s.door.last.Adjusting, want)
		}
	}
	s.w.exposure.steps = mostSteps
	for i, want := range []int{1, 0, 1} {
		if n := show(); n != want || s.door.last.Adjusting {
			t.Fatalf("frame %d in settled light: door is told %d times, adjusting %v, want %d", i, n, s.door.last.Adjusting, want)
		}
	}
}

// dial is a camera that follows after some frames. It is nothing else of a source.
type dial struct {
	frames.Source
	now, then frames.Light
	after     int
	told      int
	coarse    bool // it holds steps of 100 µs and of an eighth of the gain, as a V4L2 camera does
}

func (d *dial) Light() (least, most frames.Light) {
	return frames.Light{Exposure: time.Millisecond, Gain: 1}, frames.Light{Exposure: 8 * time.Millisecond, Gain: 8}
}

func (d *dial) Expose(l frames.Light) (frames.Light, error) {
	if d.coarse {
		l.Exposure, l.Gain = l.Exposure.Round(100*time.Microsecond), float32(math.Round(float64(l.Gain)*8)/8)
	}
	d.then, d.after = l, 2
	d.told++
	return l, nil
}

func (d *dial) next() frames.Light {
	if d.after--; d.after <= 0 {
		d.now = d.then
	}
	return d.now
}

func newDial() *dial {
	l := frames.Light{Exposure: 8 * time.Millisecond, Gain: 1}
	return &dial{now: l, then: l}
}

// A face of any brightness that the camera can cope with comes into the range within three adjustments, and is left alone there.
func TestFaceIsBroughtIntoRange(t *testing.T) {
	for i, reflected := range []float64{2, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 7, 11, 23, 163, 321, 643} { // gray levels at the normal light
		d := newDial()
		d.coarse = i >= 10
		x := newExposure(d)
		level := func(l frames.Light) (level, clipped float32) {
			v := reflected * amount(l) / amount(frames.Light{Exposure: 8 * time.Millisecond, Gain: 1})
			if v > 200 {
				return float32(min(v, 255)), .5
			}
			return float32(v), 0
		}
		settled, n := false, 0
		for ; !settled && n < 30; n++ {
			l := d.next()
			if d.told > 0 && l == d.then && x.of(l) == 0 {
				t.Errorf("%v levels: the camera follows by %v, which is not noticed", reflected, l)
			}
			v, clipped := level(l)
			var err error
			if settled, err = x.face(l, v, clipped); err != nil {
				t.Fatal(err)
			}
		}
		v, clipped := level(d.now)
		within := v >= dimFace && v <= brightFace && clipped == 0 || d.now == x.most || d.now == x.least
		if !within || d.told > mostSteps || n > 12 {
			t.Errorf("%v levels: %v, clipped %v after %d frames and %d adjustments, by %v", reflected, v, clipped, n, d.told, d.now)
		}
	}
}

// While nobody is there the camera keeps to its normal light, takes less in where it is bright, and looks for the dim now and then where it is dark.
func TestEmptySceneIsWatched(t *testing.T) {
	for name, c := range map[string]struct {
		scene       float64 // gray levels at the normal light
		least, most float64 // of what is taken in, normal 1
	}{"dark": {2, 1, huntBy}, "office": {40, 1, 1}, "sunny": {280, .2, .3}} {
		d := newDial()
		x := newExposure(d)
		low, high := 99., 0.
		for n := range 30 {
			l := d.next()
			share := amount(l) / amount(frames.Light{Exposure: 8 * time.Millisecond, Gain: 1})
			if n > 6 {
				low, high = min(low, share), max(high, share)
			}
			if err := x.scene(l, float32(min(c.scene*share, 255))); err != nil {
				t.Fatal(err)
			}
		}
		if low < c.least*.99 || high > c.most*1.01 || name == "dark" && high < huntBy*.99 {
			t.Errorf("%s: took in %v to %v", name, low, high)
		}
	}
}

// What is not known is not adjusted: a camera that cannot be told, and one that does not say what it does.
func TestCameraIsLeftAlone(t *testing.T) {
	x := newExposure(struct{ frames.Source }{})
	if settled, err := x.face(frames.Light{}, 5, 0); !settled || err != nil {
		t.Errorf("a camera that cannot be told: settled %v, %v", settled, err)
	}
	d := newDial()
	x = newExposure(d)
	if err := x.scene(frames.Light{Exposure: time.Millisecond}, 5); err != nil || d.told != 0 {
		t.Errorf("a camera that does not say its gain was told %d times, %v", d.told, err)
	}
	// A camera that never gets there is waited for, and not for ever.
	settled, n := false, 0
	for ; !settled && n < 100; n++ {
		settled, _ = x.face(d.now, 2, 0)
	}
	if !settled || d.told != mostSteps {
		t.Errorf("settled %v after %d frames and %d adjustments", settled, n, d.told)
	}
	// Who comes next, or nearer, is adjusted for all the same: nobody need leave in between.
	for range framesToGo + 1 {
		settled, _ = x.face(d.now, 2, 0)
	}
	if settled || d.told != mostSteps+1 {
		t.Errorf("settled %v with %d adjustments a second later", settled, d.told)
	}
}
