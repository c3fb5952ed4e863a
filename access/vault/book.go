package vault

import (
	"encoding/binary"

	"github.com/lintel-access/lintel/access"
)

// book is the vault's records within one transaction, plain or sealed. What they mean is decided above it, once for both.
type book interface {
	// value returns nil when nothing is stored under name.
	value(bucket string, name []byte) ([]byte, error)
	// setValue removes what is stored when value is nil.
	setValue(bucket string, name, value []byte) error
	// standing returns generation 0 when nobody is stored under id.
	standing(id access.PersonID) (State, uint64, error)
	// references is how many a person has that a bundle made; 0 when nobody is stored under id.
	references(id access.PersonID, bundle [32]byte) (int, error)
	setState(id access.PersonID, s State) error
	put(p Person) error
	remove(id access.PersonID) error
	// person returns ErrUnknown when nobody is stored under id.
	person(id access.PersonID, bundle [32]byte) (Person, error)
	each(bundle [32]byte, f func(Person) error) error
	states(f func(access.PersonID, State) error) error
}

// tombstone is the highest generation that was buried; 0 when none was.
func tombstone(b book, id access.PersonID) (uint64, error) {
	value, err := b.value(bucketTombstone, id[:])
	if err != nil {
		return 0, err
	}
	return number(value)
}

func setTombstone(b book, id access.PersonID, generation uint64) error {
	return b.setValue(bucketTombstone, id[:], binary.BigEndian.AppendUint64(nil, generation))
}
