package camera

import (
	"errors"
	"math"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// The numbers are those that strace prints and <linux/videodev2.h> makes, whose low half of the high word is the structure's size.
func TestStructuresHaveTheKernelsSize(t *testing.T) {
	for name, row := range map[string][2]uintptr{
		"VIDIOC_QUERYCAP": {queryCapability, 0x80685600}, "VIDIOC_ENUM_FMT": {enumFormat, 0xc0405602},
		"VIDIOC_G_FMT": {readFormat, 0xc0d05604}, "VIDIOC_S_FMT": {writeFormat, 0xc0d05605},
		"VIDIOC_REQBUFS": {requestBuffers, 0xc0145608}, "VIDIOC_QUERYBUF": {queryBuffer, 0xc0585609},
		"VIDIOC_QBUF": {queueBuffer, 0xc058560f}, "VIDIOC_DQBUF": {dequeueBuffer, 0xc0585611},
		"VIDIOC_STREAMON": {streamOn, 0x40045612}, "VIDIOC_STREAMOFF": {streamOff, 0x40045613},
		"VIDIOC_G_PARM": {readParameters, 0xc0cc5615}, "VIDIOC_S_PARM": {writeParameters, 0xc0cc5616},
		"VIDIOC_G_CTRL": {readControl, 0xc008561b}, "VIDIOC_S_CTRL": {writeControl, 0xc008561c},
		"VIDIOC_QUERYCTRL": {queryControl, 0xc0445624}, "VIDIOC_ENUM_FRAMESIZES": {enumSizes, 0xc02c564a},
		"VIDIOC_ENUM_FRAMEINTERVALS": {enumIntervals, 0xc034564b},
	} {
		if row[0] != row[1] {
			t.Errorf("%s is %#x, want %#x", name, row[0], row[1])
		}
	}
}

func TestWhatDiffersIsRefused(t *testing.T) {
	edit := func(request uintptr, change func(unsafe.Pointer)) func(*fake) {
		return func(k *fake) {
			k.answer[request] = func(arg unsafe.Pointer) error {
				err := k.plain(request, arg)
				change(arg)
				return err
			}
		}
	}
	format := func(change func(*pixelFormat)) func(*fake) {
		return edit(readFormat, func(p unsafe.Pointer) { change((*pixelFormat)(p)) })
	}
	per := func(n, d uint32) func(*fake) {
		return edit(readParameters, func(p unsafe.Pointer) {
			(*streamParameters)(p).TimePerFrame = v4l2.Fract{Numerator: n, Denominator: d}
		})
	}
	fails := func(request uintptr, errno unix.Errno) func(*fake) {
		return func(k *fake) { k.answer[request] = func(unsafe.Pointer) error { return errno } }
	}
	for name, row := range map[string]struct {
		set  func(*fake)
		want error
	}{
		"nothing":                {func(*fake) {}, nil},
		"other format":           {format(func(f *pixelFormat) { f.fourcc = code("YUYV") }), ErrFormat},
		"other width":            {format(func(f *pixelFormat) { f.width = 320 }), ErrFormat},
		"other height":           {format(func(f *pixelFormat) { f.height = 180 }), ErrFormat},
		"interlaced":             {format(func(f *pixelFormat) { f.field = v4l2.FieldInterlaced }), ErrFormat},
		"rows too short":         {format(func(f *pixelFormat) { f.stride-- }), ErrFormat},
		"huge rows":              {format(func(f *pixelFormat) { f.stride = math.MaxUint32 }), ErrFormat},
		"image too small":        {format(func(f *pixelFormat) { f.size-- }), ErrFormat},
		"huge image":             {format(func(f *pixelFormat) { f.size = math.MaxUint32 }), ErrFormat},
		"format refused":         {fails(writeFormat, unix.EINVAL), ErrFormat},
		"in use":                 {fails(writeFormat, unix.EBUSY), ErrBusy},
		"gone":                   {fails(readFormat, unix.ENODEV), ErrGone},
		"slower":                 {per(1, 25), ErrFormat},
		"ntsc":                   {per(1001, 30000), ErrFormat},
		"in 100 ns":              {per(333333, 10000000), nil},
		"no interval":            {per(0, 0), ErrFormat},
		"no time":                {per(0, 30), ErrFormat},
		"interval of its own":    {fails(writeParameters, unix.ENOTTY), ErrFormat},
		"no buffers":             {edit(requestBuffers, func(p unsafe.Pointer) { (*bufferRequest)(p).count = 0 }), errAny},
		"one buffer":             {edit(requestBuffers, func(p unsafe.Pointer) { (*bufferRequest)(p).count = 1 }), errAny},
		"very many buffers":      {edit(requestBuffers, func(p unsafe.Pointer) { (*bufferRequest)(p).count = math.MaxUint32 }), errAny},
		"short buffer":           {edit(queryBuffer, func(p unsafe.Pointer) { (*buffer)(p).length-- }), errAny},
		"huge buffer":            {edit(queryBuffer, func(p unsafe.Pointer) { (*buffer)(p).length = math.MaxUint32 }), errAny},
		"buffers refused":        {fails(requestBuffers, unix.EBUSY), ErrBusy},
		"stream does not start":  {fails(streamOn, unix.EIO), unix.EIO},
		"gone before the stream": {fails(streamOn, unix.ENODEV), ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			k := newFake()
			row.set(k)
			c, err := stream(k, small, Found{})
			if row.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				err = c.Close()
			}
			if row.want == errAny && err == nil || row.want != errAny && !errors.Is(err, row.want) {
				t.Errorf("error %v, want %v", err, row.want)
			}
			if k.mapped != 0 || k.closed != 1 {
				t.Errorf("left behind: %d mappings, closed %d times", k.mapped, k.closed)
			}
		})
	}
}

var errAny = errors.New("any error")

// Rows may be longer than their pixels; what is behind them is not looked at.
func TestPaddedRows(t *testing.T) {
	k := newFake()
	k.answer[writeFormat] = func(p unsafe.Pointer) error {
		err := k.plain(writeFormat, p)
		k.format.stride += 8
		k.format.size = k.format.stride * k.format.height
		return err
	}
	c := open(t, k, small)
	k.deliver(1, 7, func(b *buffer) {
		for y := range small.Height {
			for x := range 8 {
				k.memory[b.index][y*(small.Width+8)+small.Width+x] = 0xee
			}
		}
		b.used -= 8 // the last row's padding need not be there
	})
	pix := make([]byte, small.Width*small.Height)
	if _, err := c.Next(t.Context(), pix); err != nil {
		t.Fatal(err)
	}
	for i, v := range pix {
		if v != 7 {
			t.Fatalf("pixel %d is %#x", i, v)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"format": func(s *Settings) { s.Format = "MJPG" }, "no format": func(s *Settings) { s.Format = "" },
		"width": func(s *Settings) { s.Width = 0 }, "height": func(s *Settings) { s.Height = maxSide + 1 },
		"rate": func(s *Settings) { s.Rate = 0 }, "stall": func(s *Settings) { s.Stall = -1 },
	} {
		s := small
		change(&s)
		if _, err := Open(s); err == nil || errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(small); !errors.Is(err, ErrGone) && !errors.Is(err, unix.EACCES) {
		t.Errorf("a camera that is not there: %v", err)
	}
	s := small
	s.Path = "/dev/null"
	if _, err := Open(s); !errors.Is(err, ErrNotCamera) {
		t.Errorf("/dev/null: %v", err)
	}
}

func TestDefaultAllowsNeitherVirtualNorColour(t *testing.T) {
	infrared := Found{Capture: true, Infrared: true}
	for name, row := range map[string]struct {
		f    Found
		want error
	}{
		"infrared": {infrared, nil},
		"zero":     {Found{}, ErrNotCamera},
		"virtual":  {Found{Capture: true, Infrared: true, Virtual: true}, ErrVirtual},
		"colour":   {Found{Capture: true}, ErrColour},
	} {
		if err := (Settings{}).accepts(row.f); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	if err := (Settings{AllowVirtual: true, AllowColour: true}).accepts(Found{Capture: true, Virtual: true}); err != nil {
		t.Error(err)
	}
}

func TestStallDefaults(t *testing.T) {
	for rate, want := range map[int]time.Duration{30: time.Second, 10: time.Second, 2: 5 * time.Second} {
		s := small
		s.Rate, s.Stall = rate, 0
		if c := open(t, newFake(), s); c.want.Stall != want {
			t.Errorf("at %d frames a second: %v, want %v", rate, c.want.Stall, want)
		}
	}
}

// What the kernel says is asked anew, and not remembered.
func TestAgainAsksTheKernel(t *testing.T) {
	k := enumerating(v4l2.CapVideoCapture|v4l2.CapStreaming, "GREY")
	card := "as it was"
	k.answer[queryCapability] = func(p unsafe.Pointer) error {
		q := (*capability)(p)
		copy(q.card[:], card)
		q.physical, q.of = v4l2.CapDeviceCapabilities|v4l2.CapVideoCapture, v4l2.CapVideoCapture|v4l2.CapStreaming
		return nil
	}
	c := open(t, k, small)
	for _, card = range []string{"as it was", "another"} {
		if f, err := c.Again(); err != nil || f.Card != card || f.Path != small.Path {
			t.Errorf("%+v, %v; want %q", f, err, card)
		}
	}
	k.answer[queryCapability] = func(unsafe.Pointer) error { return unix.ENODEV }
	if _, err := c.Again(); err == nil {
		t.Error("a camera that is gone is there again")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Again(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
