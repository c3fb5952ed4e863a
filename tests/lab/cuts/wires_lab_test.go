//go:build lab

package cuts

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/tests/lab/kiosk"
	"github.com/lintel-access/lintel/tests/lab/plan"
)

// press presses the button to leave, again and again, and tells what the relay does.
func press(ctx context.Context, w *kiosk.Wires, say func(string, ...any) error) error {
	for pressed := false; ctx.Err() == nil; pressed = !pressed {
		if err := w.Pull(board.REX, pressed); err != nil {
			return err
		}
		for range 10 {
			time.Sleep(20 * time.Millisecond)
			on, err := w.Changes()
			if err != nil {
				return err
			}
			for _, level := range on {
				if err := say("relay %t", level); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// client is door and what the desk has of it.
type client struct {
	ipc *ipc.Client

	mu     sync.Mutex
	said   *os.File
	newest ipc.Status
	news   chan struct{} // has one when there is a status that nobody has seen
	ended  chan error
}

func startDoor(t *testing.T, program, boardName, state string, said *os.File) (*client, error) {
	run := filepath.Join(plan.Scratch, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-board", boardName, "-run", run, "-state", state)
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{}, os.Stdout, os.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &client{said: said, news: make(chan struct{}, 1), ended: make(chan error, 2)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.ended <- fmt.Errorf("door ended: %w", cmd.Wait())
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-over
	})
	for {
		conn, err := ipc.DialWithin(t.Context(), time.Second, filepath.Join(run, ipc.Desk.Socket()), ipc.Desk, os.Geteuid())
		if err == nil {
			c.ipc = ipc.NewClient(conn, c.hear)
			go func() { c.ended <- fmt.Errorf("door hung up: %w", c.ipc.Run(t.Context())) }()
			return c, nil
		}
		select {
		case err := <-c.ended:
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// hear takes a status. What it tells of the audit log is a promise.
func (c *client) hear(m ipc.Message) {
	var s ipc.Status
	if m.Kind != ipc.KindStatus || ipc.Decode(m, &s) != nil {
		return
	}
	c.mu.Lock()
	c.newest = s
	c.mu.Unlock()
	if c.say("records %d", s.Records) != nil {
		return // no promise was heard
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// status is the newest one.
func (c *client) status(ctx context.Context) (ipc.Status, error) {
	select {
	case <-c.news:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.newest, nil
	case err := <-c.ended:
		return ipc.Status{}, err
	case <-time.After(10 * time.Second):
		return ipc.Status{}, errors.New("door tells no status")
	}
}

func (c *client) say(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := fmt.Fprintf(c.said, format+"\n", args...)
	return err
}

// order gives door one order.
func (c *client) order(ctx context.Context, m *reckoning, rng *rand.Rand) error {
	id := person(rng.IntN(people))
	state, there := m.People[id.String()]
	var verb string
	var kind ipc.Kind
	var request, answer any
	switch n := rng.IntN(20); {
	case n < 3:
		verb, kind, request = fmt.Sprintf("lockdown %t", !m.Lockdown), ipc.KindLockdown, ipc.Lockdown{On: !m.Lockdown}
	case n < 4:
		verb, kind = "rekey", ipc.KindRekey
	case !there:
		return nil
	case n < 5 && state != vault.Revoked:
		verb, kind, request = "revoke "+id.String(), ipc.KindRevoke, ipc.Revoke{Person: id}
	case n < 6:
		verb, kind, request, answer = "delete "+id.String(), ipc.KindDelete, ipc.Delete{Person: id}, &ipc.Deleted{}
	case state == vault.Active:
		verb, kind, request = "suspend "+id.String(), ipc.KindSuspend, ipc.Suspend{Person: id}
	case state == vault.Suspended:
		verb, kind, request = "resume "+id.String(), ipc.KindResume, ipc.Resume{Person: id}
	default:
		return nil
	}
	if err := c.say("try %s", verb); err != nil {
		return err
	}
	if err := c.ipc.Call(ctx, kind, request, answer); err != nil {
		return fmt.Errorf("order %q: %w", verb, err)
	}
	m.apply(verb)
	return c.say("ok")
}
