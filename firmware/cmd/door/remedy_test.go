package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/drivers/tpm"
)

// Whoever reads a sentence on the page finds it again in the manual, and nothing of it was cut off on the way.
func TestRemediesFitAndStandInTheManual(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range remedies() {
		if n := len(closedBecause) + len(r.say); n > maxSentence {
			t.Errorf("%q has %d bytes, at most %d are shown", r.say, n, maxSentence)
		}
		cause, do, _ := strings.Cut(r.say, ": ")
		if do == "" {
			t.Errorf("%q does not say what to do", r.say)
		}
		if !strings.Contains(string(manual), "| "+cause+" |") {
			t.Errorf("docs/OPERATIONS.md has no row for %q", cause)
		}
	}
}

func TestFirstRemedyIsTheOneToActOn(t *testing.T) {
	err := fmt.Errorf("open vault: %w: unseal data key: %w", vault.ErrRoot, tpm.ErrPCR)
	if say := remedy(err); !strings.HasPrefix(say, "this image is not the approved one") {
		t.Errorf("%v: %q", err, say)
	}
	if say := remedy(os.ErrPermission); say != "" {
		t.Errorf("an error that nobody foresaw has the sentence %q", say)
	}
}
