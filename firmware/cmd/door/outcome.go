package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lintel-access/lintel/access"
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

// permitting are the records of what is about to be given, by enrolment or by rules, by whoever may give more from then on, and that the kiosk is about to
// be retired: nobody is permitted unseen.
func (s *step) permitting(k *kiosk, out []vault.Outcome) (list []access.Record) {
	for i, o := range s.vault.Orders {
		if e, permits := event(o); permits && out[i].Changed {
			list = append(list, k.aboutPerson(e, about(o), s.by()))
		}
	}
	for _, e := range s.Effects {
		switch o := e.Order.(type) {
		case wire.Trust:
			list = append(list, k.plain(access.EventTrustChanged, fmt.Sprintf("version %d", o.Version)))
		case wire.Disable:
			if !o.On {
				list = append(list, k.plain(access.EventKioskEnabled, s.by()))
			}
		}
	}
	if s.rules != nil {
		r := k.blank(access.EventPolicyChanged)
		r.Detail = fmt.Sprintf("%s: document of version %d, from %x to %x", s.by(), s.Next.State().Policy, r.Policy, s.rules.hash)
		list = append(list, r)
	}
	if s.retire {
		list = append(list, k.plain(access.EventDecommissioned, s.by()))
	}
	return list
}

func (k *kiosk) plain(e access.Event, detail string) access.Record {
	r := k.blank(e)
	r.Detail = detail
	return r
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

// taking are the records of what was taken. They follow the change: nothing is said to be taken that is not.
func (s *step) taking(k *kiosk, out []vault.Outcome) (list []access.Record) {
	released, why := 0, "of whom no rule of this door says anything"
	many := s.retire && len(s.vault.Orders) > maxOwedRecords/8 // thousands may be, and the log owes no more records than a few commands come to
	if many {
		why = "since the kiosk is decommissioned"
	}
	for i, o := range s.vault.Orders {
		e, permits := event(o)
		if permits || !out[i].Changed {
			continue
		}
		if f, ok := o.(vault.Forget); ok && (f.Back || many) {
			released++
			continue
		}
		list = append(list, k.aboutPerson(e, about(o), s.by()))
	}
	if released > 0 {
		list = append(list, k.plain(access.EventRetentionRemoved, fmt.Sprintf("%s: %d people, %s", s.by(), released, why)))
	}
	if s.disable != nil && *s.disable {
		list = append(list, k.plain(access.EventKioskDisabled, s.by()))
	}
	return list
}

// refusing adds what the vault did not carry out.
func (s *step) refusing(out []vault.Outcome) {
	for i, o := range out {
		if o.Err != nil && s.places[i] >= 0 { // else it is nobody's order
			s.refuse(s.places[i], 0, why(o.Err))
		}
	}
}

// maxWhy is less than a wire.Refusal may say, bytes.
const maxWhy = 240

// tell records what was not done: once for a command, and no more often than others may do that who can do it as often as they like. The server alone
// decides how many orders of nobody it hands on.
func (h *headquarters) tell(s *step) {
	for i, o := range s.vault.Orders {
		if _, forgets := o.(vault.Forget); forgets && s.out[i].Changed {
			h.door.degrade("lockouts", h.door.shelf.forget(about(o)))
		}
	}
	var list []string
	invalid := false
	for _, r := range s.refused {
		list = append(list, fmt.Sprintf("order %d: %v", r.Place+1, r.Why))
		if r.Why == roster.Invalid {
			invalid = true
			h.say(wire.Refusal{What: r.Kind, Hash: r.Hash, Why: oneLine(s.unfit, maxWhy)})
		}
	}
	if invalid {
		h.note(&h.unfit, access.EventPolicyRefused, s.by()+": "+oneLine(s.unfit, access.MaxDetail))
	}
	if n := len(list); n > 0 {
		const most = 3 // fit into a record
		if list = list[:min(n, most)]; n > most {
			list = append(list, fmt.Sprintf("and %d more", n-most))
		}
		h.note(&h.undone, access.EventOrderRefused, s.by()+", "+strings.Join(list, ", "))
	}
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

// summary is what the record says that the command is applied; headquarters reads it.
func (s *step) summary(out []vault.Outcome) owedCommand {
	changed := len(s.Effects)
	for i, o := range out {
		if s.places[i] >= 0 && !o.Changed && changed > 0 {
			changed--
		}
	}
	return owedCommand{
		Detail: fmt.Sprintf("seq=%d link=%x orders=%d changed=%d refused=%d", s.Seq, s.Link, s.Orders, changed, len(s.refused)),
		Idle:   changed == 0, Partial: len(s.refused) > 0 || s.Orders == 0,
	}
}
