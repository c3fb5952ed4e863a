package main

import (
	"errors"
	"flag"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lintel-access/lintel/board"
)

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

// Wrong words end eye with a status of their own.
func TestFlags(t *testing.T) {
	for args, want := range map[string]int{
		"": exitUsage, "word": exitUsage, "-run x extra": exitUsage, "-nonsense": exitUsage, "cameras word": exitUsage, "cameras -nonsense": exitUsage,
		"-run x -board nosuch": exitConfig,
	} {
		if err := command(t.Context(), strings.Fields(args)); err == nil || exitOf(err) != want {
			t.Errorf("eye %s: %v, status %d, want %d", args, err, exitOf(err), want)
		}
	}
	for _, help := range []string{"-h", "cameras -h"} {
		if err := command(t.Context(), strings.Fields(help)); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("eye %s: %v", help, err)
		}
	}
	if o, err := parse([]string{"-run", "x"}); err != nil || o.board != "desk" {
		t.Errorf("parse: %+v, %v", o, err)
	}
}
