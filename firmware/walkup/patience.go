package walkup

import (
	"time"

	"github.com/lintel-access/lintel/access"
)

// signals are those that are up: what door says of the kiosk, what the access point says, and what was counted here.
func (w *Walkup) signals() access.Signals {
	door := w.cfg.Door.State()
	return w.cfg.Signals() | access.Signals(0).With(access.SignalTamper, door.Tamper).With(access.SignalLockdown, door.Lockdown).
		With(access.SignalFailures, w.limited()).With(access.SignalPresence, w.spent)
}

// follow notes what a session was presented with that failed the checks against attacks, and whether its face failed before. Nobody else is noted, and
// nobody whom somebody enrols under supervision. What comes of a face is patience alone: nothing that is known of it is asked when somebody is let in.
func (w *Walkup) follow(now time.Duration) {
	s := &w.session
	if s.enrol != nil {
		return
	}
	m := s.reason.Material() // there is none where the checks were passed
	s.again = w.tried.Note(m, now, w.cfg.Policy)
	if w.cfg.Trail == nil || s.shown == nil || m == access.MaterialNone || m == access.MaterialForged {
		return // evidence that is not of this session says nothing about who stands there
	}
	var err error
	if s.recurrence, err = w.cfg.Trail.Failed(s.shown.Probe, s.opened.Bundle, m, now); err != nil {
		// Somebody else wrote to that memory: what is kept there says nothing about anybody any more.
		w.cfg.Trail.Wipe()
		w.cfg.Trail = nil
		w.noteDetail(access.EventDegradedEntered, "faces that failed are followed no more")
	}
}

// flag records that a face is to be reviewed, once.
func (w *Walkup) flag() {
	if r := w.session.recurrence; r.News {
		w.noteDetail(access.EventRecurrenceFlagged, "recurrence "+r.ID.String()+"; presented as: "+r.Materials)
	}
}

// impatient counts a charged session against the quota of its presence. Whose material was here before has a quota of one; whose face was, rests, and
// no more: spent is asked when somebody is let in.
func (w *Walkup) impatient() {
	w.attempts++
	if w.session.again || w.attempts >= int(w.cfg.Policy.Quota) {
		w.attempts = int(w.cfg.Policy.Quota)
		w.spent = true
	}
}

// cooldown is how long nothing begins after a session.
func (w *Walkup) cooldown() time.Duration {
	p := w.cfg.Policy
	w.forgive(w.cfg.Now())
	switch {
	case w.attempts >= int(p.Quota) || w.fruitless >= fruitlessBeforeRest || w.limited():
		w.attempts = 0
	case w.session.recurrence.Count <= 1:
		return p.Cooldown
	}
	if w.session.recurrence.Flagged {
		return max(p.FailureCooldown, p.Follow.Rest)
	}
	return p.FailureCooldown
}

// detail says which signals were up in the session, and which recurrence it is of.
func (s *session) detail() string {
	text := signalled(s.up)
	if s.recurrence.Count == 0 {
		return text
	}
	if text != "" {
		text += "; "
	}
	return text + "recurrence " + s.recurrence.ID.String()
}

// signalled names the signals that are up, for a record.
func signalled(up access.Signals) string {
	if up == 0 {
		return ""
	}
	return "signals: " + up.String()
}
