// Package portal is one door: relay, contact, REX, tamper, fire input, LED and buzzer. It turns edges, Passes and time into events
// of access.AccessPoint and carries the effects out on the lines it is given.
//
// Order of importance: fire and REX act at once and are recorded afterwards, through a queue that never waits for a disk. The relay
// is secured before anything else at the start and whatever happens at the end, and a guard beside the portal's loop ends every
// release that the loop does not end. What remains when the whole computer hangs is the hardware one-shot of docs/BOARDS.md.
package portal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/wiring"
)

// Lines are the wires of the door. They are used by several goroutines at once.
type Lines interface {
	// Set drives an output and returns the CLOCK_MONOTONIC time at which the level was applied.
	Set(line board.Line, on bool) (time.Duration, error)
	// Level reads an input as it stands. Changes after it come as edges.
	Level(line board.Line) (on bool, err error)
	// Edges delivers the debounced changes of inputs, in order. The channel is closed when the lines are gone.
	Edges() <-chan board.Edge
}

// Errors of Release. The relay stays as it was.
var (
	ErrPassInvalid = errors.New("release door: pass was not minted by a decision")
	ErrPassExpired = errors.New("release door: pass has expired")
	ErrPassUsed    = errors.New("release door: pass, or a later one, was used before")
	ErrLockedDown  = errors.New("release door: locked down")
	ErrTesting     = errors.New("release door: its wiring is being tested")
	ErrStopped     = errors.New("portal has stopped")
)

// ErrLinesGone says that the board's lines have vanished.
var ErrLinesGone = errors.New("lines of the door are gone")

// stopGrace is how long the end of Run waits for the last records and the indicators.
const stopGrace = time.Second

// Config is what a portal works with. Changed may be nil, all else is needed.
type Config struct {
	Board    board.Board
	Lines    Lines
	Recorder Recorder
	Times    access.DoorTimes
	Lockdown bool                 // until Found says otherwise
	Now      func() time.Duration // CLOCK_MONOTONIC
	Changed  func()               // View has changed; must not block
	// ReadBack, if set, is told what the relay was set to and what its line reads after it; must not block.
	ReadBack func(want, have bool, err error)
}

// View is what others may know of the door.
type View struct {
	Point      access.AccessPoint
	Indication access.Indication // what is shown, the walk-up's part included
	Testing    bool              // an installer tests the wiring: nobody is to be recognised

	test wiring.Display // of Testing
}

// Portal is one door. Run owns it; all other methods may be called from any goroutine.
type Portal struct {
	cfg       Config
	relay     *relay
	journal   *journal
	indicator *indicator
	calls     chan func()
	started   atomic.Bool
	over      chan struct{} // closed when Run has returned and the relay is secured

	// Owned by Run's goroutine.
	times   access.DoorTimes
	next    access.DoorTimes                        // in force once the door is at rest
	timers  [access.HeldOpenTimer + 1]time.Duration // when each runs out; 0 when it does not run
	used    access.SessionID                        // of the newest Pass
	session access.SessionID                        // whose release the door is in
	failed  error                                   // the line that could not be set
	trying  [wiring.Timers]time.Duration            // the test's timers, as timers
	told    [2]bool                                 // relay and lockdown as the test knows them
	lamp    bool                                    // how the lamp was lit that the test plays with

	mu     sync.Mutex
	test   wiring.Test
	point  access.AccessPoint
	walkup access.Indication
}

// New checks the configuration. Nothing runs, and no line is touched, before Run.
func New(cfg Config) (*Portal, error) {
	if cfg.Lines == nil || cfg.Recorder == nil || cfg.Now == nil {
		return nil, errors.New("make portal: a part is missing")
	}
	if err := fits(cfg.Times, cfg.Board); err != nil {
		return nil, fmt.Errorf("make portal: %w", err)
	}
	p := &Portal{
		cfg: cfg, times: cfg.Times, next: cfg.Times, calls: make(chan func()), over: make(chan struct{}),
		journal: newJournal(cfg.Recorder, cfg.Now), test: wiring.New(cfg.Board),
	}
	p.relay = newRelay(cfg.Lines, cfg.Now, func() { p.note(access.EventReleaseGuarded, p.State().State, "") })
	p.indicator = &indicator{
		lines: cfg.Lines, now: cfg.Now, poked: make(chan struct{}, 1),
		shown:  p.display,
		failed: func() { p.note(access.EventIndicatorFailed, p.State().State, "") },
	}
	for _, l := range []board.Line{board.LEDRed, board.LEDGreen, board.LEDBlue, board.Buzzer} {
		if cfg.Board.Has(l) {
			p.indicator.has = append(p.indicator.has, l)
		}
	}
	return p, nil
}

// fits refuses times that are out of bounds or longer than the board lets the relay be on.
func fits(t access.DoorTimes, b board.Board) error {
	if err := t.Validate(); err != nil {
		return err
	}
	if longest := b.Door.MaxPulse.Duration() - guardSlack; t.ExtendedRelease > longest {
		return fmt.Errorf("extended release %v is longer than the %v that board %q allows", t.ExtendedRelease, longest, b.Name)
	}
	return nil
}

// Release uses a Pass and returns the CLOCK_MONOTONIC time at which the relay was set. A Pass is used once, in time, and not after
// one of a later walk-up. On an error it released nothing; when the cause is a line that could not be set, Run ends as well and
// secures the relay. Once the door has taken the call, ctx cannot call it back.
func (p *Portal) Release(ctx context.Context, pass access.Pass) (time.Duration, error) {
	var at time.Duration
	err := p.do(ctx, func() (err error) {
		at, err = p.use(pass)
		return err
	})
	if err != nil {
		return 0, err
	}
	return at, nil
}

// Lockdown sets or lifts the lockdown. It is not kept over a restart: whoever decides about it keeps it.
func (p *Portal) Lockdown(ctx context.Context, on bool) error {
	kind := access.LockdownLifted
	if on {
		kind = access.LockdownSet
	}
	err := p.do(ctx, func() error { return p.happen(access.DoorEvent{Kind: kind}, p.cfg.Now()) })
	if err != nil {
		return fmt.Errorf("set lockdown: %w", err)
	}
	return nil
}

// Found is the lockdown as it stood before the restart. A portal starts before anybody could read that, locked down; nothing happens at the door by
// learning it, and nothing is recorded.
func (p *Portal) Found(ctx context.Context, lockdown bool) error {
	return p.do(ctx, func() error {
		if lockdown == p.point.Lockdown {
			return nil
		}
		kind := access.LockdownLifted
		if lockdown {
			kind = access.LockdownSet
		}
		return p.follow(access.DoorEvent{Kind: kind}, p.cfg.Now(), func(Entry) {})
	})
}

// Fits refuses times that this door cannot have.
func (p *Portal) Fits(t access.DoorTimes) error { return fits(t, p.cfg.Board) }

// SetTimes takes the times of another policy, once the door is closed and secured: whoever passes has the times with which they began.
func (p *Portal) SetTimes(ctx context.Context, t access.DoorTimes) error {
	if err := p.Fits(t); err != nil {
		return fmt.Errorf("set door times: %w", err)
	}
	return p.do(ctx, func() error {
		p.next = t
		p.rest()
		return nil
	})
}

// rest takes the next times if nobody passes.
func (p *Portal) rest() {
	if s := p.point.State; s == access.Secured || s == access.LockedDown {
		p.times = p.next
	}
}

// Ping returns nil once the portal's loop has answered: the proof of life for a watchdog.
func (p *Portal) Ping(ctx context.Context) error { return p.do(ctx, func() error { return nil }) }

// Check has the relay's line read back.
func (p *Portal) Check(ctx context.Context) error {
	return p.do(ctx, func() error {
		if p.cfg.ReadBack != nil {
			p.cfg.ReadBack(p.relay.check())
		}
		return nil
	})
}

// Show sets what the walk-up has to show; the zero Indication ends it. It never blocks.
func (p *Portal) Show(in access.Indication) {
	p.mu.Lock()
	p.walkup = in
	p.mu.Unlock()
	p.changed()
}

// State is the door as it stands.
func (p *Portal) State() access.AccessPoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.point
}

// View is the door as it stands and what it shows.
func (p *Portal) View() View {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := View{Point: p.point, Indication: access.Combine(p.point, p.walkup), Testing: p.test.Running()}
	if v.Testing {
		v.test = p.test.Display()
		v.Indication = v.test.Indication
	}
	return v
}

// do has f called by the loop. Once the loop has taken it, f runs to its end before do returns; an error before that means that it
// never runs.
func (p *Portal) do(ctx context.Context, f func() error) error {
	answer := make(chan error, 1)
	select {
	case p.calls <- func() { answer <- f() }:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.over:
		return ErrStopped
	}
	select {
	case err := <-answer:
		return err
	case <-p.over:
		select {
		case err := <-answer:
			return err
		default:
			return ErrStopped // f panicked
		}
	}
}

func (p *Portal) changed() {
	p.indicator.poke()
	if p.cfg.Changed != nil {
		p.cfg.Changed()
	}
}

func (p *Portal) note(e access.Event, s access.DoorState, detail string) {
	p.journal.add(Entry{Stamp: p.cfg.Now(), Event: e, State: s, Detail: detail})
}
