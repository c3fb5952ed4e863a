//go:build !kiosk

package twin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
)

// runDevices is Run before the kernel's devices.
func (b *Board) runDevices(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for i, l := range lines { // each input begins at rest
		if !output(l) {
			b.pull(i, board.Edge{Line: l})
		}
	}
	err := b.expose(ctx, &screen{to: b.devices, pix: make([]byte, FrameWidth*FrameHeight), failed: cancel})
	b.mu.Lock()
	b.endShow()
	b.mu.Unlock()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

// screen shows the frames to a camera of the kernel, which stamps them by itself.
type screen struct {
	to     Devices
	pix    []byte
	failed func(error)
}

func (s *screen) Begin() []byte { return s.pix }

// Asked is nothing: a camera of the kernel that is fed has no controls.
func (s *screen) Asked() frames.Light { return frames.Light{} }

func (s *screen) Publish(_ uint64, stamp time.Duration, _ frames.Light) {
	if err := s.to.Show(s.pix, stamp); err != nil {
		s.failed(fmt.Errorf("show frame: %w", err))
	}
}

// pull works an input of the devices. Called with the lock of the wires held.
func (b *Board) pull(_ int, e board.Edge) {
	if err := b.devices.Pull(e.Line, e.On); err != nil && b.pulled == nil {
		b.pulled = fmt.Errorf("pull %q: %w", e.Line, err)
	}
}

// listen takes in what the outputs of the devices did.
func (b *Board) listen() error {
	if b.devices == nil {
		return nil
	}
	edges, err := b.devices.Outputs()
	b.wires.mu.Lock()
	defer b.wires.mu.Unlock()
	for _, e := range edges {
		if n, ok := lineNumber(e.Line); ok {
			b.wires.note(n, e.On, e.Stamp)
		}
	}
	return errors.Join(err, b.pulled)
}
