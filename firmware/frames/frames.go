// Package frames carries camera frames between processes: a ring of pixel slots in shared memory and one small packet a frame.
// Frames never travel by socket. One Source stands before the twin, V4L2 and the QEMU camera alike.
package frames

import (
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"time"
)

// Frame is one 8-bit gray image as the camera delivered it.
type Frame struct {
	Image    *image.Gray   // valid until the next call of Source.Next; read only
	Seq      uint64        // the camera's count of frames; a gap is a lost frame
	Stamp    time.Duration // CLOCK_MONOTONIC at the end of exposure
	Exposure time.Duration // how long light was gathered before Stamp
	Gain     float32       // how much that was amplified, against the least that the camera can; 0: nobody knows
}

// Camera says what delivers the frames, as evidence and not as a name to trust.
type Camera struct {
	Driver   string        `cbor:"1,keyasint"` // kernel driver, "twin" for the simulated board
	Card     string        `cbor:"2,keyasint"`
	Bus      string        `cbor:"3,keyasint"`
	Format   string        `cbor:"4,keyasint"` // "GREY 640x480"
	Interval time.Duration `cbor:"5,keyasint"` // nominal time from frame to frame
	Virtual  bool          `cbor:"6,keyasint"` // no light falls on a sensor

	// Of a USB camera; empty for others. The port is the kernel's word, the rest is the device's own.
	Port    string `cbor:"7,keyasint"`
	Device  string `cbor:"8,keyasint"` // vendor and product, "04f2:b67c"
	Release string `cbor:"9,keyasint"` // of hardware or firmware
	Serial  string `cbor:"10,keyasint"`
}

// Identity is the hash under which door pins this camera. eye and door compute it alike.
func (c Camera) Identity() [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d %v %q %q %q %q",
		c.Driver, c.Card, c.Bus, c.Format, c.Interval, c.Virtual, c.Port, c.Device, c.Release, c.Serial))
}

// Source delivers frames, newest first: a slow reader loses old frames, never new ones.
type Source interface {
	// Next waits for a frame newer than the last one. It returns ctx's error when ctx ends, ErrStalled when no frame came for
	// the stall time-out, and io.EOF when the source is gone.
	Next(ctx context.Context) (Frame, error)
	Camera() Camera
	Close() error
}

// Light is how a camera turns light into gray.
type Light struct {
	Exposure time.Duration
	Gain     float32
}

// Adjustable is a Source whose camera can be told how much light to take in. What it was told holds until it is told otherwise.
type Adjustable interface {
	Source
	// Light is the least and the most that the camera can take in. Without a camera that can be told, both are zero.
	Light() (least, most Light)
	// Expose asks for a Light within these bounds and returns the one that the camera will hold, as near to it as it can. One of the next frames is the
	// first to be taken by that, and says so.
	Expose(Light) (Light, error)
}
