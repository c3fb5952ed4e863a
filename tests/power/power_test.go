package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/access/vault"
)

// The children of run are this test binary: what the flags of the command say, it does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-child" {
		main()
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == "-ends" {
		endAtWork(os.Args[2])
	}
	os.Exit(m.Run())
}

// endAtWork ends the process while its threads are within calls of the system.
func endAtWork(dir string) {
	said := os.NewFile(pipe, "said")
	for i := range 8 {
		go func() {
			runtime.LockOSThread()
			for {
				os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte("x"), 0o600)
			}
		}()
	}
	time.Sleep(time.Millisecond)
	fmt.Fprintln(said, "the last word")
	os.Exit(0)
}

// A child that ends takes threads with it that stand before the tracer; what it said before is heard all the same.
func TestObserveToTheEnd(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	worked := 0
	for range 50 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		events, err := observe([]string{self, "-ends", dir}, w, dir)
		r.Close()
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(events, func(e event) bool { return e.line == "the last word" }) {
			t.Fatalf("%d events, the last word is none of them", len(events))
		}
		worked += len(events) - 1
	}
	if worked == 0 {
		t.Error("no child had a thread at work")
	}
}

// Control: P3
func TestCuts(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-cuts", "30", "-dir", t.TempDir()}, &out, io.Discard); err != nil || out.String() != "power: 30 cuts, 30 clean\n" {
		t.Fatalf("%v: %s", err, out.String())
	}
}

// forged is a chip that remembers something else than the one that was written to.
type forged struct {
	chip
	anchor  []byte
	counter uint64 // added to what it is
}

func (f forged) ReadAnchor() ([]byte, error) {
	if f.anchor != nil {
		return f.anchor, nil
	}
	return f.chip.ReadAnchor()
}

func (f forged) Counter() (uint64, error) {
	n, err := f.chip.Counter()
	return n + f.counter, err
}

// The cuts are worth something only if check sees what is missing, and what should not be there.
func TestCheckSeesWhatIsMissing(t *testing.T) {
	dir, chipDir := t.TempDir(), filepath.Join(t.TempDir(), "tpm")
	p, err := startChip(chipDir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	h := newHistory()
	rng := rand.New(rand.NewPCG(3, 3))
	for len(h.records) < 40 || h.cursor == 0 || h.anchored == 0 || len(h.vault.people) == 0 || h.older == nil {
		if err := killOne(dir, chipDir, h, rng); err != nil {
			t.Fatal(err)
		}
		if err := checkKilled(dir, chipDir, h); err != nil {
			t.Fatal(err)
		}
	}
	c, err := openChip(chipDir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	anchor, err := c.ReadAnchor()
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, by byte) []byte {
		b := slices.Clone(anchor)
		b[at] += by
		return b
	}
	anybody := func(h *history) (id access.PersonID) {
		for id := range h.vault.people {
			return id
		}
		return id
	}
	for what, lie := range map[string]func(*history, *forged){
		"a record that is not there":    func(h *history, _ *forged) { h.records[1<<20] = "x" },
		"another record":                func(h *history, _ *forged) { h.records[slices.Max(keys(h.records))] = "x" },
		"a record that nobody wrote":    func(h *history, _ *forged) { clear(h.tried) },
		"a person that is not there":    func(h *history, _ *forged) { h.vault.people[personID(99)] = standing{generation: 1} },
		"a person that was deleted":     func(h *history, _ *forged) { delete(h.vault.people, anybody(h)) },
		"a lockdown that is not there":  func(h *history, _ *forged) { h.vault.lockdown = !h.vault.lockdown },
		"a lockout that is not there":   func(h *history, _ *forged) { h.vault.locked = !h.vault.locked },
		"a failure that is not there":   func(h *history, _ *forged) { h.vault.failures++ },
		"another policy":                func(h *history, _ *forged) { h.vault.policy += "1" },
		"a later boot":                  func(h *history, _ *forged) { h.boots += 5 },
		"a cursor that has moved":       func(h *history, _ *forged) { h.cursor++; h.mayCursor = h.cursor },
		"a checkpoint of another log":   func(h *history, _ *forged) { h.note = []byte("k\n1\n") },
		"a later anchor":                func(h *history, _ *forged) { h.anchored += 1000 },
		"an older vault that opens":     func(h *history, _ *forged) { h.older = mustRead(t, vaultFile(dir)) },
		"an anchor of a longer log":     func(_ *history, f *forged) { f.anchor = changed(8, 1) },
		"an anchor of another log":      func(_ *history, f *forged) { f.anchor = changed(40, 1) },
		"a counter that has gone on":    func(_ *history, f *forged) { f.counter = 1 },
		"a counter that was put back":   func(_ *history, f *forged) { f.counter -= 2 },
		"nothing (this one is a truth)": func(*history, *forged) {},
	} {
		told, f := h.clone(), forged{chip: c}
		lie(told, &f)
		if err := check(dir, told, f); (err == nil) != strings.HasPrefix(what, "nothing") {
			t.Errorf("%s: %v", what, err)
		}
		if err := heal(dir, h, c); err != nil {
			t.Fatalf("after %q: %v", what, err)
		}
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An operation that was under way is found whole or not at all.
func TestAllows(t *testing.T) {
	a, b := personID(1), personID(2)
	h := newHistory()
	for _, line := range []string{
		"try 1 put " + a.String() + " 1", "ok 1 ", "try 2 put " + b.String() + " 4", "ok 2 ", "try 3 suspend " + b.String(), "ok 3 ",
		"try 4 lockout 3 true", "ok 4 ", "try 5 policy 7", "ok 5 ", "try 6 lockdown true", "ok 6 ",
	} {
		if err := h.hear(line); err != nil {
			t.Fatal(err)
		}
	}
	want := contents{
		people:   map[access.PersonID]standing{a: {1, vault.Active, 0}, b: {4, vault.Suspended, 0}},
		lockdown: true, locked: true, failures: 3, policy: "7",
	}
	if !h.vault.equal(want) {
		t.Fatalf("%v, want %v", h.vault, want)
	}
	for _, c := range []struct {
		begun   string
		change  func(*contents)
		allowed bool
	}{
		{"", func(*contents) {}, true},
		{"", func(c *contents) { c.lockdown = false }, false},
		{"lockdown false", func(*contents) {}, true},
		{"lockdown false", func(c *contents) { c.lockdown = false }, true},
		{"lockdown false", func(c *contents) { c.locked = false }, false},
		{"lockout 3 false", func(c *contents) { c.locked = false }, true},
		{"lockout 4 true", func(c *contents) { c.failures = 4 }, true},
		{"policy 8", func(c *contents) { c.policy = "8" }, true},
		{"policy 8", func(c *contents) { c.policy = "9" }, false},
		{"resume " + b.String(), func(c *contents) { c.people[b] = standing{4, vault.Active, 0} }, true},
		{"revoke " + a.String(), func(c *contents) { c.people[a] = standing{1, vault.Revoked, 1} }, true},
		{"revoke " + a.String(), func(c *contents) { c.people[a] = standing{1, vault.Revoked, 0} }, false},
		{"erase " + a.String(), func(c *contents) { c.people[a] = standing{buried: 1} }, true},
		{"erase " + a.String(), func(c *contents) { delete(c.people, a) }, false},
		{"put " + a.String() + " 2", func(c *contents) { c.people[a] = standing{2, vault.Active, 0} }, true},
		{"sweep", func(c *contents) { c.people[b] = standing{buried: 4} }, true},
		{"sweep", func(c *contents) { c.people[b] = standing{} }, false},
		{"sweep", func(c *contents) { c.people[a] = standing{buried: 1} }, false},
		{"sweep", func(c *contents) { c.failures = 0 }, false}, // a lockout in force stays
		{"rekey", func(c *contents) { c.policy = "" }, false},
	} {
		clear(h.begun)
		if c.begun != "" {
			if err := h.hear("try 9 " + c.begun); err != nil {
				t.Fatal(err)
			}
		}
		found := want.clone()
		c.change(&found)
		if got, err := h.allows(found); err != nil || got != c.allowed {
			t.Errorf("begun %q, found %v: %t, %v", c.begun, found, got, err)
		}
	}
}

// Only what takes something from somebody makes older files worthless.
func TestRestricting(t *testing.T) {
	for what, want := range map[string]bool{
		"put x 1": false, "resume x": false, "lockdown false": false, "lockout 2 false": false, "lockout 5 true": false, "sweep 1": false, "settle": false,
		"revoke x": true, "erase x": true, "suspend x": true, "policy 1": true, "rekey": true, "lockdown true": true, "sweep 0 x": true,
	} {
		if got := restricts(what, contents{locked: true}); got != want {
			t.Errorf("%q: %t", what, got)
		}
	}
	if !restricts("lockout 0 true", contents{}) {
		t.Error("a lockout that is entered restricts nothing")
	}
}

// While a command of the double is under way, the TPM may have done it or not.
func TestChips(t *testing.T) {
	h := newHistory()
	d, err := newDouble(h.nv, func(format string, args ...any) error { return h.hear(fmt.Sprintf(format, args...)) })
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.Raise(); err != nil || n != born+1 || len(h.chips()) != 1 || h.nv.counter != n {
		t.Errorf("raised to %d, %v; %v", n, err, h.chips())
	}
	if err := d.WriteAnchor([]byte("anchor")); err != nil || len(h.chips()) != 1 || string(h.nv.anchor) != "anchor" {
		t.Errorf("anchored: %v; %v", err, h.chips())
	}
	if err := h.hear("raising 43"); err != nil {
		t.Fatal(err)
	}
	if c := h.chips(); len(c) != 2 || c[0].counter != 42 || c[1].counter != 43 {
		t.Errorf("%v", c)
	}
}

func keys(m map[uint64]string) (list []uint64) {
	for k := range m {
		list = append(list, k)
	}
	return list
}

// heal brings a history up to what earlier checks have added to the folder.
func heal(dir string, h *history, c chip) error {
	for n := range uint64(1000) {
		h.tried[hash(fmt.Appendf(nil, "after the cut %d", n))] = true
	}
	v, err := openVault(dir, c, nil)
	if err != nil {
		return err
	}
	defer v.Close()
	h.boots, err = v.Boot()
	return err
}

// The model of the disk keeps what was synced and nothing that it may lose.
func TestDisk(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	d := newDisk()
	f := d.open("/r/a.new", false)
	f.waiting = append(f.waiting, change{data: []byte("synced")})
	f.sync()
	f.waiting = append(f.waiting, change{off: 6, data: []byte(" not")}, change{off: 20})
	d.rename("/r/a.new", "/r/a")
	for l, want := range map[loss]map[string]string{
		loseAll:     {},
		loseNothing: {"a": "synced not\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
	} {
		expectFolder(t, d, l, rng, want)
	}
	d.syncFolder("/r")
	expectFolder(t, d, loseAll, rng, map[string]string{"a": "synced"})
	d.open("/r/b", false)
	d.remove("/r/a")
	expectFolder(t, d, loseAll, rng, map[string]string{"a": "synced"})
	expectFolder(t, d, loseNothing, rng, map[string]string{"b": ""})
	seen := map[string]bool{}
	for range 100 {
		dir := t.TempDir()
		if err := d.write("/r", dir, loseSome, rng); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		names := ""
		for _, e := range entries {
			names += e.Name()
		}
		seen[names] = true
	}
	if len(seen) != 3 || !seen["a"] || !seen["ab"] || !seen["b"] { // names are lost from the end only
		t.Errorf("names that remain: %v", seen)
	}
}

func expectFolder(t *testing.T, d *disk, l loss, rng *rand.Rand, want map[string]string) {
	t.Helper()
	dir := t.TempDir()
	if err := d.write("/r", dir, l, rng); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Errorf("loss %d: %d files, want %d", l, len(entries), len(want))
	}
	for name, content := range want {
		if b, err := os.ReadFile(dir + "/" + name); err != nil || string(b) != content {
			t.Errorf("loss %d: %q is %q, want %q: %v", l, name, b, content, err)
		}
	}
}

// What the bench writes by itself is a vault: the TPM takes it over, and all of its references can be compared.
func TestPlainVaultOfTheBench(t *testing.T) {
	const people = 20
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "vault"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writePlain(vaultFile(dir), people); err != nil {
		t.Fatal(err)
	}
	c, err := newDouble(kept{counter: born}, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := openVault(dir, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	gallery, err := match.NewFloat32(make([]float32, people*references*access.ProbeSize), access.ProbeSize)
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(gallery, v); err != nil || gallery.Len() != people*references || c.counter != born+1 {
		t.Errorf("%v: %d references, counter %d", err, gallery.Len(), c.counter)
	}
}

// What exceeds its limit is measured again, and that is said; what does so each time exceeds it. A lower limit is one, and what is no number is beyond any.
func TestJudged(t *testing.T) {
	for _, c := range []struct {
		first, then measurement
		runs        int
		exceeding   bool
	}{
		{measurement{value: 1, limit: 1}, measurement{}, 1, false},
		{measurement{value: 9}, measurement{}, 1, false},
		{measurement{value: 2, limit: 1}, measurement{value: 1, limit: 1}, 2, false},
		{measurement{value: 1, limit: 2, least: true}, measurement{value: 2, limit: 2, least: true}, 2, false},
		{measurement{value: math.NaN(), limit: 1}, measurement{value: 2, limit: 1}, tries, true},
	} {
		var out bytes.Buffer
		runs := 0
		list, err := judged(&out, func() ([]measurement, error) {
			if runs++; runs == 1 {
				return []measurement{c.first}, nil
			}
			return []measurement{c.then}, nil
		})
		if err != nil || runs != c.runs || list[0].exceeded() != c.exceeding || strings.Count(out.String(), "again, since: ") != runs-1 {
			t.Errorf("%+v: %d runs, %+v, %v, said %q", c.first, runs, list, err, out.String())
		}
	}
}
