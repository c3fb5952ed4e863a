package walkup

import (
	"context"
	"errors"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// enrolment is a supervised enrolment session: the next walk-ups give references of one person instead of opening the door.
type enrolment struct {
	person     access.PersonID
	references [][]float32
	until      time.Duration
	done       chan ipc.Enrolled // buffered, answered once
}

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
		w.enrol = &enrolment{person: req.Person, until: w.cfg.Now() + req.Within, done: done}
	})
	select {
	case <-ctx.Done():
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
	giveUp := func() {
		w.post(context.Background(), func(context.Context) { w.endEnrolment(done, access.ReasonDeadline) })
	}
	for {
		select {
		case e := <-done:
			return e, nil
		case <-over.C:
			giveUp()
		case <-w.over:
			return ipc.Enrolled{}, context.Canceled
		case <-ctx.Done():
			giveUp()
			return ipc.Enrolled{}, ctx.Err()
		}
	}
}

// take keeps the probe of a checked session as a reference of the person who is being enrolled. All references of one enrolment
// must be of one person, and of nobody who is enrolled already.
func (w *Walkup) take() access.Decision {
	e := w.enrol
	refuse := func(r access.Reason) access.Decision {
		w.note(access.EventEnrolmentRefused, r)
		w.endEnrolment(e.done, r)
		return access.Decision{Reason: r}
	}
	bundle := w.session.opened.Bundle
	threshold, ok := w.cfg.Threshold(bundle)
	if !ok {
		return refuse(access.ReasonNoCalibration)
	}
	threshold += w.cfg.Policy.SiteOffset
	probe := w.session.shown.Probe
	for _, r := range e.references {
		if !(dot(r, probe) > threshold) {
			e.references = nil // somebody else has stepped in: begin again with who stands there now
			break
		}
	}
	found, err := w.cfg.Gallery.Search(probe, bundle)
	if err != nil {
		return refuse(access.ReasonNotReady)
	}
	if found.Found && found.Person != e.person && found.Score > threshold {
		return refuse(access.ReasonEnrolDuplicate)
	}
	e.references = append(e.references, append([]float32(nil), probe...))
	if len(e.references) < int(w.cfg.Policy.EnrolReferences) {
		return access.Decision{Verdict: access.Retry, Reason: access.ReasonEnrolled}
	}
	kept, err := w.cfg.Gallery.Keep(e.person, e.references, bundle)
	if err != nil {
		return refuse(access.ReasonFull)
	}
	e.done <- ipc.Enrolled{Person: e.person, References: uint32(kept), Reason: access.ReasonEnrolled}
	w.enrol = nil
	w.granted, w.pause = w.sighting.Track, w.cfg.Now()+w.cfg.Policy.GrantPause // who was just enrolled does not enter by that
	return access.Decision{Person: e.person, Verdict: access.Retry, Reason: access.ReasonEnrolled}
}

// endEnrolment ends the enrolment that done belongs to, if it still runs.
func (w *Walkup) endEnrolment(done chan ipc.Enrolled, r access.Reason) {
	if w.enrol == nil || w.enrol.done != done {
		return
	}
	done <- ipc.Enrolled{Person: w.enrol.person, Reason: r}
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
