package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

// maxChallenges wait for an operator at a time, as many as headquarters lets wait; none gives way to others while it is good.
const maxChallenges = 8

// challenge is what an operator must sign to have the door released. It is kept in memory alone, and good once.
type challenge struct {
	value [32]byte
	at    time.Duration // CLOCK_MONOTONIC
	waits wire.Session  // the walk-up that waited for an operator then
}

// challenge answers a request for one.
func (h *headquarters) challenge(request [16]byte) error {
	c := challenge{at: frames.Now()}
	h.challenges = slices.DeleteFunc(h.challenges, func(o challenge) bool { return c.at-o.at > access.AssertWithin })
	if len(h.challenges) >= maxChallenges {
		return errPace
	}
	rand.Read(c.value[:])
	if p := h.door.walkup.View().Pending; !p.First.IsZero() {
		c.waits = wire.Session(p.Session)
	}
	h.challenges = append(h.challenges, c)
	h.note(&h.asked, access.EventRemoteReleaseAsked, "")
	h.say(wire.Challenge{Request: request, Challenge: c.value, Door: h.door.policy.Door, Waits: c.waits})
	return nil
}

// spend takes a challenge, which is good once.
func (h *headquarters) spend(value [32]byte) (c challenge, ok bool) {
	at := slices.IndexFunc(h.challenges, func(c challenge) bool { return c.value == value })
	if at < 0 {
		return c, false
	}
	c = h.challenges[at]
	h.challenges = slices.Delete(h.challenges, at, at+1)
	return c, true
}

var errNoChallenge = errors.New("it answers no challenge of this door, or one for the second time")

// release opens the door once on an operator's own signature over a challenge of this very door. Nothing that opens is queued: whoever keeps the
// answer back for ten seconds has nothing.
func (h *headquarters) release(ctx context.Context, data []byte) error {
	r, _, err := roster.Granted[wire.Release](h.roster, data, h.now())
	if err != nil {
		return err
	}
	if r.Door != h.door.policy.Door {
		return errNoChallenge
	}
	c, ok := h.spend(r.Challenge)
	if !ok {
		return errNoChallenge
	}
	by := signer(data)
	if h.door.disabled.Load() {
		return errUnfit
	}
	if r.Action == wire.ActionConfirm {
		return h.confirm(ctx, c, r.Session, by)
	}
	err = h.door.walkup.Assert(ctx, access.Assertion{Vouched: true, Asked: c.at}, by)
	if errors.Is(err, walkup.ErrNotOpened) {
		return nil // it is on record, with the reason
	}
	return err
}

// confirm settles the walk-up that waits for an operator. Of two people who could stand there, the operator has to say which one it is: that cannot be
// said from afar yet. It is the walk-up that the challenge named and the operator signed for, and no later one.
func (h *headquarters) confirm(ctx context.Context, c challenge, session wire.Session, by string) error {
	p := h.door.walkup.View().Pending
	if !c.settles(p, session) || frames.Now()-c.at > access.AssertWithin {
		return errUnfit
	}
	return h.door.walkup.Confirm(ctx, p.Session, p.First, by)
}

// settles reports whether the walk-up that waits is the one that was waiting when the challenge was made, and that the operator's word is for.
func (c challenge) settles(p ipc.Pending, session wire.Session) bool {
	return !p.First.IsZero() && p.Second.IsZero() && session == c.waits && session == wire.Session(p.Session)
}

// signer names who signed an envelope that was verified.
func signer(envelope []byte) string {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("by operator %.8x", claim.Key)
}
