//go:build linux

package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The drivers of the laboratory's cameras, as VideoDevice wants them.
const (
	Vivid    = "vivid"               // makes patterns, and every fault; see SetControl
	Loopback = "Dummy video device " // shows what is fed to it; see NewFeed
)

// VideoDevice is the path of the capture device whose name, in sysfs, begins so.
func VideoDevice(t testing.TB, name string) string {
	t.Helper()
	files, err := filepath.Glob("/sys/class/video4linux/video*/name")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if n, err := read(file); err == nil && strings.HasPrefix(n, name) {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(file)))
		}
	}
	t.Fatalf("no video device is called %q", name)
	return ""
}

// SetControl sets a control by the name that the driver gives it. Those of vivid that break something:
// "Disconnect", "Inject V4L2_BUF_FLAG_ERROR", "Inject Fatal Streaming Error" (buttons: any value), "Percentage of Dropped Buffers",
// "Wrap Sequence Number". A disconnected vivid comes back with Reload.
func SetControl(t testing.TB, device, name string, value int32) {
	t.Helper()
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const all = 0x80000000 | 0x40000000 // V4L2_CTRL_FLAG_NEXT_CTRL, V4L2_CTRL_FLAG_NEXT_COMPOUND
	for id, names := uint32(0), []string(nil); ; {
		query := make([]byte, 68) // struct v4l2_queryctrl: id, type, name[32], …
		binary.NativeEndian.PutUint32(query, id|all)
		if err := videoCall(f, 36, query); err != nil {
			if !errors.Is(err, unix.EINVAL) {
				t.Fatal(err)
			}
			t.Fatalf("%q has no control %q, but %q", device, name, names)
		}
		id = binary.NativeEndian.Uint32(query)
		n, _, _ := bytes.Cut(query[8:40], []byte{0})
		names = append(names, string(n))
		if string(n) != name {
			continue
		}
		set := binary.NativeEndian.AppendUint32(nil, id) // struct v4l2_control: id, value
		set = binary.NativeEndian.AppendUint32(set, uint32(value))
		if err := videoCall(f, 28, set); err != nil {
			t.Fatalf("set %q to %d: %v", name, value, err)
		}
		return
	}
}

// Feed shows frames to a loopback camera. The camera is there as long as its feed is open, and freezes while nothing is written.
type Feed struct{ file *os.File }

// NewFeed opens a feed of width x height frames in a four-letter format ("GREY", "Y10 ", "Y16 ", "YUYV").
func NewFeed(device string, width, height uint32, format string) (*Feed, error) {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	// struct v4l2_format: type V4L2_BUF_TYPE_VIDEO_OUTPUT, then from byte 8 width, height, format, field V4L2_FIELD_NONE
	arg := make([]byte, 208)
	binary.NativeEndian.PutUint32(arg, 2)
	for i, v := range []uint32{width, height, binary.LittleEndian.Uint32([]byte(format)), 1} {
		binary.NativeEndian.PutUint32(arg[8+4*i:], v)
	}
	want := bytes.Clone(arg[8:20])
	if err := videoCall(f, 5, arg); err != nil {
		f.Close()
		return nil, err
	}
	if !bytes.Equal(arg[8:20], want) {
		f.Close()
		return nil, fmt.Errorf("feed %q: it will not take %d x %d %q", device, width, height, format)
	}
	// A feed that only writes is no writer to v4l2loopback: once it has closed and somebody looked at the camera, the camera can be fed no more.
	if err := unix.IoctlSetPointerInt(int(f.Fd()), 0x40045612, 2); err != nil { // VIDIOC_STREAMON of V4L2_BUF_TYPE_VIDEO_OUTPUT
		f.Close()
		return nil, fmt.Errorf("start feed %q: %w", device, err)
	}
	return &Feed{f}, nil
}

// SetRate has the camera say that it delivers so many frames a second; how many it does is the writer's doing.
func (f *Feed) SetRate(rate uint32) error {
	// struct v4l2_streamparm: type V4L2_BUF_TYPE_VIDEO_OUTPUT, capability, mode, then the interval as a fraction
	arg := make([]byte, 204)
	for i, v := range []uint32{2, 0x1000, 0, 1, rate} {
		binary.NativeEndian.PutUint32(arg[4*i:], v)
	}
	return videoCall(f.file, 22, arg)
}

// Write shows one whole frame.
func (f *Feed) Write(frame []byte) (int, error) { return f.file.Write(frame) }

// Close takes the camera away.
func (f *Feed) Close() error { return f.file.Close() }

// videoCall makes an ioctl of videodev2.h that reads and writes a structure: _IOWR('V', number, arg).
func videoCall(f *os.File, number uintptr, arg []byte) error {
	request := 3<<30 | uintptr(len(arg))<<16 | 'V'<<8 | number
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&arg[0]))); errno != 0 {
		return fmt.Errorf("call V4L2 %d of %q: %w", number, f.Name(), errno)
	}
	return nil
}
