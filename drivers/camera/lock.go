package camera

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// Light is how a camera turns light into gray.
type Light struct {
	Exposure time.Duration // of one frame
	Gain     int32         // in the camera's own unit
}

// exposureUnit of V4L2_CID_EXPOSURE_ABSOLUTE.
const exposureUnit = 100 * time.Microsecond

// V4L2_EXPOSURE_MANUAL: time and iris stand still.
const exposureManual = 1

// Lock switches the automatisms off and holds exposure and gain, because an automatism undoes what the lamp's code does to the image.
// It returns what the camera says afterwards, exposure rounded to the camera's own steps. ErrUnlockable says which control is
// missing or will not hold; what could be locked is locked all the same. A camera without a switch for an automatism has none that we can
// know of: whether it answers the lamp is for a test with the lamp.
func (c *Camera) Lock(want Light) (Light, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return Light{}, fmt.Errorf("lock camera: %w", os.ErrClosed)
	}
	var got Light
	units, exposed := c.set(v4l2.CtrlCameraExposureAbsolute, int64((want.Exposure+exposureUnit/2)/exposureUnit), v4l2.CtrlCameraExposureAuto, exposureManual)
	got.Exposure = time.Duration(units) * exposureUnit
	gain, amplified := c.set(v4l2.CtrlGain, int64(want.Gain), v4l2.CtrlAutogain, 0)
	got.Gain = gain
	if err := errors.Join(exposed, amplified); err != nil {
		return got, fmt.Errorf("lock camera: %w", err)
	}
	return got, nil
}

// set stops an automatism, if there is one, and then sets the control that it ruled.
func (c *Camera) set(id v4l2.CtrlID, value int64, auto v4l2.CtrlID, manual int64) (int32, error) {
	if _, err := c.write(auto, manual); err != nil && !errors.Is(err, errNoControl) {
		return 0, err
	}
	return c.write(id, value)
}

// Bounds is the least and the most that the controls take, without a word on what the interval has room for. ErrUnlockable: one of them is missing.
func (c *Camera) Bounds() (least, most Light, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return Light{}, Light{}, fmt.Errorf("query light: %w", os.ErrClosed)
	}
	exposure, err := c.query(v4l2.CtrlCameraExposureAbsolute)
	if err != nil {
		return Light{}, Light{}, fmt.Errorf("query light: %w", err)
	}
	gain, err := c.query(v4l2.CtrlGain)
	if err != nil {
		return Light{}, Light{}, fmt.Errorf("query light: %w", err)
	}
	return Light{time.Duration(exposure.lowest) * exposureUnit, gain.lowest}, Light{time.Duration(exposure.highest) * exposureUnit, gain.highest}, nil
}

var errNoControl = errors.New("it has no such control")

func refused(id v4l2.CtrlID, why error) error {
	return fmt.Errorf("%w: control %#x: %w", ErrUnlockable, id, why)
}

// query asks what a control can hold.
func (c *Camera) query(id v4l2.CtrlID) (controlInfo, error) {
	info := controlInfo{id: id}
	err := c.node.ioctl(queryControl, unsafe.Pointer(&info))
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY), err == nil && info.flags&controlDisabled != 0:
		return info, refused(id, errNoControl)
	case err != nil:
		return info, failed("query control", err)
	}
	return info, nil
}

// write writes a control, rounded down to its step, reads it back and returns what it holds.
func (c *Camera) write(id v4l2.CtrlID, value int64) (int32, error) {
	refuse := func(err error) error { return refused(id, err) }
	info, err := c.query(id)
	if err != nil {
		return 0, err
	}
	if info.flags&(controlReadOnly|controlInactive) != 0 {
		return 0, refuse(fmt.Errorf("it cannot be written (flags %#x)", info.flags))
	}
	if value < int64(info.lowest) || value > int64(info.highest) {
		return 0, refuse(fmt.Errorf("%d is outside %d to %d", value, info.lowest, info.highest))
	}
	if info.step > 1 {
		value -= (value - int64(info.lowest)) % int64(info.step)
	}
	held := controlValue{id: id, value: int32(value)}
	if err := c.node.ioctl(writeControl, unsafe.Pointer(&held)); err != nil {
		if err = failed("write control", err); errors.Is(err, ErrGone) {
			return 0, err
		}
		return 0, refuse(err)
	}
	held.value = ^held.value // so that a driver that reads nothing back is seen
	if err := c.node.ioctl(readControl, unsafe.Pointer(&held)); err != nil {
		return 0, failed("read control", err)
	}
	if int64(held.value) != value {
		return held.value, refuse(fmt.Errorf("it holds %d instead of %d", held.value, value))
	}
	return held.value, nil
}
