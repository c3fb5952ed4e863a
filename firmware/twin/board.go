//go:build !kiosk

package twin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
)

// slots of the ring: a reader may take three frames' time over one frame before it is overtaken.
const slots = 4

// Config of a simulated board.
type Config struct {
	FramesPath string // socket that serves the camera's frames
	LinesPath  string // socket that serves the lines
	// Devices, when not nil, take the place of both sockets.
	Devices Devices
	// Interval is the time from frame to frame; 0: a thirtieth of a second.
	Interval time.Duration
	Cast     Cast
	Seed     uint64 // of noise and motion
	TwoLamps bool   // beside the lens, instead of one above it
}

// Devices are a camera and lines of the kernel that the simulated scene stands before: the laboratory's.
type Devices interface {
	// Show has the camera deliver a picture, FrameWidth x FrameHeight gray bytes, whose exposure ended at stamp, CLOCK_MONOTONIC.
	Show(pix []byte, stamp time.Duration) error
	// Outputs are the changes of the outputs since it was asked last, oldest first, with their CLOCK_MONOTONIC stamps.
	Outputs() ([]board.Edge, error)
	// Pull works an input.
	Pull(line board.Line, on bool) error
}

// Board is the simulated board. Its methods may be called from any goroutine.
type Board struct {
	cast   Cast
	scenes []*Scene
	seed   uint64
	ring   *frames.Ring
	camera *net.UnixListener
	wiring *net.UnixListener
	wires  wires
	term   *terminal

	devices  Devices // nil: the sockets of ring and term
	interval time.Duration
	twoLamps bool

	mu      sync.Mutex
	show    *show // what plays, nil if nothing does
	passes  bool  // as the scene said that played last
	pending []input
	leaf    passage
	last    []byte
	seq     uint64
	stamp   time.Duration
	pulled  error // the first input of the devices that could not be worked; the lock of the wires guards it
}

// LinesState is the level of every line of the board.
type LinesState map[board.Line]bool

// New makes a board and opens its sockets; they are served while Run runs.
func New(c Config) (*Board, error) {
	b := &Board{
		cast: c.Cast, seed: c.Seed, last: make([]byte, FrameWidth*FrameHeight), devices: c.Devices, interval: cmp.Or(c.Interval, interval),
		twoLamps: c.TwoLamps,
	}
	var err error
	if b.scenes, err = Scenes(); err != nil {
		return nil, err
	}
	if b.devices != nil {
		b.wires.notify = b.pull
		return b, nil
	}
	b.ring, err = frames.NewRing(frames.Camera{
		Driver: "twin", Card: "simulated infrared camera", Bus: "none",
		Format: fmt.Sprintf("GREY %dx%d", FrameWidth, FrameHeight), Interval: b.interval, Virtual: true,
	}, FrameWidth, FrameHeight, slots, Least, Most)
	if err != nil {
		return nil, err
	}
	if b.camera, err = frames.Listen(c.FramesPath); err != nil {
		return nil, errors.Join(err, b.ring.Close())
	}
	if b.wiring, err = frames.Listen(c.LinesPath); err != nil {
		return nil, errors.Join(err, b.camera.Close(), b.ring.Close())
	}
	b.term = newTerminal(&b.wires)
	return b, nil
}

// Run delivers frames and serves the lines until ctx ends, and leaves nothing running. It may be called once.
func (b *Board) Run(ctx context.Context) error {
	if b.devices != nil {
		return b.runDevices(ctx)
	}
	served := make(chan error, 2)
	go func() { served <- b.ring.Serve(b.camera) }()
	go func() { served <- b.term.serve(b.wiring) }()
	err := b.expose(ctx, b.ring)
	b.mu.Lock()
	b.endShow()
	b.mu.Unlock()
	err = errors.Join(err, b.camera.Close(), b.wiring.Close())
	b.term.stop()
	return errors.Join(err, <-served, <-served, b.ring.Close())
}

// expose is the camera: one frame an interval, stamped with the end of its exposure and rendered after it, as a sensor is read
// out after it. A frame that comes out more than an interval late is left out, which shows as a gap in the sequence.
func (b *Board) expose(ctx context.Context, to display) error {
	r, interval := newRenderer(b.seed), b.interval
	things := make([]placed, 0, maxActors)
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := frames.Now() + interval
	for n := uint64(0); ; n++ {
		stamp := start + time.Duration(n)*interval
		if late := frames.Now() - stamp; late > interval {
			n += uint64(late / interval)
			stamp = start + time.Duration(n)*interval
		}
		timer.Reset(stamp - frames.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		seq := n + 1
		if err := b.listen(); err != nil {
			return err
		}
		light, t := b.step(stamp, r, &things)
		asked := to.Asked()
		if asked.Gain == 0 {
			asked = frames.Light{Exposure: exposure, Gain: 1}
		}
		light.by(asked)
		b.shine(&light, stamp-asked.Exposure, stamp)
		pix := to.Begin()
		r.draw(pix, things, light, t, seq)
		b.mu.Lock()
		copy(b.last, pix)
		b.seq, b.stamp = seq, stamp
		b.mu.Unlock()
		to.Publish(seq, stamp, asked)
	}
}

// display is where frames are drawn and shown.
type display interface {
	Begin() []byte
	Publish(seq uint64, stamp time.Duration, light frames.Light)
	// Asked is the light that the camera was told to take in; zero: its normal one.
	Asked() frames.Light
}

// Places in lines.
const (
	relayLine = 0
	lampLine  = 1
	lamp2Line = 10
)

// shine sets the light of the lamps during an exposure.
func (b *Board) shine(l *lighting, from, to time.Duration) {
	if share := b.wires.share(lampLine, from, to); b.twoLamps {
		l.pair = [2]float64{share, b.wires.share(lamp2Line, from, to)}
	} else {
		l.lamp = share
	}
}

// step moves everything on to the time of a frame: inputs that are due, the door leaf, the actors.
func (b *Board) step(now time.Duration, r *renderer, things *[]placed) (lighting, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.pending[:0]
	for _, in := range b.pending {
		if in.at > now {
			kept = append(kept, in)
			continue
		}
		b.change(in.line, in.on)
	}
	b.pending = kept
	if on, changed := b.leaf.step(now, b.wires.get(relayLine), b.passes); changed {
		b.change(board.Contact, on)
	}
	*things = (*things)[:0]
	s := b.show
	if s == nil {
		r.seed = b.seed
		return lighting{ambient: 1, gain: 1}, now
	}
	if s.start == 0 {
		s.start = now
		for _, in := range s.scene.inputs {
			b.pending = append(b.pending, input{now + in.at, in.line, in.on})
		}
	}
	r.seed = b.seed ^ s.scene.seed*0x9e3779b97f4a7c15
	t := now - s.start
	if t >= s.scene.Duration {
		b.endShow()
	} else {
		*things = s.place(*things, t, r.seed)
	}
	return s.light(), t
}

// endShow leaves the inputs as they were before the scene. The caller holds mu.
func (b *Board) endShow() {
	if b.show == nil {
		return
	}
	for _, in := range b.show.scene.inputs {
		b.pending = slices.DeleteFunc(b.pending, func(p input) bool { return p.line == in.line })
		b.change(in.line, false)
	}
	close(b.show.ended)
	b.show = nil
}

// change works an input from outside; lines are known to exist.
func (b *Board) change(line board.Line, on bool) {
	if n, ok := lineNumber(line); ok {
		b.wires.set(n, on)
	}
}

// Play plays a scene from the next frame on and returns when it has ended, or ctx has. One scene plays at a time.
func (b *Board) Play(ctx context.Context, s *Scene) error {
	w, err := stage(s, &b.cast, nil)
	if err != nil {
		return fmt.Errorf("play %q: %w", s.Name, err)
	}
	b.mu.Lock()
	if b.show != nil {
		b.mu.Unlock()
		return fmt.Errorf("play %q: %q is still playing", s.Name, b.show.scene.Name)
	}
	b.show, b.passes = w, s.Passes
	b.mu.Unlock()
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.show == w {
		b.endShow()
	}
	return ctx.Err()
}

// Scenes are the product's own, in their order.
func (b *Board) Scenes() []*Scene { return b.scenes }

// LastFrame copies the newest frame into dst, which must be FrameWidth x FrameHeight without gaps between rows; seq is 0 when
// there is no frame yet or dst does not fit.
func (b *Board) LastFrame(dst *image.Gray) (seq uint64, stamp time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if dst.Stride != FrameWidth || len(dst.Pix) != len(b.last) {
		return 0, 0
	}
	copy(dst.Pix, b.last)
	return b.seq, b.stamp
}

// Lines is the level of every line now.
func (b *Board) Lines() LinesState {
	b.wires.mu.Lock()
	defer b.wires.mu.Unlock()
	state := make(LinesState, len(lines))
	for i, l := range lines {
		state[l] = b.wires.level[i]
	}
	return state
}

// History lists the changes of all lines after since, oldest first, as far back as the last 1024.
func (b *Board) History(since time.Duration) []board.Edge { return b.wires.since(since) }

// SetInput works an input by hand.
func (b *Board) SetInput(line board.Line, on bool) error {
	if _, ok := lineNumber(line); !ok || output(line) {
		return fmt.Errorf("set %q: not an input of the board", line)
	}
	b.change(line, on)
	return nil
}

// Press turns an input on for d, to the precision of a frame.
func (b *Board) Press(line board.Line, d time.Duration) error {
	if err := b.SetInput(line, true); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) >= 2*maxInputs {
		return fmt.Errorf("press %q: too many presses at once", line)
	}
	b.pending = append(b.pending, input{frames.Now() + d, line, false})
	return nil
}
