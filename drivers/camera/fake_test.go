package camera

import (
	"context"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// fake is a small camera in the kernel's place. answer may replace what one request does.
type fake struct {
	answer map[uintptr]func(arg unsafe.Pointer) error

	format   pixelFormat
	interval v4l2.Fract
	controls map[uint32]*fakeControl

	mu       sync.Mutex
	clock    time.Duration
	memory   [][]byte
	mapped   int
	free     []uint32
	full     []buffer
	on       bool
	hangs    bool // poll reports trouble
	closed   int
	bell     chan struct{}
	dequeued int
}

type fakeControl struct {
	controlInfo
	value int32
}

func newFake() *fake {
	return &fake{
		answer: map[uintptr]func(unsafe.Pointer) error{}, controls: map[uint32]*fakeControl{},
		clock: time.Hour, bell: make(chan struct{}, 1),
	}
}

func (k *fake) ioctl(request uintptr, arg unsafe.Pointer) error {
	if do := k.answer[request]; do != nil {
		return do(arg)
	}
	return k.plain(request, arg)
}

// plain is what a camera without faults does.
func (k *fake) plain(request uintptr, arg unsafe.Pointer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch request {
	case writeFormat:
		f := (*pixelFormat)(arg)
		row := Format(name(f.fourcc)).row(int(f.width))
		f.stride = uint32(row)
		f.size = f.stride * f.height
		k.format = *f
	case readFormat:
		*(*pixelFormat)(arg) = k.format
	case writeParameters:
		k.interval = (*streamParameters)(arg).TimePerFrame
	case readParameters:
		(*streamParameters)(arg).TimePerFrame = k.interval
	case requestBuffers:
		for range (*bufferRequest)(arg).count {
			k.memory = append(k.memory, make([]byte, k.format.size))
		}
	case queryBuffer:
		b := (*buffer)(arg)
		b.length, b.offset = uint32(len(k.memory[b.index])), uint64(b.index)
	case queueBuffer:
		k.free = append(k.free, (*buffer)(arg).index)
	case dequeueBuffer:
		if len(k.full) == 0 {
			return unix.EAGAIN
		}
		*(*buffer)(arg) = k.full[0]
		k.full = k.full[:copy(k.full, k.full[1:])]
		k.dequeued++
	case streamOn:
		k.on = true
	case streamOff:
		k.on, k.full, k.free = false, nil, nil
	case queryControl:
		c := k.controls[(*controlInfo)(arg).id]
		if c == nil {
			return unix.EINVAL
		}
		*(*controlInfo)(arg) = c.controlInfo
	case writeControl:
		v := (*controlValue)(arg)
		k.controls[v.id].value = v.value
	case readControl:
		v := (*controlValue)(arg)
		v.value = k.controls[v.id].value
	default:
		return unix.ENOTTY
	}
	return nil
}

// deliver fills a free buffer with value, if there is one, and reports whether there was.
func (k *fake) deliver(seq uint32, value byte, change func(*buffer)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.free) == 0 || !k.on {
		return false
	}
	k.full = append(k.full, buffer{
		index: k.free[0], sequence: seq, used: k.format.size, flags: v4l2.BufFlagTimestampMonotonic,
		stamp: unix.Timeval{Sec: int64(k.clock / time.Second), Usec: int64(k.clock % time.Second / time.Microsecond)},
	})
	b := &k.full[len(k.full)-1]
	for i := range k.memory[b.index] {
		k.memory[b.index][i] = value
	}
	k.free = k.free[:copy(k.free, k.free[1:])]
	if change != nil {
		change(b)
	}
	k.wakeLocked()
	return true
}

func (k *fake) advance(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.clock += d
}

func (k *fake) mmap(offset int64, length int) ([]byte, error) {
	k.mapped++
	return k.memory[offset][:length], nil
}

func (k *fake) munmap([]byte) error { k.mapped--; return nil }

func (k *fake) wait(most time.Duration) (bool, error) {
	select {
	case <-k.bell:
	case <-time.After(most):
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.hangs, nil
}

func (k *fake) wakeLocked() {
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

func (k *fake) wake() { k.wakeLocked() }

func (k *fake) now() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.clock
}

func (k *fake) close() error { k.closed++; return nil }

var small = Settings{Path: "/dev/video9", Format: Grey, Width: 16, Height: 4, Rate: 30, Stall: 50 * time.Millisecond}

// open opens the fake, and looks after the test whether nothing was left behind.
func open(t testing.TB, k *fake, s Settings) *Camera {
	t.Helper()
	c, err := stream(k, s, Found{Path: s.Path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if k.mapped != 0 || k.closed != 1 || k.on {
			t.Errorf("left behind: %d mappings, closed %d times, streaming %v", k.mapped, k.closed, k.on)
		}
	})
	return c
}

func next(t testing.TB, c *Camera) (Frame, byte, error) {
	t.Helper()
	pix := make([]byte, c.want.Width*c.want.Height)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f, err := c.Next(ctx, pix)
	return f, pix[len(pix)-1], err
}
