package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/retrial"
)

// The frames of a session, measured again by the same models on the same machine, give the same evidence bit for bit: of a living person, and of frames
// that begin in the dark, where the face is known from before. One pixel that is another, and they do not.
//
// Control: B29
func TestBundlesAreMeasuredAgain(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bundles")
	o := defaults(t, "-bundle", dir, "-frames", "-reviewer", key.Recipient().String())
	b, err := openBooth(o)
	if err != nil {
		t.Fatalf("%v (run make deps)", err)
	}
	defer b.Close()
	for _, name := range []string{"bona fide", "injected: inverted"} {
		if _, err := b.one(o, named(t, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+abuse.Ending))
	if err != nil || len(files) < 2 {
		t.Fatalf("bundles %q: %v", files, err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		statement, film, err := abuse.Open(f, info.Size(), key)
		if err != nil {
			t.Fatal(err)
		}
		c := &statement.Case
		try := func() []retrial.Sentence {
			t.Helper()
			shown, err := retrial.Look(t.Context(), b.engine, b.bundle, c, film)
			if err != nil {
				t.Fatal(err)
			}
			return append(retrial.Evidence(c, abuse.Here("test")), retrial.Frames(c, shown, true)...)
		}
		for _, s := range try() {
			if !s.Same {
				t.Errorf("%s: %v", filepath.Base(file), s)
			}
		}
		film[len(film)-2].Image.Pix[5] ^= 1
		differs := false
		for _, s := range try() {
			differs = differs || strings.Contains(s.String(), "Chain of frame")
		}
		if !differs {
			t.Errorf("%s: a pixel that is another is not noticed", filepath.Base(file))
		}
	}
}

func TestBundleOptions(t *testing.T) {
	if b, err := newBinder(options{}); err != nil || b.dir != "" || b.filmed() != nil {
		t.Errorf("bundles that nobody asked for: %v", err)
	}
	if _, err := newBinder(options{bundles: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "-reviewer") {
		t.Errorf("bundles for nobody: %v", err)
	}
}
