package vault

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Close ends the vault and gives up its lock.
func (v *Vault) Close() error { return v.db.Close() }

// Boot raises the boot counter, durably, and returns it: 1 for the first boot. It is called once at each start of door, so that no
// session has the name of another.
func (v *Vault) Boot() (uint64, error) {
	var n uint64
	err := v.db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(bucketMeta))
		last, err := number(meta.Get([]byte(keyBoot)))
		if err != nil {
			return err
		}
		n = last + 1
		return meta.Put([]byte(keyBoot), binary.BigEndian.AppendUint64(nil, n))
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
func (v *Vault) Put(p Person) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.put(p)
	if err != nil {
		return fmt.Errorf("put person: %w", err)
	}
	return nil
}

func (v *Vault) put(p Person) error {
	if p.ID.IsZero() {
		return errors.New("the zero id names nobody")
	}
	value, err := encodePerson(p)
	if err != nil {
		return err
	}
	added := 0
	err = v.db.Update(func(tx *bbolt.Tx) error {
		people := tx.Bucket([]byte(bucketPerson))
		buried, err := number(tx.Bucket([]byte(bucketTombstone)).Get(p.ID[:]))
		if err != nil {
			return err
		}
		if p.Generation <= buried {
			return fmt.Errorf("%w: generation %d ended with %d", ErrSuperseded, p.Generation, buried)
		}
		stored := people.Get(p.ID[:])
		if stored == nil {
			if v.people >= v.max {
				return fmt.Errorf("%w: %d people", ErrFull, v.people)
			}
			added = 1
		} else if r, err := decodeRecord(stored); err != nil {
			return err
		} else if r.Generation > p.Generation {
			return fmt.Errorf("%w: generation %d, stored is %d", ErrSuperseded, p.Generation, r.Generation)
		}
		return people.Put(p.ID[:], value)
	})
	if err == nil {
		v.people += added
	}
	return err
}

// Revoke ends a person's permission and keeps their references, so that the door knows whom it refuses. Generations up to upTo, and the
// stored one, cannot be put again. ErrUnknown when nobody is stored under id; the tombstone is set all the same if upTo is not 0.
func (v *Vault) Revoke(id access.PersonID, upTo uint64) error {
	if err := v.bury(id, upTo, func(people *bbolt.Bucket, r personRecord) error {
		r.State = Revoked
		value, err := wire.Marshal(r)
		if err != nil {
			return err
		}
		return people.Put(id[:], value)
	}); err != nil {
		return fmt.Errorf("revoke person: %w", err)
	}
	return nil
}

// Delete removes a person with all references; only a tombstone stays. Generations up to upTo, and the stored one, cannot be put again:
// deletion wins in whatever order the two arrive. ErrUnknown when nobody is stored under id; the tombstone is set all the same if upTo
// is not 0. The bytes stay in free pages of the file until they are written over (FORMAT.md).
func (v *Vault) Delete(id access.PersonID, upTo uint64) error {
	err := v.bury(id, upTo, func(people *bbolt.Bucket, _ personRecord) error {
		v.people--
		return people.Delete(id[:])
	})
	if err != nil {
		return fmt.Errorf("delete person: %w", err)
	}
	return nil
}

// bury sets the tombstone and does the rest to the stored record, in one transaction.
func (v *Vault) bury(id access.PersonID, upTo uint64, rest func(*bbolt.Bucket, personRecord) error) error {
	if id.IsZero() {
		return errors.New("the zero id names nobody")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	before, known := v.people, false
	err := v.db.Update(func(tx *bbolt.Tx) error {
		people, tombstones := tx.Bucket([]byte(bucketPerson)), tx.Bucket([]byte(bucketTombstone))
		buried, err := number(tombstones.Get(id[:]))
		if err != nil {
			return err
		}
		upTo = max(upTo, buried)
		if stored := people.Get(id[:]); stored != nil {
			r, err := decodeRecord(stored)
			if err != nil {
				return err
			}
			known, upTo = true, max(upTo, r.Generation)
			if err := rest(people, r); err != nil {
				return err
			}
		}
		if upTo == 0 {
			return nil
		}
		return tombstones.Put(id[:], binary.BigEndian.AppendUint64(nil, upTo))
	})
	if err != nil {
		v.people = before
		return err
	}
	if !known {
		return ErrUnknown
	}
	return nil
}

// Tombstone is the highest generation of a person that was revoked or deleted; 0 when none was.
func (v *Vault) Tombstone(id access.PersonID) (generation uint64, err error) {
	err = v.db.View(func(tx *bbolt.Tx) error {
		generation, err = number(tx.Bucket([]byte(bucketTombstone)).Get(id[:]))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read tombstone: %w", err)
	}
	return generation, nil
}

// Get returns a person with their references of the given model bundle, and ErrUnknown when there is none.
func (v *Vault) Get(id access.PersonID, bundle [32]byte) (Person, error) {
	var p Person
	err := v.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket([]byte(bucketPerson)).Get(id[:])
		if value == nil {
			return ErrUnknown
		}
		var err error
		p, err = decodePerson(id[:], value, bundle)
		return err
	})
	if err != nil {
		return Person{}, fmt.Errorf("get person: %w", err)
	}
	return p, nil
}

// All calls f with every person in the order of their ids, each with their references of the given model bundle; references of another
// are counted in Foreign and never shown. It stops at the first error. f must not call the vault.
func (v *Vault) All(bundle [32]byte, f func(Person) error) error {
	return v.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketPerson)).ForEach(func(key, value []byte) error {
			p, err := decodePerson(key, value, bundle)
			if err != nil {
				return fmt.Errorf("read person: %w", err)
			}
			return f(p)
		})
	})
}

// Count is the number of people, revoked and suspended ones included.
func (v *Vault) Count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.people
}

// Lockout returns what a door remembers of failures; the zero Lockout when it remembers none.
func (v *Vault) Lockout(door string) (Lockout, error) {
	var l Lockout
	err := v.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket([]byte(bucketLockout)).Get([]byte(door))
		if value == nil {
			return nil
		}
		if err := wire.Unmarshal(value, &l); err != nil {
			return err
		}
		return l.validate()
	})
	if err != nil {
		return Lockout{}, fmt.Errorf("read lockout: %w", err)
	}
	return l, nil
}

// SetLockout stores what a door remembers of failures, durably.
func (v *Vault) SetLockout(door string, l Lockout) error {
	if len(door) == 0 || len(door) > maxDoor {
		return fmt.Errorf("store lockout: door's name of %d bytes, want 1 to %d", len(door), maxDoor)
	}
	if err := l.validate(); err != nil {
		return fmt.Errorf("store lockout: %w", err)
	}
	value, err := wire.Marshal(l)
	if err != nil {
		return fmt.Errorf("store lockout: %w", err)
	}
	if err := v.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketLockout)).Put([]byte(door), value) }); err != nil {
		return fmt.Errorf("store lockout: %w", err)
	}
	return nil
}

// walk reads every record once, so that a damaged one is found at start and not when somebody stands at the door.
func walk(tx *bbolt.Tx) error {
	broken := func(what string, err error) error { return fmt.Errorf("%w: %s: %w", ErrForeign, what, err) }
	if _, err := number(tx.Bucket([]byte(bucketMeta)).Get([]byte(keyBoot))); err != nil {
		return broken("boot counter", err)
	}
	err := tx.Bucket([]byte(bucketPerson)).ForEach(func(key, value []byte) error {
		if _, err := parseKey(key); err != nil {
			return broken("person", err)
		}
		r, err := decodeRecord(value)
		for _, ref := range r.References {
			if err == nil {
				_, err = decodeTemplate(ref.Template)
			}
		}
		if err != nil {
			return broken("person", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Bucket([]byte(bucketTombstone)).ForEach(func(key, value []byte) error {
		if _, err := parseKey(key); err != nil {
			return broken("tombstone", err)
		}
		if _, err := number(value); err != nil {
			return broken("tombstone", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return tx.Bucket([]byte(bucketLockout)).ForEach(func(_, value []byte) error {
		var l Lockout
		if err := errors.Join(wire.Unmarshal(value, &l), l.validate()); err != nil {
			return broken("lockout", err)
		}
		return nil
	})
}
