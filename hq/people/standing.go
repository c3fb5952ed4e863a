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

// last is what headquarters knows of somebody who is to be forgotten.
type last struct {
	generation uint64 // the highest that was signed; 0: nobody knows of any
	state      State
	stranger   bool // there is no record of them
}

// last is of a person's records or, where there are none, of the queue, which remembers who was handed on.
func (t *txn) last(id access.PersonID, all *roll) (l last, err error) {
	l.state = Active
	if m, ok := all.members[id]; ok {
		l.generation, l.state = max(m.Generation, m.Void), m.State
	}
	if l.generation = max(l.generation, all.waiting[id].Generation); l.generation > 0 {
		return l, nil
	}
	l.stranger = true
	queue, err := t.entries()
	for _, e := range queue {
		switch {
		case e.Person != id:
		case e.Kind == wire.KindStanding:
			l.state = e.State
		case e.Kind == wire.KindEnrolment || e.Kind == wire.KindSupervised:
			l.generation, l.state = e.Generation, Active
		}
	}
	return l, err
}

// slotOf finds the slot of somebody who is enrolled, waits to be, or is drafted.
func (t *txn) slotOf(id access.PersonID, all *roll) (n uint32, known bool, err error) {
	if _, ok := all.members[id]; ok {
		_, n, _, err = t.get(bucketPerson, t.p.personName(id))
		return n, true, err
	}
	if w, ok := all.waiting[id]; ok {
		_, n, _, err = t.get(bucketPending, w.Order[:])
		return n, true, err
	}
	err = t.bucket(bucketDraft).ForEach(func(_, v []byte) error {
		if len(v) < 4 {
			return nil
		}
		at := binary.BigEndian.Uint32(v)
		s, err := t.keys.read(at)
		if err == nil && s.person == id && !s.destroyed() {
			n, known = at, true
		}
		return err
	})
	return n, known, err
}

// Finish ends deletions that have begun, forgets drafts that nobody handed in within their week, and takes away what hangs on a key that was destroyed:
// records of before a deletion that came back with an old people.db. Open does so; who has a vault open for longer calls it now and then.
func (p *People) Finish() error {
	work := false
	err := p.view(func(t *txn) error {
		if t.bucket(bucketDraft) == nil { // of an older version
			work = true
			return nil
		}
		stale, err := t.expired()
		if err != nil {
			return err
		}
		work = t.bucket(bucketDying).Stats().KeyN > 0 || len(stale) > 0
		return t.dead(func(string, []byte) error { work = true; return nil })
	})
	if err != nil || !work {
		return err
	}
	return p.update(func(t *txn) error {
		if _, err := t.CreateBucketIfNotExists([]byte(bucketDraft)); err != nil {
			return err
		}
		if err := t.destroyKeys(); err != nil {
			return err
		}
		stale, err := t.expired()
		if err != nil {
			return err
		}
		if err := t.drop(stale); err != nil {
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
		_, err = t.CreateBucket([]byte(bucketDying))
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
	for _, bucket := range []string{bucketPerson, bucketPending, bucketProofing, bucketDraft, bucketOrder} {
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
