package vault

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Buckets that only a sealed vault has, and the key of its head.
const (
	bucketKey       = "key"       // content keys, wrapped
	bucketReference = "reference" // templates of one person and one model bundle
	keyHead         = "head"
)

func sealedBuckets() []string {
	return []string{bucketMeta, bucketPerson, bucketKey, bucketReference, bucketTombstone, bucketLockout}
}

// sealedPerson is a person without templates, sealed under the person's content key.
type sealedPerson struct {
	ID         access.PersonID   `cbor:"1,keyasint"`
	State      State             `cbor:"2,keyasint"`
	Generation uint64            `cbor:"3,keyasint"`
	References []sealedReference `cbor:"4,keyasint"`
	Until      int64             `cbor:"5,keyasint"`
	Granted    time.Duration     `cbor:"6,keyasint"` // age of the vault when the lease was stored
	Since      time.Duration     `cbor:"7,keyasint"` // age of the vault when the state began
	Groups     []string          `cbor:"8,keyasint,omitempty"`
	Extended   bool              `cbor:"9,keyasint,omitempty"`
}

type sealedReference struct {
	Bundle  [32]byte `cbor:"1,keyasint"`
	Created uint64   `cbor:"2,keyasint"`
	Quality float32  `cbor:"3,keyasint"`
}

func (r sealedPerson) validate() error {
	if r.ID.IsZero() {
		return errors.New("the zero id names nobody")
	}
	if r.Until < 0 || r.Granted < 0 || r.Since < 0 {
		return errors.New("time below zero")
	}
	if len(r.Groups) > MaxGroups || slices.ContainsFunc(r.Groups, func(g string) bool { return g == "" || len(g) > maxGroup }) {
		return fmt.Errorf("%d groups, at most %d of 1 to %d bytes", len(r.Groups), MaxGroups, maxGroup)
	}
	p := personRecord{State: r.State, Generation: r.Generation}
	for _, ref := range r.References {
		p.References = append(p.References, referenceRecord{Quality: ref.Quality})
	}
	return p.validate()
}

func newSealedPerson(p Person, granted, since time.Duration) sealedPerson {
	r := sealedPerson{ID: p.ID, State: p.State, Generation: p.Generation, Until: p.Until, Granted: granted, Since: since, Groups: p.Groups, Extended: p.Extended}
	for _, ref := range p.References {
		r.References = append(r.References, sealedReference{ref.Bundle, ref.Created, ref.Quality})
	}
	return r
}

// bundles are those of the references, each once, in their order.
func (r sealedPerson) bundles() (all [][32]byte) {
	for _, ref := range r.References {
		if !slices.Contains(all, ref.Bundle) {
			all = append(all, ref.Bundle)
		}
	}
	return all
}

// sealedBook is schema 2. In a transaction that may write, head is the one to be written at its end, and its sum follows each change.
type sealedBook struct {
	tx   *bbolt.Tx
	seal *seal
	head *head
	// dropped says that free pages now hold what must not be found there.
	dropped bool
}

// aead seals and opens: cipher.AEAD with nonces of its own.
type aead interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}

// open returns nil when nothing is stored. dst may have room for the plain text.
func (b *sealedBook) open(dst []byte, bucket string, name []byte, with aead, model [32]byte) ([]byte, error) {
	sealed := b.tx.Bucket([]byte(bucket)).Get(name)
	if sealed == nil {
		return nil, nil
	}
	plain, err := with.Open(dst[:0], nil, sealed, b.seal.associated(bucket, name, model))
	if err != nil {
		return nil, fmt.Errorf("%w: a record in %q does not open", ErrSpliced, bucket)
	}
	return plain, nil
}

func (b *sealedBook) store(bucket string, name, plain []byte, with aead, model [32]byte) error {
	if err := b.drop(bucket, name); err != nil {
		return err
	}
	sealed := with.Seal(nil, nil, plain, b.seal.associated(bucket, name, model))
	b.head.Sum.add(b.seal.summand(bucket, name, sealed))
	return b.tx.Bucket([]byte(bucket)).Put(name, sealed)
}

// drop deletes a record if it is there.
func (b *sealedBook) drop(bucket string, name []byte) error {
	records := b.tx.Bucket([]byte(bucket))
	sealed := records.Get(name)
	if sealed == nil {
		return nil
	}
	if len(sealed) < overhead {
		return fmt.Errorf("%w: a record in %q is short", ErrSpliced, bucket)
	}
	b.head.Sum.subtract(b.seal.summand(bucket, name, sealed))
	return records.Delete(name)
}

func (b *sealedBook) writeHead() error {
	plain, err := wire.Marshal(*b.head)
	if err != nil {
		return err
	}
	name := []byte(keyHead)
	return b.tx.Bucket([]byte(bucketMeta)).Put(name, b.seal.value.Seal(nil, nil, plain, b.seal.associated(bucketMeta, name, [32]byte{})))
}

// readHead fails with ErrOtherTPM: of all records it is the first that a wrong key meets.
func readHead(tx *bbolt.Tx, s *seal) (h head, err error) {
	name := []byte(keyHead)
	sealed := tx.Bucket([]byte(bucketMeta)).Get(name)
	plain, err := s.value.Open(nil, nil, sealed, s.associated(bucketMeta, name, [32]byte{}))
	if err != nil {
		return head{}, fmt.Errorf("%w: its head does not open", ErrOtherTPM)
	}
	if err := wire.Unmarshal(plain, &h); err != nil {
		return head{}, fmt.Errorf("%w: head: %w", ErrForeign, err)
	}
	return h, nil
}

// value leaves out the vault's age at which the value was written, 8 bytes in front of it.
func (b *sealedBook) value(bucket string, id []byte) ([]byte, error) {
	plain, err := b.open(nil, bucket, b.seal.name(bucket, id), b.seal.value, [32]byte{})
	if plain == nil || err != nil {
		return nil, err
	}
	if len(plain) < 8 {
		return nil, fmt.Errorf("%w: a value in %q is short", ErrForeign, bucket)
	}
	return plain[8:], nil
}

func (b *sealedBook) setValue(bucket string, id, value []byte) error {
	if bucket == bucketMeta && Item(id) == Exchange {
		b.dropped = true // what is recorded on its way must not open for whoever finds an earlier key on the disk
	}
	if value == nil {
		return b.drop(bucket, b.seal.name(bucket, id))
	}
	plain := append(binary.BigEndian.AppendUint64(nil, uint64(b.head.Age)), value...)
	return b.store(bucket, b.seal.name(bucket, id), plain, b.seal.value, [32]byte{})
}

// record opens the person of that name; the content key is nil when there is none.
func (b *sealedBook) record(name []byte) (r sealedPerson, content aead, err error) {
	if b.tx.Bucket([]byte(bucketPerson)).Get(name) == nil {
		return sealedPerson{}, nil, nil
	}
	var key [32]byte
	defer clear(key[:])
	opened, err := b.open(make([]byte, 0, len(key)), bucketKey, name, b.seal.wrap, [32]byte{})
	if err != nil {
		return sealedPerson{}, nil, err
	}
	if len(opened) != len(key) {
		return sealedPerson{}, nil, fmt.Errorf("%w: a person has no content key", ErrSpliced)
	}
	copy(key[:], opened)
	clear(opened)
	if content, err = newAEAD(&key); err != nil {
		return sealedPerson{}, nil, err
	}
	plain, err := b.open(nil, bucketPerson, name, content, [32]byte{})
	if err != nil {
		return sealedPerson{}, nil, err
	}
	if err := errors.Join(wire.Unmarshal(plain, &r), r.validate()); err != nil {
		return sealedPerson{}, nil, fmt.Errorf("%w: person: %w", ErrForeign, err)
	}
	if !bytes.Equal(b.seal.name(bucketPerson, r.ID[:]), name) {
		return sealedPerson{}, nil, fmt.Errorf("%w: a person lies in the place of another", ErrSpliced)
	}
	return r, content, nil
}

func (b *sealedBook) standing(id access.PersonID) (State, uint64, error) {
	r, _, err := b.record(b.seal.name(bucketPerson, id[:]))
	return r.State, r.Generation, err
}

func (b *sealedBook) references(id access.PersonID, bundle [32]byte) (n int, err error) {
	r, _, err := b.record(b.seal.name(bucketPerson, id[:]))
	for _, ref := range r.References {
		if ref.Bundle == bundle {
			n++
		}
	}
	return n, err
}

func (b *sealedBook) setState(id access.PersonID, s State) error {
	name := b.seal.name(bucketPerson, id[:])
	r, content, err := b.record(name)
	if err != nil {
		return err
	}
	if content == nil {
		return ErrUnknown
	}
	r.State, r.Since = s, b.head.Age
	return b.storePerson(name, r, content)
}

func (b *sealedBook) storePerson(name []byte, r sealedPerson, content aead) error {
	if err := r.validate(); err != nil {
		return err
	}
	plain, err := wire.Marshal(r)
	if err != nil {
		return err
	}
	return b.store(bucketPerson, name, plain, content, [32]byte{})
}

func (b *sealedBook) put(p Person) error { return b.replace(p, b.head.Age, b.head.Age) }

// replace gives the person a new content key: with the old one goes whatever was stored under it. granted and since are the ages of
// the vault at which the lease and the state began.
func (b *sealedBook) replace(p Person, granted, since time.Duration) error {
	if err := b.remove(p.ID); err != nil {
		return err
	}
	var key [32]byte
	defer clear(key[:])
	rand.Read(key[:])
	content, err := newAEAD(&key)
	if err != nil {
		return err
	}
	name := b.seal.name(bucketPerson, p.ID[:])
	if err := b.store(bucketKey, name, key[:], b.seal.wrap, [32]byte{}); err != nil {
		return err
	}
	r := newSealedPerson(p, granted, since)
	if err := b.storePerson(name, r, content); err != nil {
		return err
	}
	for _, bundle := range r.bundles() {
		if err := b.putSet(p, bundle, content); err != nil {
			return err
		}
	}
	return nil
}

// putSet stores the templates of one bundle, turned, one behind the other.
func (b *sealedBook) putSet(p Person, bundle [32]byte, content aead) error {
	set := make([]byte, 0, len(p.References)*templateBytes)
	defer func() { clear(set) }()
	for _, ref := range p.References {
		if ref.Bundle != bundle {
			continue
		}
		var err error
		if set, err = ref.Template.appendTurned(set, b.seal.q); err != nil {
			return err
		}
	}
	return b.store(bucketReference, b.setName(p.ID, bundle), set, content, bundle)
}

func (b *sealedBook) setName(id access.PersonID, bundle [32]byte) []byte {
	return b.seal.name(bucketReference, append(id[:], bundle[:]...))
}

func (b *sealedBook) remove(id access.PersonID) error {
	name := b.seal.name(bucketPerson, id[:])
	r, content, err := b.record(name)
	if err != nil || content == nil {
		return err
	}
	b.dropped = true
	for _, bundle := range r.bundles() {
		if err := b.drop(bucketReference, b.setName(id, bundle)); err != nil {
			return err
		}
	}
	if err := b.drop(bucketPerson, name); err != nil {
		return err
	}
	return b.drop(bucketKey, name)
}

func (b *sealedBook) person(id access.PersonID, bundle [32]byte) (Person, error) {
	name := b.seal.name(bucketPerson, id[:])
	r, content, err := b.record(name)
	if err != nil {
		return Person{}, err
	}
	if content == nil {
		return Person{}, ErrUnknown
	}
	var buffer [MaxReferences * templateBytes]byte
	defer clear(buffer[:])
	return b.read(buffer[:], r, content, bundle)
}

// read puts a person together. buffer holds the templates in passing.
func (b *sealedBook) read(buffer []byte, r sealedPerson, content aead, bundle [32]byte) (Person, error) {
	p := Person{ID: r.ID, State: b.now(r), Generation: r.Generation, Until: r.Until, Groups: r.Groups, Extended: r.Extended}
	var set []byte
	for _, ref := range r.References {
		if ref.Bundle != bundle {
			p.Foreign++
			continue
		}
		if set == nil {
			var err error
			if set, err = b.set(buffer, r, content, bundle); err != nil {
				return Person{}, err
			}
		}
		t, err := decodeTemplate(set[:templateBytes])
		if err != nil {
			return Person{}, fmt.Errorf("%w: %w", ErrForeign, err)
		}
		t.turn, set = b.seal.q.turn, set[templateBytes:]
		p.References = append(p.References, Reference{t, ref.Bundle, ref.Created, ref.Quality})
	}
	return p, nil
}

// set opens the templates of one bundle, of which r has some.
func (b *sealedBook) set(buffer []byte, r sealedPerson, content aead, bundle [32]byte) ([]byte, error) {
	set, err := b.open(buffer, bucketReference, b.setName(r.ID, bundle), content, bundle)
	if err != nil {
		return nil, err
	}
	want := 0
	for _, ref := range r.References {
		if ref.Bundle == bundle {
			want += templateBytes
		}
	}
	if len(set) != want {
		return nil, fmt.Errorf("%w: a set of templates has %d bytes, want %d", ErrSpliced, len(set), want)
	}
	return set, nil
}

// records calls f with everybody, templates left closed.
func (b *sealedBook) records(f func(sealedPerson, aead) error) error {
	return b.tx.Bucket([]byte(bucketPerson)).ForEach(func(name, _ []byte) error {
		r, content, err := b.record(name)
		if err != nil {
			return fmt.Errorf("read person: %w", err)
		}
		return f(r, content)
	})
}

func (b *sealedBook) each(bundle [32]byte, f func(Person) error) error {
	buffer := make([]byte, MaxReferences*templateBytes)
	defer clear(buffer)
	return b.records(func(r sealedPerson, content aead) error {
		p, err := b.read(buffer, r, content, bundle)
		if err != nil {
			return fmt.Errorf("read person: %w", err)
		}
		return f(p)
	})
}
