//go:build !kiosk

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/firmware/cmd/desk/page"
)

// askEvery is how often headquarters is asked what it thinks, while the page shows it.
const askEvery = 3 * time.Second

// actAfar carries out what a visitor of the page pressed; what came of it is told when it is over.
func (b *bench) actAfar(ctx context.Context, verb, arg string) error {
	if b.centre == nil {
		return errNoCentre
	}
	if verb == "network" {
		if arg == "on" {
			b.centre.network.Join()
		} else {
			b.centre.network.Cut()
		}
		b.touch(func() {})
		return nil
	}
	who, _ := b.visitor()
	var do func(context.Context) error
	var done string
	switch verb {
	case "afar-enrol":
		do, done = func(ctx context.Context) error { return b.enrolAfar(ctx, "staff") }, who.Name+" is enrolled at headquarters, from a photograph"
	case "afar-delete":
		do, done = b.deleteAfar, who.Name+" is deleted at headquarters"
	case "afar-lockdown":
		do, done = func(ctx context.Context) error { return b.lockdownAfar(ctx, arg) }, "Headquarters has set lockdown "+arg
	case "afar-release":
		do, done = b.releaseAfar, "An operator releases the door from afar"
	}
	if !b.working.TryLock() {
		return errWorking
	}
	go func() {
		defer b.working.Unlock()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afarWithin)
		defer cancel()
		began := time.Now()
		switch err := do(ctx); {
		case err != nil:
			b.tell("Headquarters: " + strings.TrimRight(err.Error(), ".") + ".")
		case !b.standing().Online:
			b.tell(done + "; the kiosk hears of it when it is connected.")
		default:
			b.tell(fmt.Sprintf("%s, and the door knows, %d ms after the button.", done, time.Since(began).Milliseconds()))
		}
	}()
	return nil
}

// inquire keeps what headquarters thinks of the kiosk for the page, until ctx ends.
func (b *bench) inquire(ctx context.Context) {
	for b.centre != nil {
		within, cancel := context.WithTimeout(ctx, afarWithin)
		k, err := b.centre.kiosk(within)
		cancel()
		b.mu.Lock()
		same := fmt.Sprint(k) == fmt.Sprint(b.thought)
		b.mu.Unlock()
		if err == nil && !same {
			b.touch(func() { b.thought = k })
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(askEvery):
		}
	}
}

// panel is what the page shows of headquarters. The lock is held.
func (b *bench) panel() page.Afar {
	if b.centre == nil {
		return page.Afar{}
	}
	s := b.status.Afar
	whole, since := b.centre.network.Whole()
	a := page.Afar{
		Known: true, Network: whole, Connected: s.Online, Applied: s.Seq, Newest: max(s.Seq, b.thought.Newest), Alarms: b.thought.Alarms, Governed: b.governed,
	}
	switch {
	case s.Since > 0:
		a.Since = b.began.Add(s.Since - b.mono)
	case !whole:
		a.Since = since
	}
	if s.Trusted != 0 {
		stamped := b.began.Add(b.status.Stamp - b.mono)
		a.Timed, a.Ahead = true, time.UnixMilli(s.Trusted).Sub(stamped).Round(time.Second) // whole seconds: what is less changes with every status
	}
	if who, _ := b.visitor(); who != nil {
		a.Visitor = who.Name
		a.Enrolled = slices.ContainsFunc(b.guests, func(g guest) bool { return g.Name == who.Name })
	}
	return a
}
