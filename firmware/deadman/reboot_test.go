package deadman

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// box is a machine that can hang anywhere.
type box struct {
	hang  map[string]chan struct{}
	fails error
	did   chan string
}

func (b *box) do(what string) error {
	b.did <- what
	if c := b.hang[what]; c != nil {
		<-c
	}
	return b.fails
}

func (b *box) Sync()          { _ = b.do("sync") }
func (b *box) Restart() error { return b.do("restart") }
func (b *box) Force() error   { return b.do("force") }

// Every step is bounded, and the next is tried whatever became of it.
func TestReboot(t *testing.T) {
	refused := errors.New("operation not permitted")
	for _, c := range []struct {
		name string
		hang []string
		err  error
		took time.Duration
	}{
		{"all refused", nil, refused, 0},
		{"sync hangs", []string{"sync"}, refused, syncBound},
		{"restart hangs", []string{"restart"}, refused, restartBound},
		{"all hang", []string{"sync", "restart", "force"}, nil, syncBound + restartBound + forceBound},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &box{hang: map[string]chan struct{}{}, fails: c.err, did: make(chan string, 3)}
			for _, h := range c.hang {
				b.hang[h] = make(chan struct{})
			}
			lines := new(log)
			start := time.Now()
			err := Reboot(b, lines.add)
			if took := time.Since(start); took != c.took {
				t.Errorf("%s: took %v, want %v", c.name, took, c.took)
			}
			if !errors.Is(err, ErrStands) || c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			if did := <-b.did + " " + <-b.did + " " + <-b.did; did != "sync restart force" {
				t.Errorf("%s: %s", c.name, did)
			}
			for _, h := range c.hang {
				if !strings.Contains(lines.String(), "not over after") {
					t.Errorf("%s: %s hung and nobody was told:\n%s", c.name, h, lines)
				}
				close(b.hang[h])
			}
		})
	}
}
