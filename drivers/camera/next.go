package camera

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// Frame is what is known about the pixels that Next wrote.
type Frame struct {
	Seq   uint64        // the camera's count from 1, without the wrap at 2³²; a gap is a lost frame
	Stamp time.Duration // CLOCK_MONOTONIC
	// AtStart means that the driver claims to stamp the start of exposure, otherwise its end. What uvcvideo stamps in truth is the
	// arrival of the frame's first packet: measure the delay from lamp to frame before relying on either.
	AtStart bool
}

// Counts are what happened to frames since Open.
type Counts struct {
	Frames     uint64 // handed out
	Skipped    uint64 // delivered in order, but a newer one was there already
	Lost       uint64 // gaps in the driver's sequence: lost on the way, or no buffer was free for them
	Flawed     uint64 // marked as erroneous by the driver, or too short
	Disordered uint64 // sequence or stamp did not rise
}

// Counts may wait as long as a Next that runs.
func (c *Camera) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Next waits for a frame newer than the last one and writes it to pix, Width·Height bytes of gray. It does not allocate, as long as
// ctx stays the same. It returns ErrStalled when none came within Settings.Stall, after which it may be called again;
// ctx's error; os.ErrClosed after Close; ErrGone, ErrBroken or ErrClock, after which only Close helps.
func (c *Camera) Next(ctx context.Context, pix []byte) (Frame, error) {
	if len(pix) != c.want.Width*c.want.Height {
		return Frame{}, fmt.Errorf("read frame: %d bytes for %d×%d pixels", len(pix), c.want.Width, c.want.Height)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(c.want.Stall)
	for trouble := false; ; {
		if c.closed.Load() {
			return Frame{}, os.ErrClosed
		}
		c.listen(ctx)
		if err := ctx.Err(); err != nil {
			return Frame{}, err
		}
		f, ok, err := c.take(pix)
		if err == nil && !ok && trouble {
			err = ErrBroken // poll says so, and dequeuing does not know why
		}
		if ok || err != nil {
			return f, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return Frame{}, ErrStalled
		}
		if trouble, err = c.node.wait(left); err != nil {
			return Frame{}, failed("wait for frame", err)
		}
	}
}

// listen has the end of ctx wake the node. Its goroutine exists only after that end, and Close or another context call it off.
func (c *Camera) listen(ctx context.Context) {
	if done := ctx.Done(); done != c.done {
		if c.forget != nil {
			c.forget()
		}
		c.done, c.forget = done, context.AfterFunc(ctx, c.node.wake)
	}
}

// take empties the driver's queue and copies the newest good frame out. The others go back at once.
func (c *Camera) take(pix []byte) (Frame, bool, error) {
	var newest struct {
		Frame
		index uint32
		ok    bool
	}
	taken := 0
	for ; taken < len(c.maps); taken++ {
		c.buf = buffer{kind: v4l2.BufTypeVideoCapture, memory: v4l2.IOTypeMMAP}
		err := c.node.ioctl(dequeueBuffer, unsafe.Pointer(&c.buf))
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			if err = failed("dequeue frame", err); !errors.Is(err, ErrGone) {
				err = fmt.Errorf("%w: %w", ErrBroken, err)
			}
			return Frame{}, false, err
		}
		index := c.buf.index
		if int(index) >= len(c.maps) {
			return Frame{}, false, fmt.Errorf("%w: the driver names buffer %d of %d", ErrBroken, index, len(c.maps))
		}
		f, ok, err := c.judge()
		if err != nil {
			return Frame{}, false, err
		}
		back := index
		if ok {
			if back = newest.index; newest.ok {
				c.counts.Skipped++
			}
		}
		if !ok || newest.ok {
			if err := c.queue(back); err != nil {
				return Frame{}, false, err
			}
		}
		if ok {
			newest.Frame, newest.index, newest.ok = f, index, true
		}
	}
	if !newest.ok {
		return Frame{}, false, nil
	}
	// When every buffer was full, the driver had none for what came since: what looks newest may be old.
	if taken == len(c.maps) && c.node.now()-newest.Stamp > c.Interval() {
		c.counts.Skipped++
		return Frame{}, false, c.queue(newest.index)
	}
	c.want.Format.gray(pix, c.maps[newest.index], c.want.Width, c.want.Height, c.stride)
	c.counts.Frames++
	return newest.Frame, true, c.queue(newest.index)
}

// judge looks at the buffer just dequeued.
func (c *Camera) judge() (Frame, bool, error) {
	b := &c.buf
	f := Frame{
		Stamp:   time.Duration(b.stamp.Sec)*time.Second + time.Duration(b.stamp.Usec)*time.Microsecond,
		AtStart: b.flags&v4l2.BufFlagTimestampSourceMask == v4l2.BufFlagTimestampSourceSOE,
	}
	lost, rises := c.order.advance(b.sequence)
	if !rises {
		c.counts.Disordered++
		return Frame{}, false, nil
	}
	c.counts.Lost += lost
	f.Seq = c.order.seq
	if b.flags&v4l2.BufFlagError != 0 || int(b.used) < c.want.Format.bytes(c.want.Width, c.want.Height, c.stride) {
		c.counts.Flawed++
		return Frame{}, false, nil
	}
	// v4l2loopback stamps by the right clock without saying so.
	if clock := b.flags & v4l2.BufFlagTimestampMask; clock != v4l2.BufFlagTimestampMonotonic &&
		!(clock == v4l2.BufFlagTimestampUnknown && c.about.Virtual) {
		return Frame{}, false, fmt.Errorf("%w: buffer flags %#x", ErrClock, b.flags)
	}
	// Some drivers reckon the end of a frame, as vivid does, and hand it over before.
	if now := c.node.now(); f.Stamp > now+c.Interval() || f.Stamp < c.opened-time.Second {
		return Frame{}, false, fmt.Errorf("%w: %v is not between opening at %v and now at %v", ErrClock, f.Stamp, c.opened, now)
	}
	if f.Stamp <= c.last {
		c.counts.Disordered++
		return Frame{}, false, nil
	}
	c.last = f.Stamp
	return f, true, nil
}

// queue hands a buffer to the driver.
func (c *Camera) queue(index uint32) error {
	c.buf = buffer{index: index, kind: v4l2.BufTypeVideoCapture, memory: v4l2.IOTypeMMAP}
	err := c.node.ioctl(queueBuffer, unsafe.Pointer(&c.buf))
	if err == nil {
		return nil
	}
	if err = failed("queue buffer", err); errors.Is(err, ErrGone) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

// sequence turns the driver's 32-bit count into one that does not wrap. The zero one has seen nothing.
type sequence struct {
	raw uint32
	seq uint64
}

// advance reports how many frames are missing before this one, and whether it comes after all that were seen. The distance is
// counted modulo 2³², and more than half of the circle is backwards.
func (s *sequence) advance(raw uint32) (lost uint64, rises bool) {
	if s.seq == 0 {
		s.raw, s.seq = raw, 1
		return 0, true
	}
	step := raw - s.raw
	if step == 0 || step > 1<<31 {
		return 0, false
	}
	s.raw, s.seq = raw, s.seq+uint64(step)
	return uint64(step) - 1, true
}
