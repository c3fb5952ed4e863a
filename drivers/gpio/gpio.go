package gpio

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// edgeBacklog is how many edges may wait for their reader. Ten debounced lines need seconds to fill it.
	edgeBacklog = 256
	// alive is how often every chip is asked whether it is still there, and inputs are compared with what was told of them.
	// Kernels do not all wake a waiting reader when a chip vanishes: 6.1 does not.
	alive = 200 * time.Millisecond
)

// Edge is a change of an input that has lasted as long as its Debounce says.
type Edge struct {
	Line string
	On   bool
	// Stamp is the CLOCK_MONOTONIC time at which the first edge of the burst was read from the kernel. periph drops the kernel's own
	// stamp; this one is later by the time that the process took to wake.
	Stamp time.Duration
}

// Lines are the claimed lines. Their methods may be called from any goroutine.
type Lines struct {
	wires   map[string]*wire // not changed after Open
	without error            // why there are no indicators
	chips   []*chip
	sets    []*set
	edges   chan Edge
	stop    chan struct{} // closed when the workers shall end
	workers sync.WaitGroup
	over    chan struct{} // closed when they have

	mu     sync.RWMutex // held for writing while lines are given back
	closed bool

	failing sync.Mutex
	cause   error
	ending  bool // stop is closed
}

// wire is one claimed line.
type wire struct {
	Line
	port interface {
		write(high bool) error
		read() (high bool, err error)
	}
}

// Open claims the lines. Every output has its Initial level from the moment at which it is claimed, and outputs are claimed
// even when another line cannot be: what a crash left on is off then. On an error all lines are given back again. A chip whose indicators cannot be
// claimed is no error: people leave and enter without them, and Without says why.
func Open(cfg Config) (*Lines, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("open lines: %w", err)
	}
	l := &Lines{
		wires: map[string]*wire{}, edges: make(chan Edge, edgeBacklog), stop: make(chan struct{}), over: make(chan struct{}),
	}
	err := l.claim(cfg)
	if err == nil {
		for _, s := range l.sets {
			if s.inputs != nil {
				l.workers.Go(func() { l.listen(s) })
			}
		}
		l.workers.Go(l.watch)
	}
	go func() {
		l.workers.Wait()
		close(l.edges)
		close(l.over)
	}()
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("open lines: %w", err)
	}
	return l, nil
}

// claim requests all lines: inputs before outputs, because an output may depend on one.
func (l *Lines) claim(cfg Config) error {
	known, err := discover()
	if err != nil {
		return err
	}
	by := map[string]map[Kind][]string{} // chip, then kind: names of lines
	for name, line := range cfg.Lines {
		if by[line.Chip] == nil {
			by[line.Chip] = map[Kind][]string{}
		}
		by[line.Chip][line.Kind] = append(by[line.Chip][line.Kind], name)
		l.wires[name] = &wire{Line: line}
	}
	var errs []error
	chips := map[string]*chip{}
	for _, label := range slices.Sorted(maps.Keys(by)) {
		c, err := openChip(known, label)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l.chips = append(l.chips, c)
		chips[label] = c
		errs = append(errs, l.claimInputs(c, by[label][Input]))
	}
	for label, c := range chips {
		for _, name := range by[label][Output] {
			errs = append(errs, l.claimOutput(c, name))
		}
	}
	for label, c := range chips {
		l.without = errors.Join(l.without, l.claimSet(c, Indicator, by[label][Indicator]))
	}
	return errors.Join(errs...)
}

// claimInputs claims the inputs of a chip: those of one pull are one set.
func (l *Lines) claimInputs(c *chip, names []string) error {
	var errs []error
	for _, pull := range []Pull{"", Up, Down} {
		these := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return l.wires[name].Pull != pull })
		errs = append(errs, l.claimSet(c, Input, these))
	}
	return errors.Join(errs...)
}

// claimSet claims inputs of one pull, or all indicators of a chip.
func (l *Lines) claimSet(c *chip, kind Kind, names []string) error {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	s, err := c.set(kind, names, l.wires)
	if err != nil {
		return err
	}
	l.sets = append(l.sets, s)
	if kind == Indicator {
		for _, name := range names { // they were claimed low, whatever that means for each
			w := l.wires[name]
			if err := w.port.write(w.electrical(w.Initial)); err != nil {
				return fmt.Errorf("set line %q: %w", name, err)
			}
		}
		return nil
	}
	return s.begin()
}

// claimOutput claims a relay or a lamp at its level.
func (l *Lines) claimOutput(c *chip, name string) error {
	w := l.wires[name]
	if w.KeepIf != "" {
		// An input that could not be claimed is off: then the initial level is right.
		if in := l.wires[w.KeepIf]; in.port != nil {
			if high, err := in.port.read(); err == nil && in.on(high) {
				return c.adopt(name, w)
			}
		}
	}
	return c.request(name, w)
}

// Without is why indicators could not be claimed, nil if all were. To set one of them is an error.
func (l *Lines) Without() error { return l.without }

// errWithout is the answer of an indicator that could not be claimed.
var errWithout = errors.New("it could not be claimed")

// Set drives an output and returns the CLOCK_MONOTONIC time right after the kernel did it. The error of a vanished chip is ENODEV.
func (l *Lines) Set(line string, on bool) (time.Duration, error) {
	w, known := l.wires[line]
	if !known || w.Kind == Input {
		return 0, fmt.Errorf("set line %q: no such output", line)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return 0, fmt.Errorf("set line %q: %w", line, os.ErrClosed)
	}
	if w.port == nil {
		return 0, fmt.Errorf("set line %q: %w", line, errWithout)
	}
	if err := w.port.write(w.electrical(on)); err != nil {
		return 0, fmt.Errorf("set line %q: %w", line, err)
	}
	return now(), nil
}

// Level is an input as the edges tell it, that is debounced, or an output as the kernel reads it back. Of a chip that has
// vanished it is ENODEV.
func (l *Lines) Level(line string) (on bool, err error) {
	w, known := l.wires[line]
	if !known {
		return false, fmt.Errorf("read line %q: no such line", line)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return false, fmt.Errorf("read line %q: %w", line, os.ErrClosed)
	}
	if w.port == nil {
		return false, fmt.Errorf("read line %q: %w", line, errWithout)
	}
	high, err := w.port.read()
	if err != nil {
		return false, fmt.Errorf("read line %q: %w", line, err)
	}
	return w.on(high), nil
}

// Edges delivers the changes of inputs in the order in which they settled. It is closed when a chip has vanished, by Close, and
// when nobody reads it for 256 changes; Err says which.
func (l *Lines) Edges() <-chan Edge { return l.edges }

// Err is why Edges was closed, nil after Close.
func (l *Lines) Err() error {
	l.failing.Lock()
	defer l.failing.Unlock()
	return l.cause
}

// Close gives the lines back to the kernel and changes no level itself. What becomes of an output then is the controller's
// business, as the package comment says.
func (l *Lines) Close() error {
	l.end(nil)
	<-l.over
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var errs []error
	for _, s := range l.sets {
		errs = append(errs, s.lines.Close())
	}
	for _, c := range l.chips {
		errs = append(errs, c.close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close lines: %w", err)
	}
	return nil
}

// end has the workers end, for a cause if there is one.
func (l *Lines) end(cause error) {
	l.failing.Lock()
	defer l.failing.Unlock()
	if l.ending {
		return
	}
	l.ending, l.cause = true, cause
	close(l.stop)
}

// watch ends the workers when a chip has vanished.
func (l *Lines) watch() {
	tick := time.NewTicker(alive)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		for _, c := range l.chips {
			if err := c.alive(); err != nil {
				l.end(fmt.Errorf("chip %q is gone: %w", c.name, err))
				return
			}
		}
	}
}
