package main

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// event is one step of the traced child: it changes the disk, or says something, or is nothing more than a boundary.
type event struct {
	change func(*disk)
	line   string
}

// trace has a child work to its end, and cuts the power at boundaries spread over all of it.
func trace(parent string, cuts int, rng *rand.Rand, report func(string, error)) (h *history, boundaries int, err error) {
	root := filepath.Join(parent, "traced")
	if err := os.Mkdir(root, 0o700); err != nil {
		return nil, 0, err
	}
	cmd, r, err := command(root, "", rng.Uint64(), 4*cuts)
	if err != nil {
		return nil, 0, err
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
		return nil, 0, err
	}
	if len(events) < 2*cuts {
		return nil, 0, fmt.Errorf("child has %d boundaries, %d cuts are wanted", len(events), cuts)
	}
	at := spread(events, cuts, rng)
	h = newHistory()
	d, next := newDisk(), 0
	for i, e := range events {
		if e.change != nil {
			e.change(d)
		}
		if strings.HasPrefix(e.line, "try ") {
			if f := d.files[vaultFile(root)]; f != nil {
				h.before = f.content(f.waiting)
			}
		}
		if e.line != "" {
			if err := hearTraced(parent, e.line, h); err != nil {
				return h, len(events), fmt.Errorf("step %d: %w", i, err)
			}
		}
		if next < cuts && at[next] == i {
			l := loss(next % 3)
			err := checkCut(d, root, filepath.Join(parent, fmt.Sprintf("cut%d", next)), l, h, rng)
			report(fmt.Sprintf("cut %d after step %d of %d (loss %d)", next, i, len(events), l), err)
			next++
		}
	}
	return h, len(events), nil
}

// hearTraced hears a line, and if it acknowledges a restricting change, tries the vault of before it at once: at a cut later on the
// counter may have risen for another reason.
func hearTraced(parent, line string, h *history) error {
	before := h.restricted
	if err := h.hear(line); err != nil || h.restricted == before {
		return err
	}
	c, err := newDouble(h.nv, nil)
	if err != nil {
		return err
	}
	if err := checkOlder(parent, h, c); err != nil {
		return fmt.Errorf("older vault after %q: %w", line, err)
	}
	return nil
}

// spread picks boundaries at random: a tenth of them while the child opens for the first time, where a TPM takes over an absent vault;
// a fifth while the TPM writes; the others anywhere.
func spread(events []event, cuts int, rng *rand.Rand) (at []int) {
	opened := slices.IndexFunc(events, func(e event) bool { return strings.HasPrefix(e.line, "ok ") })
	var all, writing []int
	for i, e := range events {
		all = append(all, i)
		if strings.HasPrefix(e.line, "raising ") || strings.HasPrefix(e.line, "anchoring ") {
			writing = append(writing, i)
		}
	}
	taken := map[int]bool{}
	take := func(n int, from []int) {
		for _, i := range rng.Perm(len(from)) {
			if n > 0 && !taken[from[i]] {
				taken[from[i]] = true
				n--
			}
		}
	}
	take(cuts/10, all[:opened])
	take(cuts/5, writing)
	take(cuts-len(taken), all)
	return slices.Sorted(maps.Keys(taken))
}

// checkCut builds the disk in dir and checks it, with each state in which the TPM may be. What is unclean stays there to be looked at.
func checkCut(d *disk, root, dir string, l loss, h *history, rng *rand.Rand) error {
	chips := h.chips()
	h.seen.twice += len(chips) - 1
	for _, k := range chips {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := d.write(root, dir, l, rng); err != nil {
			return err
		}
		c, err := newDouble(k, nil)
		if err != nil {
			return err
		}
		if err := check(dir, h.clone(), c); err != nil {
			return fmt.Errorf("TPM with counter %d and anchor %x: %w", k.counter, k.anchor, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}
