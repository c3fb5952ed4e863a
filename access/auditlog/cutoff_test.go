package auditlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// copyDir is what a thief of the disk does.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "audit")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Chmod(filepath.Join(to, e.Name()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(to, 0o700); err != nil {
		t.Fatal(err)
	}
	return to
}

// Control: G3
func TestCutOff(t *testing.T) {
	dir, nv := filepath.Join(t.TempDir(), "audit"), &nvram{}
	o := hashed(t, nv)
	l, _ := mustOpen(t, dir, o)
	fill(t, l, 20, 1000)
	early := copyDir(t, dir)
	mustAppend(t, l, Vital, []byte("forced open"))
	if _, err := l.Anchor(t.Context()); err != nil {
		t.Fatal(err)
	}
	anchored := slices.Clone(nv.bytes)
	mustAppend(t, l, Vital, []byte("after the anchor"))
	l.Close()

	// A record of the last segment replaced by a good-looking one, and its hashes too: all that the disk alone can tell agrees.
	bend := func(dir string) {
		segments, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
		if err != nil {
			t.Fatal(err)
		}
		path := segments[len(segments)-1]
		first, _ := parseName(filepath.Base(path), segmentSuffix)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := scan(data, first).frames[1]
		copy(data[f.end-len(f.record)-frameHead:], appendFrame(nil, f.seq, f.batch, bytes.Repeat([]byte{7}, len(f.record))))
		if err := errors.Join(os.WriteFile(path, data, 0o600), os.Remove(filepath.Join(dir, hashesName))); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		dir    func() string
		cutOff bool
	}{
		"as it was":             {func() string { return copyDir(t, dir) }, false},
		"older copy put back":   {func() string { return early }, true},
		"folder removed":        {func() string { return filepath.Join(t.TempDir(), "audit") }, true},
		"anchored record bent":  {func() string { d := copyDir(t, dir); bend(d); return d }, true},
		"hashes lost, no worse": {func() string { d := copyDir(t, dir); os.Remove(filepath.Join(d, hashesName)); return d }, false},
	} {
		d := c.dir()
		before, _ := os.ReadFile(filepath.Join(d, hashesName))
		l, _, err := Open(d, o)
		if errors.Is(err, ErrCutOff) != c.cutOff || (err == nil) == c.cutOff {
			t.Errorf("%s: %v", what, err)
		}
		if c.cutOff && err != nil {
			if !strings.Contains(err.Error(), "delete nothing") {
				t.Errorf("%s: %v does not say what to do", what, err)
			}
			if after, _ := os.ReadFile(filepath.Join(d, hashesName)); !bytes.Equal(before, after) {
				t.Errorf("%s: the evidence was changed", what)
			}
		}
		if err == nil {
			l.Close()
		}
		if !bytes.Equal(nv.bytes, anchored) {
			t.Fatal("open moved the anchor")
		}
	}

	// Without an anchor the stored checkpoint still tells of what stood behind; a forged one is not believed.
	nv.bytes = nil
	d := copyDir(t, dir)
	if err := os.Remove(filepath.Join(d, segmentName(0))); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(d, hashesName))
	if _, _, err := Open(d, o); !errors.Is(err, ErrCutOff) {
		t.Errorf("checkpoint ahead of the log: %v", err)
	}
	note, err := os.ReadFile(filepath.Join(d, checkpointName))
	if err != nil {
		t.Fatal(err)
	}
	note[len("kiosk.test/1")+1] ^= 1 // of the size
	if err := os.WriteFile(filepath.Join(d, checkpointName), note, 0o600); err != nil {
		t.Fatal(err)
	}
	l, r := mustOpen(t, d, o)
	if l.LastCheckpoint() != nil || !strings.Contains(strings.Join(r.Notes, " "), "not one of this kiosk") {
		t.Errorf("forged checkpoint: %v", r.Notes)
	}
}

func TestAnchorFaults(t *testing.T) {
	silent := errors.New("tpm does not answer")
	for what, nv := range map[string]*nvram{
		"silent": {fault: silent}, "short": {bytes: make([]byte, 3), fault: nil}, "foreign": {bytes: bytes.Repeat([]byte{1}, AnchorBytes)},
		"huge": {bytes: encodeAnchor(1<<63, tlog.Hash{})}, "never written": {bytes: make([]byte, AnchorBytes)},
	} {
		l, _, err := Open(filepath.Join(t.TempDir(), "audit"), hashed(t, nv))
		if fine := what == "never written" || what == "short"; (err == nil) != fine {
			t.Errorf("%s: %v", what, err)
		}
		if what == "huge" && !errors.Is(err, ErrCutOff) || what != "huge" && errors.Is(err, ErrCutOff) {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			nv.fault = silent
			if _, err := l.Anchor(t.Context()); !errors.Is(err, silent) {
				t.Errorf("%s: %v", what, err)
			}
			l.Close()
		}
	}
}
