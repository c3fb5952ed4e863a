package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/fleet"
	"github.com/lintel-access/lintel/hq/ledger"
	"github.com/lintel-access/lintel/sync/wire"
)

// answerWithin is how long an operator waits for what a kiosk says to a release: its records come each second.
const answerWithin = 2 * time.Second

// outcome is what a kiosk has recorded of what it was handed.
type outcome struct {
	Says   string `cbor:"1,keyasint"` // empty: nothing yet
	Record uint64 `cbor:"2,keyasint"`
}

// String is the answer for a person.
func (a outcome) String() string {
	if a.Says == "" {
		return "sent; no answer yet. The kiosk's record says what came of it (hq events)"
	}
	return fmt.Sprintf("%s, says the kiosk's record %d", a.Says, a.Record)
}

// release hands on an answer to a challenge, and waits for what the kiosk says to it.
func (s *served) release(ctx context.Context, q orderRequest) (any, error) {
	f := s.fleet.Load()
	name, err := f.Find(q.Kiosk)
	if err != nil {
		return nil, err
	}
	r, err := ledger.Inspect(filepath.Join(s.options.dir, ledger.Folder))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, answerWithin)
	defer stop()
	return said(ctx, r, name, q.Envelope, func(ctx context.Context) error { return f.Release(ctx, name, q.Envelope) })
}

// said hands an answer on and returns what the kiosk's record says of it. Until ctx ends that is waited for even when the kiosk is said to refuse: nobody has
// signed a refusal.
func said(ctx context.Context, r *ledger.Reader, kiosk string, envelope []byte, send func(context.Context) error) (any, error) {
	since, recorded := time.Now(), make(chan *ledger.Event, 1)
	sending, stop := context.WithCancel(ctx)
	defer stop()
	looking, end := context.WithCancel(ctx)
	defer end()
	go func() {
		e := recordOf(looking, r, kiosk, envelope, since)
		stop() // nobody needs to wait for a refusal any more
		recorded <- e
	}()
	err := send(sending)
	refused := errors.Is(err, fleet.ErrRefused)
	if !refused {
		end()
	}
	switch e := <-recorded; {
	case e != nil && (err == nil || refused):
		return judged(e)
	case refused:
		return nil, fmt.Errorf("no record of the kiosk has come yet (hq events), and this nobody has signed: %w", err)
	default:
		return outcome{}, err
	}
}

// judged is what a record says of an answer, as an error unless the kiosk did what it was asked.
func judged(e *ledger.Event) (any, error) {
	if e.Decoded.Verdict != access.Granted && e.Decoded.Event != access.EventSupervisedBegun {
		return nil, fmt.Errorf("not opened: %v, reason: %v, says the kiosk's record %d", e.Decoded.Event, e.Decoded.Reason, e.Index)
	}
	return outcome{e.Decoded.Event.String(), e.Index}, nil
}

// lagging is how far a kiosk's clock, which headquarters sets, may lie behind headquarters': what it is told was on its way, and records have whole seconds.
const lagging = time.Second

// recordOf waits until ctx ends for the record of what became of an answer to a challenge, which has come since; nil: none came. No checkpoint need cover it
// yet. A record names the operator and not the challenge: one of an earlier answer of theirs, which comes late, is known by its time alone.
func recordOf(ctx context.Context, r *ledger.Reader, kiosk string, envelope []byte, since time.Time) (found *ledger.Event) {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return nil
	}
	enough := errors.New("it has come")
	_ = r.Follow(ctx, ledger.Filter{Kiosk: kiosk, Since: since}, true, func(e ledger.Event) error { // who cannot look tells of nothing
		if e.Alarm != nil || !tells(e.Decoded, claim) || e.Decoded.Clock == access.ClockTrusted && e.Decoded.Wall < since.Add(-lagging).Unix() {
			return nil
		}
		found = &e
		return enough
	})
	return found
}

// tells reports whether a record is of what became of an answer by this operator (EVENTS: it begins with their key).
func tells(r access.Record, of wire.Claim) bool {
	switch r.Event {
	case access.EventRemoteReleaseGranted, access.EventRemoteReleaseRefused, access.EventWalkupConfirmed:
		return of.Kind == wire.KindRelease && strings.HasPrefix(r.Detail, fmt.Sprintf("by operator %.8x", of.Key))
	case access.EventSupervisedBegun:
		return of.Kind == wire.KindBegin && strings.HasPrefix(r.Detail, fmt.Sprintf("by operator %.8x", of.Key))
	}
	return false
}
