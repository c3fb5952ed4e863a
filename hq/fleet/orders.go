package fleet

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// Orders in the clear that are handed in with Submit are kept here; orders about people are kept by People.

func orderKey(ref [32]byte) string { return "order." + hex.EncodeToString(ref[:]) }

// content finds an order. The caller may clear what it gets when it is biometric.
func (f *Fleet) content(ctx context.Context, ref [32]byte) (envelope []byte, gone, biometric bool, err error) {
	if _, here := f.clear.Load(ref); here {
		v, err := f.store.Get(ctx, orderKey(ref))
		return v.Data, false, false, err
	}
	if f.config.People == nil {
		return nil, false, false, fmt.Errorf("order %x is not known", ref[:6])
	}
	envelope, gone, biometric, err = f.config.People.Content(ref)
	if err == nil && !gone && sha256.Sum256(envelope) != ref {
		err = fmt.Errorf("order %x is not what it was: %w", ref[:6], fs.ErrNotExist)
	}
	return envelope, gone, biometric, err
}

// had is content for a kiosk. An order that is lost counts as gone, with an alarm: what comes behind it, which may be a lockdown, must not wait for it. So does
// a lockdown or disabling that a later one has outnumbered: then later is that one, else nil.
func (f *Fleet) had(ctx context.Context, d *desk, ref [32]byte) (envelope []byte, gone, biometric bool, later *[32]byte, err error) {
	envelope, gone, biometric, err = f.content(ctx, ref)
	if errors.Is(err, fs.ErrNotExist) {
		f.alarm(ctx, d, Lost, fmt.Sprintf("it is not given what cannot be read any more (%v): bring the newest vault of people back, then hq kiosk lift hands everything on again", err))
		return nil, true, false, nil, nil
	}
	if err == nil && !gone && !biometric {
		later, err = f.outnumbered(ctx, d, envelope)
	}
	return envelope, gone || later != nil, biometric, later, err
}

// Nudge says that there are new orders about people.
func (f *Fleet) Nudge() {
	select {
	case f.nudge <- struct{}{}:
	default: // it will be looked at anyway
	}
}

// handOn puts orders about people into the streams of the kiosks that need them, as they come.
func (f *Fleet) handOn(ctx context.Context) {
	if f.config.People == nil {
		return
	}
	t := time.NewTicker(looking)
	defer t.Stop()
	for {
		var again <-chan time.Time
		for _, d := range f.all() {
			err := f.follow(ctx, d)
			if errors.Is(err, ErrBusy) {
				again = time.After(ticking)
				break
			}
			if err != nil && ctx.Err() == nil {
				f.config.Log.Error("orders not handed on", "kiosk", d.name, "error", err)
				if errors.Is(err, fs.ErrNotExist) {
					d.mu.Lock()
					f.alarm(ctx, d, Lost, fmt.Sprintf("it is given nothing new (%v): bring the newest vault of people back, or have hq kiosk lift hand everything on again", err))
					d.mu.Unlock()
				}
			}
		}
		select {
		case <-f.nudge:
		case <-t.C:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// Submit takes an order in the clear that an operator has signed, for one kiosk or, with an empty name, for all, and puts it into their streams. It
// judges the order as a kiosk will: what kiosks would refuse is refused here, where somebody reads why.
func (f *Fleet) Submit(ctx context.Context, name string, envelope []byte) error {
	audience := wire.Fleet()
	if name != "" {
		d, err := f.at(name)
		if err != nil {
			return err
		}
		audience = d.kiosk.ID
		d.mu.Unlock()
	}
	kind, state, err := f.judge(envelope, audience)
	if err == nil && kind == wire.KindPolicy && name != "" {
		err = errors.New("a policy is for every kiosk")
	}
	if err != nil {
		return fmt.Errorf("take order: %w", err)
	}
	ref := sha256.Sum256(envelope)
	if err := f.keep(ctx, ref, envelope); err != nil {
		return err
	}
	state.ref = ref
	if name != "" {
		if err := f.ownTo(ctx, name, kind, state); err != nil {
			return err
		}
		return f.Append(ctx, name, [][32]byte{ref})
	}
	if kind == wire.KindPolicy {
		return f.enforce(ctx, state, envelope)
	}
	if stands(kind) {
		if err := f.standFor(ctx, kind.String(), state); err != nil {
			return err
		}
	}
	return f.Broadcast(ctx, [][32]byte{ref})
}

// Broadcast appends orders to the streams of all kiosks that are active or quarantined. It goes on after an error: what one kiosk lacks is told at the
// end, and the call may be repeated.
func (f *Fleet) Broadcast(ctx context.Context, orders [][32]byte) error {
	var failed []error
	for _, d := range f.all() {
		if err := f.Append(ctx, d.name, orders); err != nil && !errors.Is(err, ErrNotActive) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (f *Fleet) keep(ctx context.Context, ref [32]byte, envelope []byte) error {
	_, err := f.store.Get(ctx, orderKey(ref))
	if isNone(err) {
		_, err = f.store.Put(ctx, orderKey(ref), envelope, 0)
	}
	if err == nil {
		f.clear.Store(ref, nil)
	}
	return err
}

// loadClear learns which orders are kept in the clear: asking the store for each order of ten thousand people would take longer than sending them.
func (f *Fleet) loadClear(ctx context.Context) error {
	all, err := f.store.List(ctx, "order")
	if err != nil {
		return err
	}
	for _, v := range all {
		if ref, err := hex.DecodeString(strings.TrimPrefix(v.Key, "order.")); err == nil && len(ref) == sha256.Size {
			f.clear.Store([32]byte(ref), nil)
		}
	}
	return nil
}

// ahead is how far the clock of whoever signs may be ahead of this machine's. A version is the time in ms, and rules until there is a higher one.
const ahead = 5 * time.Minute

// judge verifies an order by the Trust in force now.
func (f *Fleet) judge(envelope []byte, audience [32]byte) (wire.Kind, state, error) {
	now := f.config.Now()
	kind, s, err := f.opened(envelope, now.Unix(), audience)
	if most := uint64(max(0, now.Add(ahead).UnixMilli())); err == nil && s.version > most {
		err = fmt.Errorf("its version is %d, which lies beyond %s: nothing that is signed before then could end it. Set the clock of whoever signed it, or of this machine", s.version, now.UTC().Format(time.DateTime))
	}
	return kind, s, err
}

// opened verifies an order for one of these audiences, by somebody whom the Trust grants it at a time in Unix seconds; at 0, by a grant that has ended, too.
func (f *Fleet) opened(envelope []byte, at int64, audiences ...[32]byte) (kind wire.Kind, s state, err error) {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return 0, s, err
	}
	g, err := f.server.Load().Trust.Grant(claim.Key, claim.Kind, at)
	if err != nil {
		return 0, s, err
	}
	key, err := wire.ParseKey(g.Key)
	if err != nil {
		return 0, s, err
	}
	err = errors.New("an order for nobody")
	for _, a := range audiences {
		if s, err = verified(claim.Kind, envelope, key, a); err == nil {
			break
		}
	}
	return claim.Kind, s, err
}

// verified opens an order that is handed in, and returns what it is as state; of others the zero state.
func verified(kind wire.Kind, envelope []byte, key *ecdsa.PublicKey, audience [32]byte) (s state, err error) {
	switch kind {
	case wire.KindDeletion:
		_, err = wire.Open[wire.Deletion](envelope, key, audience)
	case wire.KindStanding:
		var o wire.Standing
		o, err = wire.Open[wire.Standing](envelope, key, audience)
		s.version = o.Serial
	case wire.KindLockdown:
		var o wire.Lockdown
		o, err = wire.Open[wire.Lockdown](envelope, key, audience)
		s.version, s.on = o.Version, o.On
	case wire.KindDisable:
		var o wire.Disable
		o, err = wire.Open[wire.Disable](envelope, key, audience)
		s.version, s.on = o.Version, o.On
	case wire.KindPolicy:
		var o wire.Policy
		o, err = wire.Open[wire.Policy](envelope, key, audience)
		s.version, s.on = o.Version, true
	case wire.KindApproval:
		_, err = wire.Open[wire.Approval](envelope, key, audience)
	case wire.KindDecommission:
		if _, err = wire.Open[wire.Decommission](envelope, key, audience); err == nil && audience == wire.Fleet() {
			err = errors.New("a decommission for every kiosk is never taken")
		}
	default:
		err = fmt.Errorf("a %v is not handed in this way", kind)
	}
	return s, err
}

// outnumbered returns the lockdown or disabling in force for a kiosk when an order is one that came before it; nil: it is not. It is not carried any more: what takes away
// stands when its signer's role has ended, what gives back does not, so a kiosk that comes late would take the lockdown of somebody whose role has ended, and
// refuse its end. Nothing is outnumbered by the word of a key that nobody believes any more.
func (f *Fleet) outnumbered(ctx context.Context, d *desk, envelope []byte) (*[32]byte, error) {
	claim, err := wire.Peek(envelope)
	if err != nil || claim.Kind != wire.KindLockdown && claim.Kind != wire.KindDisable {
		return nil, err
	}
	_, own, err := f.opened(envelope, 0, wire.Fleet(), d.kiosk.ID)
	if err != nil { // nobody believes it, and no kiosk takes it
		return nil, nil
	}
	for _, of := range []string{"", d.name + "."} {
		s, err := f.stateOf(ctx, of+claim.Kind.String())
		if err != nil {
			return nil, err
		}
		if s.version <= own.version {
			continue
		}
		later, err := f.store.Get(ctx, orderKey(s.ref))
		if err != nil {
			return nil, err
		}
		if _, _, err := f.opened(later.Data, 0, wire.Fleet(), d.kiosk.ID); err == nil {
			return &s.ref, nil
		}
	}
	return nil, nil
}

// sealTo is the kiosk's key for sealed content, if the kiosk still has the one that headquarters knows.
func (f *Fleet) sealTo(d *desk) (*ecdh.PublicKey, error) {
	if d.kiosk.Exchange.Number == 0 || d.greeting.Exchange != d.kiosk.Exchange.Number {
		return nil, fmt.Errorf("kiosk has exchange key %d and headquarters knows %d", d.greeting.Exchange, d.kiosk.Exchange.Number)
	}
	public, err := wire.ParseKey(d.kiosk.Exchange.Key)
	if err != nil {
		return nil, err
	}
	return public.ECDH()
}
