package auditlog

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCursor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, small)
	fill(t, l, 5, 0)
	for _, step := range []struct {
		to uint64
		ok bool
	}{{3, true}, {3, true}, {2, false}, {6, false}, {5, true}} {
		if err := l.Acknowledge(step.to); (err == nil) != step.ok {
			t.Errorf("to %d: %v", step.to, err)
		}
	}
	l.Close()
	l, r := mustOpen(t, dir, small)
	if l.Cursor() != 5 || r.Notes != nil {
		t.Fatalf("cursor %d, %+v", l.Cursor(), r)
	}
	l.Close()

	path := filepath.Join(dir, cursorName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range cursorSize + 1 {
		bad := append(slices.Clone(good), 0)
		if i < cursorSize {
			bad = slices.Clone(good)
			bad[i] ^= 4
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		l, r := mustOpen(t, dir, small)
		if l.Cursor() != 0 || len(r.Notes) != 1 {
			t.Fatalf("byte %d: cursor %d, %+v", i, l.Cursor(), r)
		}
		l.Close()
	}

	// Headquarters has acknowledged more than there is: the end is gone, and its numbers are not used again.
	if err := os.WriteFile(path, encodeCursor(9), 0o600); err != nil {
		t.Fatal(err)
	}
	l, r = mustOpen(t, dir, small)
	if !slices.Equal(r.Damage, []Damage{{5, 9}}) || mustAppend(t, l, Vital, []byte("x")) != 9 {
		t.Fatalf("%+v, head %d", r, l.Head())
	}
	if damage, err := l.Check(); err != nil || !slices.Equal(damage, []Damage{{5, 9}}) {
		t.Fatalf("check: %v, %v", damage, err)
	}
}
