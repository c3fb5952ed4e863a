package main

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/sync/wire"
)

// shelf is the vault as the walk-up sees it.
type shelf struct {
	vault  *vault.Vault
	boot   uint64
	began  time.Duration // CLOCK_MONOTONIC at the start of this program
	key    [32]byte      // of the pseudonyms in the audit log
	groups []string      // of those who are enrolled here

	mu      sync.Mutex
	ordered *wire.Supervised // the enrolment that headquarters ordered, while it runs
	day     string           // UTC, whose key dayKey is
	dayKey  []byte
}

func (s *shelf) Each(bundle [32]byte, f func(walkup.Enrollee) error) error {
	return s.vault.All(bundle, func(p vault.Person) error {
		e := enrollee(p)
		err := f(e)
		for _, t := range e.References {
			clear(t)
		}
		return err
	})
}

// One is a person as Each shows them.
func (s *shelf) One(id access.PersonID, bundle [32]byte) (walkup.Enrollee, bool, error) {
	p, err := s.vault.Get(id, bundle)
	if errors.Is(err, vault.ErrUnknown) {
		return walkup.Enrollee{}, false, nil
	}
	return enrollee(p), err == nil, err
}

// enrollee takes the references of a person out of their templates, and wipes those.
func enrollee(p vault.Person) walkup.Enrollee {
	e := walkup.Enrollee{Person: p.ID, Standing: standing(p.State), Extended: p.Extended, Groups: p.Groups}
	for _, r := range p.References {
		t := make([]float32, access.ProbeSize)
		r.Template.Copy(t)
		r.Template.Wipe()
		e.References = append(e.References, t)
	}
	return e
}

// expect has the next enrolment of that person be the one that headquarters ordered; nil expects none.
func (s *shelf) expect(o *wire.Supervised) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ordered = o
}

func standing(s vault.State) access.Standing {
	switch s {
	case vault.Active:
		return access.Permitted
	case vault.Revoked:
		return access.Revoked
	case vault.Suspended:
		return access.Suspended
	case vault.Expired:
		return access.Expired
	}
	return access.NotPermitted
}

// Keep stores an enrolment as a generation above all that were stored, revoked or deleted. Only a sealed vault takes a lease.
func (s *shelf) Keep(id access.PersonID, references [][]float32, bundle [32]byte, until int64) error {
	generation, err := s.vault.Tombstone(id)
	if err != nil {
		return err
	}
	before, err := s.vault.Get(id, bundle)
	if err != nil && !errors.Is(err, vault.ErrUnknown) {
		return err
	}
	p := vault.Person{ID: id, State: vault.Active, Generation: max(generation, before.Generation) + 1, Until: until, Groups: s.groups}
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
	s.mu.Lock()
	o := s.ordered
	s.mu.Unlock()
	if o != nil && o.Person == [16]byte(id) {
		p.Generation, p.Groups, p.Extended = o.Generation, o.Groups, o.Extended
		err = s.enrol(p)
	} else {
		err = s.vault.Put(p)
	}
	if errors.Is(err, vault.ErrFull) {
		err = fmt.Errorf("%w: %w", match.ErrFull, err) // the walk-up knows one kind of full
	}
	return err
}

// enrol stores somebody as headquarters ordered it, unless that is superseded.
func (s *shelf) enrol(p vault.Person) error {
	out, err := s.vault.Apply(vault.Step{Orders: []vault.Order{vault.Enrol{Person: p}}}, nil)
	if err == nil {
		err = out[0].Err
	}
	if err == nil && !out[0].Changed {
		err = vault.ErrSuperseded
	}
	return err
}

// Transform turns a probe as the vault turns its templates.
func (s *shelf) Transform(probe []float32) error { return s.vault.Transform(probe) }

// Subject is HMAC-SHA256 of the id, cut to 16 bytes, under a key of the UTC day: whoever reads the log of two days cannot tell who is
// who in both.
func (s *shelf) Subject(id access.PersonID, wall int64) (subject [16]byte) {
	h := hmac.New(sha256.New, s.keyOf(time.Unix(wall, 0).UTC().Format(time.DateOnly)))
	h.Write(id[:])
	copy(subject[:], h.Sum(nil))
	return subject
}

// keyOf is HKDF-SHA256 of the kiosk's subject key for a day. The key that was asked for last is kept.
func (s *shelf) keyOf(day string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.day != day {
		key, err := hkdf.Key(sha256.New, s.key[:], nil, "lintel subject "+day, sha256.Size)
		if err != nil {
			panic(err) // unreachable: HKDF refuses only lengths above 8160 bytes
		}
		s.day, s.dayKey = day, key
	}
	return s.dayKey
}

// person is the name under which the vault keeps a person's lockout.
func person(id access.PersonID) string { return "person/" + id.String() }

// failures are the failed walk-ups of a door, or the refusals of a person, that the vault remembers. Those of an earlier boot count as
// if they had happened at the start of this one: how long the power was off nobody vouches for, and a power cut must not forgive.
func (s *shelf) failures(name string) ([]time.Duration, error) {
	l, err := s.vault.Lockout(name)
	if err != nil {
		return nil, err
	}
	if l.Boot != s.boot {
		for i := range l.Failures {
			l.Failures[i] = s.began
		}
	}
	return l.Failures, nil
}

// saveFailures stores them. A counter that does not rise is no error here: what is stored stands, nobody waits for it to be
// acknowledged, and the vault makes up for the rise by itself.
func (s *shelf) saveFailures(name string, failures []time.Duration, locked bool) error {
	err := s.vault.SetLockout(name, vault.Lockout{Boot: s.boot, Failures: failures, Locked: locked})
	if errors.Is(err, vault.ErrUnacknowledged) {
		return nil
	}
	return err
}

// forget drops the refusals that are remembered of a person.
func (s *shelf) forget(id access.PersonID) error {
	l, err := s.vault.Lockout(person(id))
	if err != nil || len(l.Failures) == 0 && !l.Locked {
		return err
	}
	return s.saveFailures(person(id), nil, false)
}

// state is what the vault says about somebody now.
func (s *shelf) state(id access.PersonID) (vault.State, error) {
	p, err := s.vault.Get(id, [32]byte{}) // no bundle: no reference is read
	return p.State, err
}
