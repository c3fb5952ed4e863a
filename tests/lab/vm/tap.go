//go:build linux

package vm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Written is a level that somebody gave to an output.
type Written struct {
	Line  string
	High  bool
	Stamp time.Duration // CLOCK_MONOTONIC
}

// Tap hears what is written to the outputs of a chip, from the kernel itself.
type Tap struct {
	chip    *Chip
	first   int // the kernel's number of the chip's first line
	pipe    *os.File
	level   map[string]bool
	partial []byte
}

const tracing = "/sys/kernel/tracing"

// Tap begins to listen. There is one tap in a machine.
func (c *Chip) Tap(t testing.TB) *Tap {
	t.Helper()
	for _, f := range [][2]string{{"trace_clock", "mono"}, {"events/gpio/gpio_value/enable", "1"}, {"tracing_on", "1"}, {"trace", ""}} {
		if err := write(filepath.Join(tracing, f[0]), f[1]); err != nil {
			t.Fatal(err)
		}
	}
	first, err := c.number()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(filepath.Join(tracing, "trace_pipe"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tap := &Tap{chip: c, first: first, pipe: os.NewFile(uintptr(fd), "trace_pipe"), level: map[string]bool{}}
	t.Cleanup(func() { tap.Close() })
	return tap
}

// Close ends the tap before its test: only then can there be another one. A second time does nothing.
func (p *Tap) Close() { p.pipe.Close() }

// number is the first of the chip's lines in the kernel's own counting, which the record uses.
func (c *Chip) number() (int, error) {
	text, err := os.ReadFile("/sys/kernel/debug/gpio")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) { // gpiochip0: GPIOs 502-511, parent: …
		if rest, found := strings.CutPrefix(line, filepath.Base(c.Path)+": GPIOs "); found {
			from, _, _ := strings.Cut(rest, "-")
			return strconv.Atoi(from)
		}
	}
	return 0, fmt.Errorf("the kernel does not list %q", c.Path)
}

// Read returns what was written to the named lines since the last call, oldest first. A line that fell back by itself, because nobody holds it any
// more, has the stamp of this call.
func (p *Tap) Read(lines ...string) ([]Written, error) {
	var list []Written
	var chunk [16 << 10]byte
	for {
		n, err := unix.Read(int(p.pipe.Fd()), chunk[:])
		if errors.Is(err, unix.EAGAIN) {
			break
		} else if errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return list, fmt.Errorf("read record of lines: %w", err)
		}
		p.partial = append(p.partial, chunk[:n]...)
	}
	whole := p.partial[:bytes.LastIndexByte(p.partial, '\n')+1]
	for s := bufio.NewScanner(bytes.NewReader(whole)); s.Scan(); {
		if w, ok := p.parse(s.Text()); ok && p.level[w.Line] != w.High {
			p.level[w.Line] = w.High
			list = append(list, w)
		}
	}
	p.partial = append(p.partial[:0], p.partial[len(whole):]...)
	for _, line := range lines {
		high, err := p.chip.Level(line)
		if err != nil {
			return list, err
		}
		if high != p.level[line] {
			p.level[line] = high
			list = append(list, Written{line, high, now()})
		}
	}
	return list, nil
}

// parse takes a line of the record: "… [000] ..... 12.345678: gpio_value: 504 set 1".
func (p *Tap) parse(text string) (w Written, ok bool) {
	head, event, found := strings.Cut(text, ": gpio_value: ")
	words := strings.Fields(event)
	if !found || len(words) != 3 || words[1] != "set" {
		return w, false
	}
	number, err := strconv.Atoi(words[0])
	if err != nil || number < p.first || number >= p.first+len(p.chip.lines) {
		return w, false
	}
	seconds, err := strconv.ParseFloat(head[strings.LastIndexByte(head, ' ')+1:], 64)
	return Written{p.chip.lines[number-p.first], words[2] == "1", time.Duration(seconds * 1e9)}, err == nil
}

func now() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // it cannot fail
	return time.Duration(t.Nano())
}
