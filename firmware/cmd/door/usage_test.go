package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
)

// Wrong words end every command of door with the same status, and no other failure does.
func TestWrongWordsEndWithTheirOwnStatus(t *testing.T) {
	commands := map[string]func([]string) error{
		"":               func(a []string) error { return run(t.Context(), a) },
		"provision":      func(a []string) error { return provisionCommand(a, io.Discard) },
		"identity":       func(a []string) error { return identityCommand(a, io.Discard) },
		"headquarters":   func(a []string) error { return headquartersCommand(a, io.Discard) },
		"receipt":        func(a []string) error { return receiptCommand(a, io.Discard, io.Discard) },
		"verify-receipt": func(a []string) error { return verifyReceiptCommand(a, io.Discard) },
	}
	for name, command := range commands {
		for _, args := range []string{"word", "", "-nonsense", "-state"} {
			if err := command(strings.Fields(args)); err == nil || exitOf(err) != exitUsage {
				t.Errorf("door %s %s: %v", name, args, err)
			}
		}
		if err := command([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("door %s -h: %v", name, err)
		}
	}
	for _, args := range []string{"-list -1", "-list 3 1/2", "1/02", "-list 3 -o x"} {
		if err := commands["receipt"](append([]string{"-state", "x"}, strings.Fields(args)...)); exitOf(err) != exitUsage {
			t.Errorf("door receipt %s: %v", args, err)
		}
	}
	if err := commands["verify-receipt"]([]string{"-key", "/nowhere", "x"}); exitOf(err) != exitFailed {
		t.Errorf("a key that is not there: %v", err)
	}
	if exitOf(&configError{errors.New("no such board")}) != exitConfig {
		t.Error("a wrong installation has another status")
	}
}
