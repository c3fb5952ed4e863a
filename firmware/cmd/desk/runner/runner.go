//go:build !kiosk

package runner

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	firstDelay  = 100 * time.Millisecond // a killed eye is back before a visitor has read that it is gone
	slowDelay   = 5 * time.Second        // ceiling of the back-off, and the pace of a program that refuses its configuration
	healthyLife = 10 * time.Second       // a child that lived this long is forgiven its earlier deaths
	grace       = 2 * time.Second        // from SIGTERM to SIGKILL at shutdown

	// exitConfig is EX_CONFIG of sysexits.h: the installation is wrong, and trying again at once cannot help.
	exitConfig = 78
)

// Program is one child to keep alive.
type Program struct {
	Name string   // prefix of its lines and key of Kill
	Path string   // of the executable; no search in PATH
	Args []string // without the name of the program
	Env  []string // the whole environment of the child; nothing is inherited
	Dir  string   // the folder it starts in; empty: ours
	// Watched gives the child a dead-man's line, as PID 1 does on a kiosk, and its descriptor as the flag -deadman: one that stops proving that its
	// loop lives is killed and started again.
	Watched bool
}

// Phase says where a child stands.
type Phase uint8

const (
	Waiting Phase = 0 // not running; will be started
	Running Phase = 1
	Refused Phase = 2 // it could not start or said that its installation is wrong; tried again every 5 s
	Stopped Phase = 3 // the desk is shutting down
)

// String is the word that the page shows.
func (p Phase) String() string {
	switch p {
	case Waiting:
		return "restarting"
	case Running:
		return "running"
	case Refused:
		return "refused"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Status is what is known about one child at one moment.
type Status struct {
	Name     string
	Phase    Phase
	PID      int       // 0 unless running
	Since    time.Time // when this phase began
	Restarts uint64
	LastExit string // why the last run ended, empty before the first end
}

// Runner keeps a fixed set of programs alive while Run runs.
type Runner struct {
	out      *lines
	programs []Program

	mu      sync.Mutex
	status  []Status // in the order of programs
	changed chan struct{}
}

// New checks the programs and starts nothing. Their lines go to out, one Write a line.
func New(out io.Writer, programs ...Program) (*Runner, error) {
	r := &Runner{out: &lines{to: out}, programs: programs, changed: make(chan struct{})}
	now := time.Now()
	for _, p := range programs {
		if p.Name == "" || p.Path == "" {
			return nil, fmt.Errorf("add program %q: name and path must not be empty", p.Name)
		}
		if slices.ContainsFunc(r.status, func(s Status) bool { return s.Name == p.Name }) {
			return nil, fmt.Errorf("add program %q: listed twice", p.Name)
		}
		r.out.width = max(r.out.width, len(p.Name))
		r.status = append(r.status, Status{Name: p.Name, Since: now})
	}
	return r, nil
}

// Run starts all programs and returns when ctx has ended and every child is gone.
func (r *Runner) Run(ctx context.Context) {
	var children sync.WaitGroup
	for i := range r.programs {
		children.Go(func() { r.keep(ctx, i) })
	}
	children.Wait()
}

// Status is a snapshot in the order of New, and a channel that is closed at the next change.
func (r *Runner) Status() ([]Status, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.status), r.changed
}

// Kill ends a running child with SIGKILL, as the kernel would; it is started again like after any other death.
func (r *Runner) Kill(name string) error {
	// The lock is held over the signal: keep clears PID under it before the process is reaped, so that the number cannot
	// belong to somebody else.
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.status {
		if s.Name != name {
			continue
		}
		if s.PID == 0 {
			return fmt.Errorf("kill %q: not running", name)
		}
		if err := syscall.Kill(-s.PID, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill %q: %w", name, err)
		}
		return nil
	}
	return fmt.Errorf("kill %q: no such program", name)
}

// keep owns one program until ctx ends.
func (r *Runner) keep(ctx context.Context, i int) {
	delay := firstDelay
	for {
		end := r.once(ctx, i)
		if ctx.Err() != nil {
			r.set(i, func(s *Status) { s.Phase, s.LastExit = Stopped, end.reason })
			return
		}
		phase, pause := Waiting, delay
		switch {
		case end.refused:
			phase, pause = Refused, slowDelay
		case end.lived >= healthyLife:
			pause = firstDelay
		}
		delay = min(2*pause, slowDelay)
		r.set(i, func(s *Status) { s.Phase, s.LastExit = phase, end.reason })
		r.out.write(r.programs[i].Name, fmt.Sprintf("ended: %s; next start in %v", end.reason, pause))

		select {
		case <-ctx.Done():
			r.set(i, func(s *Status) { s.Phase = Stopped })
			return
		case <-time.After(pause):
		}
		r.set(i, func(s *Status) { s.Restarts++ })
	}
}

// set changes the status of one program and wakes whoever watches. Since follows the phase.
func (r *Runner) set(i int, change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.status[i]
	change(&r.status[i])
	if r.status[i].Phase != before.Phase || r.status[i].PID != before.PID {
		r.status[i].Since = time.Now()
	}
	close(r.changed)
	r.changed = make(chan struct{})
}
