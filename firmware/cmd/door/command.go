package main

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

// step is a command as this kiosk carries it out: everything in one transaction of the vault, everything that permits on record before that, everything
// else after it.
type step struct {
	roster.Step
	vault   vault.Step
	places  []int // of the vault's orders, among the command's
	refused []roster.Refusal
	out     []vault.Outcome
	disable *bool
	rules   *rules // of the newest document that is valid
	unfit   error  // why another one is not
	retire  bool
}

// command judges a command and carries it out.
func (h *headquarters) command(ctx context.Context, data []byte) error {
	var s step
	judged, err := h.roster.Command(data, roster.Means{Now: h.now(), Open: h.unseal, Policy: func(document []byte) error {
		r, err := h.door.judge(document)
		if err == nil {
			s.rules = r
		} else {
			s.unfit = err
		}
		return err
	}})
	if err != nil {
		return err
	}
	if judged.Seq == 0 {
		h.greetSoon() // headquarters does not know that it is applied
		return nil
	}
	defer judged.Wipe()
	s.Step, s.refused = judged, judged.Refusals
	defer s.wipe()
	if err := h.plan(&s); err != nil {
		return err
	}
	return h.apply(ctx, &s)
}

// plan turns the effects into what the vault is to change.
func (h *headquarters) plan(s *step) error {
	s.vault.Items = map[vault.Item][]byte{}
	carried := make([]roster.Effect, 0, len(s.Effects)) // apart: those of judged are still to be wiped
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
			s.vault.Lockdown, s.vault.Items[vault.Locked] = &o.On, nil
			if o.On {
				s.vault.Items[vault.Locked] = []byte{1}
			}
		case wire.Disable:
			s.disable, s.vault.Items[vault.Disabled] = &o.On, nil
			if o.On {
				s.vault.Items[vault.Disabled], s.vault.Restricts = []byte{1}, true
			}
		case wire.Policy:
			s.vault.Items[vault.Document], s.vault.Items[vault.InForce], s.vault.Restricts = o.Document, s.rules.hash[:], true
		case wire.Trust:
			s.vault.Restricts = true
		case wire.Decommission:
			s.retire = true
		}
		carried = append(carried, e)
	}
	s.Effects = carried
	if s.rules != nil {
		if err := h.letGo(s); err != nil {
			return err
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
			wipe(e.Person)
		}
	}
}

func wipe(p vault.Person) {
	for _, r := range p.References {
		r.Template.Wipe()
	}
}

// person is somebody as the vault takes them. After an error nothing is left of their templates.
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
			wipe(p)
			return p, err
		}
		p.References = append(p.References, vault.Reference{Template: t, Bundle: o.Bundle, Created: h.door.boot})
	}
	return p, nil
}

// forgetAll has a kiosk that is decommissioned forget everybody, and what it could open more with.
func (h *headquarters) forgetAll(s *step) error {
	everybody, err := h.door.everybody()
	if err != nil {
		return err
	}
	s.wipe()
	s.vault.Orders, s.places = nil, nil
	for _, o := range everybody {
		s.add(-1, o)
	}
	for item, value := range map[vault.Item][]byte{vault.Exchange: nil, vault.Document: nil, vault.Retired: {1}} {
		s.vault.Items[item] = value
	}
	s.vault.Restricts, s.rules = true, nil
	return nil
}

// apply carries a step out. After an error nothing was changed, and headquarters sends the command again; a lockdown that it orders stands all the same
// until then, or until a restart.
func (h *headquarters) apply(ctx context.Context, s *step) error {
	k := h.door
	late, err := h.commit(ctx, s)
	if err != nil {
		return err
	}
	h.follow(s.Next)
	if s.disable != nil {
		k.disabled.Store(*s.disable)
		k.found()
	}
	if s.rules != nil {
		k.degrade("rules of the site", k.enforce(context.WithoutCancel(ctx), s.rules))
	}
	if s.retire {
		h.retireNow()
	}
	h.tell(s)
	if late != nil {
		k.degrade("vault", late) // the record that the command is applied follows once the change is final
		h.pay()
	} else {
		h.settle()
	}
	k.changed()
	h.greetSoon()
	return nil
}

// commit is the one transaction of a command, with what the log has to say of it, and has memory follow. late says that it is not final yet.
func (h *headquarters) commit(ctx context.Context, s *step) (late, err error) {
	k := h.door
	var owed debt
	err = k.locked(ctx, s.vault.Lockdown, func() error {
		err := k.gallery.Follow(func(room int) (changed []access.PersonID, err error) {
			s.vault.Bundle, s.vault.Room = h.bundle, room
			s.out, err = k.store.Apply(s.vault, func(out []vault.Outcome) (map[vault.Item][]byte, error) {
				k.gallery.Withhold(s.restricted(out))
				s.refusing(out)
				owed = h.owed.with(k.audit.Head(), s.taking(k, out), s.summary(out))
				if err := k.recordAll(s.permitting(k, out)); err != nil {
					return nil, err
				}
				return owed.items()
			})
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
		if s.out == nil {
			return err
		}
		k.degrade("gallery", err) // whoever could not be read back is not found until the next start
		return nil
	})
	if err == nil {
		h.owed = owed
	}
	return late, err
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
