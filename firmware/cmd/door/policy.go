package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/sync/wire"
)

// maxRules is the longest document that is decoded, bytes: headquarters compiles none that is longer.
const maxRules = 60 << 10

// rules are what this kiosk decides by. They are never changed, only replaced.
type rules struct {
	policy access.Policy // the kiosk's own, with what the site says of its door
	hash   [32]byte      // of the policy and the document: it stands in every record
	site   *access.Site  // nil: there is no document
}

// own are the rules without a document.
func (k *kiosk) own() *rules { return &rules{policy: k.policy, hash: k.hash} }

// inForce are the rules of this moment.
func (k *kiosk) inForce() *rules {
	if r := k.rules.Load(); r != nil {
		return r
	}
	return k.own()
}

// seal takes the kiosk's own policy as it stands.
func (k *kiosk) seal() error {
	if err := k.policy.Validate(); err != nil {
		return err
	}
	encoded, err := wire.Marshal(k.policy)
	k.hash = sha256.Sum256(encoded)
	return err
}

// judge makes rules of a document that an administrator signed. An error says why they cannot be in force at this door.
func (k *kiosk) judge(document []byte) (*rules, error) {
	if len(document) > maxRules {
		return nil, fmt.Errorf("document of %d bytes, at most %d", len(document), maxRules)
	}
	var s access.Site
	if err := wire.Unmarshal(document, &s); err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if !s.Knows(k.policy.Door) {
		return nil, fmt.Errorf("the site has no door %q", k.policy.Door)
	}
	p, err := s.Apply(k.policy)
	if err == nil {
		err = k.portal.Fits(p.Times)
	}
	if err == nil {
		_, err = k.calibration.Threshold(p.FalseMatchRate)
	}
	if err != nil {
		return nil, err
	}
	encoded, err := wire.Marshal(p)
	if err != nil {
		return nil, err
	}
	r := &rules{policy: p, site: &s}
	policy, text := sha256.Sum256(encoded), sha256.Sum256(document)
	r.hash = sha256.Sum256(slices.Concat([]byte("lintel policy 1\x00"), policy[:], text[:]))
	return r, nil
}

// walkups are the rules as the walk-up takes them.
func (k *kiosk) walkups(r *rules) walkup.Rules {
	return walkup.Rules{
		Policy: r.policy, PolicyHash: r.hash, MinLearned: k.test.judgeLearned(r.policy),
		Threshold: func(bundle [32]byte) (float32, bool) {
			if bundle != k.calibration.Bundle {
				return 0, false
			}
			t, err := k.calibration.Threshold(r.policy.FalseMatchRate)
			return t, err == nil
		},
		Objection: func(p access.PersonID) access.Reason { return k.objection(r.site, p) },
	}
}

// objection is why the site's rules let somebody not pass at this moment. Where there is a headquarters, nobody passes without rules.
func (k *kiosk) objection(s *access.Site, p access.PersonID) access.Reason {
	if s == nil {
		if k.governed.Load() {
			return access.ReasonNoRule
		}
		return access.ReasonNone
	}
	wall, clock := k.wall()
	return s.Permits(k.policy.Door, k.gallery.Groups(p), access.Instant{Unix: wall.Unix(), Clock: clock}).Objection()
}

// enforce has everything at this door decided by these rules from now on, and returns when that is so.
func (k *kiosk) enforce(ctx context.Context, r *rules) error {
	k.rules.Store(r)
	err := errors.Join(k.walkup.Enforce(ctx, k.walkups(r)), k.portal.SetTimes(ctx, r.policy.Times))
	k.governs()
	k.found()
	return err
}

var errNoRules = errors.New("nobody may pass: headquarters has put no rules in force")

// governs says that nobody may pass where there is a headquarters and are no rules, once until there are.
func (k *kiosk) governs() {
	var why error
	if k.governed.Load() && !k.retired && k.inForce().site == nil {
		if why = errNoRules; k.unruly != nil {
			why = fmt.Errorf("nobody may pass: the rules that were kept cannot be in force: %w", k.unruly)
		}
	}
	if was := k.trouble.set("rules", why); why != nil && !was {
		k.note(access.EventRulesMissing, oneLine(why, access.MaxDetail))
	}
}

// takeUpRules takes up what the vault keeps: which door this is, whether there is a headquarters, and its rules. What was in force and is damaged, or
// does not fit this door any more, is not in force again: then nobody passes.
func (k *kiosk) takeUpRules() error {
	fleet, err := k.store.Item(vault.Fleet)
	if err != nil {
		return err
	}
	k.governed.Store(fleet != nil)
	door, err := k.store.Item(vault.Door)
	if err != nil {
		return err
	}
	if fleet == nil { // it may be adopted in this very start
		if place, found, err := root.ReadHeadquarters(k.state); err == nil && found {
			door = []byte(place.Door)
		}
	}
	if len(door) > 0 {
		k.policy.Door = string(door)
		if err := k.seal(); err != nil {
			return err
		}
	}
	document, err := k.store.Item(vault.Document)
	if err != nil || document == nil {
		return err
	}
	r, err := k.judge(document)
	if err != nil {
		k.unruly = err
		return nil
	}
	k.rules.Store(r)
	return nil
}

// isDoor refuses another name for the door than the first one that headquarters gave it: whoever writes to the disk would have another door's rules hold
// here.
func (k *kiosk) isDoor(name string) error {
	if name != "" && name != k.policy.Door {
		return fmt.Errorf("%w: door %q, and this kiosk was adopted for %q", errForeign, name, k.policy.Door)
	}
	return nil
}

// keepPolicy remembers which policy is in force, and records when it is another than before.
func (k *kiosk) keepPolicy() error {
	now := k.inForce().hash
	before, err := k.store.Policy()
	if err != nil || bytes.Equal(before, now[:]) {
		return err
	}
	if err := k.store.SetPolicy(now[:]); err != nil {
		return err
	}
	was := "none"
	if len(before) > 0 {
		was = hex.EncodeToString(before)
	}
	k.note(access.EventPolicyChanged, fmt.Sprintf("from %s to %x", was, now))
	return nil
}

// oneLine says an error so that a record or a report can hold it, in at most so many bytes.
func oneLine(err error, most int) string {
	printable := func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}
	return clip(strings.Map(printable, err.Error()), most)
}

// localGroup is that of people who were enrolled at the kiosk itself.
const localGroup = "local"
