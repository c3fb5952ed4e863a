package fleet

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/lintel-access/lintel/sync/wire"
)

// state is an order that is in force until a later one of its kind: for all, or for one kiosk alone. Kiosks go by the highest version, whichever of the
// two it is.
type state struct {
	ref     [32]byte
	version uint64
	on      bool
}

func (s state) encode() []byte {
	b := binary.BigEndian.AppendUint64(s.ref[:], s.version)
	if s.on {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeState(b []byte) (s state, err error) {
	if len(b) != len(s.ref)+8+1 {
		return s, fmt.Errorf("a standing order of %d bytes", len(b))
	}
	copy(s.ref[:], b)
	s.version, s.on = binary.BigEndian.Uint64(b[len(s.ref):]), b[len(b)-1] == 1
	return s, nil
}

// stands reports whether an order of that kind is state.
func stands(k wire.Kind) bool {
	return k == wire.KindPolicy || k == wire.KindLockdown || k == wire.KindDisable
}

// errOlder means that kiosks would take no notice of an order.
var errOlder = errors.New("one with a higher version is in force")

// standFor remembers an order that is state, so that a kiosk that comes later gets it too. errOlder, if a later one is in force: kiosks would do nothing.
func (f *Fleet) standFor(ctx context.Context, what string, s state) error {
	key := "standing." + what
	v, err := f.store.Get(ctx, key)
	if err != nil && !isNone(err) {
		return err
	}
	if err == nil {
		was, err := decodeState(v.Data)
		if err != nil {
			return fmt.Errorf("read %q: %w", key, err)
		}
		if was.ref == s.ref {
			return nil
		}
		if was.version >= s.version {
			return fmt.Errorf("take order of version %d: %w, %d", s.version, errOlder, was.version)
		}
	}
	_, err = f.store.Put(ctx, key, s.encode(), v.Revision)
	return err
}

func (f *Fleet) stateOf(ctx context.Context, what string) (s state, err error) {
	v, err := f.store.Get(ctx, "standing."+what)
	if isNone(err) {
		return s, nil
	}
	if err == nil {
		s, err = decodeState(v.Data)
	}
	return s, err
}

// standing are the orders that are in force for a kiosk: those for all, and its own.
func (f *Fleet) standing(ctx context.Context, name string) (refs [][32]byte, err error) {
	for _, of := range []string{"", name + "."} {
		for _, k := range []wire.Kind{wire.KindPolicy, wire.KindLockdown, wire.KindDisable} {
			s, err := f.stateOf(ctx, of+k.String())
			if err != nil {
				return nil, err
			}
			if s.version > 0 {
				refs = append(refs, s.ref)
			}
		}
	}
	return refs, nil
}

// ownTo remembers that an order is for one kiosk alone.
func (f *Fleet) ownTo(ctx context.Context, name string, k wire.Kind, s state) error {
	if stands(k) {
		all, err := f.stateOf(ctx, k.String())
		if err == nil && all.version >= s.version {
			err = fmt.Errorf("take order of version %d for one kiosk: %w for all, %d", s.version, errOlder, all.version)
		}
		if err != nil {
			return err
		}
		if err := f.standFor(ctx, name+"."+k.String(), s); err != nil {
			return err
		}
	}
	key := "own." + name + "." + hex.EncodeToString(s.ref[:])
	if _, err := f.store.Get(ctx, key); err == nil || !isNone(err) {
		return err
	}
	_, err := f.store.Put(ctx, key, nil, 0)
	return err
}

// own are the orders that are for one kiosk alone.
func (f *Fleet) own(ctx context.Context, name string) (map[[32]byte]bool, error) {
	list, err := f.store.List(ctx, "own."+name)
	if err != nil {
		return nil, err
	}
	refs := map[[32]byte]bool{}
	for _, v := range list {
		b, err := hex.DecodeString(v.Key[strings.LastIndexByte(v.Key, '.')+1:])
		if err != nil || len(b) != 32 {
			return nil, fmt.Errorf("%q is no order of a kiosk's own", v.Key)
		}
		refs[[32]byte(b)] = true
	}
	return refs, nil
}

// covers reports an error while a kiosk is shut by an order of its own and another, which is to take its place, is not.
func (f *Fleet) covers(ctx context.Context, old, next string) error {
	for _, k := range []wire.Kind{wire.KindLockdown, wire.KindDisable} {
		all, err := f.stateOf(ctx, k.String())
		if err != nil {
			return err
		}
		had, err := f.stateOf(ctx, old+"."+k.String())
		if err != nil {
			return err
		}
		has, err := f.stateOf(ctx, next+"."+k.String())
		if err != nil {
			return err
		}
		if had.on && had.version > all.version && !(has.on && has.version > all.version) {
			return fmt.Errorf("%s has a %v of its own, which was signed for it alone: sign one for the new kiosk first, hq %v on -kiosk %s", old, k, k, next)
		}
	}
	return nil
}
