package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/lintel-access/lintel/access"
)

// Close ends the vault, wipes its keys and gives up its lock. Changes that wait for the counter are settled first.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.turning.Lock()
	defer v.turning.Unlock()
	if v.closed {
		return nil
	}
	var err error
	if s := v.sealed; s != nil {
		if s.batched {
			err = v.raiseBatched()
		}
		defer s.wipe()
	}
	v.closed = true
	return errors.Join(err, v.db.Close())
}

// Format prints the same for every verb: a vault holds keys.
func (v *Vault) Format(s fmt.State, _ rune) { io.WriteString(s, "vault(redacted)") }

// Boot raises the boot counter, durably, and returns it: 1 for the first boot. It is called once at each start of door, so that no
// session has the name of another.
func (v *Vault) Boot() (uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var n uint64
	err := v.change(ordinary, func(b book) error {
		value, err := b.value(bucketMeta, []byte(keyBoot))
		if err != nil {
			return err
		}
		last, err := number(value)
		if err != nil {
			return err
		}
		n = last + 1
		return b.setValue(bucketMeta, []byte(keyBoot), binary.BigEndian.AppendUint64(nil, n))
	})
	if err != nil {
		return 0, fmt.Errorf("raise boot counter: %w", err)
	}
	return n, nil
}

// number reads 8 bytes, and 0 from nothing.
func number(b []byte) (uint64, error) {
	if b == nil {
		return 0, nil
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("number of %d bytes, want 8", len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// Put stores p in the place of what was stored for them, references of other bundles included. It returns ErrSuperseded when the
// generation is older than what is stored, or was deleted or revoked, and ErrFull when there is no room for one more person.
// A sealed vault turns the templates and gives the person a new content key.
func (v *Vault) Put(p Person) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.put(p); err != nil {
		return fmt.Errorf("put person: %w", err)
	}
	return nil
}

func (v *Vault) put(p Person) error {
	if p.ID.IsZero() {
		return errors.New("the zero id names nobody")
	}
	added := 0
	committed := false
	urgency := quiet
	if p.State != Active {
		urgency = restricting
	}
	err := v.change(urgency, func(b book) error {
		committed, added = false, 0
		if err := retired(b); err != nil {
			return err
		}
		buried, err := tombstone(b, p.ID)
		if err != nil {
			return err
		}
		if p.Generation <= buried {
			return fmt.Errorf("%w: generation %d ended with %d", ErrSuperseded, p.Generation, buried)
		}
		_, stored, err := b.standing(p.ID)
		if err != nil {
			return err
		}
		if stored == 0 {
			if v.people >= v.max {
				return fmt.Errorf("%w: %d people", ErrFull, v.people)
			}
			added = 1
		} else if stored > p.Generation {
			return fmt.Errorf("%w: generation %d, stored is %d", ErrSuperseded, p.Generation, stored)
		}
		if err := b.put(p); err != nil {
			return err
		}
		committed = true
		return nil
	})
	if err == nil || committed && errors.Is(err, ErrUnacknowledged) {
		v.people += added
	}
	return err
}

// Suspend takes a person's permission until Resume. ErrUnknown when nobody is stored under id, ErrSuperseded when it was revoked.
func (v *Vault) Suspend(id access.PersonID) error {
	if err := v.setState(id, Suspended, restricting); err != nil {
		return fmt.Errorf("suspend person: %w", err)
	}
	return nil
}

// Resume ends a suspension. ErrUnknown when nobody is stored under id, ErrSuperseded when it was revoked.
func (v *Vault) Resume(id access.PersonID) error {
	if err := v.setState(id, Active, ordinary); err != nil {
		return fmt.Errorf("resume person: %w", err)
	}
	return nil
}

func (v *Vault) setState(id access.PersonID, to State, u urgency) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.change(u, func(b book) error {
		s, generation, err := b.standing(id)
		switch {
		case err != nil:
			return err
		case generation == 0:
			return ErrUnknown
		case s == Revoked:
			return fmt.Errorf("%w: the person is revoked", ErrSuperseded)
		}
		return b.setState(id, to)
	})
}

// Revoke ends a person's permission and keeps their references, so that the door knows whom it refuses. Generations up to upTo, and the
// stored one, cannot be put again. ErrUnknown when nobody is stored under id; the tombstone is set all the same if upTo is not 0.
func (v *Vault) Revoke(id access.PersonID, upTo uint64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, err := v.bury(id, upTo, func(b book) error { return b.setState(id, Revoked) }); err != nil {
		return fmt.Errorf("revoke person: %w", err)
	}
	return nil
}

// Delete is Erase for who needs no receipt.
func (v *Vault) Delete(id access.PersonID, upTo uint64) error {
	_, err := v.Erase(id, upTo)
	return err
}

// Erase removes a person with all references; only a tombstone stays. Generations up to upTo, and the stored one, cannot be put again:
// deletion wins in whatever order the two arrive. ErrUnknown when nobody is stored under id; the tombstone is set all the same if upTo
// is not 0, and the receipt counts.
//
// In a sealed vault the content key is destroyed and free pages are overwritten before Erase returns. In a plain one the bytes stay in
// free pages until they are written over, and the receipt's counter is 0.
func (v *Vault) Erase(id access.PersonID, upTo uint64) (Receipt, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, err := v.erase(id, upTo)
	if err != nil {
		err = fmt.Errorf("delete person: %w", err)
	}
	return r, err
}

func (v *Vault) erase(id access.PersonID, upTo uint64) (Receipt, error) {
	removed := false
	generation, err := v.bury(id, upTo, func(b book) error { removed = true; return b.remove(id) })
	if removed && (err == nil || errors.Is(err, ErrUnacknowledged)) {
		v.people--
	}
	if err != nil && !errors.Is(err, ErrUnknown) || generation == 0 {
		return Receipt{}, err
	}
	r := Receipt{Generation: generation}
	if v.sealed != nil {
		r.Person, r.Counter = pseudonym(v.sealed.subject, id), v.sealed.counter
	} else if key, keyErr := v.subjectKey(); keyErr == nil {
		r.Person = pseudonym(&key, id)
	} else {
		return Receipt{}, keyErr
	}
	return r, err
}

// bury sets the tombstone and does the rest to the stored record, in one transaction. It returns the generation that ended.
func (v *Vault) bury(id access.PersonID, upTo uint64, rest func(book) error) (uint64, error) {
	if id.IsZero() {
		return 0, errors.New("the zero id names nobody")
	}
	known, ended := false, upTo
	err := v.change(restricting, func(b book) error {
		buried, err := tombstone(b, id)
		if err != nil {
			return err
		}
		_, stored, err := b.standing(id)
		if err != nil {
			return err
		}
		if ended = max(upTo, buried, stored); ended == 0 {
			return ErrUnknown // nothing to write
		}
		if known = stored != 0; known {
			if err := rest(b); err != nil {
				return err
			}
		}
		return setTombstone(b, id, ended)
	})
	if err == nil && !known {
		err = ErrUnknown
	}
	return ended, err
}

// Tombstone is the highest generation of a person that was revoked or deleted; 0 when none was.
func (v *Vault) Tombstone(id access.PersonID) (generation uint64, err error) {
	err = v.view(func(b book) error {
		generation, err = tombstone(b, id)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read tombstone: %w", err)
	}
	return generation, nil
}

// Get returns a person with their references of the given model bundle, and ErrUnknown when there is none. A sealed vault returns
// templates as they are stored, turned: compare them with probes that went through Transform.
func (v *Vault) Get(id access.PersonID, bundle [32]byte) (Person, error) {
	var p Person
	err := v.view(func(b book) (err error) {
		p, err = b.person(id, bundle)
		return err
	})
	if err != nil {
		return Person{}, fmt.Errorf("get person: %w", err)
	}
	return p, nil
}

// All calls f with every person, each with their references of the given model bundle; references of another are counted in Foreign and
// never shown. The order is that of the ids in a plain vault and no order in a sealed one, whose templates are turned as in Get. It
// stops at the first error. f must not call the vault.
func (v *Vault) All(bundle [32]byte, f func(Person) error) error {
	return v.view(func(b book) error { return b.each(bundle, f) })
}

// Count is the number of people, revoked and suspended ones included.
func (v *Vault) Count() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.people
}
