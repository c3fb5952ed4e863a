package main

import (
	"cmp"
	"errors"
	"math"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/camera"
	"github.com/lintel-access/lintel/firmware/frames"
)

// iris is how much light a V4L2 camera takes in: what it was told, and what it can be told. It holds still until it is told otherwise.
type iris struct {
	now, then   frames.Light // of the frame that comes, and of those after so many more
	frames      int
	least, most frames.Light // both zero: it cannot be told
	gain        int32        // that amplifies once, in the camera's own unit
}

const (
	// followsAfter is how many frames a camera that was told otherwise may still deliver that it took as before: one that is exposed, one that is
	// read out, and one that is transferred. UVC does not say.
	followsAfter = 3
	// darkest is the part of its normal exposure that a camera is told at least: a lamp is not lit evenly in a shorter time.
	darkest = 8
	// assumedExposure is the part of the interval that a camera exposes whose exposure nobody knows, in the dark that it is meant for.
	assumedExposure = 3 // of 4
)

// lockable is a camera whose automatisms can be stopped.
type lockable interface {
	Lock(camera.Light) (camera.Light, error)
	Bounds() (least, most camera.Light, err error)
}

// openIris stops the camera's automatisms. camera.ErrUnlockable: they, or what they ruled, do not stand still; the iris is good all the same.
func openIris(c lockable, b board.Camera, interval time.Duration) (iris, error) {
	i := iris{now: frames.Light{Exposure: interval * assumedExposure / 4}, gain: int32(b.Gain)}
	normal := cmp.Or(time.Duration(b.Exposure)*time.Microsecond, interval/4)
	light, err := c.Lock(camera.Light{Exposure: normal, Gain: i.gain})
	if light.Exposure > 0 && light.Exposure < interval {
		i.now.Exposure = light.Exposure // also where the gain cannot be held
	}
	i.then = i.now
	if err != nil {
		return i, err
	}
	i.now.Gain = 1
	i.then = i.now
	least, most, err := c.Bounds()
	if err != nil {
		return i, err
	}
	i.least = frames.Light{Exposure: min(max(i.now.Exposure/darkest, least.Exposure), i.now.Exposure), Gain: 1}
	i.most = frames.Light{Exposure: i.now.Exposure, Gain: 1}
	if b.GainMost > 0 {
		i.most.Gain = float32(max(min(int32(b.GainMost), most.Gain), i.gain)) / float32(i.gain)
	}
	return i, nil
}

// set tells the camera and returns what it then holds, which is believed. A control that refuses without a word on what it holds has kept what it had,
// whatever the other one did.
func (i *iris) set(c lockable, want frames.Light) (held frames.Light, err error) {
	got, err := c.Lock(camera.Light{Exposure: want.Exposure, Gain: int32(math.Round(float64(want.Gain) * float64(i.gain)))})
	if err != nil && !errors.Is(err, camera.ErrUnlockable) {
		return frames.Light{}, err
	}
	i.frames = followsAfter
	if got.Exposure > 0 {
		i.then.Exposure = got.Exposure
	}
	if got.Gain > 0 && i.gain > 0 {
		i.then.Gain = float32(got.Gain) / float32(i.gain)
	}
	return i.then, nil
}

// next is the light that the next frame was taken in.
func (i *iris) next() frames.Light {
	if i.frames > 0 {
		i.frames--
		return i.now
	}
	i.now = i.then
	return i.now
}
