package main

import (
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// revoke ends a permission.
func (k *kiosk) revoke(id access.PersonID) error {
	return k.restrict(id, access.Revoked, access.EventRevoked, func() error { return k.store.Revoke(id, 0) })
}

// suspend takes a permission until it is resumed.
func (k *kiosk) suspend(id access.PersonID) error {
	return k.restrict(id, access.Suspended, access.EventPersonSuspended, func() error { return k.store.Suspend(id) })
}

// restrict takes a permission durably before it is said to be taken.
func (k *kiosk) restrict(id access.PersonID, to access.Standing, e access.Event, store func() error) error {
	if err := k.shut(); err != nil {
		return err
	}
	var late error
	err := k.gallery.SetStanding(id, to, func() (err error) {
		late, err = stored(store())
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(late, k.record(e, id, ""))
}

// stored tells a change that the vault holds, but for which the TPM's counter did not rise, from one that it does not hold. What
// restricts takes effect at once in the first case, too; late remains an error, so that nobody takes it for final.
func stored(err error) (late, failed error) {
	if errors.Is(err, vault.ErrUnacknowledged) {
		return err, nil
	}
	return nil, err
}

// resume ends a suspension. As with a grant the record comes first: nobody is permitted unseen.
func (k *kiosk) resume(id access.PersonID) error {
	if err := k.shut(); err != nil {
		return err
	}
	return k.gallery.SetStanding(id, access.Permitted, func() error {
		if s, err := k.shelf.state(id); err != nil {
			return err
		} else if s != vault.Suspended {
			return fmt.Errorf("resume person: %v, not suspended", s)
		}
		if err := k.record(access.EventPersonResumed, id, ""); err != nil {
			return err
		}
		if err := k.store.Resume(id); err != nil {
			// The log says resumed: it must also say that nothing came of it. Nothing opens on this record.
			_ = k.record(access.EventVaultRefused, id, err.Error())
			return err
		}
		if s, err := k.shelf.state(id); err != nil {
			return err
		} else if s != vault.Active {
			return fmt.Errorf("resume person: no longer suspended, but %v", s)
		}
		return nil
	})
}

// delete destroys all that is kept of a person and returns the proof. It may be asked for again: who was deleted before is proved to
// be gone once more.
func (k *kiosk) delete(id access.PersonID) (ipc.Deleted, error) {
	if err := k.shut(); err != nil {
		return ipc.Deleted{}, err
	}
	var receipt vault.Receipt
	var late error
	err := k.gallery.Remove(id, func() (err error) {
		receipt, err = k.store.Erase(id, 0)
		if errors.Is(err, vault.ErrUnknown) && receipt.Generation > 0 {
			err = nil
		}
		late, err = stored(err)
		return err
	})
	if err != nil {
		return ipc.Deleted{}, err
	}
	if err := errors.Join(late, k.shelf.forget(id), k.record(access.EventPersonDeleted, id, "")); err != nil {
		return ipc.Deleted{}, fmt.Errorf("deleted, but not proved; ask again: %w", err)
	}
	d := ipc.Deleted{}
	if d.Receipt, err = receipt.Encode(); err == nil && k.sign != nil {
		d.Signature, err = k.sign(d.Receipt)
	}
	if err != nil {
		return ipc.Deleted{}, fmt.Errorf("deleted, but not proved; ask again: %w", err)
	}
	return d, nil
}

// rekey turns every stored reference to another secret transform. Nobody is enrolled anew, and what leaked before compares with nothing any more.
func (k *kiosk) rekey() error {
	if err := k.shut(); err != nil {
		return err
	}
	var late error
	err := k.gallery.Reload(func() (err error) {
		late, err = stored(k.store.Rekey())
		return err
	})
	if err == nil {
		k.note(access.EventTemplatesRekeyed, "")
	}
	return errors.Join(late, err)
}

// record writes down what was done to a person.
func (k *kiosk) record(e access.Event, id access.PersonID, detail string) error {
	r := k.blank(e)
	r.Detail = clip(detail, access.MaxDetail)
	r.Subject = k.gallery.Subject(id, r.Wall)
	if err := k.append(auditlog.Vital, r); err != nil {
		return fmt.Errorf("the audit log does not say %q: %w", e, err)
	}
	return nil
}
