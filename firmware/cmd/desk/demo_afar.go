//go:build !kiosk

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/twin"
)

// act is a scene of the demo that headquarters plays a part in.
type act struct {
	title   string
	ruled   bool // it needs the desk's rules in force
	prepare func(context.Context) error
	scene   *twin.Scene                           // who walks up then; nil: nobody
	happen  func(context.Context) (walked, error) // what happens instead of a walk-up
	after   func(context.Context) error
}

// demoAfar plays what headquarters plays a part in. Numbers go on behind from.
func (b *bench) demoAfar(ctx context.Context, out io.Writer, from int) (played, expected int, err error) {
	if b.options.alone || b.options.scene != "" {
		return 0, 0, nil
	}
	if b.centre == nil {
		fmt.Fprintln(out, "   headquarters' scenes were not played: there is no headquarters")
		return 1, 0, nil
	}
	acts := b.acts()
	if acts == nil {
		fmt.Fprintln(out, "   headquarters' scenes were not played: nobody is left of these people for a visitor")
		if !b.options.ownPeople {
			return 1, 0, nil // the product's own photographs have somebody
		}
	}
	for i, a := range acts {
		played++
		if a.ruled && !b.ruled() {
			fmt.Fprintf(out, "%2d %-25s not played: the desk's rules are not in force\n", from+i+1, a.title)
			continue
		}
		w, tries, err := b.performAct(ctx, a)
		if ctx.Err() != nil {
			return played, expected, context.Cause(ctx)
		}
		if err != nil {
			w.unexpected = err.Error()
		}
		if report(out, from+i+1, a.title, w, tries) {
			expected++
		}
	}
	return played, expected, nil
}

func (b *bench) ruled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.governed
}

func (b *bench) performAct(ctx context.Context, a act) (w walked, tries int, err error) {
	if a.after != nil { // also when it was prepared in part: a network stays cut, and whoever was enrolled stays enrolled
		defer func() { err = errors.Join(err, b.afar(ctx, a.after)) }()
	}
	if a.prepare != nil {
		if err := b.afar(ctx, a.prepare); err != nil {
			return w, 1, err
		}
	}
	if a.scene != nil {
		w, tries, err = b.watchTries(ctx, a.scene)
	} else {
		w, err = a.happen(ctx)
	}
	return w, tries, err
}

func (b *bench) acts() []act {
	at := slices.IndexFunc(b.scenes, func(s *twin.Scene) bool { return s.Name == visitorScene })
	if at < 0 || !b.playable(b.scenes[at]) {
		return nil
	}
	ends := func(o twin.Outcome, reason access.Reason) *twin.Scene {
		s := *b.scenes[at]
		s.Expect = twin.Expectation{Outcome: o, Reason: reason.String()}
		return &s
	}
	allowed := ends(twin.Granted, access.ReasonAllowed)
	into := func(group string) func(context.Context) error {
		return func(ctx context.Context) error { return b.enrolAfar(ctx, group) }
	}
	return []act{
		{title: "Visitor, enrolled afar", prepare: into("staff"), scene: allowed},
		{
			title: "Visitor, network cut", scene: allowed,
			prepare: func(ctx context.Context) error { b.centre.network.Cut(); return b.reached(ctx, false) },
			after:   func(ctx context.Context) error { b.centre.network.Join(); return b.reached(ctx, true) },
		},
		{title: "Visitor, by the rules", ruled: true, prepare: into("fitters"), scene: ends(twin.Denied, access.ReasonOutsideSchedule)},
		{title: "Visitor, deleted afar", prepare: b.deleteAfar, scene: ends(twin.Denied, access.ReasonUnknown)},
		{title: "Visitor, enrolled here", prepare: b.enrolThere, scene: allowed, after: b.deleteAfar},
		{title: "Released from afar", happen: b.releasedAfar},
		{title: "The same, held back", happen: b.releasedLate},
	}
}

// releasedAfar has an operator open the door, and waits until it is shut again.
func (b *bench) releasedAfar(ctx context.Context) (w walked, err error) {
	start := frames.Now()
	if err := b.afar(ctx, b.releaseAfar); err != nil {
		return w, err
	}
	edge, err := b.shut(ctx, start)
	w.outcome, w.reason, w.latency = "released", "an operator's word", edge-start
	return w, err
}

// shut waits until the relay has moved since a time and fallen again, and returns when it moved. The line remembers: whoever asks for a release is told
// what the kiosk has recorded of it, and by then the door may be secured again.
func (b *bench) shut(ctx context.Context, since time.Duration) (edge time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, heedWithin)
	defer cancel()
	for {
		moves := slices.DeleteFunc(b.twin.History(since), func(e board.Edge) bool { return e.Line != board.Relay })
		if n := len(moves); n > 1 && !moves[n-1].On {
			edge = relayEdge(moves)
			break
		}
		select {
		case <-ctx.Done():
			return 0, errors.New("the relay did not move and fall again")
		case <-time.After(20 * time.Millisecond):
		}
	}
	_, err = b.await(ctx, "the door is secured", func(s ipc.Status) bool { return s.Door == access.Secured })
	return edge, err
}

// The network keeps the kiosk's challenge back and then the operator's answer: together for longer than the ten seconds that a challenge is good for,
// and each for less than the eight after which link gives up a broker that says nothing.
const (
	heldUp   = 6 * time.Second
	heldDown = 6 * time.Second
)

// releasedLate does so over a network that holds the answer back, and waits for the kiosk's record of what it refused.
func (b *bench) releasedLate(ctx context.Context) (w walked, err error) {
	start, began := frames.Now(), time.Now()
	b.centre.network.Hold(heldUp, heldDown)
	if err := b.afar(ctx, b.releaseAfar); err != nil {
		return w, err
	}
	ctx, cancel := context.WithTimeout(ctx, heldDown+heedWithin)
	defer cancel()
	for w.reason == "" {
		why, err := b.centre.refusedRelease(ctx, began)
		if err != nil {
			return w, err
		}
		w.outcome, w.reason = "refused", why
		select {
		case <-ctx.Done():
			return w, errors.New("the kiosk has recorded no refusal")
		case <-time.After(500 * time.Millisecond):
		}
	}
	if relayEdge(b.twin.History(start)) != 0 {
		w.unexpected = "the relay moved"
	}
	return w, nil
}
