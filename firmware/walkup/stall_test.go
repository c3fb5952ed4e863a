package walkup

import (
	"context"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// A camera that stalls again and again, or an eye that says so, is told as one fault: nobody fills the log with it.
func TestStallsAreOneFault(t *testing.T) {
	at := time.Hour
	var told []bool
	w := &Walkup{cfg: Config{Now: func() time.Duration { return at }, Stalled: func(yes bool) { told = append(told, yes) }}}
	frame, none := ipc.Approach{Hint: access.HintNobody, Exposure: time.Millisecond}, ipc.Approach{Hint: access.HintNobody}
	w.stall(t.Context(), frame)
	for range 600 { // a minute of them
		w.stall(t.Context(), none)
		w.stall(t.Context(), frame)
		at += 100 * time.Millisecond
	}
	if len(told) != 1 || !told[0] {
		t.Errorf("while it stalls: %v", told)
	}
	for range 2 {
		at += stallOver
		w.stall(t.Context(), frame)
	}
	if len(told) != 2 || told[1] {
		t.Errorf("after it: %v", told)
	}
	// Whoever is told takes a new eye for the end of a stall: the next is said again.
	w.stall(t.Context(), none)
	w.inbox, w.over = make(chan func(context.Context), 1), make(chan struct{})
	w.EyeUp(t.Context(), &benchEye{}, ipc.Hello{}, [32]byte{7})
	(<-w.inbox)(t.Context())
	w.stall(t.Context(), none)
	if len(told) != 4 || !told[2] || !told[3] {
		t.Errorf("before and after a new eye: %v", told)
	}
	w.cfg.Stalled = nil
	w.stall(t.Context(), none)
	if !w.stalled {
		t.Error("a stall that nobody is told of")
	}
}
