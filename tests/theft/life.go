package main

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/sync/wire"
)

// Who of the twelve goes through what.
const (
	revoked = iota
	deleted
	suspended
	crowd = 12
)

// failures are stored before the lockout is entered.
const failures = 3

const doorName = "front"

// A step of the victim's life. A copy is made after each, under its name: it is what the thief may put back after a later one.
type step struct {
	name string
	do   func(*victim) error
}

// The names of the moments.
const (
	atAnchor      = "anchored"
	atRevocation  = "revocation"
	atDeletion    = "deletion"
	atSuspension  = "suspension"
	atLockdown    = "lockdown"
	atPolicy      = "policy"
	atFailures    = "failures"
	atLockout     = "lockout"
	atBoot        = "boot"
	atEnrolment   = "enrolment"
	atLater       = "later anchor"
	atSigned      = "signed"
	theEnd        = "the end"
	recordsBehind = 3 // records behind the anchor, and as many behind the last checkpoint
)

func steps() []step {
	return []step{
		{atAnchor, func(v *victim) error {
			for range crowd {
				if err := v.enrol(); err != nil {
					return err
				}
			}
			return errors.Join(v.vault.SetPolicy([]byte("first policy of the theft")), v.learn(), v.anchor())
		}},
		{atRevocation, func(v *victim) error {
			return errors.Join(v.vault.Revoke(v.people[revoked].id, 1), v.record(access.EventRevoked, v.people[revoked].id))
		}},
		{atDeletion, func(v *victim) error {
			return errors.Join(v.vault.Delete(v.people[deleted].id, 1), v.record(access.EventPersonDeleted, v.people[deleted].id))
		}},
		{atSuspension, func(v *victim) error {
			return errors.Join(v.vault.Suspend(v.people[suspended].id), v.record(access.EventPersonSuspended, v.people[suspended].id))
		}},
		{atLockdown, func(v *victim) error { return v.vault.SetLockdown(true) }},
		{atPolicy, func(v *victim) error { return v.vault.SetPolicy([]byte("second policy of the theft")) }},
		{atFailures, func(v *victim) error { return v.fail(failures, false) }},
		{atLockout, func(v *victim) error { return v.fail(failures+1, true) }},
		{atBoot, func(v *victim) (err error) { v.boot, err = v.vault.Boot(); return err }},
		{atEnrolment, (*victim).enrol},
		{atLater, (*victim).anchor},
		{atSigned, func(v *victim) error {
			if err := v.walkups(recordsBehind); err != nil {
				return err
			}
			_, err := v.log.Checkpoint(context.Background())
			return err
		}},
		{theEnd, func(v *victim) error { return v.walkups(recordsBehind) }},
	}
}

// live is the victim's life, with a copy at each moment. At the end the power is off.
func (v *victim) live() (err error) {
	defer func() { err = errors.Join(err, v.off()) }()
	if err = v.start(v.image); err != nil {
		return err
	}
	if err = v.openLog(); err != nil {
		return err
	}
	if v.subject, err = v.vault.SubjectKey(); err != nil {
		return err
	}
	if v.boot, err = v.vault.Boot(); err != nil {
		return err
	}
	for _, s := range steps() {
		if err := s.do(v); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := v.copy(s.name); err != nil {
			return fmt.Errorf("copy after %s: %w", s.name, err)
		}
	}
	return nil
}

// learn notes what is to be found nowhere: the keys, and the templates as the vault compares them.
func (v *victim) learn() error {
	data, err := v.root.Unseal()
	if err != nil {
		return err
	}
	if v.keys, err = deriveKeys(data, v.id.Device); err != nil {
		return err
	}
	if v.keys.subject != v.subject {
		return errors.New("subject key is not the one that FORMAT.md of the vault derives")
	}
	for i := range v.people {
		p := &v.people[i]
		stored, err := v.vault.Get(p.id, v.bundle)
		if err != nil {
			return err
		}
		for n, r := range stored.References {
			p.turned[n] = make([]float32, access.ProbeSize)
			r.Template.Copy(p.turned[n])
		}
	}
	if err := v.copy("learning"); err != nil {
		return err
	}
	return v.keys.contentKeys(v.moments["learning"], v.people)
}

func (v *victim) fail(times int, locked bool) error {
	l := vault.Lockout{Boot: v.boot, Locked: locked}
	for i := range times {
		l.Failures = append(l.Failures, time.Duration(i+1)*time.Second)
	}
	return v.vault.SetLockout(doorName, l)
}

func (v *victim) walkups(n int) error {
	for i := range n {
		if err := v.record(access.EventWalkupGranted, v.people[3+i].id); err != nil {
			return err
		}
	}
	return nil
}

// record is as door makes it: a person is a pseudonym of the day.
func (v *victim) record(e access.Event, who access.PersonID) error {
	now := time.Now()
	r := access.Record{Version: access.RecordVersion, Event: e, Boot: v.boot, Wall: now.Unix(), Door: doorName}
	day, err := hkdf.Key(sha256.New, v.subject[:], nil, "lintel subject "+now.UTC().Format(time.DateOnly), sha256.Size)
	if err != nil {
		return err
	}
	h := hmac.New(sha256.New, day)
	h.Write(who[:])
	copy(r.Subject[:], h.Sum(nil))
	data, err := wire.Marshal(r)
	if err != nil {
		return err
	}
	_, err = v.log.Append(auditlog.Vital, data)
	return err
}

// anchor has the TPM remember the log.
func (v *victim) anchor() error {
	_, err := v.root.RaiseAudit()
	if err == nil {
		_, err = v.log.Anchor(context.Background())
	}
	return err
}
