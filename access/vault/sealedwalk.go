package vault

import (
	"encoding/binary"
	"fmt"
	"math"
)

// walk opens every record once and compares their sum with the head's, so that a damaged or exchanged one is found at start.
func (b *sealedBook) walk() error {
	var sum tally
	known := 0
	for _, bucket := range sealedBuckets() {
		err := b.tx.Bucket([]byte(bucket)).ForEach(func(name, sealed []byte) error {
			if bucket == bucketMeta && len(name) != len(sum) {
				return nil // magic, schema and head; what is sealed has names of 32 bytes
			}
			if len(sealed) < overhead {
				return fmt.Errorf("%w: a record in %q is short", ErrSpliced, bucket)
			}
			sum.add(b.seal.summand(bucket, name, sealed))
			switch bucket {
			case bucketMeta, bucketTombstone, bucketLockout:
				_, err := b.open(nil, bucket, name, b.seal.value, [32]byte{})
				return err
			case bucketReference:
				known-- // each is opened by its person, below
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if sum != b.head.Sum {
		return fmt.Errorf("%w: their sum is not that of version %d", ErrSpliced, b.head.Version)
	}
	buffer := make([]byte, MaxReferences*templateBytes)
	defer clear(buffer)
	err := b.records(func(r sealedPerson, content aead) error {
		for _, bundle := range r.bundles() {
			set, err := b.set(buffer, r, content, bundle)
			if err != nil {
				return err
			}
			if !normalised(set) {
				return fmt.Errorf("%w: a template is not normalised", ErrForeign)
			}
			known++
		}
		return nil
	})
	if err == nil && known != 0 {
		err = fmt.Errorf("%w: %d sets of templates belong to nobody", ErrSpliced, -known)
	}
	return err
}

// normalised looks at each template of a set.
func normalised(set []byte) bool {
	for ; len(set) >= templateBytes; set = set[templateBytes:] {
		var squares float64
		for i := 0; i < templateBytes; i += 4 {
			x := float64(math.Float32frombits(binary.LittleEndian.Uint32(set[i:])))
			squares += x * x
		}
		if !unit(squares) {
			return false
		}
	}
	return len(set) == 0
}
