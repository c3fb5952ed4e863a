//go:build !kiosk

package main

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/retrial"
)

// The laboratory's bundles in testdata are made by
//
//	go run ./tests/pad -n 1 -bona 1 -workers 1 -species 'bona fide,eyes cut out,another session,on a stick' \
//		-bundle firmware/cmd/replay/testdata -reviewer RECIPIENT
//
// with the recipient that testdata/reviewer.key names.
const key = "testdata/reviewer.key"

func bundles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*" + abuse.Ending)
	if err != nil || len(files) < 3 {
		t.Fatalf("%d bundles in testdata: %v", len(files), err)
	}
	return files
}

// Every bundle in testdata is a regression test: it comes to the verdict and the reason that it came to at the door. A finding that is another by now,
// for its criterion was changed, is told and is no failure. A new bundle is tested by putting it there.
//
// Control: B29
func TestBundlesComeOutAsTheyDid(t *testing.T) {
	verdicts := map[access.Verdict]bool{}
	for _, file := range bundles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			o := options{file: file, identity: key, cache: "../../../.lintel"}
			b, film, err := open(o)
			if err != nil {
				t.Fatal(err)
			}
			c := &b.Case
			verdicts[c.Verdict] = true
			sentences := retrial.Evidence(c, abuse.Made{})
			if len(film) > 0 {
				again, err := look(t.Context(), o, c, film, abuse.Made{})
				if err != nil {
					t.Fatal(err)
				}
				sentences = append(sentences, again...)
			}
			for _, s := range sentences {
				if !s.Same {
					t.Error(s)
				}
			}
			for _, s := range retrial.Evidence(c, abuse.Here("test")) {
				t.Log(s)
			}
		})
	}
	if !verdicts[access.Granted] || !verdicts[access.Denied] {
		t.Errorf("the bundles have the verdicts %v: that proves little", verdicts)
	}
}

func TestReplaySaysWhatAgrees(t *testing.T) {
	file := bundles(t)[0]
	var out, help bytes.Buffer
	for _, args := range [][]string{{file, "-identity", key, "-report"}, {"-report", "-identity", key, file}} {
		out.Reset()
		agrees, err := run(t.Context(), args, &out, &help)
		if err != nil || !agrees {
			t.Fatalf("%q: %v, %v\n%s", args, agrees, err, out.String())
		}
	}
	for _, want := range []string{"session 1/1 at door \"front\"", "same: the recorded evidence: granted, allowed", "no frames", "material type: unknown", "business impact: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}

	// A bundle whose verdict this program does not come to.
	b, _, err := open(options{file: file, identity: key})
	if err != nil {
		t.Fatal(err)
	}
	to, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	b.Case.Question.Candidate.Score = 0.1
	b.Case.Policy.Door = "front\x1b[2J"
	var forged bytes.Buffer
	w, err := abuse.NewWriter(&forged)
	if err == nil {
		_, err = w.Finish(&b.Case, "none\x1b[2J", []age.Recipient{to.Recipient()})
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	forgery, identity := filepath.Join(dir, "forged.abuse"), filepath.Join(dir, "key")
	for path, data := range map[string][]byte{forgery: forged.Bytes(), identity: []byte(to.String())} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out.Reset()
	agrees, err := run(t.Context(), []string{forgery, "-identity", identity, "-report"}, &out, &help)
	if err != nil || agrees || !strings.Contains(out.String(), "DIFFERS: the recorded evidence: denied, unknown; at the door: granted, allowed") {
		t.Errorf("agrees %v, %v\n%s", agrees, err, out.String())
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("a bundle moves the cursor of whoever reads it")
	}
}

// What was decided, and the pictures, are there also where the models are not.
func TestFramesWithoutModels(t *testing.T) {
	b, _, err := open(options{file: bundles(t)[0], identity: key})
	if err != nil {
		t.Fatal(err)
	}
	to, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	picture := abuse.Picture{Seq: 7, Image: *image.NewGray(image.Rect(0, 0, 30, 20))}
	picture.Image.Pix[33] = 200
	sealed, err := abuse.Seal([]string{to.Recipient().String()}, []abuse.Picture{picture})
	if err != nil {
		t.Fatal(err)
	}
	var filmed bytes.Buffer
	w, err := abuse.NewWriter(&filmed)
	if err == nil {
		err = w.Film(sealed)
	}
	if err == nil {
		_, err = w.Finish(&b.Case, "see the film", []age.Recipient{to.Recipient()})
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, identity, pictures := filepath.Join(dir, "filmed.abuse"), filepath.Join(dir, "key"), filepath.Join(dir, "pictures")
	for path, data := range map[string][]byte{file: filmed.Bytes(), identity: []byte(to.String())} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, help bytes.Buffer
	agrees, err := run(t.Context(), []string{file, "-identity", identity, "-cache", dir, "-frames", pictures}, &out, &help)
	if agrees || err == nil || !strings.Contains(err.Error(), "make deps") || !strings.Contains(out.String(), "same: the recorded evidence: granted, allowed") {
		t.Errorf("agrees %v, %v\n%s", agrees, err, out.String())
	}
	f, err := os.Open(filepath.Join(pictures, "7.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := png.Decode(f)
	if gray, ok := got.(*image.Gray); err != nil || !ok || !bytes.Equal(gray.Pix, picture.Image.Pix) {
		t.Errorf("the picture comes out otherwise: %v", err)
	}
}

func TestReplayCannot(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	stranger, secret := write("stranger", other.String()), write("broken", "AGE-SECRET-KEY-1SOMETHING")
	good := bundles(t)[0]
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"nothing":           {nil, "say which file"},
		"no identity":       {[]string{good}, "say which file"},
		"a word too many":   {[]string{good, "-identity", key, "now"}, "unexpected argument"},
		"no such file":      {[]string{dir + "/none", "-identity", key}, "no such file"},
		"no such key":       {[]string{good, "-identity", dir + "/none"}, "no such file"},
		"a folder":          {[]string{dir, "-identity", key}, "is no file"},
		"another's key":     {[]string{good, "-identity", stranger}, "encrypted to others"},
		"no key":            {[]string{good, "-identity", secret}, "no age identity"},
		"no bundle":         {[]string{write("text", strings.Repeat("x", 4000)), "-identity", key}, "not an abuse bundle"},
		"an empty file":     {[]string{write("empty", ""), "-identity", key}, "0 bytes"},
		"frames of no film": {[]string{good, "-identity", key, "-frames", dir + "/frames"}, "the bundle has none"},
		"an unknown option": {[]string{good, "-force"}, "not defined"},
	} {
		var out, help bytes.Buffer
		_, err := run(t.Context(), c.args, &out, &help)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "SOMETHING") {
			t.Errorf("%s: the error repeats the key", name)
		}
	}
	var help bytes.Buffer
	if _, err := os.Lstat(dir + "/frames"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder of frames: %v", err)
	}
	if _, err := run(t.Context(), []string{"-h"}, new(bytes.Buffer), &help); err == nil || !strings.Contains(help.String(), "Exit status 0") {
		t.Errorf("-h: %v, %s", err, help.String())
	}
}
