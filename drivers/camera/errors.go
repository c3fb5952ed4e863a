package camera

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Each error that somebody branches on. The kernel's own error stays in the chain.
var (
	// ErrGone means that the camera was unplugged or is not there. Close it and, after a while, open it again.
	ErrGone = errors.New("camera is gone")
	// ErrBusy means that another program streams from the camera, or that a loopback camera has no writer.
	ErrBusy = errors.New("camera is busy")
	// ErrStalled means that the camera is there and delivers nothing. It stays usable.
	ErrStalled = errors.New("no frame from the camera within the stall time-out")
	// ErrBroken means that the stream ended in an error. Close the camera and open it again.
	ErrBroken = errors.New("camera stream is broken")
	// ErrFormat means that the camera does not deliver the format, size or interval that was asked for.
	ErrFormat = errors.New("camera does not deliver what was asked")
	// ErrNotCamera means that the device does not stream captured video.
	ErrNotCamera = errors.New("device is no camera that streams")
	// ErrVirtual means that no light falls on this camera: a program feeds it.
	ErrVirtual = errors.New("camera is virtual")
	// ErrColour means that nothing speaks for infrared: the camera offers colour.
	ErrColour = errors.New("camera shows no evidence of infrared")
	// ErrClock means that frames are not stamped by CLOCK_MONOTONIC.
	ErrClock = errors.New("camera stamps frames by another clock")
	// ErrUnlockable means that exposure and gain cannot be held still.
	ErrUnlockable = errors.New("camera cannot lock exposure and gain")
	// ErrNoMatch and ErrAmbiguous mean that no camera, or more than one, is what was asked for.
	ErrNoMatch   = errors.New("no camera matches")
	ErrAmbiguous = errors.New("more than one camera matches")
)

// failed says what was being done when the kernel refused, and which of our words that is.
func failed(doing string, err error) error {
	for _, known := range []struct {
		errno unix.Errno
		word  error
	}{
		{unix.ENODEV, ErrGone}, {unix.ENXIO, ErrGone}, {unix.ENOENT, ErrGone}, {unix.ESHUTDOWN, ErrGone}, {unix.EBUSY, ErrBusy},
	} {
		if errors.Is(err, known.errno) {
			return fmt.Errorf("%s: %w: %w", doing, known.word, err)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
