package people

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Entry is one order in the queue of what is to be handed on. It names nobody and holds nothing biometric.
type Entry struct {
	Order      [32]byte        `cbor:"1,keyasint"` // SHA-256 of the envelope; Content has it
	Kind       wire.Kind       `cbor:"2,keyasint"`
	Person     access.PersonID `cbor:"3,keyasint"`
	Generation uint64          `cbor:"4,keyasint"`
	At         [32]byte        `cbor:"5,keyasint"` // the one kiosk that it is for; zero: every kiosk that needs the person
	State      State           `cbor:"6,keyasint"` // of a standing
}

// queue appends an entry.
func (t *txn) queue(e Entry) error {
	data, err := wire.Marshal(e)
	if err != nil {
		return err
	}
	b := t.bucket(bucketQueue)
	n, err := b.NextSequence()
	if err != nil {
		return err
	}
	return t.put(bucketQueue, binary.BigEndian.AppendUint64(nil, n), noSlot, slot{}, data)
}

// Kiosk says whom a kiosk needs.
type Kiosk struct {
	ID     [32]byte
	Groups []string // that its door lets in at some time
	// Anew looks a second time at what was looked at for Had, the groups of then: only who is needed since is handed on, and no deletion.
	Anew bool
	Had  []string
}

func (k Kiosk) needs(p Person) bool {
	if p.At != [32]byte{} {
		return p.At == k.ID && !k.Anew
	}
	return meet(p.Groups, k.Groups) && !(k.Anew && meet(p.Groups, k.Had))
}

func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(g string) bool { return slices.Contains(b, g) })
}

// Assign returns what a kiosk must be given beyond the first entries of the queue, in order, and how long the queue is now: the next call's after. What a
// later order or a deletion has made void is left out, but never a deletion itself: it goes to every kiosk, and beats whatever was sent before. At most
// most entries are looked at, so that nobody waits for a long queue; the caller goes on until after no longer rises. An error that wraps fs.ErrNotExist
// means that the queue is shorter than what was handed on.
func (p *People) Assign(k Kiosk, after uint64, most int) (entries []Entry, next uint64, err error) {
	next = after
	named := map[[32]byte]bool{}
	err = p.view(func(t *txn) error {
		if has := t.bucket(bucketQueue).Sequence(); after > has {
			return fmt.Errorf("%d orders were handed on, and there are %d: an older %s was put back: %w", after, has, dbFile, fs.ErrNotExist)
		}
		c := t.bucket(bucketQueue).Cursor()
		for key, v := c.Seek(binary.BigEndian.AppendUint64(nil, after+1)); key != nil && most > 0; key, v = c.Next() {
			most--
			var e Entry
			plain, _, _, err := t.unseal(bucketQueue, key, v)
			if err == nil {
				err = wire.Unmarshal(plain, &e)
			}
			if err != nil {
				return err
			}
			wanted, err := t.wants(k, e)
			if err != nil {
				return err
			}
			next = binary.BigEndian.Uint64(key)
			for _, e := range wanted {
				if !named[e.Order] {
					named[e.Order], entries = true, append(entries, e)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, after, fmt.Errorf("assign orders: %w", err)
	}
	return entries, next, nil
}

// Entries are all orders about people that were ever queued, in order.
func (p *People) Entries() (all []Entry, err error) {
	err = p.view(func(t *txn) (err error) {
		all, err = t.entries()
		return err
	})
	return all, err
}

func (t *txn) entries() (all []Entry, err error) {
	err = t.bucket(bucketQueue).ForEach(func(key, v []byte) error {
		var e Entry
		plain, _, _, err := t.unseal(bucketQueue, key, v)
		if err == nil {
			err = wire.Unmarshal(plain, &e)
		}
		all = append(all, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read queue: %w", err)
	}
	return all, nil
}

// Deletion is the newest order to have a person forgotten; ErrUnknown when there is none.
func (p *People) Deletion(id access.PersonID) (Entry, error) {
	all, err := p.Entries()
	if err != nil {
		return Entry{}, err
	}
	for _, e := range slices.Backward(all) {
		if e.Kind == wire.KindDeletion && e.Person == id {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("%w: no deletion of %v was ordered", ErrUnknown, id)
}

// wants is what of an order a kiosk must be given, as things are now: with an enrolment, and before it, what was taken from the person since.
func (t *txn) wants(k Kiosk, e Entry) ([]Entry, error) {
	if e.Kind == wire.KindDeletion {
		if k.Anew {
			return nil, nil
		}
		return []Entry{e}, nil
	}
	if e.At != [32]byte{} && e.At != k.ID {
		return nil, nil
	}
	d, _, _, err := t.person(e.Person)
	if errors.Is(err, ErrUnknown) || e.Kind == wire.KindSupervised { // it goes with an enroller's answer to a challenge, and never in a command
		return nil, nil
	}
	switch {
	case err != nil || !k.needs(d):
		return nil, err
	case e.Order == d.Standing:
		return []Entry{e}, nil
	case e.Order != d.Order || d.State == Revoked: // a kiosk that never had them need not begin now
		return nil, nil
	case d.Standing != [32]byte{}: // between the two the kiosk would let them in
		return []Entry{{Order: d.Standing, Kind: wire.KindStanding, Person: d.ID, Generation: d.Generation, State: d.State}, e}, nil
	}
	return []Entry{e}, nil
}

// Supervised returns the signed order of somebody who is to be enrolled at a kiosk, and that kiosk, if nothing stands in its way; ErrPhotographs where there is
// no such order.
func (p *People) Supervised(id access.PersonID) (kiosk [32]byte, envelope []byte, err error) {
	err = p.view(func(t *txn) error {
		d, _, _, err := t.person(id)
		switch {
		case errors.Is(err, ErrUnknown):
			return fmt.Errorf("%w, or a second operator has to approve it first: hq approve", err)
		case err != nil:
			return err
		case d.At == [32]byte{}:
			return ErrPhotographs
		case d.State != Active:
			return fmt.Errorf("this person is %v", d.State)
		}
		kiosk = d.At
		envelope, _, _, err = t.get(bucketOrder, d.Order[:])
		return err
	})
	return kiosk, envelope, err
}

// Content returns the envelope of an order that Assign named. gone means that it was destroyed, with its person or by a later enrolment; the hash is all
// that is left. A biometric envelope must be sealed wherever it travels; the caller clears it. An error that wraps fs.ErrNotExist means that the order is lost: the
// vault never had it, as after an older one was put back, or is damaged there.
func (p *People) Content(order [32]byte) (envelope []byte, gone, biometric bool, err error) {
	err = p.view(func(t *txn) (err error) {
		envelope, _, _, err = t.get(bucketOrder, order[:])
		return err
	})
	if errors.Is(err, errDestroyed) {
		return nil, true, false, nil
	}
	if errors.Is(err, ErrUnknown) || errors.Is(err, errShut) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, false, false, fmt.Errorf("read order %x: %w", order[:8], err)
	}
	claim, err := wire.Peek(envelope)
	return envelope, false, claim.Kind == wire.KindEnrolment, err
}
