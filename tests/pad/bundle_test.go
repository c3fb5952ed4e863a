package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/retrial"
	"github.com/lintel-access/lintel/inference"
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
	dir, keyFile := filepath.Join(t.TempDir(), "bundles"), filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(key.String()), 0o600); err != nil {
		t.Fatal(err)
	}
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
		again(t, file, keyFile, c.Presentation.Frames[0].Seq)
		try := func(exact bool) []retrial.Sentence {
			t.Helper()
			shown, err := retrial.Look(t.Context(), b.engine, b.bundle, c, film)
			if err != nil {
				t.Fatal(err)
			}
			return append(retrial.Evidence(c, abuse.Here("test")), retrial.Frames(c, shown, exact)...)
		}
		for _, s := range append(try(true), try(false)...) {
			if !s.Same {
				t.Errorf("%s: %v", filepath.Base(file), s)
			}
		}
		film[len(film)-2].Image.Pix[5] ^= 1
		for _, exact := range []bool{true, false} { // as on the machine of the kiosk, and as on any other
			differs := false
			for _, s := range try(exact) {
				differs = differs || strings.Contains(s.String(), "Chain of frame")
			}
			if !differs {
				t.Errorf("%s: a pixel that is another is not noticed; exact: %v", filepath.Base(file), exact)
			}
		}
	}
}

// again has the program replay try a bundle, which must come out as it did, and write its pictures.
func again(t *testing.T, file, key string, seq uint64) {
	t.Helper()
	if _, err := os.Stat("../../firmware/cmd/replay/main.go"); err != nil { // so that go's test cache knows what is tried
		t.Fatal(err)
	}
	pictures := filepath.Join(t.TempDir(), "pictures")
	replay := exec.CommandContext(t.Context(), "go", "run", "./firmware/cmd/replay", file, "-identity", key, "-frames", pictures)
	replay.Dir = "../.."
	out, err := replay.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "measured again, and the probe, bit for bit") || strings.Contains(string(out), "DIFFERS") {
		t.Errorf("replay %s: %v\n%s", filepath.Base(file), err, out)
	}
	if _, err := os.Stat(filepath.Join(pictures, fmt.Sprintf("%d.png", seq))); err != nil {
		t.Errorf("replay writes no picture of frame %d: %v", seq, err)
	}
}

func TestBundleOptions(t *testing.T) {
	if b, err := newBinder(options{}); err != nil || b.dir != "" || b.filmed() != nil {
		t.Errorf("bundles that nobody asked for: %v", err)
	}
	if _, err := newBinder(options{bundles: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "-reviewer") {
		t.Errorf("bundles for nobody: %v", err)
	}
	b := binder{dir: t.TempDir()}
	for species, want := range map[string]string{
		"print, cut to the head and bent": "print-cut-to-the-head-and-bent-4", "../../etc/A mask": "etc-a-mask-4", "..": "-4", "a\x00b\u00e9": "a-b-4",
	} {
		if b.name(species, 4); b.label != want {
			t.Errorf("%q is called %q, want %q", species, b.label, want)
		}
	}
	p := &walkUp{booth: &booth{engine: new(inference.Engine), binder: b}, opened: new(access.Opened), shown: new(access.Presentation)}
	if err := p.bind(access.Findings{}); err == nil {
		t.Error("a bundle for nobody is written")
	}
	if files, err := os.ReadDir(b.dir); err != nil || len(files) != 0 {
		t.Errorf("a cut bundle stays: %v, %v", files, err)
	}
}
