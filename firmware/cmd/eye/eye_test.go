package main

import (
	"crypto/sha256"
	"image"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/inference/face"
)

// inference may not import access, so it numbers the hints itself; here the two lists meet.
func TestHintsOfBothFloorsAgree(t *testing.T) {
	pairs := []struct {
		below face.Hint
		above access.Hint
	}{
		{face.HintNone, access.HintNone}, {face.HintNobody, access.HintNobody}, {face.HintTooFar, access.HintTooFar},
		{face.HintTooClose, access.HintTooClose}, {face.HintTooDark, access.HintTooDark}, {face.HintSaturated, access.HintSaturated},
		{face.HintBlurred, access.HintBlurred}, {face.HintTurned, access.HintTurned}, {face.HintCutOff, access.HintCutOff},
		{face.HintSeveral, access.HintSeveral},
	}
	for i, p := range pairs {
		if access.Hint(p.below) != p.above || int(p.above) != i {
			t.Errorf("hint %d of inference is %v, of access %v", i, access.Hint(p.below), p.above)
		}
	}
}

// A link of the chain depends on every pixel, the sequence, the stamp and the link before.
func TestChainTiesFramesTogether(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 8, 4))
	f := frames.Frame{Image: img, Seq: 7, Stamp: time.Second}
	var c chain
	first := c.link(sha256.Sum256([]byte("nonce")), f)
	seen := map[[32]byte]string{first: "first"}
	add := func(name string, l [32]byte) {
		if other, ok := seen[l]; ok {
			t.Errorf("%s has the link of %s", name, other)
		}
		seen[l] = name
	}
	add("another link before", c.link(first, f))
	g := f
	g.Seq++
	add("another sequence", c.link(sha256.Sum256([]byte("nonce")), g))
	g = f
	g.Stamp++
	add("another stamp", c.link(sha256.Sum256([]byte("nonce")), g))
	for i := range img.Pix {
		img.Pix[i] ^= 1
		add("another pixel", c.link(sha256.Sum256([]byte("nonce")), f))
		img.Pix[i] ^= 1
	}
	if c.link(sha256.Sum256([]byte("nonce")), f) != first {
		t.Error("the same frame gives another link")
	}
}

func TestProvidersComeFromTheBoard(t *testing.T) {
	b := board.Board{Name: "x", Inference: board.Inference{Providers: []board.Provider{
		{Name: "first", Options: map[string]string{"a": "b"}, Library: "/lib/p.so", SHA256: string(make64('a'))}, {Name: "second"},
	}}}
	list, err := providers(b)
	if err != nil || len(list) != 2 || list[0].Name != "first" || list[1].Name != "second" || list[0].SHA256[0] != 0xaa || list[0].Options["a"] != "b" {
		t.Errorf("providers %+v, %v", list, err)
	}
	b.Inference.Providers[0].SHA256 = "short"
	if _, err := providers(b); err == nil {
		t.Error("a broken hash of a plugin library was accepted")
	}
}

func TestClipKeepsLettersWhole(t *testing.T) {
	if c := clip(strings.Repeat("ä", 101) + "x"); len(c) != 200 || !utf8.ValidString(c) {
		t.Errorf("clipped to %d bytes, valid: %v", len(c), utf8.ValidString(c))
	}
	if c := clip("x" + strings.Repeat("ä", 101)); len(c) != 199 || !utf8.ValidString(c) {
		t.Errorf("clipped to %d bytes, valid: %v", len(c), utf8.ValidString(c))
	}
}

func make64(c byte) []byte {
	s := make([]byte, 64)
	for i := range s {
		s[i] = c
	}
	return s
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{}, {"-run", "x", "extra"}, {"-nonsense"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("parse %q: accepted", args)
		}
	}
	if o, err := parse([]string{"-run", "x"}); err != nil || o.board != "desk" {
		t.Errorf("parse: %+v, %v", o, err)
	}
}
