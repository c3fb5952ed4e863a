package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/gpio"
	"github.com/lintel-access/lintel/firmware/portal"
)

// wires are the lines of the door with their end.
type wires interface {
	portal.Lines
	io.Closer
}

// chips are the lines of a board on the kernel's GPIO devices.
type chips struct {
	*gpio.Lines
	edges chan board.Edge
}

// errNoADC refuses a board whose door could be open without anybody seeing it.
var errNoADC = errors.New("this program has no driver for the ADC of a supervised contact")

// openChips claims the lines that the board names. It must come before other goroutines open files.
func openChips(b board.Board) (wires, error) {
	if b.Contact.Kind != board.PlainContact {
		return nil, errNoADC
	}
	l, err := gpio.Open(chipConfig(b))
	if err != nil {
		return nil, err
	}
	if err := l.Without(); err != nil {
		fmt.Fprintln(os.Stderr, "degraded:", err)
	}
	c := chips{l, make(chan board.Edge)}
	go func() {
		defer close(c.edges)
		for e := range l.Edges() {
			c.edges <- board.Edge{Line: board.Line(e.Line), On: e.On, Stamp: e.Stamp}
		}
		if err := l.Err(); err != nil { // at once: door's own end takes a while
			fmt.Fprintln(os.Stderr, "the lines of the door are gone:", err)
		}
	}()
	return c, nil
}

// chipConfig says what each line of the board is. A restart in a fire finds the relay released and leaves it so; anything else finds it, and makes
// it, off. Who rattles a contact or a tamper switch counts as opening it.
func chipConfig(b board.Board) gpio.Config {
	cfg := gpio.Config{Lines: map[string]gpio.Line{}}
	for name, w := range b.Lines {
		line := gpio.Line{Chip: w.Chip, Offset: w.Pin, Active: gpio.Level(w.Active), Kind: gpio.Input, Debounce: w.Debounce.Duration()}
		switch w.Pull {
		case board.PullUp:
			line.Pull = gpio.Up
		case board.PullDown:
			line.Pull = gpio.Down
		}
		switch name {
		case board.Relay, board.Lamp, board.Lamp2:
			line.Kind = gpio.Output
		case board.LEDRed, board.LEDGreen, board.LEDBlue, board.Buzzer:
			line.Kind = gpio.Indicator
		case board.Contact, board.Tamper:
			line.Alarm = true
		}
		if name == board.Relay && b.Has(board.Fire) {
			line.KeepIf = string(board.Fire)
		}
		cfg.Lines[string(name)] = line
	}
	return cfg
}

func (c chips) Set(l board.Line, on bool) (time.Duration, error) { return c.Lines.Set(string(l), on) }
func (c chips) Level(l board.Line) (bool, error)                 { return c.Lines.Level(string(l)) }
func (c chips) Edges() <-chan board.Edge                         { return c.edges }
