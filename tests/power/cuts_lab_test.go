//go:build lab

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/drivers/gpio"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

const (
	machineCuts     = 40
	machineCutsLong = 1000

	// A cut comes within so long after the test has begun, or after the worker has. In between lie two seconds: TPM, check, opening.
	cutStarting = 3 * time.Second
	cutWorking  = time.Second

	// pass is how long the relay is on for somebody.
	pass = 50 * time.Millisecond
)

// The whole machine loses its power, again and again, at a random moment: kernel, file system and programs at once. Its disk stays as the cut leaves
// it, and its TPM keeps what it has written, as a chip does. Each boot holds what it finds to what had been acknowledged; that is noted outside.
//
// Control: P3
func TestMachineCuts(t *testing.T) {
	p := vm.Plan(t)
	cuts := machineCuts
	if p.Long {
		cuts = machineCutsLong
	}
	m := memory{}
	if err := m.load(); errors.Is(err, fs.ErrNotExist) && p.Boot == 0 {
		m.Seed, m.Boot = uint64(time.Now().UnixNano()), -1
	} else if err != nil {
		t.Fatal(err)
	}
	c := &cutter{t: t, m: &m, boot: p.Boot, rng: rand.New(rand.NewPCG(m.Seed, uint64(p.Boot)<<1))}
	if text, err := os.ReadFile(verdictFile); err == nil {
		t.Fatalf("an earlier boot failed, and was cut before it could say so: %s", text)
	}
	starting, after := moment(m.Seed, p.Boot)
	if starting && p.Boot < cuts {
		vm.CutIn(t, after)
	}
	w := c.start()
	if p.Boot == cuts {
		m.Table.print(t)
		vm.Measured(t, "seed %d; %d records, %d boots of the vault, %d restricting changes; the relay was off from each claim to the first grant", m.Seed, len(m.Records), m.Boots, m.Restricted)
		return
	}
	c.must(w.start(c.disk))
	if !starting {
		vm.CutIn(t, after)
	}
	c.must(fmt.Errorf("the worker ended by itself: %w", w.goOn(0)))
}

// moment says when a boot is cut. The first is never cut while it starts: it provisions the TPM.
func moment(seed uint64, boot int) (starting bool, after time.Duration) {
	rng := rand.New(rand.NewPCG(seed, uint64(boot)<<1|1))
	if boot > 0 && rng.IntN(4) == 0 {
		return true, time.Duration(rng.Int64N(int64(cutStarting)))
	}
	return false, time.Duration(rng.Int64N(int64(cutWorking)))
}

// verdictFile is where a boot notes that it failed.
const verdictFile = plan.Outside + "/failed"

// cutter is one boot.
type cutter struct {
	t    *testing.T
	m    *memory
	boot int
	rng  *rand.Rand
	disk string
}

// must ends the test if there is an error, and notes it first: the cut may be quicker than the test's own report.
func (c *cutter) must(err error) {
	c.t.Helper()
	if err == nil {
		return
	}
	starting, after := moment(c.m.Seed, c.boot-1)
	err = fmt.Errorf("seed %d, boot %d, the one before was cut after %v (starting: %v): %w", c.m.Seed, c.boot, after, starting, err)
	os.WriteFile(verdictFile, []byte(err.Error()), 0o600) // the test fails in any case
	c.t.Fatal(err)
}

// start secures the door, checks what the last cut has left, and returns the next worker.
func (c *cutter) start() *worker {
	h := c.m.history()
	released := c.hear(h)
	r := c.claim(released)
	c.disk = vm.Disk(c.t)
	way := root.Path(vm.StartTPM(c.t, filepath.Join(plan.Outside, "tpm")).Path)
	if c.m.Boot < 0 {
		c.must(provision(way, c.disk))
	}
	c.must(measure(way, c.disk))
	chip, err := root.Open(way, c.disk, tpm.Options{})
	c.must(err)
	if c.m.Boot >= 0 {
		c.check(h, chip, released)
	}
	f, err := newSaid(c.boot)
	c.must(err)
	c.m.take(h)
	c.m.Boot, c.m.Said = c.boot, f.Name()
	c.must(c.m.save())
	c.must(r.quiet())
	return &worker{
		teller: &teller{pipe: f}, rng: c.rng, chip: chip,
		relay: func(on bool) error {
			if _, err := fmt.Fprintf(f, "relay %t\n", on); err != nil {
				return err
			}
			return r.set(on)
		},
	}
}

// hear takes what the last worker said, and says whether the door was released.
func (c *cutter) hear(h *history) (released bool) {
	if c.m.Said == "" {
		return false
	}
	f, err := os.Open(c.m.Said)
	c.must(err)
	defer f.Close()
	c.must(lines(bufio.NewReader(f), func(line string) error {
		if on, ok := strings.CutPrefix(line, "relay "); ok {
			released = on == "true"
			return nil
		}
		return h.hear(line)
	}))
	return released
}

// check holds what is found to the history, and enters it into the table.
func (c *cutter) check(h *history, chip *root.Root, released bool) {
	row := c.m.Table.row(doing(h, released))
	before := h.clone()
	begun, err := beginCheck()
	c.must(err)
	if h.unended = begun - c.m.Checks - 1; h.unended > 0 {
		for n := range uint64(len(h.records) + 1000) { // what a check may have written that was cut
			h.tried[hash(fmt.Appendf(nil, "after the cut %d", n))] = true
		}
	}
	c.must(check(c.disk, h, chip))
	c.must(checkModes(c.disk))
	c.m.Checks = begun
	h.before, err = os.ReadFile(vaultFile(c.disk))
	c.must(err)
	row.Cuts++
	row.Starting += max(c.boot-c.m.Boot-1, 0)
	row.Acknowledged += len(before.records) - len(c.m.Records)
	row.Found += len(h.records) - len(before.records) - 1 // one is the check's own
	row.Mended += h.seen.torn
	row.Refused += h.seen.older
	if !h.vault.equal(before.vault) {
		row.Found++
	}
	if released {
		row.Secured++
	}
}

// relay is the real line.
type relay struct {
	chip  *vm.Chip
	tap   *vm.Tap
	lines *gpio.Lines
	used  bool // somebody was let in
}

const relayLine = "RELAY"

// claim claims the relay as door does, before anything else. One that was on when the power went is found on: as by a controller that kept it.
func (c *cutter) claim(released bool) *relay {
	r := &relay{chip: vm.NewChip(c.t, relayLine)}
	c.must(r.chip.Pull(relayLine, released))
	r.tap = r.chip.Tap(c.t)
	var err error
	r.lines, err = gpio.Open(gpio.Config{Lines: map[string]gpio.Line{relayLine: {Chip: r.chip.Path, Kind: gpio.Output, Active: gpio.High}}})
	c.must(err)
	c.t.Cleanup(func() { r.lines.Close() })
	return r
}

// quiet makes sure that the relay is off and was never on.
func (r *relay) quiet() error {
	written, err := r.tap.Read(relayLine)
	for _, w := range written {
		if w.High {
			return fmt.Errorf("the relay went on at %v, and nobody was let in", w.Stamp)
		}
	}
	return err
}

func (r *relay) set(on bool) error {
	if !r.used {
		if err := r.quiet(); err != nil {
			return err
		}
		r.used = true
	}
	if _, err := r.lines.Set(relayLine, on); err != nil || !on {
		return err
	}
	time.Sleep(pass)
	return nil
}
