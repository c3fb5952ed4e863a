package walkup

import (
	"time"

	"github.com/lintel-access/lintel/access"
)

// charge counts a session against the limits of the door. A retry is nobody's failure, but many in a row are nobody's bad luck.
func (w *Walkup) charge(d access.Decision, now time.Duration) {
	switch {
	case d.Reason == access.ReasonEnrolled:
		return
	case d.Verdict == access.Retry:
		w.fruitless++
		return
	}
	w.fruitless = 0
	if d.Verdict == access.Granted || d.Reason == access.ReasonUnconfirmed {
		return // nobody failed: who waits for an operator's word because of a signal has passed all that they can
	}
	w.impatient()
	w.forgive(now)
	w.failures = append(w.failures, now)
	w.failures = w.failures[max(0, len(w.failures)-maxFailures):]
	w.keepFailures()
}

// maxFailures bounds what is remembered: the highest limit that a policy can name.
const maxFailures = 255

// forgive drops the failures that are older than the policy's window, and lifts the limit when too few are left.
func (w *Walkup) forgive(now time.Duration) {
	for len(w.failures) > 0 && now-w.failures[0] > w.cfg.Policy.FailureWindow {
		w.failures = w.failures[1:]
	}
	if w.inForce && !w.limited() {
		w.keepFailures()
	}
}

func (w *Walkup) limited() bool { return len(w.failures) >= int(w.cfg.Policy.FailureLimit) }

// keepFailures remembers the failures and records when the limit on them is entered or left.
func (w *Walkup) keepFailures() {
	limited := w.limited()
	w.saved(&w.unsaved, w.cfg.SaveFailures(w.failures, limited))
	switch {
	case limited && !w.inForce:
		w.note(access.EventFailuresLimited, access.ReasonNone)
	case !limited && w.inForce:
		w.note(access.EventDoorLimitLifted, access.ReasonNone)
	}
	w.inForce = limited
}

// blame counts a refusal against the person who was identified, if it lies in them, and ends their lockout when it is over. Only who
// passed the checks against attacks was compared at all: nobody is locked out by a picture that failed them.
func (w *Walkup) blame(d access.Decision, now time.Duration) {
	p, refusals := w.cfg.Policy, w.session.refusals
	served := p.Served(refusals, now)
	refused := d.Verdict == access.Denied && d.Reason.Own() && !p.LockedOut(refusals, now)
	if d.Person.IsZero() || !served && !refused {
		return
	}
	if served {
		refusals = nil
	}
	if refused {
		refusals = p.Refused(refusals, now)
	}
	locked := p.LockedOut(refusals, now)
	if !w.saved(&w.unblamed, w.cfg.SavePersonFailures(d.Person, refusals, locked)) {
		return // as before; the next refusal tries again
	}
	if served {
		w.noteAbout(d.Person, access.EventPersonLockoutEnded, access.ReasonNone)
	}
	if locked {
		w.noteAbout(d.Person, access.EventPersonLockedOut, d.Reason)
	}
}

// saved records that what a limit rests on cannot be kept, once until it can again. An attacker who could fill the disk must not be
// forgiven by it: the door's failures count in memory until the next start.
func (w *Walkup) saved(failing *bool, err error) bool {
	if err != nil && !*failing {
		w.note(access.EventStorageLow, access.ReasonNone)
	}
	*failing = err != nil
	return err == nil
}
