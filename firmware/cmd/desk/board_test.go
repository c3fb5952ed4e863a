//go:build !kiosk

package main

import (
	"context"
	"io"
	"strings"
	"testing"
)

// The desk simulates its own boards and no other: on another it would wait for a camera that is not there.
func TestOnlySimulatedBoards(t *testing.T) {
	for name, says := range map[string]string{"rpi4": "not a simulated one", "lab": "not a simulated one", "desk-3": "desk-2"} {
		if err := run(context.Background(), []string{"-demo", "-board", name}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
}
