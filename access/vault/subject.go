package vault

import (
	"crypto/rand"
	"fmt"

	"go.etcd.io/bbolt"
)

const keySubject = "subject"

// SubjectKey is the kiosk's own key for pseudonyms of the audit log. A sealed vault derives it from the data key; a plain one draws it
// when it is first asked for.
func (v *Vault) SubjectKey() (key [32]byte, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return key, fmt.Errorf("read subject key: %w", errClosed)
	}
	if v.sealed != nil {
		return *v.sealed.subject, nil
	}
	return v.subjectKey()
}

func (v *Vault) subjectKey() (key [32]byte, err error) {
	err = v.db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(bucketMeta))
		switch stored := meta.Get([]byte(keySubject)); len(stored) {
		case len(key):
			copy(key[:], stored)
			return nil
		case 0:
			rand.Read(key[:])
			return meta.Put([]byte(keySubject), key[:])
		default:
			return fmt.Errorf("%w: subject key of %d bytes", ErrForeign, len(stored))
		}
	})
	if err != nil {
		return [32]byte{}, fmt.Errorf("read subject key: %w", err)
	}
	return key, nil
}
