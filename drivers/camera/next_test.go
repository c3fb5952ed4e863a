package camera

import (
	"context"
	"errors"
	"math"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

func TestNewestFrameWins(t *testing.T) {
	k := newFake()
	c := open(t, k, small)
	for i := range uint32(3) {
		k.advance(c.Interval())
		k.deliver(10+i, byte(i), nil)
	}
	f, v, err := next(t, c)
	if err != nil || f.Seq != 3 || v != 2 || f.Stamp != k.clock.Truncate(time.Microsecond) {
		t.Fatalf("frame %+v of value %d, %v: want the third", f, v, err)
	}
	if len(k.free) != buffers {
		t.Fatalf("%d buffers are back with the driver, want %d", len(k.free), buffers)
	}
	if want := (Counts{Frames: 1, Skipped: 2}); c.Counts() != want {
		t.Fatalf("counts %+v, want %+v", c.Counts(), want)
	}
}

// A caller that was away finds all buffers full of the past.
func TestStarvedQueueIsNotTakenForNew(t *testing.T) {
	k := newFake()
	s := small
	s.Stall = 10 * time.Second // the frame that is waited for may come late on a busy machine
	c := open(t, k, s)
	for i := range uint32(buffers) {
		k.advance(c.Interval())
		k.deliver(i, 1, nil)
	}
	k.advance(time.Second)
	if k.deliver(34, 2, nil) {
		t.Fatal("the driver had a free buffer")
	}
	go func() {
		for !k.deliver(35, 2, nil) {
			time.Sleep(time.Millisecond)
		}
	}()
	f, v, err := next(t, c)
	if err != nil || v != 2 || f.Seq != 36 {
		t.Fatalf("frame %+v of value %d, %v: want the one that came after the wait", f, v, err)
	}
	if want := (Counts{Frames: 1, Skipped: buffers, Lost: 31}); c.Counts() != want {
		t.Fatalf("counts %+v, want %+v", c.Counts(), want)
	}
}

func TestFaultsOfFrames(t *testing.T) {
	soe := uint32(v4l2.BufFlagTimestampMonotonic | v4l2.BufFlagTimestampSourceSOE)
	for name, row := range map[string]struct {
		change func(*buffer)
		err    error
		counts Counts
		start  bool
	}{
		"as it should be":  {nil, nil, Counts{Frames: 2}, false},
		"start of frame":   {func(b *buffer) { b.flags = soe }, nil, Counts{Frames: 2}, true},
		"gap":              {func(b *buffer) { b.sequence += 5 }, nil, Counts{Frames: 2, Lost: 5}, false},
		"flagged":          {func(b *buffer) { b.flags |= v4l2.BufFlagError }, ErrStalled, Counts{Frames: 1, Flawed: 1}, false},
		"short":            {func(b *buffer) { b.used-- }, ErrStalled, Counts{Frames: 1, Flawed: 1}, false},
		"empty":            {func(b *buffer) { b.used = 0 }, ErrStalled, Counts{Frames: 1, Flawed: 1}, false},
		"same number":      {func(b *buffer) { b.sequence = 7 }, ErrStalled, Counts{Frames: 1, Disordered: 1}, false},
		"number backwards": {func(b *buffer) { b.sequence = 3 }, ErrStalled, Counts{Frames: 1, Disordered: 1}, false},
		"same stamp":       {func(b *buffer) { b.stamp = unix.NsecToTimeval(int64(time.Hour)) }, ErrStalled, Counts{Frames: 1, Disordered: 1}, false},
		"future":           {func(b *buffer) { b.stamp.Sec += 3 }, ErrClock, Counts{Frames: 1}, false},
		"a bit ahead":      {func(b *buffer) { b.stamp.Usec += 33000 }, nil, Counts{Frames: 2}, false},
		"no stamp":         {func(b *buffer) { b.stamp = unix.Timeval{} }, ErrClock, Counts{Frames: 1}, false},
		"hostile stamp":    {func(b *buffer) { b.stamp.Sec = math.MaxInt64 / int64(time.Second) * 2 }, ErrClock, Counts{Frames: 1}, false},
		"wall clock":       {func(b *buffer) { b.stamp.Sec = 1795374000 }, ErrClock, Counts{Frames: 1}, false},
		"unknown clock":    {func(b *buffer) { b.flags = 0 }, ErrClock, Counts{Frames: 1}, false},
		"copied stamp":     {func(b *buffer) { b.flags = v4l2.BufFlagTimestampCopy }, ErrClock, Counts{Frames: 1}, false},
		"foreign buffer":   {func(b *buffer) { b.index = buffers }, ErrBroken, Counts{Frames: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := newFake()
			c := open(t, k, small)
			k.deliver(7, 1, nil)
			if _, _, err := next(t, c); err != nil {
				t.Fatal(err)
			}
			k.advance(c.Interval())
			k.deliver(8, 1, row.change)
			f, _, err := next(t, c)
			if !errors.Is(err, row.err) || row.err == nil && err != nil {
				t.Errorf("error %v, want %v", err, row.err)
			}
			if f.AtStart != row.start {
				t.Errorf("stamped at start: %v", f.AtStart)
			}
			if c.Counts() != row.counts {
				t.Errorf("counts %+v, want %+v", c.Counts(), row.counts)
			}
			if len(k.free) != buffers && !errors.Is(err, ErrClock) && !errors.Is(err, ErrBroken) {
				t.Errorf("%d buffers are back with the driver, want %d", len(k.free), buffers)
			}
		})
	}
}

func TestVirtualCameraMayNotNameItsClock(t *testing.T) {
	k := newFake()
	c := open(t, k, small)
	c.about.Virtual = true
	k.deliver(1, 1, func(b *buffer) { b.flags = 0 })
	if _, _, err := next(t, c); err != nil {
		t.Fatal(err)
	}
	k.advance(c.Interval())
	k.deliver(2, 1, func(b *buffer) { b.flags = 0; b.stamp.Sec++ })
	if _, _, err := next(t, c); !errors.Is(err, ErrClock) {
		t.Fatalf("a stamp of the future: %v", err)
	}
}

func TestErrorsOfTheStreamKeepTheKernelsWord(t *testing.T) {
	for name, row := range map[string]struct {
		request uintptr
		errno   unix.Errno
		want    error
	}{
		"unplugged":         {dequeueBuffer, unix.ENODEV, ErrGone},
		"fatal":             {dequeueBuffer, unix.EIO, ErrBroken},
		"stopped":           {dequeueBuffer, unix.EINVAL, ErrBroken},
		"unplugged, queue":  {queueBuffer, unix.ENODEV, ErrGone},
		"queue is refused":  {queueBuffer, unix.EINVAL, ErrBroken},
		"broken pipe of it": {dequeueBuffer, unix.EPIPE, ErrBroken},
	} {
		t.Run(name, func(t *testing.T) {
			k := newFake()
			c := open(t, k, small)
			k.deliver(1, 1, nil)
			k.answer[row.request] = func(unsafe.Pointer) error { return row.errno }
			if _, _, err := next(t, c); !errors.Is(err, row.want) || !errors.Is(err, row.errno) {
				t.Fatalf("%v: want %v and %v", err, row.want, row.errno)
			}
		})
	}
}

func TestTroubleWithoutAReasonDoesNotSpin(t *testing.T) {
	k := newFake()
	c := open(t, k, small)
	k.hangs = true
	k.wake()
	if _, _, err := next(t, c); !errors.Is(err, ErrBroken) {
		t.Fatal(err)
	}
}

func TestStallIsAnErrorAndNoEnd(t *testing.T) {
	k := newFake()
	c := open(t, k, small)
	began := time.Now()
	if _, _, err := next(t, c); !errors.Is(err, ErrStalled) {
		t.Fatal(err)
	}
	if took := time.Since(began); took < small.Stall || took > 20*small.Stall {
		t.Fatalf("took %v for a time-out of %v", took, small.Stall)
	}
	k.deliver(1, 1, nil)
	if _, _, err := next(t, c); err != nil {
		t.Fatalf("after the stall: %v", err)
	}
}

func TestContextAndCloseEndAWait(t *testing.T) {
	s := small
	s.Stall = time.Minute
	c := open(t, newFake(), s)
	pix := make([]byte, s.Width*s.Height)
	for range 3 { // each context anew: the end of one does not end the next
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(5*time.Millisecond, cancel)
		if _, err := c.Next(ctx, pix); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if _, err := c.Next(context.Background(), pix[1:]); err == nil {
		t.Fatal("took a short slice")
	}
	time.AfterFunc(5*time.Millisecond, func() { c.Close() })
	if _, err := c.Next(context.Background(), pix); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := c.Next(context.Background(), pix); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	if _, err := c.Lock(Light{}); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("Lock after Close: %v", err)
	}
}

func TestSequenceDoesNotWrap(t *testing.T) {
	var s sequence
	for _, row := range []struct {
		raw   uint32
		lost  uint64
		rises bool
		seq   uint64
	}{
		{math.MaxUint32 - 1, 0, true, 1},
		{math.MaxUint32, 0, true, 2},
		{0, 0, true, 3}, // the wrap
		{0, 0, false, 3},
		{math.MaxUint32, 0, false, 3},
		{2, 1, true, 5},
		{1 << 31, 1<<31 - 3, true, 3 + 1<<31},
		{0, 1<<31 - 1, true, 3 + 1<<32}, // half the circle is the farthest forwards
		{1<<31 + 1, 0, false, 3 + 1<<32},
	} {
		lost, rises := s.advance(row.raw)
		if lost != row.lost || rises != row.rises || s.seq != row.seq {
			t.Errorf("after %#x: lost %d, rises %v, count %d; want %+v", row.raw, lost, rises, s.seq, row)
		}
	}
}

func FuzzSequence(f *testing.F) {
	f.Add(uint32(0), uint32(1), uint32(2))
	f.Add(uint32(math.MaxUint32), uint32(0), uint32(5))
	f.Add(uint32(7), uint32(6), uint32(1<<31+7))
	f.Fuzz(func(t *testing.T, a, b, c uint32) {
		var s sequence
		for _, raw := range []uint32{a, b, c} {
			before := s.seq
			lost, rises := s.advance(raw)
			if want := before + lost + 1; rises && s.seq != want || !rises && (s.seq != before || lost != 0) {
				t.Fatalf("%d after %d: lost %d, rises %v", s.seq, before, lost, rises)
			}
			if rises && uint32(s.seq-1) != raw-a {
				t.Fatalf("count %d does not follow %#x from %#x", s.seq, raw, a)
			}
		}
	})
}

func TestNextDoesNotAllocate(t *testing.T) {
	k := newFake()
	c := open(t, k, small)
	pix := make([]byte, c.want.Width*c.want.Height)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seq := uint32(0)
	if n := testing.AllocsPerRun(100, func() {
		seq++
		k.advance(c.Interval())
		k.deliver(seq, 1, nil)
		if _, err := c.Next(ctx, pix); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations a frame", n)
	}
}
