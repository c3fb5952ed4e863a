package vault

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access"
)

// Order is something to be done to one person: an Enrol, a Stand or a Forget. Orders may come late, twice, or in another order than they were given:
// a deletion wins over an enrolment of its generation or an earlier one, a later generation over an earlier one, and of what is said about a
// generation's standing the highest serial counts.
type Order interface {
	about() (access.PersonID, uint64)
	// do reports whether anything was changed.
	do(b book, v *Vault, t *occupancy) (bool, error)
	// urgency is that of an order which changes something.
	urgency() urgency
}

// Enrol stores a person, active unless something else was ordered already.
type Enrol struct{ Person Person }

// Stand sets what a person may do; it is remembered of somebody who is not stored yet.
type Stand struct {
	Person     access.PersonID
	Generation uint64
	Serial     uint64
	State      State // Suspended, Active or Revoked
}

// Forget removes a person, and makes sure that no enrolment up to that generation comes back.
type Forget struct {
	Person     access.PersonID
	Generation uint64
	// Back says that they are let go, not deleted: an enrolment of that generation brings them back.
	Back bool
}

// Step is what changes together, in one transaction: all of it or nothing.
type Step struct {
	Orders   []Order
	Items    map[Item][]byte // nil removes one
	Lockdown *bool           // nil: it stays as it is
	// Restricts says that to lose what the items say would give something back to somebody: then the counter rises.
	Restricts bool
	// Room is for how many more references of Bundle there is room in memory. The zero Bundle has room for as many as the vault.
	Bundle [32]byte
	Room   int
}

// Outcome is what became of an order.
type Outcome struct {
	Changed bool
	Err     error // why it was not carried out: ErrSuperseded, ErrFull, or what is wrong with it
}

// Apply carries a step out, durably, and says what became of each order. An order that cannot be carried out keeps none of the others from it. before is
// asked when everything is decided and nothing is written: it may have further items kept, and its error calls all of it off; nil asks nobody. After
// ErrUnacknowledged the step is stored, but not final. before must not call the vault. The counter rises for what was changed, not for what was ordered.
func (v *Vault) Apply(s Step, before func([]Outcome) (map[Item][]byte, error)) ([]Outcome, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	done, err := v.apply(s, before)
	if err != nil {
		err = fmt.Errorf("apply step: %w", err)
	}
	return done, err
}

func (v *Vault) apply(s Step, before func([]Outcome) (map[Item][]byte, error)) (done []Outcome, err error) {
	least := s.urgency()
	most := least
	for _, o := range s.Orders {
		if id, generation := o.about(); id.IsZero() || generation == 0 {
			return nil, errors.New("an order names no person, or no generation")
		}
		most = max(most, o.urgency())
	}
	var t occupancy
	committed := false
	err = v.weigh(most, func(b book) (u urgency, err error) {
		done, t, u, committed = make([]Outcome, len(s.Orders)), occupancy{bundle: s.Bundle, room: s.Room}, least, false
		for i, o := range s.Orders {
			changed, err := o.do(b, v, &t)
			if err != nil && !errors.As(err, new(unfit)) {
				return u, err // half of it may be done: none of the step is
			}
			if done[i] = (Outcome{changed, err}); changed {
				u = max(u, o.urgency())
			}
		}
		if s.Lockdown != nil {
			value := []byte(nil)
			if *s.Lockdown {
				value = []byte{1}
			}
			if err := b.setValue(bucketMeta, []byte(keyLockdown), value); err != nil {
				return u, err
			}
		}
		if err := setItems(b, s.Items); err != nil {
			return u, err
		}
		if before != nil {
			more, err := before(done)
			if err == nil {
				err = setItems(b, more)
			}
			if err != nil {
				return u, err
			}
		}
		committed = true
		return u, nil
	})
	if err == nil || committed && errors.Is(err, ErrUnacknowledged) {
		v.people += t.people
		return done, err
	}
	return nil, err
}

// urgency is that of what a step changes beside people.
func (s Step) urgency() urgency {
	switch {
	case s.Restricts, s.Lockdown != nil && *s.Lockdown:
		return restricting
	case s.Lockdown != nil:
		return ordinary
	}
	return quiet
}

func setItems(b book, items map[Item][]byte) error {
	for i, value := range items {
		if !i.known() || len(value) > maxItem {
			return fmt.Errorf("item %q of %d bytes", string(i), len(value))
		}
		if err := b.setValue(bucketMeta, []byte(i), value); err != nil {
			return err
		}
	}
	return nil
}

// unfit is an error of one order, found before anything was written for it.
type unfit struct{ error }

func (u unfit) Unwrap() error { return u.error }

func superseded(generation, by uint64) error {
	return unfit{fmt.Errorf("%w: generation %d, by %d", ErrSuperseded, generation, by)}
}

// known is what a vault knows of somebody, stored or not.
type known struct {
	state      State
	stored     uint64 // generation; 0: nobody is
	buried     uint64
	stands     State // as it was ordered last
	generation uint64
	serial     uint64 // of that order; 0: there was none
}

const keyStanding = "standing/" // and the person's id

func look(b book, id access.PersonID) (k known, err error) {
	if k.buried, err = tombstone(b, id); err != nil {
		return k, err
	}
	if k.state, k.stored, err = b.standing(id); err != nil {
		return k, err
	}
	value, err := b.value(bucketMeta, append([]byte(keyStanding), id[:]...))
	if value == nil || err != nil {
		return k, err
	}
	if len(value) != 17 || State(value[16]) > Active {
		return k, fmt.Errorf("%w: standing of %d bytes", ErrForeign, len(value))
	}
	k.generation, k.serial, k.stands = binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:]), State(value[16])
	return k, nil
}

func (s Stand) remember(b book) error {
	value := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.Generation), s.Serial)
	return b.setValue(bucketMeta, append([]byte(keyStanding), s.Person[:]...), append(value, byte(s.State)))
}

// bury sets the tombstone, under which no standing of before counts.
func (k known) bury(b book, id access.PersonID, generation uint64) error {
	if k.serial != 0 && k.generation <= generation {
		if err := b.setValue(bucketMeta, append([]byte(keyStanding), id[:]...), nil); err != nil {
			return err
		}
	}
	return setTombstone(b, id, generation)
}

func (e Enrol) about() (access.PersonID, uint64)  { return e.Person.ID, e.Person.Generation }
func (s Stand) about() (access.PersonID, uint64)  { return s.Person, s.Generation }
func (f Forget) about() (access.PersonID, uint64) { return f.Person, f.Generation }

func (Enrol) urgency() urgency  { return quiet }
func (Forget) urgency() urgency { return restricting }
func (s Stand) urgency() urgency {
	if s.State == Active {
		return ordinary
	}
	return restricting
}

func (e Enrol) do(b book, v *Vault, t *occupancy) (bool, error) {
	p := e.Person
	k, err := look(b, p.ID)
	if err == nil {
		err = retired(b)
	}
	switch {
	case errors.Is(err, ErrRetired):
		return false, unfit{err}
	case err != nil:
		return false, err
	case p.Generation <= k.buried, p.Generation < k.generation, p.Generation < k.stored:
		return false, superseded(p.Generation, max(k.buried, k.generation, k.stored))
	case p.Generation == k.stored:
		return false, nil // it came before; what has been ordered about it since stays
	case k.stored == 0 && v.people+t.people >= v.max:
		return false, unfit{fmt.Errorf("%w: %d people", ErrFull, v.people+t.people)}
	}
	p.State = Active
	if k.serial != 0 && k.generation == p.Generation {
		p.State = k.stands
	}
	if err := p.storable(); err != nil {
		return false, unfit{err}
	}
	if err := t.admit(b, p); err != nil {
		return false, err
	}
	if k.stored == 0 {
		t.people++
	}
	return true, b.put(p)
}

func (s Stand) do(b book, _ *Vault, _ *occupancy) (bool, error) {
	k, err := look(b, s.Person)
	switch {
	case err != nil:
		return false, err
	case s.Serial == 0 || s.State > Revoked:
		return false, unfit{fmt.Errorf("serial %d, %v", s.Serial, s.State)}
	case s.Generation <= k.buried && s.State == Revoked:
		return false, nil
	case s.Generation <= k.buried, s.Generation < k.stored, s.Generation < k.generation:
		return false, superseded(s.Generation, max(k.buried, k.stored, k.generation))
	case s.Generation == k.generation && s.Serial == k.serial && s.State == k.stands:
		return false, nil // it came before
	case s.Generation == k.generation && s.Serial <= k.serial:
		return false, unfit{fmt.Errorf("%w: serial %d, by %d", ErrSuperseded, s.Serial, k.serial)}
	}
	if s.State == Revoked {
		if k.stored != 0 {
			err = b.setState(s.Person, Revoked)
		}
		return true, errors.Join(err, k.bury(b, s.Person, s.Generation))
	}
	if err := s.remember(b); err != nil {
		return false, err
	}
	// What takes a permission away takes it from an earlier generation, too: the later one may have been withheld. What gives one gives it to its own.
	if k.stored != 0 && k.state != Revoked && (s.State == Suspended || k.stored == s.Generation) {
		return true, b.setState(s.Person, s.State)
	}
	return true, nil
}

func (f Forget) do(b book, _ *Vault, t *occupancy) (bool, error) {
	k, err := look(b, f.Person)
	switch {
	case err != nil:
		return false, err
	case f.Back && f.Generation != k.stored:
		return false, nil
	case f.Generation < k.stored:
		return false, superseded(f.Generation, k.stored)
	case k.stored == 0 && f.Generation <= k.buried:
		return false, nil
	}
	if k.stored != 0 {
		if t.bundle != [32]byte{} {
			freed, err := b.references(f.Person, t.bundle)
			if err != nil {
				return false, err
			}
			t.room += freed
		}
		if err := b.remove(f.Person); err != nil {
			return false, err
		}
		t.people--
	}
	if f.Back {
		return true, nil
	}
	return true, k.bury(b, f.Person, max(f.Generation, k.buried))
}
