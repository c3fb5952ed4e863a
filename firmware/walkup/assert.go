package walkup

import (
	"context"
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access"
)

// ErrNotOpened means that an operator's word did not open the door; the reason follows.
var ErrNotOpened = errors.New("not opened")

// Assert releases the door on an operator's word from afar, if it may be. The release gets the number of a session of its own; a walk-up that runs goes
// on, but what it grants opens nothing more. by is put into the records: who it was.
func (w *Walkup) Assert(ctx context.Context, a access.Assertion, by string) error {
	done := make(chan error, 1)
	w.post(ctx, func(ctx context.Context) { done <- w.assert(ctx, a, by) })
	select {
	case err := <-done:
		return err
	case <-w.over:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Walkup) assert(ctx context.Context, a access.Assertion, by string) error {
	w.number++
	door := w.cfg.Door.State()
	a.Session = access.SessionID{Boot: w.cfg.Boot, Number: w.number}
	a.Now, a.Lockdown, a.Tamper = w.cfg.Now(), door.Lockdown, door.Tamper
	d := access.Assert(w.cfg.Policy, a)
	if d.Verdict != access.Granted {
		return errors.Join(w.recordAsserted(access.EventRemoteReleaseRefused, a, d, by), fmt.Errorf("%w: %v", ErrNotOpened, d.Reason))
	}
	if err := w.recordAsserted(access.EventRemoteReleaseGranted, a, d, by); err != nil {
		return err
	}
	if _, err := w.cfg.Door.Release(ctx, d.Pass()); err != nil {
		_ = w.recordAsserted(access.EventReleaseRefused, a, access.Decision{Reason: access.ReasonNotReady}, by)
		return err
	}
	return nil
}

func (w *Walkup) recordAsserted(e access.Event, a access.Assertion, d access.Decision, by string) error {
	r := w.blank(a.Now)
	r.Event, r.Session, r.Verdict, r.Reason, r.Detail = e, a.Session, d.Verdict, d.Reason, by
	return w.cfg.Log.Append(r)
}
