package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

// maxChallenges wait for an operator at a time; the oldest gives way.
const maxChallenges = 4

// challenge is what an operator must sign to have the door released. It is kept in memory alone, and good once.
type challenge struct {
	value [32]byte
	at    time.Duration // CLOCK_MONOTONIC
}

// challenge answers a request for one.
func (h *headquarters) challenge(request [16]byte) {
	c := challenge{at: frames.Now()}
	rand.Read(c.value[:])
	h.challenges = append(h.challenges[max(0, len(h.challenges)+1-maxChallenges):], c)
	h.note(&h.asked, access.EventRemoteReleaseAsked, "")
	h.say(wire.Challenge{Request: request, Challenge: c.value, Door: h.door.policy.Door})
}

var errNoChallenge = errors.New("it answers no challenge of this door, or one for the second time")

// release opens the door once on an operator's own signature over a challenge of this very door. Nothing that opens is queued: whoever keeps the
// answer back for ten seconds has nothing.
func (h *headquarters) release(ctx context.Context, data []byte) error {
	r, _, err := roster.Granted[wire.Release](h.roster, data, h.now())
	if err != nil {
		return err
	}
	at := -1
	for i, c := range h.challenges {
		if c.value == r.Challenge {
			at = i
		}
	}
	if at < 0 || r.Door != h.door.policy.Door {
		return errNoChallenge
	}
	asked := h.challenges[at].at
	h.challenges = append(h.challenges[:at:at], h.challenges[at+1:]...)
	claim, err := wire.Peek(data)
	if err != nil {
		return err
	}
	by := fmt.Sprintf("by operator %.8x", claim.Key)
	if h.door.disabled.Load() {
		return errUnfit
	}
	if r.Action == wire.ActionConfirm {
		return h.confirm(ctx, asked)
	}
	err = h.door.walkup.Assert(ctx, access.Assertion{Vouched: true, Asked: asked}, by)
	if errors.Is(err, walkup.ErrNotOpened) {
		return nil // it is on record, with the reason
	}
	return err
}

// confirm settles the walk-up that waits for an operator. Of two people who could stand there, the operator has to say which one it is: that cannot be
// said from afar yet.
func (h *headquarters) confirm(ctx context.Context, asked time.Duration) error {
	p := h.door.walkup.View().Pending
	if p.First.IsZero() || !p.Second.IsZero() || frames.Now()-asked > access.AssertWithin {
		return errUnfit
	}
	return h.door.walkup.Confirm(ctx, p.Session, p.First)
}
