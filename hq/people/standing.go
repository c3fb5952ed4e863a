package people

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// SetState signs what a person may do from now on: administrators suspend, resume and revoke. Who is revoked stays so; they can be deleted.
func (p *People) SetState(id access.PersonID, to State, by Operator) error {
	now := p.now()
	if _, err := by.may(wire.KindStanding, now); err != nil {
		return err
	}
	return p.update(func(t *txn) error {
		d, n, s, err := t.person(id)
		switch {
		case err != nil:
			return err
		case d.State == to:
			return Refused{"this person is " + to.String() + " already"}
		case d.State == Revoked:
			return Refused{"this person is revoked, which is for good: delete and enrol anew"}
		}
		// Above every serial that was ever signed, those that a restored people.db has forgotten among them: kiosks heed the highest.
		d.State, d.Serial = to, max(d.Serial+1, uint64(now.UnixMilli()))
		o, err := seal(by, wire.Fleet(), wire.Standing{
			Person: id, Generation: d.Generation, Serial: d.Serial, State: uint8(to), Issued: now.Unix(),
		}, id, d.Generation)
		if err != nil {
			return err
		}
		o.entry.State = to
		if d.Standing != [32]byte{} {
			d.Earlier = [][32]byte{d.Standing}
		}
		d.Standing = o.ref
		if err := t.put(bucketOrder, o.ref[:], n, s, o.envelope); err != nil {
			return err
		}
		return t.admit(waiting{Person: d, Entries: []Entry{o.entry}}, n, s)
	})
}

// Delete has a person forgotten, at headquarters and at every kiosk, for good. When it returns their content key is overwritten; the signed deletion
// stays and is handed on. It may be asked for again after a crash.
func (p *People) Delete(id access.PersonID, by Operator) error {
	now := p.now()
	if _, err := by.may(wire.KindDeletion, now); err != nil {
		return err
	}
	err := p.update(func(t *txn) error {
		all, err := t.names()
		if err != nil {
			return err
		}
		generation := max(all.members[id].Generation, all.waiting[id].Generation)
		if generation == 0 {
			return ErrUnknown
		}
		if all.members[id].Generation > 0 && all.members[id].State != Active {
			if _, err := by.may(wire.KindStanding, now); err != nil { // or an enroller could forget somebody and enrol them anew, as if nothing had been taken
				return fmt.Errorf("an administrator has taken this person's permission, and only an administrator deletes them: %w", err)
			}
		}
		// Above every generation that was ever signed of this id, which is never used again: so a deletion counts, too, after an old people.db was put back.
		generation = max(generation, uint64(now.Unix()))
		n, err := t.slotOf(id, all)
		if err != nil {
			return err
		}
		o, err := seal(by, wire.Fleet(), wire.Deletion{Person: id, Generation: generation, Issued: now.Unix()}, id, generation)
		if err != nil {
			return err
		}
		t.forget(id)
		// Not under the person's key: a deletion must outlive the person.
		return errors.Join(
			t.put(bucketOrder, o.ref[:], noSlot, slot{}, o.envelope),
			t.queue(o.entry),
			t.bucket(bucketDying).Put(t.p.personName(id), binary.BigEndian.AppendUint32(nil, n)),
		)
	})
	if err != nil {
		return err
	}
	p.interrupt("deletion begun")
	return p.finish()
}

// slotOf finds the slot of somebody who is enrolled or waits to be.
func (t *txn) slotOf(id access.PersonID, all *roll) (n uint32, err error) {
	if _, ok := all.members[id]; ok {
		_, n, _, err = t.get(bucketPerson, t.p.personName(id))
		return n, err
	}
	order := all.waiting[id].Order
	_, n, _, err = t.get(bucketPending, order[:])
	return n, err
}

// finish ends deletions that have begun, and takes away what hangs on a key that was destroyed: records of before a deletion that came back with an old
// people.db.
func (p *People) finish() error {
	work := false
	err := p.view(func(t *txn) error {
		work = t.bucket(bucketDying).Stats().KeyN > 0
		return t.dead(func(string, []byte) error { work = true; return nil })
	})
	if err != nil || !work {
		return err
	}
	return p.update(func(t *txn) error {
		if err := t.destroyKeys(); err != nil {
			return err
		}
		p.interrupt("key destroyed")
		if err := t.sweep(); err != nil {
			return err
		}
		p.roll = nil
		if err := t.DeleteBucket([]byte(bucketDying)); err != nil {
			return err
		}
		_, err := t.CreateBucket([]byte(bucketDying))
		return err
	})
}

// destroyKeys overwrites the content keys of the dying, and has the journal forget them.
func (t *txn) destroyKeys() error {
	var dying []string
	err := t.bucket(bucketDying).ForEach(func(_, v []byte) error {
		n := binary.BigEndian.Uint32(v)
		s, err := t.keys.read(n)
		if err != nil {
			return err
		}
		dying = append(dying, string(s.person[:]))
		if s.destroyed() {
			return nil
		}
		s.key = [32]byte{}
		return t.keys.write(n, s)
	})
	if err != nil || len(dying) == 0 {
		return err
	}
	var rows [][]byte
	err = t.bucket(bucketJournal).ForEach(func(k, v []byte) error {
		id, _, _, err := t.unseal(bucketJournal, k, v)
		if err == nil && slices.Contains(dying, string(id)) {
			rows = append(rows, bytes.Clone(k))
		}
		return err
	})
	for _, k := range rows {
		err = errors.Join(err, t.bucket(bucketJournal).Delete(k))
	}
	return err
}

// sweep takes away every record whose content key was destroyed.
func (t *txn) sweep() error {
	type record struct {
		bucket string
		key    []byte
	}
	var gone []record
	err := t.dead(func(bucket string, key []byte) error {
		gone = append(gone, record{bucket, bytes.Clone(key)})
		return nil
	})
	for _, r := range gone {
		if r.bucket == bucketOrder {
			err = errors.Join(err, t.destroy([32]byte(r.key)))
		} else {
			err = errors.Join(err, t.bucket(r.bucket).Delete(r.key))
		}
	}
	return err
}

// dead calls f for each record whose content key was destroyed.
func (t *txn) dead(f func(bucket string, key []byte) error) error {
	destroyed := map[uint32]bool{}
	for _, bucket := range []string{bucketPerson, bucketPending, bucketProofing, bucketOrder} {
		err := t.bucket(bucket).ForEach(func(k, v []byte) error {
			if len(v) < 4 {
				return nil
			}
			n := binary.BigEndian.Uint32(v)
			if n == noSlot {
				return nil
			}
			is, known := destroyed[n]
			if !known {
				s, err := t.keys.read(n)
				if err != nil {
					return fmt.Errorf("look for the deleted: %w", err)
				}
				is = s.destroyed()
				destroyed[n] = is
			}
			if !is {
				return nil
			}
			return f(bucket, k)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
