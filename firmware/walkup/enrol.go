package walkup

import (
	"context"
	"errors"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// enrolment is a supervised enrolment session: the next walk-ups give references of one person instead of opening the door.
type enrolment struct {
	person     access.PersonID
	until      int64 // Unix seconds; 0: no end
	references [][]float32
	others     int // walk-ups of somebody else than who began
	alike      likeness
	done       chan ipc.Enrolled // buffered, answered once
}

// likeness is the nearest other person of all walk-ups of an enrolment; zero while nobody is near.
type likeness struct {
	person access.PersonID
	score  float32
}

// maxOthers walk-ups of somebody else end an enrolment: either another person stands there, or who began was not who was meant.
const maxOthers = 3

// ErrBusy means that another enrolment runs.
var ErrBusy = errors.New("another enrolment is running")

// Enrol makes the next walk-ups an enrolment of req.Person and waits for its end. The door does not open meanwhile. It returns
// ErrBusy when another one runs.
func (w *Walkup) Enrol(ctx context.Context, req ipc.Enrol) (ipc.Enrolled, error) {
	done := make(chan ipc.Enrolled, 1)
	busy := make(chan bool, 1)
	w.post(ctx, func(context.Context) {
		if busy <- w.enrol != nil; w.enrol != nil {
			return
		}
		w.enrol = &enrolment{person: req.Person, until: req.Until, done: done}
	})
	giveUp := func() { // nobody supervises it any more
		w.post(context.Background(), func(context.Context) {
			w.endEnrolment(done, ipc.Enrolled{Person: req.Person, Reason: access.ReasonDeadline})
		})
	}
	select {
	case <-ctx.Done():
		giveUp() // it may begin yet
		return ipc.Enrolled{}, ctx.Err()
	case <-w.over:
		return ipc.Enrolled{}, context.Canceled
	case b := <-busy:
		if b {
			return ipc.Enrolled{}, ErrBusy
		}
	}
	over := time.NewTimer(req.Within)
	defer over.Stop()
	for {
		select {
		case e := <-done:
			return e, nil
		case <-over.C:
			w.post(context.Background(), func(context.Context) { w.expire(done) })
		case <-w.over:
			return ipc.Enrolled{}, context.Canceled
		case <-ctx.Done():
			giveUp()
			return ipc.Enrolled{}, ctx.Err()
		}
	}
}

// take takes the probe of a checked session as a reference of the person who is being enrolled. All references of one enrolment
// must be of who began it, and of nobody who is enrolled already. What denies a walk-up whatever its score denies an enrolment: its references would
// let somebody in for months.
func (w *Walkup) take() access.Decision {
	e := w.enrol
	up := w.signals() | w.cfg.Policy.Stale(w.session.opened.Start, w.cfg.Now())
	w.session.up |= up
	if r := w.cfg.Policy.Denying(up); r != access.ReasonNone {
		return w.refuse(r)
	}
	bundle := w.session.opened.Bundle
	threshold, ok := w.cfg.Threshold(bundle)
	if !ok {
		return w.refuse(access.ReasonNoCalibration)
	}
	threshold += w.cfg.Policy.SiteOffset
	probe := w.session.shown.Probe
	for _, r := range e.references {
		if dot(r, probe) > threshold {
			continue
		}
		if e.others++; e.others >= maxOthers {
			return w.refuse(access.ReasonTrackLost)
		}
		return access.Decision{Verdict: access.Retry, Reason: access.ReasonTrackLost}
	}
	found, err := w.cfg.Gallery.Search(probe, bundle)
	if err != nil {
		return w.refuse(access.ReasonNotReady)
	}
	matched := found.Found && found.Score > threshold
	if matched && found.Person != e.person || !matched && w.cfg.Gallery.Holds(e.person) {
		// This face has another id, or this id another face: whoever takes over an id needs it revoked first.
		return w.refuse(access.ReasonEnrolDuplicate)
	}
	e.compare(found, threshold-w.cfg.Policy.LookAlike)
	e.references = append(e.references, append([]float32(nil), probe...))
	if len(e.references) < int(w.cfg.Policy.EnrolReferences) {
		return access.Decision{Verdict: access.Retry, Reason: access.ReasonEnrolled}
	}
	return access.Decision{Person: e.person, Verdict: access.Retry, Reason: access.ReasonEnrolled}
}

// compare notes the nearest other person of a walk-up, if they score above least: the two may one day be taken for each other.
func (e *enrolment) compare(found access.Candidate, least float32) {
	other := likeness{found.Person, found.Score}
	if other.person == e.person {
		other = likeness{found.SecondPerson, found.Second}
	}
	if !other.person.IsZero() && other.score > max(least, e.alike.score) {
		e.alike = other
	}
}

// keep stores the references of a complete enrolment. As with a grant the record comes first: nobody is enrolled unseen.
func (w *Walkup) keep(d access.Decision, recorded error) access.Decision {
	if recorded != nil {
		return w.refuse(access.ReasonNotRecorded)
	}
	kept, err := w.cfg.Gallery.Keep(d.Person, w.enrol.references, w.session.opened.Bundle, w.enrol.until)
	switch {
	case errors.Is(err, match.ErrFull):
		return w.refuse(access.ReasonFull)
	case err != nil:
		return w.refuse(access.ReasonNotReady)
	}
	w.granted, w.pause = w.session.track, w.cfg.Now()+w.cfg.Policy.GrantPause // who was just enrolled does not enter by that
	alike := w.enrol.alike.person
	if !alike.IsZero() {
		w.noteAbout(alike, access.EventLookAlikeReported, access.ReasonNone)
	}
	w.endEnrolment(w.enrol.done, ipc.Enrolled{Person: d.Person, References: uint32(kept), Reason: access.ReasonEnrolled, LookAlike: alike})
	return d
}

// refuse ends the enrolment with nothing kept.
func (w *Walkup) refuse(r access.Reason) access.Decision {
	w.note(access.EventEnrolmentRefused, r)
	w.endEnrolment(w.enrol.done, ipc.Enrolled{Person: w.enrol.person, Reason: r})
	return access.Decision{Reason: r}
}

// expire ends the enrolment that done belongs to, if it still runs: nobody came, or not often enough. Whoever began it from afar reads that in the log alone.
func (w *Walkup) expire(done chan ipc.Enrolled) {
	if w.enrol == nil || w.enrol.done != done {
		return
	}
	r := w.blank(w.cfg.Now()) // of no walk-up
	r.Event, r.Reason = access.EventEnrolmentRefused, access.ReasonDeadline
	_ = w.cfg.Log.Append(r) // as with a note, the log raises the alarm when it cannot write
	w.endEnrolment(done, ipc.Enrolled{Person: w.enrol.person, Reason: access.ReasonDeadline})
}

// endEnrolment answers the enrolment that done belongs to, if it still runs, and wipes its references.
func (w *Walkup) endEnrolment(done chan ipc.Enrolled, answer ipc.Enrolled) {
	if w.enrol == nil || w.enrol.done != done {
		return
	}
	done <- answer
	for _, ref := range w.enrol.references {
		clear(ref)
	}
	w.enrol = nil
}

// dot is the comparison score of two templates of length 1.
func dot(a, b []float32) float32 {
	var s float32
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}
