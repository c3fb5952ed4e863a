//go:build kiosk

package main

import (
	"fmt"
	"io"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/portal"
)

// wires are the lines of the door with their end.
type wires interface {
	portal.Lines
	io.Closer
}

// openLines refuses: the driver of real lines is not built yet, and a door that pretended to have one would be a danger.
func openLines(b board.Board, _ string) (wires, error) {
	return nil, &configError{fmt.Errorf("board %q: this build has no driver for the door's lines", b.Name)}
}
