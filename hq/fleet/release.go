package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

const (
	maxAsks       = 8                // challenges that are waited for, of one kiosk
	challengeWait = 10 * time.Second // a challenge is no older than that when it is answered
)

// Challenge asks a connected kiosk for a challenge, which an operator answers with a wire.Release or a wire.Begin.
func (f *Fleet) Challenge(ctx context.Context, name string) (wire.Challenge, error) {
	d, err := f.at(name)
	if err != nil {
		return wire.Challenge{}, err
	}
	ask := wire.Ask{For: wire.KindChallenge}
	rand.Read(ask.Request[:]) // never fails
	answer := make(chan wire.Challenge, 1)
	switch {
	case d.kiosk.State != Active:
		err = fmt.Errorf("%w: %v", ErrNotActive, d.kiosk.State)
	case !d.isOnline(f.config.Now()):
		err = ErrOffline
	case len(d.asks) >= maxAsks:
		err = fmt.Errorf("%d operators wait for kiosk %q already", len(d.asks), name)
	default:
		if d.asks == nil {
			d.asks = map[[16]byte]chan wire.Challenge{}
		}
		d.asks[ask.Request] = answer
		err = f.say(ctx, d, ask)
	}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.asks, ask.Request)
		d.mu.Unlock()
	}()
	if err != nil {
		return wire.Challenge{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, challengeWait)
	defer cancel()
	select {
	case c := <-answer:
		return c, nil
	case <-ctx.Done():
		return wire.Challenge{}, fmt.Errorf("kiosk %q gives no challenge: %w", name, ctx.Err())
	}
}

// challenge hands a kiosk's challenge to who asked for it; one that nobody asked for is dropped.
func (f *Fleet) challenge(_ context.Context, d *desk, c wire.Challenge) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if answer, ok := d.asks[c.Request]; ok {
		delete(d.asks, c.Request)
		answer <- c
	}
	return nil
}

// ErrRefused means that a kiosk says that it does not do what it was handed. Nobody has signed that; its record is the proof.
var ErrRefused = errors.New("the kiosk refuses")

// Release hands an operator's answer to a challenge, a wire.Release or a wire.Begin, to a connected kiosk, now or never: it is in no stream and is not kept.
// Then it waits until ctx ends for the kiosk to refuse: ErrRefused, with the kiosk's words. What the kiosk has done its records alone say.
func (f *Fleet) Release(ctx context.Context, name string, envelope []byte) error {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return err
	}
	if claim.Kind != wire.KindRelease && claim.Kind != wire.KindBegin {
		return fmt.Errorf("hand on what answers a challenge: it is a %v", claim.Kind)
	}
	d, err := f.at(name)
	if err != nil {
		return err
	}
	hash, answer := sha256.Sum256(envelope), make(chan string, 1)
	switch {
	case d.kiosk.State != Active:
		err = fmt.Errorf("%w: %v", ErrNotActive, d.kiosk.State)
	case !d.isOnline(f.config.Now()):
		err = ErrOffline
	default:
		if d.answers == nil {
			d.answers = map[[32]byte]chan string{}
		}
		d.answers[hash] = answer
		err = f.config.Uplink.Send(ctx, name, envelope)
	}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.answers, hash)
		d.mu.Unlock()
	}()
	if err != nil {
		return err
	}
	select {
	case why := <-answer:
		return fmt.Errorf("%w: %q", ErrRefused, why)
	case <-ctx.Done():
		return nil
	}
}
