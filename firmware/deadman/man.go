package deadman

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Why a program was condemned.
var (
	ErrSilent     = errors.New("its loop does not answer")
	ErrNeverReady = errors.New("it did not get ready")
)

// Hardware is the watchdog of the machine. An error of Feed is logged, and Feed tried again.
type Hardware interface{ Feed() error }

// Config is what a Man works with.
type Config struct {
	Limits   Limits
	Now      func() time.Duration             // CLOCK_MONOTONIC
	Log      func(format string, args ...any) // must not block for long: nothing is fed meanwhile
	Hardware Hardware                         // nil without one
}

// Man watches one program over all its runs.
type Man struct {
	cfg   Config
	calls chan func()
	over  chan struct{} // closed when Run has returned

	// Owned by Run.
	judge  judge
	line   *Line  // of the run that is watched; nil between two
	odd    uint64 // packets that counted nothing
	spoken bool   // the last record is written
	deaf   bool   // the hardware could not be fed the last time
}

// New checks the configuration. The grace begins when Run does.
func New(cfg Config) (*Man, error) {
	if cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("make dead-man: a part is missing")
	}
	if err := cfg.Limits.validate(); err != nil {
		return nil, fmt.Errorf("make dead-man: %w", err)
	}
	return &Man{cfg: cfg, calls: make(chan func()), over: make(chan struct{}), judge: judge{limits: cfg.Limits}}, nil
}

// Started says that the program runs, as process pid, with the far end of line. The line is the Man's from here on. It waits for Run.
func (m *Man) Started(line *Line, pid int) {
	if !m.do(func() { m.watch(line, pid) }) {
		line.Close()
	}
}

// Ended says that the process is gone. It must be said before its number can be another's: before it is reaped. It waits for Run.
func (m *Man) Ended() { m.do(m.ended) }

// do has f called by Run, and reports whether it was.
func (m *Man) do(f func()) bool {
	done := make(chan struct{})
	select {
	case m.calls <- func() { f(); close(done) }:
		<-done
		return true
	case <-m.over:
		return false
	}
}

// Run watches and feeds the hardware until the program is condemned, which is ErrSilent or ErrNeverReady, or until ctx ends. A condemned program
// has been asked for its last record. The hardware is not fed any more when Run has returned. Run can be called once.
func (m *Man) Run(ctx context.Context) error {
	defer close(m.over)
	defer m.forget()
	tick := time.NewTicker(step)
	defer tick.Stop()
	last, fed := m.cfg.Now(), m.cfg.Now()-period
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-m.calls:
			f()
		case <-tick.C:
			now := m.cfg.Now()
			m.judge.pass(now - last)
			if last = now; m.judge.state == Condemned {
				return m.condemn(ctx)
			}
			if now-fed >= period {
				fed = now
				m.feed()
			}
		}
	}
}

// feed feeds the hardware. One that fails is fed all the same: if it is there, it bites.
func (m *Man) feed() {
	if m.cfg.Hardware == nil {
		return
	}
	err := m.cfg.Hardware.Feed()
	if err != nil && !m.deaf {
		m.cfg.Log("dead-man: %v", err)
	}
	m.deaf = err != nil
}

// watch takes the line of another run.
func (m *Man) watch(line *Line, pid int) {
	m.ended()
	line.pid = pid
	line.far.Close() // ours would keep the line open when the program is dead
	m.line = line
	go func() { // ends with the line
		for {
			p, err := line.receive()
			odd := errors.Is(err, errPacket) || errors.Is(err, errForeign)
			if err != nil && !odd {
				return
			}
			select {
			case m.calls <- func() { m.heard(line, p, odd) }:
			case <-line.done:
				return
			}
		}
	}()
}

// heard takes a packet.
func (m *Man) heard(line *Line, p packet, odd bool) {
	switch {
	case line != m.line:
	case odd:
		if m.odd++; m.odd&(m.odd-1) == 0 { // at the 1st, 2nd, 4th, …: whoever sends them must not fill the log
			m.cfg.Log("dead-man: packets that count nothing: %d", m.odd)
		}
	case p.kind == kindFed:
		m.judge.hear(Fed)
	case p.kind == kindReady:
		m.judge.hear(Ready)
	case p.kind == kindRecorded:
		m.spoken = true
	}
}

func (m *Man) ended() {
	if m.line != nil {
		m.judge.hear(Ended)
	}
	m.forget()
}

func (m *Man) forget() {
	if m.line != nil {
		m.line.Close()
	}
	m.line, m.spoken = nil, false
}

// condemn says why, and has the program write its last record if it still can.
func (m *Man) condemn(ctx context.Context) error {
	why := fmt.Errorf("%w for %v", ErrSilent, m.cfg.Limits.Silence)
	if m.judge.cause == GraceOver {
		why = fmt.Errorf("%w within %v", ErrNeverReady, m.cfg.Limits.Grace)
	}
	m.cfg.Log("dead-man: the program is condemned: %v", why)
	if m.line == nil || m.line.send(packet{kindWords, 1}) != nil {
		return why
	}
	late := time.NewTimer(m.cfg.Limits.Words)
	defer late.Stop()
	for !m.spoken && m.line != nil {
		select {
		case <-ctx.Done():
			return why
		case <-late.C:
			m.cfg.Log("dead-man: no last record within %v", m.cfg.Limits.Words)
			return why
		case f := <-m.calls:
			f()
		}
	}
	return why
}

// Watch watches one run of a program on a machine that nobody may reset: a desk. It returns as Run does; then the process is to be killed.
func Watch(ctx context.Context, line *Line, pid int, cfg Config) error {
	m, err := New(cfg)
	if err != nil {
		line.Close()
		return err
	}
	m.watch(line, pid)
	return m.Run(ctx)
}
