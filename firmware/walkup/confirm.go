package walkup

import (
	"context"
	"errors"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// confirmWithin is how long an operator's word about an uncertain walk-up is waited for. It is kept nowhere but in memory.
const confirmWithin = 10 * time.Second

// ErrNothingToConfirm means that this walk-up does not wait for an operator: it never did, its time is over, or the person has left.
var ErrNothingToConfirm = errors.New("this walk-up does not wait for an operator, or no longer")

// pending is an uncertain walk-up that waits for an operator's word.
type pending struct {
	question access.Question
	track    uint32
	first    time.Duration
	until    time.Duration
}

// view is what the operator is shown; the zero Pending when nothing waits.
func (p *pending) view() ipc.Pending {
	if p == nil {
		return ipc.Pending{}
	}
	c := p.question.Candidate
	return ipc.Pending{Session: p.question.Session, First: c.Person, Second: c.SecondPerson, Until: p.until}
}

// doubt answers an ambiguous decision: once with another try, of more frames; then it stands, and waits for an operator. So does, at once, one that a
// signal has wait for the operator's word.
func (w *Walkup) doubt(d access.Decision, now time.Duration) access.Decision {
	if d.Reason == access.ReasonUnconfirmed {
		q := w.session.question
		q.Candidate.SecondPerson = access.PersonID{} // the operator is asked about one person
		w.pending = &pending{q, w.session.track, w.session.first, now + confirmWithin}
		return d
	}
	if d.Reason != access.ReasonAmbiguous {
		w.closer = w.closer && d.Verdict == access.Retry
		return d
	}
	if !w.closer {
		w.closer = true
		return access.Decision{Verdict: access.Retry, Reason: d.Reason}
	}
	w.closer = false
	w.pending = &pending{w.session.question, w.session.track, w.session.first, now + confirmWithin}
	return d
}

// waits reports whether a walk-up waits for an operator: nobody opens another session meanwhile. It ends when its time is over or
// another face stands there.
func (w *Walkup) waits(track uint32) bool {
	if w.pending == nil {
		return false
	}
	if w.cfg.Now() < w.pending.until && (track == 0 || track == w.pending.track) {
		return true
	}
	w.pending = nil
	w.cfg.Show(access.Indication{})
	return false
}

// Confirm is an operator's word that the person of an uncertain walk-up is this one. It opens the door if that person may enter.
// by names the operator on record; empty: somebody at the kiosk itself.
func (w *Walkup) Confirm(ctx context.Context, session access.SessionID, person access.PersonID, by string) error {
	done := make(chan error, 1)
	w.post(ctx, func(ctx context.Context) { done <- w.confirm(ctx, session, person, by) })
	select {
	case err := <-done:
		return err
	case <-w.over:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Walkup) confirm(ctx context.Context, session access.SessionID, person access.PersonID, by string) error {
	p, now := w.pending, w.cfg.Now()
	if p == nil || p.question.Session != session || now >= p.until {
		return ErrNothingToConfirm
	}
	w.pending = nil // one word, whatever comes of it
	refusals, err := w.cfg.PersonFailures(person)
	if err != nil {
		return err
	}
	who := w.cfg.Gallery.Look(person)
	who.Locked = w.cfg.Policy.LockedOut(refusals, now)
	who.Objection = w.objection(person)
	door := w.cfg.Door.State()
	q := p.question
	// What was counted of this presence meanwhile is this very walk-up.
	q.Lockdown, q.Tamper, q.Signals, q.Now = door.Lockdown, door.Tamper, q.Signals|w.cfg.Signals(), now
	d := access.Confirm(w.cfg.Policy, q, who)
	if err := w.recordConfirmed(access.EventWalkupConfirmed, q, d, by); err != nil {
		return err
	}
	w.cfg.Show(access.IndicateVerdict(d.Verdict))
	time.AfterFunc(w.cfg.Policy.ShowFor, func() {
		w.post(ctx, func(context.Context) {
			if w.state == access.Idle && w.pending == nil {
				w.cfg.Show(access.Indication{})
			}
		})
	})
	if d.Verdict != access.Granted {
		return errors.New("not opened: " + d.Reason.String())
	}
	if err := w.recordConfirmed(access.EventWalkupGranted, q, d, by); err != nil {
		return err
	}
	at, err := w.cfg.Door.Release(ctx, d.Pass())
	if err != nil {
		_ = w.recordConfirmed(access.EventReleaseRefused, q, access.Decision{Reason: access.ReasonNotReady}, by)
		return err
	}
	w.granted, w.pause = p.track, now+w.cfg.Policy.GrantPause
	w.outcomes = append([]ipc.Outcome(nil), w.outcomes...) // the page may be reading the old one
	for i := range w.outcomes {
		if w.outcomes[i].Session == session {
			w.outcomes[i] = ipc.Outcome{
				Session: session, Verdict: d.Verdict, Reason: d.Reason, Person: person, First: p.first, Decided: now, Released: at,
			}
		}
	}
	return nil
}

func (w *Walkup) recordConfirmed(e access.Event, q access.Question, d access.Decision, by string) error {
	r := w.blank(q.Now)
	r.Event, r.Session, r.Verdict, r.Reason, r.Detail = e, q.Session, d.Verdict, d.Reason, signalled(q.Up())
	if by != "" && r.Detail != "" {
		by += "; "
	}
	r.Detail = by + r.Detail
	if !d.Person.IsZero() {
		r.Subject = w.cfg.Gallery.Subject(d.Person, r.Wall)
	}
	return w.cfg.Log.Append(r)
}
