//go:build lab

package faults

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/cmd/desk/runner"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/tests/lab/kiosk"
	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

// machine is what all faults of a boot happen to: a provisioned kiosk.
type machine struct {
	t         *testing.T // of them all
	plan      plan.Plan
	board     board.Board
	state     string // of the kiosk
	chipState string
	tpm       *vm.TPM
	began     time.Time
}

// site is the kiosk at work: door and eye under the supervisor, and what they say.
type site struct {
	*machine
	t          *testing.T
	wires      *kiosk.Wires
	supervisor *runner.Runner
	run        string             // folder of the sockets
	unplug     func()             // the camera; nil: there is none
	frozen     atomic.Bool        // the camera delivers nothing
	taken      map[board.Line]int // descriptors of lines that somebody else holds
	left       bool               // somebody has left

	mu     sync.Mutex
	said   strings.Builder
	newest ipc.Status
	seen   time.Time // when it came
}

func newSite(t *testing.T, m *machine) *site {
	t.Helper()
	s := &site{machine: m, t: t, taken: map[board.Line]int{}}
	var err error
	s.run, err = os.MkdirTemp(plan.Scratch, "run")
	s.must(err)
	s.wires, err = kiosk.NewWires(t, m.board, false)
	s.must(err)
	t.Cleanup(func() {
		if s.unplug != nil {
			s.unplug()
		}
	})
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// start starts the programs, until end.
func (s *site) start() {
	s.t.Helper()
	cache := filepath.Join(s.plan.Folder, "../../../.lintel")
	program := func(name string, args ...string) runner.Program {
		return runner.Program{
			Name: name, Path: filepath.Join(s.plan.Programs, name), Env: []string{"PATH=/usr/bin:/bin"},
			Args: append([]string{"-board", s.board.Name, "-run", s.run}, args...),
		}
	}
	door := program("door", "-state", s.state)
	door.Watched = true
	eye := program("eye", "-bundle", filepath.Join(cache, "bundle"), "-library", filepath.Join(cache, "ort/libonnxruntime.so.1"))
	var err error
	s.supervisor, err = runner.New(s, door, eye)
	s.must(err)
	ctx, cancel := context.WithCancel(s.t.Context())
	var work sync.WaitGroup
	work.Go(func() { s.supervisor.Run(ctx) })
	work.Go(func() { s.watch(ctx) })
	s.t.Cleanup(func() {
		cancel()
		work.Wait()
		if s.t.Failed() {
			s.t.Logf("the programs said\n%s", &s.said)
		}
	})
}

// Write takes a line of a program.
func (s *site) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(line)
}

// watch connects to door, again and again, and takes what it tells of itself.
func (s *site) watch(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := ipc.DialWithin(ctx, time.Second, filepath.Join(s.run, ipc.Desk.Socket()), ipc.Desk, os.Geteuid())
		if err != nil {
			continue
		}
		client := ipc.NewClient(conn, func(m ipc.Message) {
			var status ipc.Status
			if m.Kind == ipc.KindStatus && ipc.Decode(m, &status) == nil {
				s.mu.Lock()
				s.newest, s.seen = status, time.Now()
				s.mu.Unlock()
			}
		})
		client.Run(ctx) // until door is gone
		conn.Close()
	}
}

// wait waits until there is what a condition wants, and returns how long that took.
func (s *site) wait(within time.Duration, what string, there func() bool) time.Duration {
	s.t.Helper()
	began := time.Now()
	for !there() {
		if time.Since(began) > within {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.t.Fatalf("%s: not within %v; the newest status, %v old, shows %q: %q", what, within, time.Since(s.seen).Round(time.Millisecond),
				s.newest.Indication.Text, s.newest.Degraded)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// hears waits for a sentence of the programs.
func (s *site) hears(within time.Duration, sentence string) time.Duration {
	s.t.Helper()
	return s.wait(within, "said "+sentence, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strings.Contains(s.said.String(), sentence)
	})
}

// forget has hears wait for what is said from now on.
func (s *site) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said.Reset()
}

// status is door's newest one, unless it is old: then there is no door.
func (s *site) status() (ipc.Status, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest, time.Since(s.seen) < 1500*time.Millisecond // door speaks each half second
}

// tells reports whether door tells of a mode.
func (f fault) tells(s ipc.Status, m health.Mode) bool {
	sentence, other := f.told[m]
	if !other {
		sentence = m.String() + ": " + m.Policy().Says
	}
	return slices.ContainsFunc(s.Degraded, func(d string) bool { return strings.HasPrefix(d, sentence) })
}

// recognises reports whether people would be recognised: door runs, every part was looked at, with the camera and the lamp as they are, and the
// door does not show that it is out of order.
func (s *site) recognises() bool {
	n, up := s.status()
	return up && n.Eye && n.Tested && !n.Closed && n.Indication != access.IndicateOutOfOrder() && n.Indication != access.IndicateStarting()
}

// quiet makes sure that the relay did nothing since this was asked last.
func (s *site) quiet() {
	s.t.Helper()
	on, err := s.wires.Changes()
	s.must(err)
	if len(on) > 0 {
		s.t.Fatalf("the relay went %v, and nobody wanted to leave", on)
	}
}

// door is its wires now.
func (s *site) door() *kiosk.Wires {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wires
}

// leave presses the button to leave: the relay was off until then, and goes on.
func (s *site) leave() {
	s.t.Helper()
	released := func() bool {
		on, err := s.wires.On(board.Relay)
		s.must(err)
		return on
	}
	if s.left { // and the door is to be secured after it
		s.wait(10*time.Second, "the door is secured", func() bool { return !released() })
		_, err := s.wires.Changes()
		s.must(err)
	}
	s.quiet()
	s.must(s.wires.Pull(board.REX, true))
	s.wait(10*time.Second, "the button to leave releases the door", released)
	s.must(s.wires.Pull(board.REX, false))
	s.left = true
}
