package main

import (
	"errors"
	"fmt"
	"sync"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

func about(o vault.Order) access.PersonID {
	switch o := o.(type) {
	case vault.Enrol:
		return o.Person.ID
	case vault.Stand:
		return o.Person
	case vault.Forget:
		return o.Person
	}
	return access.PersonID{}
}

// event is what a change of a person is on record as, and whether it gives somebody something.
func event(o vault.Order) (e access.Event, permits bool) {
	switch o := o.(type) {
	case vault.Enrol:
		return access.EventEnrolled, true
	case vault.Forget:
		return access.EventPersonDeleted, false
	case vault.Stand:
		switch o.State {
		case vault.Active:
			return access.EventPersonResumed, true
		case vault.Suspended:
			return access.EventPersonSuspended, false
		}
	}
	return access.EventRevoked, false
}

// permitting are the records of what is about to be given, and that the kiosk is about to be retired: nobody is permitted unseen.
func (s *step) permitting(k *kiosk, out []vault.Outcome) (list []access.Record) {
	for i, o := range s.vault.Orders {
		if e, permits := event(o); permits && out[i].Changed {
			list = append(list, k.aboutPerson(e, about(o), s.by()))
		}
	}
	if s.retire {
		r := k.blank(access.EventDecommissioned)
		r.Detail = s.by()
		list = append(list, r)
	}
	return list
}

// restricted are those from whom something is about to be taken.
func (s *step) restricted(out []vault.Outcome) (list []access.PersonID) {
	for i, o := range s.vault.Orders {
		if _, permits := event(o); !permits && out[i].Changed {
			list = append(list, about(o))
		}
	}
	return list
}

func (k *kiosk) aboutPerson(e access.Event, id access.PersonID, detail string) access.Record {
	r := k.blank(e)
	r.Subject, r.Detail = k.gallery.Subject(id, r.Wall), detail
	return r
}

// by names the command in the records of what it brought.
func (s *step) by() string { return fmt.Sprintf("command %d", s.Seq) }

// recordAll makes many records durable, which share their way to the disk.
func (k *kiosk) recordAll(list []access.Record) error {
	errs := make([]error, len(list))
	var work sync.WaitGroup
	for i, r := range list {
		work.Go(func() { errs[i] = k.append(auditlog.Vital, r) })
	}
	work.Wait()
	return errors.Join(errs...)
}

// tell records what was taken, and what was not done.
func (h *headquarters) tell(s *step) {
	k := h.door
	var list []access.Record
	plain := func(e access.Event, detail string) {
		r := k.blank(e)
		r.Detail = clip(detail, access.MaxDetail)
		list = append(list, r)
	}
	for i, o := range s.vault.Orders {
		e, permits := event(o)
		switch out := s.out[i]; {
		case out.Err != nil:
			s.refuse(s.places[i], 0, why(out.Err))
		case out.Changed && !permits:
			list = append(list, k.aboutPerson(e, about(o), s.by()))
			if e == access.EventPersonDeleted {
				k.degrade("lockouts", k.shelf.forget(about(o)))
			}
		}
	}
	for _, e := range s.Effects {
		switch o := e.Order.(type) {
		case wire.Trust:
			plain(access.EventTrustChanged, fmt.Sprintf("version %d", o.Version))
		case wire.Policy:
			plain(access.EventPolicyChanged, fmt.Sprintf("document of version %d", o.Version))
		case wire.Disable:
			if o.On {
				plain(access.EventKioskDisabled, s.by())
			} else {
				plain(access.EventKioskEnabled, s.by())
			}
		}
	}
	for _, r := range s.refused {
		if r.Why == roster.Invalid {
			plain(access.EventPolicyRefused, s.by())
		}
		plain(access.EventOrderRefused, fmt.Sprintf("%s, order %d: %v", s.by(), r.Place+1, r.Why))
	}
	_ = k.recordAll(list) // the log raises the alarm when it cannot write
}

// why is the reason for which the vault did not carry an order out.
func why(err error) roster.Reason {
	switch {
	case errors.Is(err, vault.ErrSuperseded):
		return roster.Superseded
	case errors.Is(err, vault.ErrFull):
		return roster.Full
	}
	return roster.Unreadable
}

// summary is the detail of the record that a command is applied.
func (s *step) summary() string {
	changed := len(s.Effects)
	for _, out := range s.out {
		if !out.Changed && changed > 0 {
			changed--
		}
	}
	return applied(s.Seq, s.Link) + fmt.Sprintf(" orders=%d changed=%d refused=%d", s.Orders, changed, len(s.refused))
}

// applied begins the detail of every such record; headquarters reads it.
func applied(seq uint64, link [32]byte) string { return fmt.Sprintf("seq=%d link=%x", seq, link) }

// settle records the commands that are applied and final: with the counter risen no older file brings back what they took.
func (h *headquarters) settle() {
	if len(h.owed) == 0 {
		return
	}
	if err := h.door.store.Settle(); err != nil {
		return
	}
	for _, detail := range h.owed {
		h.door.note(access.EventCommandApplied, detail)
	}
	h.owed = nil
}

// owedAtStart makes up for the record of the newest command, if the power went before it was written.
func (h *headquarters) owedAtStart() {
	s := h.roster.State()
	if s.Seq == 0 {
		return
	}
	records, _ := tail(h.door.audit, tailRecords) // one too many says the same twice
	begin := applied(s.Seq, s.Head())
	for _, r := range records {
		if r.Event == access.EventCommandApplied && len(r.Detail) >= len(begin) && r.Detail[:len(begin)] == begin {
			return
		}
	}
	h.door.note(access.EventCommandApplied, begin+" found at the start")
}
