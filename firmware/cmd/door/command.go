package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

// step is a command as this kiosk carries it out: everything in one transaction of the vault, everything that permits on record before that, everything
// else after it.
type step struct {
	roster.Step
	vault    vault.Step
	places   []int // of the vault's orders, among the command's
	refused  []roster.Refusal
	out      []vault.Outcome
	disable  *bool
	retire   bool
	sessions []wire.Supervised
}

// command judges a command and carries it out.
func (h *headquarters) command(ctx context.Context, data []byte) error {
	judged, err := h.roster.Command(data, roster.Means{Now: h.now(), Open: h.unseal, Policy: h.door.takePolicy})
	if err != nil {
		return err
	}
	if judged.Seq == 0 {
		h.greetSoon() // headquarters does not know that it is applied
		return nil
	}
	defer judged.Wipe()
	s := step{Step: judged, refused: judged.Refusals}
	defer s.wipe()
	if err := h.plan(&s); err != nil {
		return err
	}
	return h.apply(ctx, &s)
}

// plan turns the effects into what the vault is to change.
func (h *headquarters) plan(s *step) error {
	s.vault.Items = map[vault.Item][]byte{}
	for _, e := range s.Effects {
		switch o := e.Order.(type) {
		case wire.Enrolment:
			p, err := h.person(o)
			if err != nil {
				s.refuse(e.Place, wire.KindEnrolment, roster.Unreadable)
				continue
			}
			s.add(e.Place, vault.Enrol{Person: p})
		case wire.Deletion:
			s.add(e.Place, vault.Forget{Person: o.Person, Generation: o.Generation})
		case wire.Standing:
			s.add(e.Place, vault.Stand{Person: o.Person, Generation: o.Generation, Serial: o.Serial, State: vault.State(o.State)})
		case wire.Lockdown:
			s.vault.Lockdown = &o.On
		case wire.Disable:
			s.disable, s.vault.Items[vault.Disabled] = &o.On, nil
			if o.On {
				s.vault.Items[vault.Disabled], s.vault.Restricts = []byte{1}, true
			}
		case wire.Policy:
			s.vault.Items[vault.Document], s.vault.Restricts = o.Document, true
		case wire.Trust:
			s.vault.Restricts = true
		case wire.Supervised:
			s.sessions = append(s.sessions, o)
		case wire.Decommission:
			s.retire = true
		}
	}
	if s.retire {
		if err := h.forgetAll(s); err != nil {
			return err
		}
	}
	kept, err := wire.Marshal(s.Next.State())
	s.vault.Items[vault.Stream] = kept
	return err
}

func (s *step) add(place int, o vault.Order) {
	s.places, s.vault.Orders = append(s.places, place), append(s.vault.Orders, o)
}

func (s *step) refuse(place int, kind wire.Kind, why roster.Reason) {
	s.refused = append(s.refused, roster.Refusal{Place: place, Kind: kind, Why: why})
}

// wipe clears the templates that were made for the vault.
func (s *step) wipe() {
	for _, o := range s.vault.Orders {
		if e, ok := o.(vault.Enrol); ok {
			for _, r := range e.Person.References {
				r.Template.Wipe()
			}
		}
	}
}

// person is somebody as the vault takes them.
func (h *headquarters) person(o wire.Enrolment) (vault.Person, error) {
	p := vault.Person{ID: o.Person, Generation: o.Generation, Until: o.Until, Groups: o.Groups, Extended: o.Extended}
	var components [access.ProbeSize]float32
	defer clear(components[:])
	for _, r := range o.References {
		for i := range components {
			components[i] = math.Float32frombits(binary.LittleEndian.Uint32(r[4*i:]))
		}
		t, err := vault.NewTemplate(components[:])
		if err != nil {
			return p, err
		}
		p.References = append(p.References, vault.Reference{Template: t, Bundle: o.Bundle, Created: h.door.boot})
	}
	return p, nil
}

// forgetAll has a kiosk that is decommissioned forget everybody, and what it could open more with.
func (h *headquarters) forgetAll(s *step) error {
	var everybody []access.PersonID
	err := h.door.store.States(func(id access.PersonID, _ vault.State) error { everybody = append(everybody, id); return nil })
	if err != nil {
		return err
	}
	s.vault.Orders, s.places = nil, nil
	for _, id := range everybody {
		p, err := h.door.store.Get(id, [32]byte{}) // no bundle: no reference is read
		if err != nil {
			return err
		}
		s.add(-1, vault.Forget{Person: id, Generation: p.Generation})
	}
	for item, value := range map[vault.Item][]byte{vault.Exchange: nil, vault.Document: nil, vault.Retired: {1}} {
		s.vault.Items[item] = value
	}
	s.vault.Restricts, s.sessions = true, nil
	return nil
}

// apply carries a step out. After an error nothing was changed, and headquarters sends the command again; a lockdown that it orders stands all the same
// until then, or until a restart.
func (h *headquarters) apply(ctx context.Context, s *step) error {
	k := h.door
	var late error
	change := func() error {
		return k.gallery.Follow(func(room int) (changed []access.PersonID, err error) {
			h.makeRoom(s, room)
			s.out, err = k.store.Apply(s.vault, func(out []vault.Outcome) error { return k.recordAll(s.permitting(k, out)) })
			if late, err = stored(err); err != nil {
				return nil, err
			}
			for i, out := range s.out {
				if out.Changed {
					changed = append(changed, about(s.vault.Orders[i]))
				}
			}
			return changed, nil
		})
	}
	if err := k.locked(ctx, s.vault.Lockdown, change); err != nil {
		return err
	}
	h.roster = s.Next
	if s.disable != nil {
		k.disabled.Store(*s.disable)
		k.found()
	}
	if s.retire {
		h.retireNow()
	}
	for _, o := range s.sessions {
		select {
		case h.enrol <- o:
		default:
			s.refuse(-1, wire.KindSupervised, roster.Full) // one waits already
		}
	}
	h.tell(s)
	h.owed = append(h.owed, s.summary())
	if late != nil {
		k.degrade("vault", late) // the record follows once the change is final
	} else {
		h.settle()
	}
	k.changed()
	h.greetSoon()
	return nil
}

// locked makes a change that may set or lift the lockdown: the door is shut before, and opened after it.
func (k *kiosk) locked(ctx context.Context, on *bool, change func() error) error {
	if on == nil {
		return change()
	}
	k.locking.Lock()
	defer k.locking.Unlock()
	if *on {
		if err := k.portal.Lockdown(ctx, true); err != nil {
			return err
		}
		return change()
	}
	if err := change(); err != nil {
		return err
	}
	k.degrade("lockdown", k.portal.Lockdown(ctx, false))
	return nil
}

// makeRoom leaves out those for whom the gallery has no room.
func (h *headquarters) makeRoom(s *step, room int) {
	orders, places := s.vault.Orders, s.places
	s.vault.Orders, s.places = nil, nil
	for i, o := range orders {
		if e, ok := o.(vault.Enrol); ok {
			for _, r := range e.Person.References {
				if r.Bundle == h.bundle {
					room--
				}
			}
			if room < 0 {
				for _, r := range e.Person.References {
					r.Template.Wipe()
				}
				s.refuse(places[i], wire.KindEnrolment, roster.Full)
				continue
			}
		}
		s.add(places[i], o)
	}
}

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
