package camera

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// Settings are what a camera must be and deliver.
type Settings struct {
	Path          string // device node
	Format        Format
	Width, Height int           // pixels
	Rate          int           // frames a second
	Stall         time.Duration // how long Next waits for a frame; 0 means a second, or ten frames of a slower camera

	AllowVirtual bool // take a camera that no light falls on: lab only
	AllowColour  bool // take a camera without evidence of infrared
}

// Limits of what is asked for, and of what a driver may answer.
const (
	maxSide   = 8192     // pixels
	maxRate   = 1000     // frames a second
	maxStride = 16 << 10 // bytes a row: maxSide at two bytes
	maxImage  = 64 << 20 // bytes a frame

	// buffers is how many frames the driver is asked to hold: one being filled, one waiting, one being read, one to spare.
	buffers    = 4
	maxBuffers = 32

	// tolerance of an interval, relative: uvcvideo counts in 100 ns. It tells 30 frames a second from 29.97, which are 1e-3 apart.
	tolerance = 1e-4
)

func (s Settings) check() error {
	switch {
	case !s.Format.valid():
		return fmt.Errorf("unknown pixel format %q", string(s.Format))
	case s.Width < 1 || s.Width > maxSide || s.Height < 1 || s.Height > maxSide:
		return fmt.Errorf("frame size %d×%d is outside 1 to %d", s.Width, s.Height, maxSide)
	case s.Rate < 1 || s.Rate > maxRate:
		return fmt.Errorf("frame rate %d is outside 1 to %d", s.Rate, maxRate)
	case s.Stall < 0:
		return fmt.Errorf("stall time-out %v is negative", s.Stall)
	}
	return nil
}

// A Camera is open and streams. Its methods may be called from different goroutines; Close ends a Next that waits.
type Camera struct {
	want   Settings
	about  Found
	node   node
	stride int
	closed atomic.Bool

	mu     sync.Mutex // held by Next from start to end
	maps   [][]byte
	opened time.Duration
	done   <-chan struct{} // the context that wakes the node when it ends
	forget func() bool
	buf    buffer // argument of ioctl, here so that no frame allocates one
	order  sequence
	last   time.Duration // stamp of the newest frame seen
	counts Counts

	released bool
}

// Open opens, checks and starts a camera. Errors are ErrGone, ErrBusy, ErrNotCamera, ErrVirtual, ErrColour, ErrFormat or the kernel's.
func Open(s Settings) (*Camera, error) {
	c, err := start(s)
	if err != nil {
		return nil, fmt.Errorf("open camera %q: %w", s.Path, err)
	}
	return c, nil
}

func start(s Settings) (*Camera, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	d, err := openDevice(s.Path)
	if err != nil {
		return nil, failed("open device", err)
	}
	about := Found{Path: s.Path}
	err = about.identify(d)
	if err == nil {
		err = about.locate(sysfs{"/sys"}, d.fd)
	}
	if err == nil {
		err = s.accepts(about)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return stream(d, s, about)
}

// accepts refuses what the settings do not allow.
func (s Settings) accepts(f Found) error {
	switch {
	case !f.Capture:
		return ErrNotCamera
	case f.Virtual && !s.AllowVirtual:
		return fmt.Errorf("%w: %s", ErrVirtual, f.VirtualWhy)
	case !f.Infrared && !s.AllowColour:
		return fmt.Errorf("%w: %s", ErrColour, f.InfraredWhy)
	}
	return nil
}

// stream negotiates with an open node, maps its buffers and starts it. It owns the node from here on.
func stream(n node, s Settings, about Found) (*Camera, error) {
	if s.Stall == 0 {
		s.Stall = max(time.Second, 10*time.Second/time.Duration(s.Rate))
	}
	c := &Camera{want: s, about: about, node: n, opened: n.now()}
	for _, step := range []func() error{c.negotiate, c.pace, c.allocate, c.begin} {
		if err := step(); err != nil {
			return nil, errors.Join(err, c.release())
		}
	}
	return c, nil
}

// negotiate asks for the format and believes only what the driver says afterwards.
func (c *Camera) negotiate() error {
	ask := pixelFormat{
		kind: v4l2.BufTypeVideoCapture, width: uint32(c.want.Width), height: uint32(c.want.Height), fourcc: c.want.Format.fourcc(), field: v4l2.FieldNone,
	}
	if err := c.node.ioctl(writeFormat, unsafe.Pointer(&ask)); errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %s %d×%d: %w", ErrFormat, c.want.Format, c.want.Width, c.want.Height, err)
	} else if err != nil {
		return failed("set format", err)
	}
	got := pixelFormat{kind: v4l2.BufTypeVideoCapture}
	if err := c.node.ioctl(readFormat, unsafe.Pointer(&got)); err != nil {
		return failed("read format", err)
	}
	if got.fourcc != c.want.Format.fourcc() || got.width != uint32(c.want.Width) || got.height != uint32(c.want.Height) || got.field != v4l2.FieldNone {
		return fmt.Errorf("%w: the driver gave %q %d×%d, field order %d, instead of %q %d×%d, progressive",
			ErrFormat, name(got.fourcc), got.width, got.height, got.field, string(c.want.Format), c.want.Width, c.want.Height)
	}
	if got.stride > maxStride || got.size > maxImage || int(got.stride) < c.want.Format.row(c.want.Width) ||
		int(got.size) < c.want.Format.bytes(c.want.Width, c.want.Height, int(got.stride)) {
		return fmt.Errorf("%w: rows of %d bytes in images of %d cannot hold %q %d×%d",
			ErrFormat, got.stride, got.size, string(c.want.Format), c.want.Width, c.want.Height)
	}
	c.stride = int(got.stride)
	return nil
}

// pace sets the frame interval and reads it back.
func (c *Camera) pace() error {
	ask := streamParameters{kind: v4l2.BufTypeVideoCapture}
	ask.TimePerFrame = v4l2.Fract{Numerator: 1, Denominator: uint32(c.want.Rate)}
	if err := c.node.ioctl(writeParameters, unsafe.Pointer(&ask)); errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: its frame interval cannot be set: %w", ErrFormat, err)
	} else if err != nil {
		return failed("set frame interval", err)
	}
	got := streamParameters{kind: v4l2.BufTypeVideoCapture}
	if err := c.node.ioctl(readParameters, unsafe.Pointer(&got)); err != nil {
		return failed("read frame interval", err)
	}
	per := got.TimePerFrame
	if rate := float64(per.Denominator) / float64(per.Numerator); !(math.Abs(rate/float64(c.want.Rate)-1) <= tolerance) { // 0/0 is refused too
		return fmt.Errorf("%w: the driver gave a frame each %d/%d s instead of 1/%d", ErrFormat, per.Numerator, per.Denominator, c.want.Rate)
	}
	return nil
}

// allocate has the driver make its buffers, maps them and hands them to it.
func (c *Camera) allocate() error {
	ask := bufferRequest{count: buffers, kind: v4l2.BufTypeVideoCapture, memory: v4l2.IOTypeMMAP}
	if err := c.node.ioctl(requestBuffers, unsafe.Pointer(&ask)); err != nil {
		return failed("request buffers", err)
	}
	if ask.count < 2 || ask.count > maxBuffers {
		return fmt.Errorf("request buffers: the driver gave %d", ask.count)
	}
	for i := range ask.count {
		c.buf = buffer{index: i, kind: v4l2.BufTypeVideoCapture, memory: v4l2.IOTypeMMAP}
		if err := c.node.ioctl(queryBuffer, unsafe.Pointer(&c.buf)); err != nil {
			return failed("query buffer", err)
		}
		if c.buf.length > maxImage || int(c.buf.length) < c.want.Format.bytes(c.want.Width, c.want.Height, c.stride) {
			return fmt.Errorf("query buffer: %d bytes cannot hold a frame", c.buf.length)
		}
		m, err := c.node.mmap(int64(uint32(c.buf.offset)), int(c.buf.length))
		if err != nil {
			return failed("map buffer", err)
		}
		c.maps = append(c.maps, m)
		if err := c.queue(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *Camera) begin() error {
	kind := uint32(v4l2.BufTypeVideoCapture)
	if err := c.node.ioctl(streamOn, unsafe.Pointer(&kind)); err != nil {
		return failed("start stream", err)
	}
	return nil
}

// About is what was found out about the camera when it was opened, without its modes.
func (c *Camera) About() Found { return c.about }

// Again asks the kernel once more who delivers the frames, for About. Its place cannot have changed: the kernel ends the stream of a device that is
// unplugged, and gives the next one another node. It must not be called while a Next waits.
func (c *Camera) Again() (Found, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.released {
		return Found{}, os.ErrClosed
	}
	again := c.about
	if err := again.identify(c.node); err != nil {
		return Found{}, fmt.Errorf("look at camera again: %w", err)
	}
	return again, nil
}

// Interval is the nominal time from frame to frame.
func (c *Camera) Interval() time.Duration { return time.Second / time.Duration(c.want.Rate) }

// Close stops the stream, unmaps its buffers and closes the device, so that it can be opened again at once. A Next that waits
// returns os.ErrClosed. Closing twice does nothing.
func (c *Camera) Close() error {
	c.closed.Store(true)
	c.node.wake()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.released {
		return nil
	}
	c.released = true
	if c.forget != nil {
		c.forget()
	}
	return c.release()
}

// release undoes stream, as far as it came. A camera that is gone has stopped by itself.
func (c *Camera) release() error {
	var errs []error
	kind := uint32(v4l2.BufTypeVideoCapture)
	if err := c.node.ioctl(streamOff, unsafe.Pointer(&kind)); err != nil && len(c.maps) > 0 {
		if err := failed("stop stream", err); !errors.Is(err, ErrGone) {
			errs = append(errs, err)
		}
	}
	for _, m := range c.maps {
		if err := c.node.munmap(m); err != nil {
			errs = append(errs, fmt.Errorf("unmap buffer: %w", err))
		}
	}
	c.maps = nil
	return errors.Join(append(errs, c.node.close())...)
}
