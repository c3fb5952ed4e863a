//go:build !kiosk

package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/portal"
	"github.com/lintel-access/lintel/firmware/twin"
)

// wires are the lines of the door with their end.
type wires interface {
	portal.Lines
	io.Closer
}

// openLines connects to the wiring of the simulated board.
func openLines(b board.Board, run string) (wires, error) {
	if wire, ok := b.Lines[board.Relay]; !ok || wire.Chip != "twin" {
		return nil, &configError{fmt.Errorf("board %q: this program drives the lines of the twin alone", b.Name)}
	}
	l, err := twin.DialLines(filepath.Join(run, "lines.sock"))
	if err != nil {
		return nil, errors.Join(errors.New("the simulated board does not answer: is the desk running?"), err)
	}
	return l, nil
}
