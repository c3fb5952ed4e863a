package portal

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/board"
)

const (
	// guardSlack is how long after its proper end the guard ends a release: longer than a busy machine delays the portal's own
	// timer, shorter than anybody notices.
	guardSlack = 250 * time.Millisecond
	// guardRetry is the pace at which the guard tries again while somebody else holds the relay.
	guardRetry = 20 * time.Millisecond
	// guardPatience tries later, 100 ms, that somebody is taken to hang in the driver.
	guardPatience = 5
)

// relay is the one way to the relay line. Its guard, a goroutine of its own, ends every release that the portal does not end.
type relay struct {
	lines  Lines
	now    func() time.Duration
	acted  func() // the guard has secured the relay
	timer  *time.Timer
	held   atomic.Bool // released by fire: no guard
	mu     sync.Mutex  // held while the line is being set
	on     bool
	due    time.Duration // when the guard ends this release
	latest time.Duration // when the line was set last
}

func newRelay(lines Lines, now func() time.Duration, acted func()) *relay {
	r := &relay{lines: lines, now: now, acted: acted, timer: time.NewTimer(time.Hour)}
	r.timer.Stop()
	return r
}

// release sets the relay for d. The guard is armed first: even a call that never returns is bounded.
func (r *relay) release(d time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held.Store(false)
	r.due = r.now() + d + guardSlack
	r.timer.Reset(d + guardSlack)
	return r.set(true)
}

// hold sets the relay without limit.
func (r *relay) hold() error {
	r.held.Store(true) // before the lock: the guard must not act against a fire
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer.Stop()
	return r.set(true)
}

// secure ends a release. When it fails the guard stays armed.
func (r *relay) secure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held.Store(false)
	err := r.set(false)
	if err == nil {
		r.timer.Stop()
	}
	return err
}

// state says whether the relay is on and when it was set last.
func (r *relay) state() (on bool, latest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.on, r.latest
}

// check says what the relay was set to last and what its line reads. Nobody sets it meanwhile, but for a guard that has lost its patience.
func (r *relay) check() (want, have bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have, err = r.lines.Level(board.Relay)
	return r.on, have, err
}

func (r *relay) set(on bool) error {
	if on {
		r.on = true // before the attempt: one that fails half-way counts as released
	}
	at, err := r.lines.Set(board.Relay, on)
	if err != nil {
		return err
	}
	r.on, r.latest = on, at
	return nil
}

// guard ends releases that are overdue, until stop is closed.
func (r *relay) guard(stop <-chan struct{}) {
	defer r.timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-r.timer.C:
			r.end(stop)
		}
	}
}

// end secures an overdue relay and does not give up. Whoever sets the line at the moment is waited for, so that no order is
// overtaken; one who hangs is not waited for, and the line is set again once the hanging call came back.
func (r *relay) end(stop <-chan struct{}) {
	retry := time.NewTicker(guardRetry)
	defer retry.Stop()
	told := false
	tell := func() {
		if !told {
			r.acted()
		}
		told = true
	}
	for tries := 0; ; tries++ {
		if r.mu.TryLock() {
			overdue := r.on && !r.held.Load() && r.now() >= r.due
			var err error
			switch {
			case overdue:
				err = r.set(false)
			case told && r.held.Load():
				err = r.set(true) // a write past the lock may have overtaken the fire
			}
			r.mu.Unlock()
			if overdue {
				tell()
			}
			if err == nil {
				return
			}
		} else if tries >= guardPatience && !r.held.Load() {
			_, _ = r.lines.Set(board.Relay, false) // tried again until the lock is free, and checked then
			tell()
		}
		select {
		case <-stop:
			return
		case <-retry.C:
		}
	}
}
