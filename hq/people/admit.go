package people

import (
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/sync/wire"
)

// waiting is an enrolment that a second operator must approve.
type waiting struct {
	Person   Person  `cbor:"1,keyasint"`
	Why      string  `cbor:"2,keyasint"`
	Proofing []byte  `cbor:"3,keyasint"`
	Entries  []Entry `cbor:"4,keyasint"` // to be queued
}

// admit makes an enrolment count: the record takes its place, orders it no longer rests on are destroyed, the new ones are queued.
func (t *txn) admit(w waiting, n uint32, s slot) error {
	name := t.p.personName(w.Person.ID)
	for _, ref := range w.Person.Earlier {
		if err := t.destroy(ref); err != nil {
			return err
		}
	}
	w.Person.Earlier = nil
	data, err := wire.Marshal(w.Person)
	if err != nil {
		return err
	}
	defer clear(data)
	if err := t.put(bucketPerson, name, n, s, data); err != nil {
		return err
	}
	if w.Proofing != nil {
		if err := t.put(bucketProofing, name, n, s, w.Proofing); err != nil {
			return err
		}
	}
	for _, e := range w.Entries {
		if err := t.queue(e); err != nil {
			return err
		}
	}
	return t.note(w.Person, false)
}

// destroy leaves of an order that there was one.
func (t *txn) destroy(ref [32]byte) error {
	return t.bucket(bucketOrder).Put(ref[:], make([]byte, goneOrder))
}

// person reads a record of somebody who is enrolled.
func (t *txn) person(id access.PersonID) (p Person, n uint32, s slot, err error) {
	plain, n, s, err := t.get(bucketPerson, t.p.personName(id))
	if err != nil {
		return p, n, s, err
	}
	defer clear(plain)
	return p, n, s, recall(plain, &p)
}

// orders are the envelopes that a record rests on.
func (p Person) orders() (refs [][32]byte) {
	for _, r := range [][32]byte{p.Order, p.Approval, p.Standing} {
		if r != [32]byte{} {
			refs = append(refs, r)
		}
	}
	return refs
}

// Waiting is an enrolment that waits, for whoever is to approve it.
type Waiting struct {
	Listed
	Why      string
	Proofing []byte
}

// Pending lists what waits for a second operator, all of it or one batch.
func (p *People) Pending(batch string) (all []Waiting, err error) {
	err = p.view(func(t *txn) error {
		return t.bucket(bucketPending).ForEach(func(k, v []byte) error {
			w, _, _, err := t.waits(k, v)
			if err != nil || batch != "" && w.Person.Batch != batch {
				return err
			}
			l := Listed{Person: w.Person, Pending: true, Count: len(w.Person.References)}
			l.References, l.Origin = nil, nil
			all = append(all, Waiting{l, w.Why, w.Proofing})
			return nil
		})
	})
	return all, err
}

func (t *txn) waits(k, v []byte) (w waiting, n uint32, s slot, err error) {
	if v == nil {
		return w, 0, s, fmt.Errorf("enrolment %x: %w", k, ErrUnknown)
	}
	plain, n, s, err := t.unseal(bucketPending, k, v)
	if err != nil {
		return w, n, s, err
	}
	defer clear(plain)
	return w, n, s, recall(plain, &w)
}

// ErrSecond means that whoever enrols somebody cannot approve it.
var ErrSecond = errors.New("the approval must be another operator's than the enrolment")

// still refuses an enrolment that has become void while it waited: its signer lost the key's grant, its orders have expired, or the person was changed.
func (t *txn) still(w waiting, j judge) error {
	kind := wire.KindEnrolment
	if w.Person.At != [32]byte{} {
		kind = wire.KindSupervised
		if j.now.After(w.Person.supervisedUntil()) {
			return Refused{"the kiosk would no longer accept it: reject it and enrol again"}
		}
	}
	if g, err := j.trust.Grant(w.Person.Enroller.Key, kind, j.now.Unix()); err != nil || g.Name != w.Person.Enroller.Name {
		return Refused{"whoever enrolled this person may no longer do so: reject it"}
	}
	if w.Person.Until <= j.now.Unix() {
		return Refused{"the permission has ended meanwhile: reject it"}
	}
	old, _, _, err := t.person(w.Person.ID)
	if errors.Is(err, ErrUnknown) && w.Person.Generation == 1 {
		return nil
	}
	if err != nil || old.next() != w.Person.Generation || old.State != Active {
		return Refused{"this person was deleted, suspended or revoked meanwhile: reject it"}
	}
	return nil
}

// Reject drops an enrolment that waits. It was signed, and whoever has a copy could still hand it on: so who is new is deleted, by a draft that must be
// signed and handed in like any deletion, and until then waits. Who was enrolled before stays; for them there is nothing to sign, the draft is empty, and
// what was rejected is void from their next enrolment on, or their deletion.
func (p *People) Reject(ref [32]byte) (made draft.Draft, err error) {
	var id access.PersonID
	again := false
	err = p.update(func(t *txn) error {
		w, n, s, err := t.waits(ref[:], t.bucket(bucketPending).Get(ref[:]))
		if err != nil {
			return err
		}
		id = w.Person.ID
		old, _, _, err := t.person(id)
		if errors.Is(err, ErrUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		again = true
		for _, e := range w.Entries {
			if err := t.destroy(e.Order); err != nil {
				return err
			}
		}
		old.Void = w.Person.Generation
		data, err := wire.Marshal(old)
		if err != nil {
			return err
		}
		defer clear(data)
		t.forget(id)
		return errors.Join(t.bucket(bucketPending).Delete(ref[:]), t.put(bucketPerson, t.p.personName(id), n, s, data), t.note(old, false))
	})
	if err != nil || again {
		return draft.Draft{}, err
	}
	return p.DraftDeletion(id)
}

// Proofing is the proofing record of somebody who was listed, as it was given.
func (p *People) Proofing(l Listed) (record []byte, err error) {
	err = p.view(func(t *txn) (err error) {
		if l.Pending {
			w, _, _, err := t.waits(l.Order[:], t.bucket(bucketPending).Get(l.Order[:]))
			record = w.Proofing
			return err
		}
		record, _, _, err = t.get(bucketProofing, p.personName(l.ID))
		return err
	})
	return record, err
}

// Privileged are the groups whose members a second operator must approve.
func (p *People) Privileged() (groups []string, err error) {
	err = p.view(func(t *txn) (err error) {
		groups, err = t.privileged()
		return err
	})
	return groups, err
}

func (t *txn) privileged() (groups []string, err error) {
	plain, _, _, err := t.get(bucketMeta, []byte(metaPrivileged))
	if errors.Is(err, ErrUnknown) {
		return nil, nil
	}
	if err == nil {
		err = wire.Unmarshal(plain, &groups)
	}
	return groups, err
}

// SetPrivileged replaces the list of those groups. A word that can be no group's name is refused: nobody would ever be held to it.
func (p *People) SetPrivileged(groups []string) error {
	for _, g := range groups {
		if err := access.CheckGroup(g); err != nil {
			return fmt.Errorf("set privileged groups: %w", err)
		}
	}
	data, err := wire.Marshal(sortedGroups(groups))
	if err != nil {
		return err
	}
	return p.update(func(t *txn) error { return t.put(bucketMeta, []byte(metaPrivileged), noSlot, slot{}, data) })
}
