package main

import (
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault/locked"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/walkup"
)

// signals are what weighs against every walk-up now.
func (k *kiosk) signals() access.Signals {
	return access.Signals(k.raised.Load()).With(access.SignalClock, k.test.found.State(health.Clock) != health.Works).
		With(access.SignalProvider, k.test.found.State(health.Models) == health.Impaired)
}

// raise puts a signal up or takes it down.
func (k *kiosk) raise(s access.Signal, up bool) {
	if bit := uint32(access.Signals(0).With(s, true)); up {
		k.raised.Or(bit)
	} else {
		k.raised.And(^bit)
	}
}

// debugged looks whether the image that was measured may be debugged: until it has been read, it may. A lab board is one that may; no product image
// has one. A TPM that does not answer changes nothing: what was measured cannot be taken back before it is reset.
func (k *kiosk) debugged() {
	if k.test.board.Lab {
		return
	}
	if k.root == nil {
		k.raise(access.SignalDebugImage, true)
		return
	}
	debugging, err := k.root.Debugging()
	if err == nil || !k.looked {
		k.raise(access.SignalDebugImage, debugging)
	}
	k.looked = true
}

// followFaces makes what the following of faces needs, if the policy has a basis for it: memory that is locked, or none is followed, and the release
// role's key, or no flag could be lifted.
func (k *kiosk) followFaces(g *ground, bundle [32]byte) {
	if !k.policy.Follow.On || k.root == nil {
		return
	}
	slab, release, isLocked, err := locked.Slab(walkup.FollowFloats)
	if err == nil && !isLocked {
		release()
		err = errors.New("its memory cannot be locked: raise the limit of locked memory (ulimit -l), or run as root")
	}
	if err == nil {
		k.trail, err = walkup.NewTrail(k.policy.Follow, bundle, slab)
	}
	if err != nil {
		g.reasons = append(g.reasons, "no face is followed: "+err.Error())
		return
	}
	g.unfollow = func() { k.trail.Wipe(); release() }
}

// following records that faces are followed, and on what basis.
func (k *kiosk) following() {
	if k.trail != nil {
		k.note(access.EventFollowingBegun, fmt.Sprintf("basis: %q; a face is kept for %v", k.policy.Follow.Basis, k.policy.Follow.Keep))
	}
}

// review carries out a signed review: it lifts the flag of the recurrence that it names. Whatever else comes is refused, and stands in the log.
func (k *kiosk) review(order []byte) error {
	err := k.lift(order)
	if err != nil {
		err = fmt.Errorf("review: %w", err)
		k.note(access.EventCommandRefused, err.Error())
	}
	return err
}

func (k *kiosk) lift(order []byte) error {
	if k.trail == nil {
		return errors.New("no face is followed here")
	}
	id, err := k.root.Identity().OpenReview(order)
	if err != nil {
		return err
	}
	return k.trail.Lift(id, frames.Now(), func() error {
		r := k.blank(access.EventRecurrenceReviewed)
		r.Detail = "recurrence " + id.String()
		return k.append(auditlog.Vital, r) // first, as with a grant: nothing is lifted unseen
	})
}
