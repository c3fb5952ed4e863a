//go:build !kiosk

package main

import (
	"errors"
	"path/filepath"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/twin"
)

// openLines claims the lines of the board, or connects to the wiring of the simulated one.
func openLines(b board.Board, run string) (wires, error) {
	if b.Lines[board.Relay].Chip != "twin" {
		return openChips(b)
	}
	l, err := twin.DialLines(filepath.Join(run, "lines.sock"))
	if err != nil {
		return nil, errors.Join(errors.New("the simulated board does not answer: is the desk running?"), err)
	}
	return l, nil
}
