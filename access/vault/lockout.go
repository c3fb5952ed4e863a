package vault

import (
	"errors"
	"fmt"
	"slices"

	"github.com/lintel-access/lintel/sync/wire"
)

// Lockout returns what a door remembers of failures; the zero Lockout when it remembers none. Who was asked about once is known from then on: whoever asks
// again waits for no change that is under way.
func (v *Vault) Lockout(door string) (Lockout, error) {
	v.remembering.Lock()
	l, known := v.lockouts[door]
	changes := v.lockoutChanges
	v.remembering.Unlock()
	if !known {
		if err := v.view(func(b book) (err error) {
			l, err = lockout(b, door)
			return err
		}); err != nil {
			return Lockout{}, fmt.Errorf("read lockout: %w", err)
		}
		v.remembering.Lock()
		if changes == v.lockoutChanges { // else it may be old already
			v.remember(door, l)
		}
		v.remembering.Unlock()
	}
	l.Failures = slices.Clone(l.Failures)
	return l, nil
}

// remember is called with remembering held.
func (v *Vault) remember(door string, l Lockout) {
	if v.lockouts == nil {
		v.lockouts = map[string]Lockout{}
	}
	l.Failures = slices.Clone(l.Failures)
	v.lockouts[door] = l
}

func lockout(b book, door string) (l Lockout, err error) {
	value, err := b.value(bucketLockout, []byte(door))
	if value == nil || err != nil {
		return Lockout{}, err
	}
	if err := errors.Join(wire.Unmarshal(value, &l), l.validate()); err != nil {
		return Lockout{}, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return l, nil
}

// SetLockout stores what a door remembers of failures, durably. A lockout that is entered or left raises the counter of a sealed vault.
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
	before, err := v.Lockout(door)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	u := quiet
	switch {
	case l.Locked && !before.Locked:
		u = restricting
	case before.Locked && !l.Locked:
		u = ordinary
	}
	err = v.change(u, func(b book) error { return b.setValue(bucketLockout, []byte(door), value) })
	if err == nil || errors.Is(err, ErrUnacknowledged) {
		v.remembering.Lock()
		v.lockoutChanges++
		v.remember(door, l)
		v.remembering.Unlock()
	}
	if err != nil {
		return fmt.Errorf("store lockout: %w", err)
	}
	return nil
}
