package gpio

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Level is an electrical level.
type Level string

// The levels.
const (
	High Level = "high"
	Low  Level = "low"
)

// Pull is the resistor of the controller at an input. The zero value leaves it as it is found: the board has one of its own. A controller that has
// none ignores the wish.
type Pull string

// The pulls.
const (
	Up   Pull = "up"
	Down Pull = "down"
)

// Kind is what a line is for.
type Kind string

// The kinds of line.
const (
	Input Kind = "input"
	// Output is claimed at its level and never shows another one: relay, lamp.
	Output Kind = "output"
	// Indicator may blink for some microseconds when it is claimed: LED, buzzer.
	Indicator Kind = "indicator"
)

const (
	maxLines    = 64              // of one request to the kernel (GPIO_V2_LINES_MAX)
	maxOffset   = 1<<16 - 1       // ngpio is 16 bits wide in the kernel
	maxDebounce = 1 * time.Second // a person waits for it at the REX button
)

// Line is one wire and what it means. All fields that no comment calls optional are needed.
type Line struct {
	Chip     string        // label of the gpiochip, or the path of its device
	Offset   int           // on that chip
	Kind     Kind          // direction and care
	Active   Level         // the electrical level that means on
	Pull     Pull          // inputs: the controller's own resistor; optional
	Debounce time.Duration // inputs: how long a level must last to count; optional
	// Alarm, for inputs, optional: a line that chatters for a second without rest counts as on. Without it, it keeps its level.
	Alarm   bool
	Initial bool // outputs and indicators: on from the moment they are claimed; optional
	// KeepIf, for outputs, optional: an input which, when it is on in Open, has the level kept that the output was found driven at.
	// A restart in a fire must not shut a released door, not even for a moment.
	KeepIf string
}

// Config names the lines.
type Config struct {
	Lines map[string]Line
}

// electrical is the level of the wire that means on or off.
func (l Line) electrical(on bool) (high bool) { return on == (l.Active == High) }

// on is what the level of the wire means.
func (l Line) on(high bool) bool { return high == (l.Active == High) }

func (c Config) validate() error {
	if len(c.Lines) == 0 || len(c.Lines) > maxLines {
		return fmt.Errorf("%d lines, want 1 to %d", len(c.Lines), maxLines)
	}
	type place struct {
		chip   string
		offset int
	}
	taken := map[place]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Lines)) {
		line := c.Lines[name]
		if err := c.check(name, line); err != nil {
			return fmt.Errorf("line %q: %w", name, err)
		}
		here := place{line.Chip, line.Offset}
		if other, twice := taken[here]; twice {
			return fmt.Errorf("line %q: chip %q offset %d is already %q, an %s", name, here.chip, here.offset, other, c.Lines[other].Kind)
		}
		taken[here] = name
	}
	return nil
}

func (c Config) check(name string, line Line) error {
	switch {
	case name == "":
		return errors.New("has no name")
	case line.Chip == "":
		return errors.New("no chip")
	case line.Offset < 0 || line.Offset > maxOffset:
		return fmt.Errorf("offset %d is outside 0 to %d", line.Offset, maxOffset)
	case line.Kind != Input && line.Kind != Output && line.Kind != Indicator:
		return fmt.Errorf("kind %q is neither input nor output nor indicator", line.Kind)
	case line.Active != High && line.Active != Low:
		return fmt.Errorf("active level %q is neither high nor low", line.Active)
	case line.Pull != "" && line.Pull != Up && line.Pull != Down:
		return fmt.Errorf("pull %q is neither up nor down", line.Pull)
	case line.Kind != Input && line.Pull != "":
		return fmt.Errorf("pull is for inputs, this is an %s", line.Kind)
	case line.Debounce < 0 || line.Debounce > maxDebounce:
		return fmt.Errorf("debounce %v is outside 0 to %v", line.Debounce, maxDebounce)
	case line.Kind != Input && (line.Debounce != 0 || line.Alarm):
		return fmt.Errorf("debounce and alarm are for inputs, this is an %s", line.Kind)
	case line.Kind == Input && line.Initial:
		return errors.New("an input has no initial level")
	case line.Kind != Output && line.KeepIf != "":
		return fmt.Errorf("only an output can keep its level, this is an %s", line.Kind)
	case line.KeepIf != "" && c.Lines[line.KeepIf].Kind != Input:
		return fmt.Errorf("keeps its level by %q, which is no input", line.KeepIf)
	}
	return nil
}
