//go:build lab

package kiosk

import (
	"testing"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

// Wires are those of a board's door, from the other side: a chip of the kernel and all that is written to it.
type Wires struct {
	Chip *vm.Chip

	lines map[board.Line]board.Wire
	tap   *vm.Tap
}

// NewWires makes them, with nobody at the door. With on the relay's line is found on: as by a controller that kept its level when the power of the
// machine went.
func NewWires(t testing.TB, b board.Board, on bool) (*Wires, error) {
	names := make([]string, len(b.Lines))
	for line, wire := range b.Lines {
		names[wire.Pin] = string(line)
	}
	w := &Wires{lines: b.Lines, Chip: vm.NewLabelledChip(t, b.Lines[board.Relay].Chip, names...)}
	for _, l := range []board.Line{board.Contact, board.REX, board.Tamper, board.Fire} {
		if err := w.Pull(l, false); err != nil {
			return nil, err
		}
	}
	if err := w.Pull(board.Relay, on); err != nil {
		return nil, err
	}
	w.tap = w.Chip.Tap(t)
	return w, nil
}

// Pull gives a line the level that means on or off.
func (w *Wires) Pull(line board.Line, on bool) error {
	return w.Chip.Pull(string(line), on == (w.lines[line].Active == board.High))
}

// On is the level of a line now.
func (w *Wires) On(line board.Line) (bool, error) {
	high, err := w.Chip.Level(string(line))
	return high == (w.lines[line].Active == board.High), err
}

// Changes are those of the relay since the last call.
func (w *Wires) Changes() (on []bool, err error) {
	written, err := w.tap.Read(string(board.Relay))
	for _, e := range written {
		if e.Line == string(board.Relay) {
			on = append(on, e.High == (w.lines[board.Relay].Active == board.High))
		}
	}
	return on, err
}

// Remove takes the chip away while it may be in use.
func (w *Wires) Remove() error {
	w.tap.Close()
	return w.Chip.Remove()
}
