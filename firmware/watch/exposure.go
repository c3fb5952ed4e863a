package watch

import (
	"fmt"
	"math"
	"time"

	"github.com/lintel-access/lintel/firmware/frames"
)

// What the camera takes in is chosen before a session and held during it: an automatism would undo what the lamp's code does to the picture. The lamp
// is lit while eye waits, so the first frames of a face show how bright its lit chips will be.
const (
	// wellLit is the mean gray level of a lit face that is aimed at. Who takes another step during the code becomes twice as bright, and a highlight of
	// skin is that much brighter than its mean: both stay below the end of the scale.
	wellLit = 80
	// A face between these levels is left as it is.
	dimFace, brightFace = 36, 125
	// glare is the share of saturated pixels from which a level says too little of how bright the face is; it is halved then, at least.
	glare = .02
	// mostSteps that an exposure takes in a row before door is told of the face in any case, and how many frames without one make the next the first
	// again: whoever stands there now may be nearer, or somebody else.
	mostSteps  = 3
	framesToGo = 30
	// settleFrames is how long the frames of an adjusted camera are waited for, if they do not say from when on they are its.
	settleFrames = 5
	// Nobody in view: a scene brighter than this mean level is taken in by less, and in one darker than the other somebody may stand whom the lamp
	// hardly reaches, so that every other look is by so many times as much.
	brightScene, darkScene = 70, 20
	huntBy                 = 4
)

// exposure chooses how much light the camera takes in. The zero exposure leaves the camera as it is.
type exposure struct {
	camera      frames.Adjustable
	least, most frames.Light
	normal      float64 // amount that the camera takes in without being told
	asked       frames.Light
	waits       int // frames until the camera is believed to have followed
	steps       int // in a row
	idle        int // frames with a face since the last step
	hunting     bool
}

func newExposure(s frames.Source) (x exposure) {
	c, ok := s.(frames.Adjustable)
	if !ok {
		return x
	}
	x.least, x.most = c.Light()
	if x.least.Exposure > 0 && x.least.Gain > 0 && x.most.Exposure >= x.least.Exposure && x.most.Gain >= x.least.Gain {
		x.camera, x.normal = c, amount(frames.Light{Exposure: x.most.Exposure, Gain: x.least.Gain})
	}
	return x
}

// of is how much light a frame took in; 0 when that is not known, or the camera has not followed yet.
func (x *exposure) of(f frames.Light) float64 {
	if x.camera == nil || f.Gain <= 0 || f.Exposure <= 0 {
		return 0
	}
	if x.waits > 0 && (f != x.asked) {
		x.waits--
		return 0
	}
	x.waits = 0
	return amount(f)
}

// amount is what a Light takes in, in seconds of exposure without gain.
func amount(l frames.Light) float64 { return l.Exposure.Seconds() * float64(l.Gain) }

// share is how much a Light takes in, normal 1; 0 when that is not known.
func (x *exposure) share(l frames.Light) float32 {
	if x.camera == nil {
		return 0
	}
	return float32(amount(l) / x.normal)
}

// adjust has the camera take in more or less of what this frame shows, unless held: by the session or the measurement that the frame belongs to, or by
// one that door has begun while the frame was looked at. It reports whether the light on the face is settled.
func (w *Watcher) adjust(f frames.Frame, light frames.Light, held bool) (settled bool, err error) {
	w.mu.Lock()
	held = held || w.session != nil || w.gauging != nil
	w.mu.Unlock()
	switch {
	case held:
		return true, nil
	case !w.have:
		err = w.exposure.scene(light, brightness(f.Image))
	case w.missing == 0:
		settled, err = w.exposure.face(light, w.face.Level, w.face.Clipped)
	}
	if err != nil {
		return false, fmt.Errorf("adjust camera: %w", err)
	}
	return settled, nil
}

// face looks at a face out of a session, and reports whether its light is as it shall be, or cannot be had better.
func (x *exposure) face(f frames.Light, level, clipped float32) (settled bool, err error) {
	now := x.of(f)
	if x.idle++; x.idle > framesToGo {
		x.steps = 0
	}
	if x.camera == nil || x.steps >= mostSteps {
		return true, nil
	}
	if now == 0 {
		return false, nil
	}
	if level >= dimFace && level <= brightFace && clipped <= glare {
		return true, nil
	}
	want := now * wellLit / float64(max(level, 1))
	if clipped > glare {
		want = min(want, now/2)
	}
	x.steps, x.idle = x.steps+1, 0
	told, err := x.ask(want, now)
	return !told, err
}

// scene looks at a frame without a face.
func (x *exposure) scene(f frames.Light, level float32) error {
	x.steps = 0
	now := x.of(f)
	if now == 0 {
		return nil
	}
	atNormal := float64(level) * x.normal / now
	want := min(x.normal, x.normal*brightScene/max(atNormal, 1))
	if x.hunting = !x.hunting && atNormal < darkScene; x.hunting {
		want *= huntBy
	}
	_, err := x.ask(want, now)
	return err
}

// ask tells the camera, if that changes enough to be seen: longer exposure before more gain, because gain amplifies the noise, too.
func (x *exposure) ask(want, now float64) (told bool, err error) {
	want = min(max(want, amount(x.least)), amount(x.most))
	if math.Abs(math.Log(want/now)) < .1 {
		return false, nil
	}
	l := x.most
	l.Gain = x.least.Gain
	if most := amount(l); want < most {
		l.Exposure = max(time.Duration(float64(l.Exposure)*want/most), x.least.Exposure)
	} else {
		l.Gain *= float32(want / most)
	}
	x.asked, err = x.camera.Expose(l) // as the camera rounds it, and its frames will say
	x.waits = settleFrames
	return true, err
}
