package main

import (
	"errors"
	"flag"
	"strings"
	"testing"
)

// Wrong words end link with a status of their own.
func TestWrongWordsEndWithTheirOwnStatus(t *testing.T) {
	for args, want := range map[string]int{"word": exitUsage, "": exitUsage, "-nonsense": exitUsage, "-run x -board nosuch": exitConfig} {
		if err := run(t.Context(), strings.Fields(args)); err == nil || exitOf(err) != want {
			t.Errorf("link %s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
}
