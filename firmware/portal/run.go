package portal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/wiring"
)

// Run serves the door until ctx ends or the lines fail, and returns why. The relay is secured by the first write and by the last;
// a fire keeps it released. Run can be called once.
func (p *Portal) Run(ctx context.Context) error {
	if !p.started.CompareAndSwap(false, true) {
		return errors.New("run portal: it ran before")
	}
	defer close(p.over)
	err := protect(p.powerOn)

	// The helpers outlive ctx by stopGrace, for the last records.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	playing, dark := context.WithCancel(work)
	defer dark()
	stop := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { p.relay.guard(stop) })
	helpers.Go(func() { p.journal.run(work, stop) })
	helpers.Go(func() { p.indicator.play(playing) })

	if err == nil {
		p.note(access.EventPortalStarted, p.point.State, "")
		err = protect(func() error { return p.loop(ctx) })
	}
	if !p.point.Fire {
		if e := p.relay.secure(); e != nil {
			err = errors.Join(err, fmt.Errorf("secure relay at the end: %w", e))
		}
	}
	detail := strings.Replace(err.Error(), context.Canceled.Error(), "ordered to stop", 1)
	p.note(access.EventPortalStopped, p.point.State, detail[:min(len(detail), access.MaxDetail)])
	dark()
	close(stop)
	waitFor(&helpers, stopGrace)
	return err
}

// protect makes a panic an error like any other: the relay must still be secured.
func protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}

// waitFor gives up after d: a helper may hang in a driver or in a disk, and the door must be restarted all the same.
func waitFor(g *sync.WaitGroup, d time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Wait()
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// powerOn makes the relay safe and takes the door as it is found. The fire input alone is looked at before the relay is touched:
// securing and releasing a door again in a fire would be the glitch that must not be.
func (p *Portal) powerOn() error {
	fire, err := p.level(board.Fire)
	if err == nil && fire {
		err = p.relay.hold()
	} else {
		err = errors.Join(err, p.relay.secure())
	}
	found := access.DoorFound{Fire: fire, Lockdown: p.cfg.Lockdown}
	for line, on := range map[board.Line]*bool{board.Contact: &found.Ajar, board.Tamper: &found.Tamper} {
		var e error
		*on, e = p.level(line)
		err = errors.Join(err, e)
	}
	leaving, e := p.level(board.REX)
	if err = errors.Join(err, e); err != nil {
		return fmt.Errorf("power on door: %w", err)
	}
	for line, on := range map[board.Line]bool{board.Fire: fire, board.REX: leaving, board.Contact: found.Ajar, board.Tamper: found.Tamper} {
		p.try(wiring.Event{Kind: wiring.Found, Line: line, On: on})
	}
	if p.cfg.ReadBack != nil {
		p.cfg.ReadBack(p.relay.check())
	}
	now := p.cfg.Now()
	if err := p.happen(access.DoorEvent{Kind: access.PoweredOn, Found: found}, now); err != nil || !leaving {
		return err
	}
	return p.happen(access.DoorEvent{Kind: access.ExitRequested}, now) // pressed while nobody listened
}

// level reads an input; one that the board does not have is off.
func (p *Portal) level(line board.Line) (bool, error) {
	if !p.cfg.Board.Has(line) {
		return false, nil
	}
	on, err := p.cfg.Lines.Level(line)
	if err != nil {
		return false, fmt.Errorf("read line %q: %w", line, err)
	}
	return on, nil
}

func (p *Portal) loop(ctx context.Context) error {
	edges := p.cfg.Lines.Edges()
	clock := time.NewTimer(0)
	defer clock.Stop()
	for p.failed == nil {
		p.tryDoor()
		p.wind(clock)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case edge, alive := <-edges:
			if !alive {
				return ErrLinesGone
			}
			p.edge(edge)
		case call := <-p.calls:
			call()
		case <-clock.C:
			p.timeOver()
		}
	}
	return p.failed
}

// edge serves a change of an input. Lines that are no inputs of the door change nothing.
func (p *Portal) edge(e board.Edge) {
	var on, off access.DoorEventKind
	switch e.Line {
	case board.Fire:
		on, off = access.FireStarted, access.FireEnded
	case board.REX:
		on = access.ExitRequested
	case board.Contact:
		on, off = access.ContactOpened, access.ContactClosed
	case board.Tamper:
		on, off = access.TamperOpened, access.TamperClosed
	}
	if !e.On {
		on = off
	}
	_ = p.happen(access.DoorEvent{Kind: on}, e.Stamp) // the loop ends by p.failed
	p.try(wiring.Event{Kind: wiring.Moved, Line: e.Line, On: e.On})
}

// wind sets the clock to the timer that runs out next.
func (p *Portal) wind(clock *time.Timer) {
	next := time.Duration(0)
	for _, list := range [][]time.Duration{p.timers[:], p.trying[:]} {
		for _, t := range list {
			if t > 0 && (next == 0 || t < next) {
				next = t
			}
		}
	}
	if next == 0 {
		clock.Stop()
		return
	}
	clock.Reset(max(0, next-p.cfg.Now()))
}

func (p *Portal) timeOver() {
	now := p.cfg.Now()
	for i := range p.timers { // by index: one that runs out may stop another
		if t := p.timers[i]; t > 0 && t <= now {
			p.timers[i] = 0
			_ = p.happen(access.DoorEvent{Kind: access.TimeOver, Timer: access.DoorTimer(i)}, now) // the loop ends by p.failed
		}
	}
	for i := range p.trying {
		if t := p.trying[i]; t > 0 && t <= now {
			p.trying[i] = 0
			p.try(wiring.Event{Kind: wiring.TimeOver, Timer: wiring.Timer(i)})
		}
	}
}

// use checks what only the portal can know of a Pass, and releases the door.
func (p *Portal) use(pass access.Pass) (time.Duration, error) {
	now, session := p.cfg.Now(), pass.Session()
	switch {
	case !pass.Valid():
		return 0, ErrPassInvalid
	case now > pass.Until():
		return 0, ErrPassExpired
	case session.Boot < p.used.Boot, session.Boot == p.used.Boot && session.Number <= p.used.Number:
		return 0, ErrPassUsed
	}
	p.used = session // whatever comes of it
	if p.test.Running() {
		p.note(access.EventReleaseRefused, p.point.State, "")
		return 0, ErrTesting
	}
	before := p.session
	p.session = session
	if err := p.happen(access.DoorEvent{Kind: access.PassAccepted, Extended: pass.Extended()}, now); err != nil {
		return 0, fmt.Errorf("release door: %w", err)
	}
	if p.point.Lockdown && !p.point.Fire {
		p.session = before
		return 0, ErrLockedDown
	}
	_, at := p.relay.state()
	return at, nil
}

// happen gives the access point an event and carries out what it asks for. An error means that a line could not be set; it also ends
// the loop.
func (p *Portal) happen(e access.DoorEvent, stamp time.Duration) error {
	return p.follow(e, stamp, p.journal.add)
}

// follow is happen with somebody else to be told.
func (p *Portal) follow(e access.DoorEvent, stamp time.Duration, tell func(Entry)) error {
	next, effects := p.point.Next(p.times, e)
	now := p.cfg.Now()
	for _, f := range effects.All() {
		var err error
		switch f.Kind {
		case access.ReleaseRelay:
			err = p.relay.release(f.For)
		case access.HoldRelay:
			err = p.relay.hold()
		case access.SecureRelay:
			err = p.relay.secure()
		case access.StartTimer:
			p.timers[f.Timer] = now + f.For
		case access.StopTimer:
			p.timers[f.Timer] = 0
		case access.Raise:
			tell(Entry{Stamp: stamp, Event: f.Event, State: next.State, Session: p.session})
		}
		if err != nil && p.failed == nil {
			p.failed = fmt.Errorf("set relay: %w", err)
		}
	}
	if p.cfg.ReadBack != nil && next.Relay != p.point.Relay && p.failed == nil {
		p.cfg.ReadBack(p.relay.check())
	}
	if next.State == access.Secured || next.State == access.LockedDown {
		p.session = access.SessionID{}
	}
	if next != p.point {
		p.mu.Lock()
		p.point = next
		p.mu.Unlock()
		p.rest()
		p.changed()
	}
	return p.failed
}
