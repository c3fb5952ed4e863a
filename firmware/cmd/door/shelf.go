package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/walkup"
)

// shelf is the vault as the walk-up sees it.
type shelf struct {
	vault *vault.Vault
	boot  uint64
	key   [32]byte // of the pseudonyms in the audit log
}

func (s *shelf) Each(bundle [32]byte, f func(walkup.Enrollee) error) error {
	return s.vault.All(bundle, func(p vault.Person) error {
		e := walkup.Enrollee{Person: p.ID, Standing: standing(p.State)}
		for _, r := range p.References {
			t := make([]float32, access.ProbeSize)
			r.Template.Copy(t)
			r.Template.Wipe()
			e.References = append(e.References, t)
		}
		err := f(e)
		for _, t := range e.References {
			clear(t)
		}
		return err
	})
}

func standing(s vault.State) access.Standing {
	switch s {
	case vault.Active:
		return access.Permitted
	case vault.Revoked:
		return access.Revoked
	case vault.Suspended:
		return access.Suspended
	}
	return access.NotPermitted
}

// Keep stores an enrolment as a generation above all that were stored, revoked or deleted.
func (s *shelf) Keep(id access.PersonID, references [][]float32, bundle [32]byte) error {
	generation, err := s.vault.Tombstone(id)
	if err != nil {
		return err
	}
	before, err := s.vault.Get(id, bundle)
	if err != nil && !errors.Is(err, vault.ErrUnknown) {
		return err
	}
	p := vault.Person{ID: id, State: vault.Active, Generation: max(generation, before.Generation) + 1}
	for _, r := range before.References {
		r.Template.Wipe()
	}
	for _, r := range references {
		t, err := vault.NewTemplate(r)
		if err != nil {
			return err
		}
		defer t.Wipe()
		p.References = append(p.References, vault.Reference{Template: t, Bundle: bundle, Created: s.boot})
	}
	err = s.vault.Put(p)
	if errors.Is(err, vault.ErrFull) {
		err = fmt.Errorf("%w: %w", match.ErrFull, err) // the walk-up knows one kind of full
	}
	return err
}

func (s *shelf) Revoke(id access.PersonID) error { return s.vault.Revoke(id, 0) }

// Subject is HMAC-SHA256 of the id under the kiosk's own key, cut to 16 bytes.
func (s *shelf) Subject(id access.PersonID) (subject [16]byte) {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(id[:])
	copy(subject[:], h.Sum(nil))
	return subject
}

// failures are the failed walk-ups that the door remembers. Those of an earlier boot count as if they had happened at the start of
// this one: how long the power was off nobody vouches for, and a power cut must not forgive.
func (s *shelf) failures(door string, now time.Duration) ([]time.Duration, error) {
	l, err := s.vault.Lockout(door)
	if err != nil {
		return nil, err
	}
	if l.Boot != s.boot {
		for i := range l.Failures {
			l.Failures[i] = now
		}
	}
	return l.Failures, nil
}

func (s *shelf) saveFailures(door string, failures []time.Duration) error {
	return s.vault.SetLockout(door, vault.Lockout{Boot: s.boot, Failures: failures})
}
