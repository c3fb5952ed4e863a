package gpio

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// shortest is the least time to wait for an edge: periph takes 0 for ever, and a deadline that is over before the read hides an
// edge that is there.
const shortest = time.Millisecond

// set is all inputs of one pull, or all indicators, of a chip: one request, which periph carries. Inputs of one set keep their order.
//
// LineSet is used and never GPIOLine: that one's WaitForEdge cannot tell a vanished chip from a time-out, its Read logs its
// errors and turns an output into an input, and after Close it would claim the line again.
type set struct {
	chip   string
	lines  *gpioioctl.LineSet
	inputs []*input // in the order of the request; none for indicators
}

// input is the port of an input.
type input struct {
	name string
	*wire
	lines    *gpioioctl.LineSet
	mask     gpio.GPIOValue
	debounce debouncer   // owned by listen
	told     atomic.Bool // debounce.level for others
}

// indicator is the port of an indicator.
type indicator struct {
	lines *gpioioctl.LineSet
	mask  gpio.GPIOValue
}

// set claims lines of one kind.
func (c *chip) set(kind Kind, names []string, wires map[string]*wire) (*set, error) {
	var labels []string
	for _, name := range names {
		offset := wires[name].Offset
		line, err := c.line(offset)
		if err != nil {
			return nil, fmt.Errorf("request line %q: %w", name, err)
		}
		// periph claims by name, and takes the first line that has it: an unnamed line would be another one.
		if line.Name() == "" || c.periph.ByName(line.Name()) != line {
			return nil, fmt.Errorf("request line %q: chip %q offset %d is called %q, which is no name of its own",
				name, c.name, offset, line.Name())
		}
		labels = append(labels, line.Name())
	}
	direction, edges, pull := gpioioctl.LineInput, gpio.BothEdges, gpio.PullNoChange
	if kind == Indicator {
		direction, edges = gpioioctl.LineOutput, gpio.NoEdge
	}
	switch wires[names[0]].Pull {
	case Up:
		pull = gpio.PullUp
	case Down:
		pull = gpio.PullDown
	}
	lines, err := c.periph.LineSet(direction, edges, pull, labels...)
	if err != nil {
		return nil, c.blame(errno(err), names, wires)
	}
	s := &set{chip: c.name, lines: lines}
	for i, name := range names {
		w, mask := wires[name], gpio.GPIOValue(1)<<i
		if kind == Indicator {
			w.port = &indicator{lines: lines, mask: mask}
			continue
		}
		in := &input{name: name, wire: w, lines: lines, mask: mask, debounce: debouncer{hold: w.Debounce, alarm: w.Alarm}}
		s.inputs, w.port = append(s.inputs, in), in
	}
	return s, nil
}

// blame names the line because of which a request of several was refused.
func (c *chip) blame(err error, names []string, wires map[string]*wire) error {
	for _, name := range names {
		if info, e := c.info(wires[name].Offset); e == nil && info.Flags&flagUsed != 0 {
			return fmt.Errorf("request line %q: %w", name, c.explain(err, wires[name].Offset))
		}
	}
	return fmt.Errorf("request lines %q of chip %q: %w", names, c.name, err)
}

// begin takes the levels as they are. Edges since the request wait in the kernel's queue: none is lost.
func (s *set) begin() error {
	bits, err := s.lines.Read(0)
	if err != nil {
		return fmt.Errorf("read inputs of chip %q: %w", s.chip, errno(err))
	}
	for _, in := range s.inputs {
		in.debounce.level = in.on(bits&in.mask != 0)
		in.told.Store(in.debounce.level)
	}
	return nil
}

// listen tells the changes of a set's inputs until the end.
func (l *Lines) listen(s *set) {
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		offset, _, err := s.lines.WaitForEdge(s.wait(now()))
		at, quiet := now(), errors.Is(err, os.ErrDeadlineExceeded)
		if err == nil {
			s.edge(offset, at)
		} else if !quiet {
			l.end(fmt.Errorf("wait for edges of chip %q: %w", s.chip, err))
			return
		}
		if err := s.settle(at, quiet, l.edges); err != nil {
			l.end(err)
			return
		}
	}
}

// wait is the time until something is due.
func (s *set) wait(now time.Duration) time.Duration {
	d := alive
	for _, in := range s.inputs {
		if at, moving := in.debounce.due(); moving {
			d = min(d, at-now)
		}
	}
	return max(d, shortest)
}

func (s *set) edge(offset int, at time.Duration) {
	for _, in := range s.inputs {
		if in.Offset == offset {
			in.debounce.edge(at)
		}
	}
}

// settle tells what has come to rest. Without an edge it looks at all inputs; after one only if something is due, because
// the edges that wait behind it come first.
func (s *set) settle(at time.Duration, quiet bool, edges chan<- Edge) error {
	look := quiet
	for _, in := range s.inputs {
		due, moving := in.debounce.due()
		look = look || moving && due <= at
	}
	if !look {
		return nil
	}
	bits, err := s.lines.Read(0)
	if err != nil {
		return fmt.Errorf("read inputs of chip %q: %w", s.chip, errno(err))
	}
	for _, in := range s.inputs {
		stamp, changed := in.debounce.settle(at, in.on(bits&in.mask != 0))
		if !changed {
			continue
		}
		in.told.Store(in.debounce.level)
		select {
		case edges <- Edge{Line: in.name, On: in.debounce.level, Stamp: stamp}:
		default:
			return fmt.Errorf("nobody has read the last %d edges", edgeBacklog)
		}
	}
	return nil
}

func (in *input) write(bool) error { return errors.New("an input") }

// read is the level that the debounced state stands for, if the line can be read at all.
func (in *input) read() (high bool, err error) {
	if _, err := in.lines.Read(in.mask); err != nil {
		return false, errno(err)
	}
	return in.electrical(in.told.Load()), nil
}

func (i *indicator) write(high bool) error {
	var bits gpio.GPIOValue
	if high {
		bits = i.mask
	}
	return errno(i.lines.Out(bits, i.mask))
}

func (i *indicator) read() (high bool, err error) {
	bits, err := i.lines.Read(i.mask)
	return bits&i.mask != 0, errno(err)
}
