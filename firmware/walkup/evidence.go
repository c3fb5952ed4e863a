package walkup

import (
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// reviewers are those whom eye may encrypt the frames of the next session to. An enrolment is nobody's evidence.
func (w *Walkup) reviewers() []string {
	e := w.cfg.Policy.Evidence
	if w.cfg.Keep == nil || w.enrol != nil || e.Select == access.SelectNone || !e.Frames {
		return nil
	}
	return e.Reviewers
}

// evidence hands a concluded walk-up to whoever keeps evidence, if the policy selects it; otherwise eye forgets its frames. Decided is what the evidence
// was answered by, d what became of that. A walk-up that eye presented nothing of leaves nothing to look at again; one in which an enrolment began answers
// no question.
func (w *Walkup) evidence(decided, d access.Decision, now time.Duration) {
	s, p := &w.session, w.cfg.Policy
	if w.cfg.Keep == nil || s.enrol != nil || w.enrol != nil || s.shown == nil || !s.findings[access.CriterionBinding].Asked || !p.Evidence.Selects(d) {
		if s.shown != nil && len(s.reviewers) > 0 && w.eye != nil {
			_ = w.eye.Abort(ipc.Abort{Session: s.opened.Session}) // an eye that does not hear it forgets by itself
		}
		return
	}
	at, _ := w.cfg.Wall()
	wall := at.Unix()
	c := &abuse.Case{
		Opened: s.opened, Presentation: *s.shown, Bar: s.bar, MinFused: s.minFused, Policy: p, PolicyHash: w.cfg.PolicyHash,
		Findings: abuse.Keep(s.findings), Question: s.question, Verdict: decided.Verdict, Reason: decided.Reason, Outcome: d.Verdict, Why: d.Reason,
		Wall: wall, Made: abuse.Here("door"),
	}
	c.Presentation.Probe, c.Presentation.Reflected = slices.Clone(s.shown.Probe), slices.Clone(s.shown.Reflected) // the walk-up wipes its own
	if s.reason != access.ReasonNone {
		c.Question = access.Question{Session: s.opened.Session, Checked: true, Check: s.reason}
	}
	for _, id := range []*access.PersonID{&c.Question.Candidate.Person, &c.Question.Candidate.SecondPerson} {
		if !id.IsZero() {
			*id = w.cfg.Gallery.Subject(*id, wall)
		}
	}
	c.Made.Provider, c.Made.Bundle, c.Made.Camera = w.hello.Provider, w.hello.Name, w.hello.Camera
	shown := now
	if s.later != nil {
		shown = s.reveal
	}
	w.cfg.Keep(c, shown)
}
