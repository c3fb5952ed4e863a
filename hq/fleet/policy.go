package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Policy is what an administrator has put in force at every kiosk.
type Policy struct {
	Version  uint64 `cbor:"1,keyasint"`
	Taken    int64  `cbor:"2,keyasint"` // Unix seconds
	By       string `cbor:"3,keyasint"` // whose key signed it
	Document []byte `cbor:"4,keyasint"` // the compiled form, as kiosks have it
}

// inForce is a policy with its document read. nil: none is.
type inForce struct {
	Policy
	order [32]byte // SHA-256 of its envelope
	site  access.Site
}

// admits are the groups that have something to do at a door.
func (p *inForce) admits(door string) []string {
	if p == nil {
		return nil
	}
	return p.site.Admits(door)
}

func policyKey(ref [32]byte) string { return "policy." + hex.EncodeToString(ref[:]) }
func textKey(hash [32]byte) string  { return "text." + hex.EncodeToString(hash[:]) }

// site decodes a document as a kiosk does.
func site(document []byte) (s access.Site, err error) {
	if err = wire.Unmarshal(document, &s); err == nil {
		err = s.Validate()
	}
	return s, err
}

// KeepText keeps the text that a policy was compiled from, before the policy comes: by its SHA-256.
func (f *Fleet) KeepText(ctx context.Context, text []byte) error {
	if len(text) == 0 || len(text) > wire.MaxDocument {
		return fmt.Errorf("keep text of a policy: %d bytes, want 1 to %d", len(text), wire.MaxDocument)
	}
	key := textKey(sha256.Sum256(text))
	if _, err := f.store.Get(ctx, key); err == nil || !isNone(err) {
		return err
	}
	_, err := f.store.Put(ctx, key, text, 0)
	return err
}

// InForce is the policy in force, the SHA-256 of its order's envelope and the text that it was compiled from; without one the Policy is zero.
func (f *Fleet) InForce(ctx context.Context) (p Policy, order [32]byte, text []byte, err error) {
	now := f.policy.Load()
	if now == nil {
		return p, order, nil, nil
	}
	v, err := f.store.Get(ctx, textKey(now.site.Text))
	return now.Policy, now.order, v.Data, err
}

// enforce judges a policy that an administrator has signed and hands it on; whom kiosks need is asked of it from then on. Nobody is handed to a kiosk
// meanwhile: who comes by a policy comes behind it. It may be repeated.
func (f *Fleet) enforce(ctx context.Context, order state, envelope []byte) error {
	f.enforcing.Lock()
	defer f.enforcing.Unlock()
	p, err := f.judgePolicy(ctx, envelope)
	if err != nil {
		return fmt.Errorf("put policy in force: %w", err)
	}
	p.order = order.ref
	was, err := f.readPolicy(ctx, order.ref)
	if err == nil { // when it was first taken counts: kiosks have answered since
		p = was
	} else if isNone(err) {
		err = f.keepPolicy(ctx, p)
	}
	if err == nil {
		err = f.standFor(ctx, wire.KindPolicy.String(), order)
	}
	if err != nil {
		return err
	}
	f.policy.Store(p)
	defer f.Nudge()
	return f.Broadcast(ctx, [][32]byte{order.ref})
}

func (f *Fleet) keepPolicy(ctx context.Context, p *inForce) error {
	data, err := wire.Marshal(p.Policy)
	if err == nil {
		_, err = f.store.Put(ctx, policyKey(p.order), data, 0)
	}
	return err
}

func (f *Fleet) judgePolicy(ctx context.Context, envelope []byte) (*inForce, error) {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return nil, err
	}
	now := f.config.Now().Unix()
	g, err := f.server.Load().Trust.Grant(claim.Key, wire.KindPolicy, now)
	if err != nil {
		return nil, err
	}
	key, err := wire.ParseKey(g.Key)
	if err != nil {
		return nil, err
	}
	body, err := wire.Open[wire.Policy](envelope, key, wire.Fleet())
	if err != nil {
		return nil, err
	}
	p := &inForce{Policy: Policy{body.Version, now, g.Name, body.Document}}
	if p.site, err = site(body.Document); err != nil {
		return nil, err
	}
	if was := f.policy.Load(); was != nil && (body.Version < was.Version || body.Version == was.Version && string(body.Document) != string(was.Document)) {
		return nil, fmt.Errorf("it has version %d, and %d is in force", body.Version, was.Version)
	}
	if _, err := f.store.Get(ctx, textKey(p.site.Text)); isNone(err) {
		return nil, errors.New("the text that it was compiled from has not been handed in: hq policy push does both")
	} else if err != nil {
		return nil, err
	}
	return p, nil
}

// loadPolicy reads which policy is in force.
func (f *Fleet) loadPolicy(ctx context.Context) error {
	order, err := f.stateOf(ctx, wire.KindPolicy.String())
	if err != nil || order.version == 0 {
		return err
	}
	p, err := f.readPolicy(ctx, order.ref)
	if err == nil {
		f.policy.Store(p)
	}
	return err
}

// readPolicy reads a policy that was taken, by the hash of its order.
func (f *Fleet) readPolicy(ctx context.Context, ref [32]byte) (*inForce, error) {
	v, err := f.store.Get(ctx, policyKey(ref))
	if err != nil {
		return nil, err
	}
	return decodePolicy(ref, v.Data)
}

func decodePolicy(ref [32]byte, data []byte) (*inForce, error) {
	p := &inForce{order: ref}
	err := wire.Unmarshal(data, &p.Policy)
	if err == nil {
		p.site, err = site(p.Document)
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", policyKey(ref), err)
	}
	return p, nil
}
