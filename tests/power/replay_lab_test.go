//go:build lab

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/replay"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

const (
	replayedDisk = 24 << 20 // bytes
	replayed     = 100      // operations, of 22 crash points or more each
	replayedLong = 500
	points       = 2000 // that are tried, anywhere among them; all of the long run
)

// said marks the lines of a worker on its disk, and keeps what its vault was whenever it began something.
type said struct {
	mark func(string) error
	file string

	mu     sync.Mutex
	lines  []string
	vaults map[int][]byte // by line, if it was another one than before
	latest []byte
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := strings.TrimSuffix(string(b), "\n")
	if strings.HasPrefix(line, "try ") {
		now, err := os.ReadFile(s.file)
		if err == nil && !bytes.Equal(now, s.latest) {
			s.vaults[len(s.lines)], s.latest = now, now
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) { // at first there is none
			return 0, err
		}
	}
	s.lines = append(s.lines, line)
	return len(b), s.mark(line)
}

// recordWorker records a worker's operations. The TPM is a double, which says what it is asked to keep.
func recordWorker(t *testing.T, seed uint64, operations int, options string) (*replay.Recording, *said) {
	t.Helper()
	s := &said{vaults: map[int][]byte{}}
	r, err := replay.Record(plan.Scratch, replayedDisk, options, func(folder string, mark func(string) error) (err error) {
		s.mark, s.file = mark, vaultFile(folder)
		w := &worker{teller: &teller{pipe: s}, rng: rand.New(rand.NewPCG(seed, 1))}
		if w.chip, err = newDouble(kept{counter: born}, w.teller.say); err != nil {
			return err
		}
		return w.live(folder, operations)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

// replayer checks crash points against what the worker had said until then.
type replayer struct {
	said  *said
	heard int
	h     *history
	known map[[32]byte]bool // vaults that were found right

	disks, clean map[replay.Loss]int // a point has two disks where a command of the TPM was under way
	report       func(error)
}

func newReplayer(s *said, report func(error)) *replayer {
	return &replayer{said: s, h: newHistory(), known: map[[32]byte]bool{}, disks: map[replay.Loss]int{}, clean: map[replay.Loss]int{}, report: report}
}

func (r *replayer) hear(line string) error {
	if line != r.said.lines[r.heard] {
		return fmt.Errorf("mark %d is %q, and was %q", r.heard, line, r.said.lines[r.heard])
	}
	if now := r.said.vaults[r.heard]; now != nil {
		r.h.before = now
	}
	r.heard++
	return hearTraced(plan.Scratch, line, r.h)
}

func (r *replayer) show(p replay.Point, mount replay.Mount) error {
	chips := r.h.chips()
	r.h.seen.twice += len(chips) - 1
	for _, k := range chips {
		r.disks[p.Loss]++
		if err := mount(func(folder string) error { return r.check(folder, k) }); err != nil {
			r.report(fmt.Errorf("%v after step %d, TPM with counter %d: %w", p.Loss, p.Step, k.counter, err))
			continue
		}
		r.clean[p.Loss]++
	}
	return nil
}

// check is that of every cut, with the modes of all files. A vault that was found right is not opened again with the same TPM and the same history.
func (r *replayer) check(folder string, k kept) error {
	if err := checkModes(folder); err != nil {
		return err
	}
	c, err := newDouble(k, nil)
	if err != nil {
		return err
	}
	now, err := os.ReadFile(vaultFile(folder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h := r.h.clone()
	key := sha256.Sum256(fmt.Appendf(nil, "%x %v %v %q %d %d", sha256.Sum256(now), k.counter, h.vault, h.pending(), h.boots, h.restricted))
	if !r.known[key] {
		if err := checkVaults(folder, h, c); err != nil {
			return err
		}
		r.known[key] = true
	}
	if err := checkLog(folder, h, c); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}

// checkModes looks at all that a kiosk keeps: nobody else may read it, whenever it was made.
func checkModes(folder string) error {
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			return fmt.Errorf("mode of %q is %o, want %o", path, got, want)
		}
		return nil
	})
}

// Every crash point of what a worker's disk was written.
//
// Control: P3
func TestReplay(t *testing.T) {
	operations := replayed
	if vm.Plan(t).Long {
		operations = replayedLong
	}
	seed, start := uint64(time.Now().UnixNano()), time.Now()
	rec, s := recordWorker(t, seed, operations, "")
	all := rec.Points()
	tried := all
	if operations == replayed {
		tried = some(all, points, rand.New(rand.NewPCG(seed, 2)))
	}
	writes, flushes, marks := rec.Writes()
	vm.Measured(t, "seed %d: %d operations in %.1f s, %d writes, %d flushes, %d marks: %d crash points", seed, operations, time.Since(start).Seconds(), writes, flushes, marks, len(all))
	if len(tried) < points {
		t.Errorf("%d crash points, want %d", len(tried), points)
	}
	start = time.Now()
	unclean := 0
	r := newReplayer(s, func(err error) {
		if unclean++; unclean <= 20 {
			t.Errorf("seed %d: %v", seed, err)
		}
	})
	if err := rec.Replay(plan.Scratch, tried, seed, r.hear, r.show); err != nil {
		t.Fatal(err)
	}
	if r.heard != len(s.lines) {
		t.Errorf("%d of %d lines are on the disk", r.heard, len(s.lines))
	}
	vm.Measured(t, "%-12s %7s %7s", "lost", "disks", "clean")
	for l := replay.All; l <= replay.Torn; l++ {
		vm.Measured(t, "%-12v %7d %7d", l, r.disks[l], r.clean[l])
	}
	vm.Measured(t, "%d crash points tried; acknowledged in the end: %d records, %d boots, %d restricting changes; %d torn logs mended, %d older vaults refused, %d points with the TPM under way, %d vaults that differ; %.1f s",
		len(tried), len(r.h.records), r.h.boots, r.h.restricted, r.h.seen.torn, r.h.seen.older, r.h.seen.twice, len(r.known), time.Since(start).Seconds())
}

// some are so many of the points, if there are, in their order.
func some(all []replay.Point, n int, rng *rand.Rand) []replay.Point {
	at := rng.Perm(len(all))[:min(n, len(all))]
	slices.Sort(at)
	list := make([]replay.Point, len(at))
	for i, j := range at {
		list[i] = all[j]
	}
	return list
}

// The same work, on a file system that tells its disk nothing of what must not wait.
func TestReplaySeesADiskThatIsNeverFlushed(t *testing.T) {
	rec, s := recordWorker(t, 1, 15, "nobarrier")
	caught := map[replay.Loss]int{}
	r := newReplayer(s, func(error) {})
	show := func(p replay.Point, mount replay.Mount) error {
		if len(r.h.records) < 3 { // nothing to be lost
			return nil
		}
		err := r.show(p, mount)
		caught[p.Loss] = r.disks[p.Loss] - r.clean[p.Loss]
		return err
	}
	if err := rec.Replay(plan.Scratch, some(rec.Points(), 200, rand.New(rand.NewPCG(1, 2))), 1, r.hear, show); err != nil {
		t.Fatal(err)
	}
	if caught[replay.All] == 0 || caught[replay.Writes] == 0 {
		t.Errorf("acknowledged and lost, caught at %v of %v points", caught, r.disks)
	}
	vm.Measured(t, "of the points with something acknowledged, caught / all: %v / %v", caught, r.disks)
}

// A writer that acknowledges what it has not synced loses it, and one that has synced does not.
func TestReplaySeesAMissingSync(t *testing.T) {
	for _, sync := range []bool{true, false} {
		const files = 12
		rec, err := replay.Record(plan.Scratch, replayedDisk, "", func(folder string, mark func(string) error) error {
			for i := range files {
				name := fmt.Sprint(i)
				if err := writeFile(filepath.Join(folder, name), name, sync); err != nil {
					return err
				}
				if err := mark(name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var acknowledged []string
		hear := func(name string) error {
			acknowledged = append(acknowledged, name)
			return nil
		}
		all, lost := rec.Points(), 0
		err = rec.Replay(plan.Scratch, all, 1, hear, func(_ replay.Point, mount replay.Mount) error {
			return mount(func(folder string) error {
				for _, name := range acknowledged {
					if b, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(b) != name {
						lost++
						break
					}
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(acknowledged) != files || sync && lost > 0 || !sync && lost < files {
			t.Errorf("synced %v: %d acknowledged, something lost at %d of %d points", sync, len(acknowledged), lost, len(all))
		}
		vm.Measured(t, "synced %v: something acknowledged is lost at %d of %d points", sync, lost, len(all))
	}
}

func writeFile(path, content string, sync bool) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(content); err != nil || !sync {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), folder.Sync(), folder.Close())
}
