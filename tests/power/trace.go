package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// event is one step of the traced child: it changes the disk, or says something, or is nothing more than a boundary.
type event struct {
	change func(*disk)
	line   string
}

// trace has a child work to its end, and cuts the power at boundaries spread over all of it.
func trace(parent string, cuts int, rng *rand.Rand, report func(string, error)) (boundaries int, err error) {
	root := filepath.Join(parent, "traced")
	if err := os.Mkdir(root, 0o700); err != nil {
		return 0, err
	}
	cmd, r, err := command(root, newHistory(), rng.Uint64(), 3*cuts)
	if err != nil {
		return 0, err
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, r) // the tracer has read the lines on their way
	}()
	events, err := observe(cmd.Args, cmd.ExtraFiles[0], root)
	cmd.ExtraFiles[0].Close()
	<-drained
	r.Close()
	if err != nil {
		return 0, err
	}
	if len(events) < cuts {
		return 0, fmt.Errorf("child has %d boundaries, %d cuts are wanted", len(events), cuts)
	}
	at := rng.Perm(len(events))[:cuts]
	slices.Sort(at)
	d, h, next := newDisk(), newHistory(), 0
	for i, e := range events {
		if e.change != nil {
			e.change(d)
		}
		if e.line != "" {
			if err := h.hear(e.line); err != nil {
				return len(events), err
			}
		}
		if next < cuts && at[next] == i {
			l := loss(next % 3)
			dir := filepath.Join(parent, fmt.Sprintf("cut%d", next))
			if err := os.Mkdir(dir, 0o700); err != nil {
				return len(events), err
			}
			if err := d.write(root, dir, l, rng); err != nil {
				return len(events), err
			}
			err := check(dir, h.clone())
			report(fmt.Sprintf("cut %d after step %d of %d (loss %d)", next, i, len(events), l), err)
			if err == nil {
				os.RemoveAll(dir)
			}
			next++
		}
	}
	return len(events), nil
}
