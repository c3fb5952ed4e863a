package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Class is a kind of data that is kept for a limited time.
type Class uint8

const (
	ClassRevoked   Class = iota // references of the revoked, by which the door knows whom it refuses
	ClassExpired                // references whose lease ended at its time
	ClassSuspended              // references of the suspended
	ClassLockout                // failures at a door
)

// Retention is how long each class is kept. 0 stands for the default. Tombstones are not in it: without them a deleted person could be
// added again by an old message, and they hold no id and no reference.
type Retention struct {
	Revoked   time.Duration // 30 days
	Expired   time.Duration // 7 days
	Suspended time.Duration // 180 days
	Lockout   time.Duration // 7 days
}

const (
	day          = 24 * time.Hour
	leastKept    = day // the job may run at any hour; less is an accident waiting
	longestKept  = 400 * day
	keptRevoked  = 30 * day
	keptExpired  = 7 * day
	keptSuspend  = 180 * day
	keptLockouts = 7 * day
)

// Limit is how long a class is kept; an unknown class not at all.
func (r Retention) Limit(c Class) time.Duration {
	or := func(d, standard time.Duration) time.Duration {
		if d == 0 {
			return standard
		}
		return d
	}
	switch c {
	case ClassRevoked:
		return or(r.Revoked, keptRevoked)
	case ClassExpired:
		return or(r.Expired, keptExpired)
	case ClassSuspended:
		return or(r.Suspended, keptSuspend)
	case ClassLockout:
		return or(r.Lockout, keptLockouts)
	}
	return 0
}

// Due says whether what has been of class c for so long is to go.
func (r Retention) Due(c Class, kept time.Duration) bool { return kept >= r.Limit(c) }

// Validate refuses what would keep data for ever, or hardly at all.
func (r Retention) Validate() error {
	for c := ClassRevoked; c <= ClassLockout; c++ {
		if d := r.Limit(c); d < leastKept || d > longestKept {
			return fmt.Errorf("retention of class %d: %v, want %v to %v", c, d, leastKept, longestKept)
		}
	}
	return nil
}

// Swept is what a sweep removed.
type Swept struct {
	People   []access.PersonID // to be taken out of the gallery too
	Receipts []Receipt         // in their order; none for a last one who is removed, but not finally: ErrUnacknowledged
	Lockouts int
}

// Sweep removes what is kept for longer than r allows, as of the vault's clock: powered hours, and what trusted time shows beyond them.
// A kiosk that was off without trusted time therefore keeps longer, by the time that it was off. After an error it has removed what it
// returns; call it again.
func (v *Vault) Sweep(r Retention) (Swept, error) {
	if err := r.Validate(); err != nil {
		return Swept{}, fmt.Errorf("sweep vault: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	done, err := v.sweep(r)
	if err != nil {
		return done, fmt.Errorf("sweep vault: %w", err)
	}
	return done, nil
}

func (v *Vault) sweep(r Retention) (done Swept, err error) {
	s := v.sealed
	if s == nil {
		return done, ErrNotSealed
	}
	h := s.present()
	var due []access.PersonID
	err = v.db.View(func(tx *bbolt.Tx) error {
		b := &sealedBook{tx: tx, seal: s.seal, head: &h}
		return b.records(func(p sealedPerson, _ aead) error {
			if personDue(r, h, p) {
				due = append(due, p.ID)
			}
			return nil
		})
	})
	if err != nil {
		return done, err
	}
	for _, id := range due {
		receipt, err := v.erase(id, 0)
		if err == nil || errors.Is(err, ErrUnacknowledged) {
			done.People = append(done.People, id)
		}
		if err != nil {
			return done, err
		}
		done.Receipts = append(done.Receipts, receipt)
	}
	done.Lockouts, err = v.sweepLockouts(r, h)
	return done, err
}

// personDue looks at the class that a person is in. A lease that only counts as ended, because nobody vouched for time, deletes
// nobody: it may live again when headquarters is heard.
func personDue(r Retention, h head, p sealedPerson) bool {
	switch p.State {
	case Revoked:
		return r.Due(ClassRevoked, h.Age-p.Since)
	case Suspended:
		return r.Due(ClassSuspended, h.Age-p.Since)
	}
	if p.Until == 0 {
		return false
	}
	at, known := h.expiry(p.Until)
	return known && r.Due(ClassExpired, h.Age-at)
}

func (v *Vault) sweepLockouts(r Retention, h head) (removed int, err error) {
	var due [][]byte
	err = v.db.View(func(tx *bbolt.Tx) error {
		b := &sealedBook{tx: tx, seal: v.sealed.seal, head: &h}
		return tx.Bucket([]byte(bucketLockout)).ForEach(func(name, _ []byte) error {
			plain, err := b.open(nil, bucketLockout, name, b.seal.value, [32]byte{})
			if err != nil {
				return err
			}
			if len(plain) < 8 {
				return ErrForeign
			}
			written := time.Duration(binary.BigEndian.Uint64(plain))
			var l Lockout
			if err := wire.Unmarshal(plain[8:], &l); err != nil {
				return err
			}
			if !l.Locked && r.Due(ClassLockout, h.Age-written) { // one in force ends by decision only
				due = append(due, append([]byte(nil), name...))
			}
			return nil
		})
	})
	if err != nil || len(due) == 0 {
		return 0, err
	}
	err = v.change(quiet, func(b book) error {
		sealed := b.(*sealedBook)
		sealed.dropped = true
		for _, name := range due {
			if err := sealed.drop(bucketLockout, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil || errors.Is(err, ErrUnacknowledged) {
		v.remembering.Lock()
		v.lockouts = nil
		v.lockoutChanges++
		v.remembering.Unlock()
	}
	if err != nil {
		return 0, err
	}
	return len(due), nil
}
