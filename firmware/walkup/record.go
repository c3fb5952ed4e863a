package walkup

import (
	"time"

	"github.com/lintel-access/lintel/access"
)

// record is the audit record of a concluded walk-up.
func (w *Walkup) record(d access.Decision, now time.Duration) access.Record {
	r := w.blank(now)
	r.Session = w.session.opened.Session
	r.Verdict, r.Reason = d.Verdict, d.Reason
	r.Bundle, r.Detail = w.session.opened.Bundle, w.session.detail()
	if !d.Person.IsZero() {
		r.Subject = w.cfg.Gallery.Subject(d.Person, r.Wall)
	}
	if p := w.session.shown; p != nil && len(p.Frames) > 0 {
		r.Evidence = p.Frames[len(p.Frames)-1].Chain
	}
	switch {
	case d.Reason == access.ReasonEnrolled && !d.Person.IsZero():
		r.Event = access.EventEnrolled
	case d.Verdict == access.Granted:
		r.Event = access.EventWalkupGranted
	case d.Verdict == access.Uncertain:
		r.Event = access.EventWalkupUncertain
	case d.Reason == access.ReasonLeft:
		r.Event = access.EventWalkupLeft
	case d.Verdict == access.Retry:
		r.Event = access.EventWalkupRetry
	case d.Reason.Unanswered():
		r.Event = access.EventLampAnswerWrong
	case d.Reason.Attack():
		r.Event = access.EventPresentationRefused
	default:
		r.Event = access.EventWalkupDenied
	}
	return r
}

// note records something beside a decision, with the walk-up that it belongs to if there is one. Nothing opens on it; the log
// raises the alarm when it cannot write.
func (w *Walkup) note(e access.Event, reason access.Reason) {
	w.noteAbout(access.PersonID{}, e, reason)
}

// noteAbout is note of something that concerns a person; the zero id is nobody.
func (w *Walkup) noteAbout(p access.PersonID, e access.Event, reason access.Reason) {
	r := w.blank(w.cfg.Now())
	r.Event, r.Reason, r.Session = e, reason, w.session.opened.Session
	if !p.IsZero() {
		r.Subject = w.cfg.Gallery.Subject(p, r.Wall)
	}
	_ = w.cfg.Log.Append(r)
}

// noteDetail is note of something that needs words.
func (w *Walkup) noteDetail(e access.Event, detail string) {
	r := w.blank(w.cfg.Now())
	r.Event, r.Session, r.Detail = e, w.session.opened.Session, detail
	_ = w.cfg.Log.Append(r)
}

func (w *Walkup) blank(now time.Duration) access.Record {
	wall, clock := w.cfg.Wall()
	return access.Record{
		Version: access.RecordVersion, Boot: w.cfg.Boot, Stamp: now, Clock: clock, Wall: wall.Unix(),
		Door: w.cfg.Policy.Door, Policy: w.cfg.PolicyHash,
	}
}
