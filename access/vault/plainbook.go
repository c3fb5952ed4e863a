package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// plainBook is schema 1: keys are ids, values are plain.
type plainBook struct{ tx *bbolt.Tx }

func (b plainBook) value(bucket string, name []byte) ([]byte, error) {
	return b.tx.Bucket([]byte(bucket)).Get(name), nil
}

func (b plainBook) setValue(bucket string, name, value []byte) error {
	if value == nil {
		return b.tx.Bucket([]byte(bucket)).Delete(name)
	}
	return b.tx.Bucket([]byte(bucket)).Put(name, value)
}

func (b plainBook) record(id access.PersonID) (r personRecord, known bool, err error) {
	value := b.tx.Bucket([]byte(bucketPerson)).Get(id[:])
	if value == nil {
		return personRecord{}, false, nil
	}
	r, err = decodeRecord(value)
	return r, true, err
}

func (b plainBook) standing(id access.PersonID) (State, uint64, error) {
	r, _, err := b.record(id)
	return r.State, r.Generation, err
}

func (b plainBook) references(id access.PersonID, bundle [32]byte) (n int, err error) {
	r, _, err := b.record(id)
	for _, ref := range r.References {
		if ref.Bundle == bundle {
			n++
		}
	}
	return n, err
}

func (b plainBook) setState(id access.PersonID, s State) error {
	r, known, err := b.record(id)
	if err != nil {
		return err
	}
	if !known {
		return ErrUnknown
	}
	r.State = s
	value, err := wire.Marshal(r)
	if err != nil {
		return err
	}
	return b.tx.Bucket([]byte(bucketPerson)).Put(id[:], value)
}

func (b plainBook) put(p Person) error {
	if p.Until != 0 || len(p.Groups) > 0 || p.Extended {
		return fmt.Errorf("%w: a lease needs the clock of a sealed vault, and groups and longer times are kept there", ErrNotSealed)
	}
	value, err := encodePerson(p)
	if err != nil {
		return err
	}
	return b.tx.Bucket([]byte(bucketPerson)).Put(p.ID[:], value)
}

func (b plainBook) remove(id access.PersonID) error {
	return b.tx.Bucket([]byte(bucketPerson)).Delete(id[:])
}

func (b plainBook) person(id access.PersonID, bundle [32]byte) (Person, error) {
	value := b.tx.Bucket([]byte(bucketPerson)).Get(id[:])
	if value == nil {
		return Person{}, ErrUnknown
	}
	return decodePerson(id[:], value, bundle)
}

func (b plainBook) each(bundle [32]byte, f func(Person) error) error {
	return b.tx.Bucket([]byte(bucketPerson)).ForEach(func(key, value []byte) error {
		p, err := decodePerson(key, value, bundle)
		if err != nil {
			return fmt.Errorf("read person: %w", err)
		}
		return f(p)
	})
}

// everyone is each with the references of all bundles, and moves nobody while it reads.
func (b plainBook) everyone() (people []Person, err error) {
	err = b.tx.Bucket([]byte(bucketPerson)).ForEach(func(key, value []byte) error {
		id, err := parseKey(key)
		if err != nil {
			return err
		}
		r, err := decodeRecord(value)
		if err != nil {
			return err
		}
		p := Person{ID: id, State: r.State, Generation: r.Generation}
		for _, ref := range r.References {
			t, err := decodeTemplate(ref.Template)
			if err != nil {
				return err
			}
			p.References = append(p.References, Reference{t, ref.Bundle, ref.Created, ref.Quality})
		}
		people = append(people, p)
		return nil
	})
	return people, err
}

// values copies what stands in a bucket, by name.
func (b plainBook) values(bucket string) (map[string][]byte, error) {
	all := map[string][]byte{}
	err := b.tx.Bucket([]byte(bucket)).ForEach(func(name, value []byte) error {
		all[string(name)] = slices.Clone(value)
		return nil
	})
	return all, err
}

// adopt turns the plain vault of tx into a sealed one, in the same transaction: all of it or nothing. The key of the pseudonyms is
// not taken along: it stood in plain on the disk, and the sealed vault derives its own.
func adopt(tx *bbolt.Tx, s *seal, h *head) error {
	old := plainBook{tx}
	people, err := old.everyone()
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range people {
			for _, r := range p.References {
				r.Template.Wipe()
			}
		}
	}()
	values := map[string]map[string][]byte{}
	for _, bucket := range []string{bucketMeta, bucketTombstone, bucketLockout} {
		if values[bucket], err = old.values(bucket); err != nil {
			return err
		}
	}
	for _, name := range []string{keyMagic, keySchema, keySubject} {
		delete(values[bucketMeta], name)
	}
	for _, bucket := range []string{bucketMeta, bucketPerson, bucketTombstone, bucketLockout} {
		if err := tx.DeleteBucket([]byte(bucket)); err != nil {
			return err
		}
	}
	for _, bucket := range sealedBuckets() {
		if _, err := tx.CreateBucket([]byte(bucket)); err != nil {
			return err
		}
	}
	b := &sealedBook{tx: tx, seal: s, head: h}
	for _, bucket := range slices.Sorted(maps.Keys(values)) {
		for name, value := range values[bucket] {
			if err := b.setValue(bucket, []byte(name), value); err != nil {
				return err
			}
		}
	}
	for _, p := range people {
		if err := b.put(p); err != nil {
			return err
		}
	}
	meta := tx.Bucket([]byte(bucketMeta))
	if err := meta.Put([]byte(keyMagic), []byte(magic)); err != nil {
		return err
	}
	if err := meta.Put([]byte(keySchema), binary.BigEndian.AppendUint32(nil, schemaSealed)); err != nil {
		return err
	}
	return b.writeHead()
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
