package camera

import (
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

func control(lowest, highest, step, value int32, flags uint32) *fakeControl {
	return &fakeControl{controlInfo{lowest: lowest, highest: highest, step: step, flags: flags}, value}
}

func TestLock(t *testing.T) {
	want := Light{Exposure: 5 * time.Millisecond, Gain: 12}
	complete := func() map[uint32]*fakeControl {
		return map[uint32]*fakeControl{
			v4l2.CtrlCameraExposureAuto:     control(0, 3, 1, 3, 0),
			v4l2.CtrlCameraExposureAbsolute: control(1, 5000, 1, 157, controlInactive),
			v4l2.CtrlAutogain:               control(0, 1, 1, 1, 0),
			v4l2.CtrlGain:                   control(0, 100, 1, 64, 0),
		}
	}
	for name, row := range map[string]struct {
		set  func(*fake)
		got  Light
		want error
	}{
		"all controls": {func(*fake) {}, want, nil},
		"no automatisms": {func(k *fake) {
			delete(k.controls, v4l2.CtrlAutogain)
			delete(k.controls, v4l2.CtrlCameraExposureAuto)
			k.controls[v4l2.CtrlCameraExposureAbsolute].flags = 0
		}, want, nil},
		"no gain":         {func(k *fake) { delete(k.controls, v4l2.CtrlGain) }, Light{want.Exposure, 0}, ErrUnlockable},
		"no exposure":     {func(k *fake) { delete(k.controls, v4l2.CtrlCameraExposureAbsolute) }, Light{0, want.Gain}, ErrUnlockable},
		"coarse exposure": {func(k *fake) { k.controls[v4l2.CtrlCameraExposureAbsolute].step = 20 }, Light{4100 * time.Microsecond, 12}, nil},
		"gain too low":    {func(k *fake) { k.controls[v4l2.CtrlGain].lowest = 13 }, Light{want.Exposure, 0}, ErrUnlockable},
		"gain is fixed":   {func(k *fake) { k.controls[v4l2.CtrlGain].flags = controlReadOnly }, Light{want.Exposure, 0}, ErrUnlockable},
		"gain disabled":   {func(k *fake) { k.controls[v4l2.CtrlGain].flags = controlDisabled }, Light{want.Exposure, 0}, ErrUnlockable},
		"auto stays on": {func(k *fake) {
			k.answer[readControl] = func(p unsafe.Pointer) error {
				v := (*controlValue)(p)
				if v.value = k.controls[v.id].value; v.id == v4l2.CtrlCameraExposureAuto {
					v.value = 3
				}
				return nil
			}
		}, Light{0, want.Gain}, ErrUnlockable},
		"drifts": {func(k *fake) {
			k.answer[readControl] = func(p unsafe.Pointer) error {
				v := (*controlValue)(p)
				if v.value = k.controls[v.id].value; v.id == v4l2.CtrlGain {
					v.value++
				}
				return nil
			}
		}, Light{want.Exposure, 13}, ErrUnlockable},
		"reads nothing": {func(k *fake) { k.answer[readControl] = func(unsafe.Pointer) error { return nil } }, Light{}, ErrUnlockable},
		"grabbed":       {func(k *fake) { k.answer[writeControl] = func(unsafe.Pointer) error { return unix.EBUSY } }, Light{}, ErrUnlockable},
		"gone":          {func(k *fake) { k.answer[writeControl] = func(unsafe.Pointer) error { return unix.ENODEV } }, Light{}, ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			k := newFake()
			k.controls = complete()
			// As in uvcvideo, exposure is inactive until the automatism is off.
			k.answer[writeControl] = func(p unsafe.Pointer) error {
				if v := (*controlValue)(p); v.id == v4l2.CtrlCameraExposureAuto && v.value == exposureManual && k.controls[v4l2.CtrlCameraExposureAbsolute] != nil {
					k.controls[v4l2.CtrlCameraExposureAbsolute].flags &^= controlInactive
				}
				return k.plain(writeControl, p)
			}
			row.set(k)
			got, err := open(t, k, small).Lock(want)
			if !errors.Is(err, row.want) || row.want == nil && err != nil {
				t.Errorf("error %v, want %v", err, row.want)
			}
			if got != row.got {
				t.Errorf("%+v, want %+v", got, row.got)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	k := newFake()
	k.controls = map[uint32]*fakeControl{v4l2.CtrlCameraExposureAbsolute: control(3, 5000, 1, 157, 0), v4l2.CtrlGain: control(16, 96, 1, 64, 0)}
	c := open(t, k, small)
	least, most, err := c.Bounds()
	if want := (Light{300 * time.Microsecond, 16}); err != nil || least != want || most != (Light{500 * time.Millisecond, 96}) {
		t.Errorf("%+v to %+v, %v", least, most, err)
	}
	delete(k.controls, v4l2.CtrlGain)
	if _, _, err := c.Bounds(); !errors.Is(err, ErrUnlockable) {
		t.Errorf("without a gain: %v", err)
	}
}
