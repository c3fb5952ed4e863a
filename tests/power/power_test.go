package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// The children of run are this test binary: what the flags of the command say, it does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-child" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestCuts(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-cuts", "30", "-dir", t.TempDir()}, &out, io.Discard); err != nil || out.String() != "power: 30 cuts, 30 clean\n" {
		t.Fatalf("%v: %s", err, out.String())
	}
}

// The cuts are worth something only if check sees what is missing, and what should not be there.
func TestCheckSeesWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	h := newHistory()
	rng := rand.New(rand.NewPCG(3, 3))
	for len(h.records) < 40 || h.cursor == 0 || len(h.anchor) == 0 || len(h.people) == 0 {
		if err := killOne(dir, h, rng); err != nil {
			t.Fatal(err)
		}
		if err := check(dir, h); err != nil {
			t.Fatal(err)
		}
	}
	anybody := func(h *history) (id [16]byte) {
		for id := range h.people {
			return id
		}
		return id
	}
	for what, lie := range map[string]func(*history){
		"a record that is not there":    func(h *history) { h.records[1<<20] = "x" },
		"another record":                func(h *history) { h.records[slices.Max(keys(h.records))] = "x" },
		"a record that nobody wrote":    func(h *history) { clear(h.tried) },
		"a person that is not there":    func(h *history) { h.people[personID(99)] = standing{generation: 1} },
		"a person that was deleted":     func(h *history) { delete(h.people, anybody(h)) },
		"a later boot":                  func(h *history) { h.boots += 5 },
		"a cursor that has moved":       func(h *history) { h.cursor++; h.mayCursor = h.cursor },
		"an anchor of a longer log":     func(h *history) { h.anchor[8]++ },
		"an anchor of another log":      func(h *history) { h.anchor[40] ^= 1 },
		"a checkpoint of another log":   func(h *history) { h.note = []byte("k\n1\n") },
		"nothing (this one is a truth)": func(*history) {},
	} {
		c := h.clone()
		lie(c)
		if err := check(dir, c); (err == nil) != strings.HasPrefix(what, "nothing") {
			t.Errorf("%s: %v", what, err)
		}
		// A check raises the boot counter and appends a record: only what it says itself goes on.
		h.boots = 0
		if err := heal(dir, h); err != nil {
			t.Fatalf("after %q: %v", what, err)
		}
	}
}

func keys(m map[uint64]string) (list []uint64) {
	for k := range m {
		list = append(list, k)
	}
	return list
}

// heal brings a history up to what earlier checks have added to the folder.
func heal(dir string, h *history) error {
	for n := range uint64(1000) {
		h.tried[hash(fmt.Appendf(nil, "after the cut %d", n))] = true
	}
	v, err := openVault(dir)
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
