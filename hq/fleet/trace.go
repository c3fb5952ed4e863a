package fleet

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

// Command is what a kiosk was or will be given at one place of its stream, without what the orders say.
type Command struct {
	Seq      uint64
	Previous [32]byte
	Link     [32]byte
	Orders   [][32]byte // SHA-256 of their envelopes
	// Unknown is how many commands, up to this one, headquarters does not have: it was restored from a backup and has adopted the kiosk at this one. 0: it
	// has this one, and the one before.
	Unknown uint64
	// Policy says that one of them is a policy; then the kiosk keeps people of the groups Admits alone.
	Policy bool
	Admits []string
}

// pageOfCommands is how many commands Commands returns at most: 64 of 64 orders are what one message holds.
const pageOfCommands = 64

// Commands are those of a kiosk's stream behind a place, from the first on, at most a page of them; none: there are no more.
func (f *Fleet) Commands(ctx context.Context, name string, after uint64) (list []Command, err error) {
	d, err := f.at(name)
	if err != nil {
		return nil, err
	}
	head, err := f.newest(ctx, d)
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	policies, err := f.policies(ctx) // all that stand in the stream as far as head, while the kiosk is served
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for seq := after + 1; seq <= head.Seq && len(list) < pageOfCommands; seq++ {
		e, err := f.entryFrom(ctx, d, seq)
		if err != nil {
			return nil, err
		}
		c := e.traced(d.kiosk.ID)
		if e.Adopted != [32]byte{} {
			c.Unknown = e.Seq - seq + 1
		}
		for _, ref := range e.Orders {
			if data, is := policies[ref]; is {
				p, err := decodePolicy(ref, data)
				if err != nil {
					return nil, err
				}
				c.Policy, c.Admits = true, p.admits(d.kiosk.Door)
			}
		}
		list, seq = append(list, c), e.Seq
	}
	return list, nil
}

// entryFrom is the entry at a place, or the adopted one behind the commands that headquarters does not have. How many those are a kiosk says: nobody counts them.
func (f *Fleet) entryFrom(ctx context.Context, d *desk, seq uint64) (e entry, err error) {
	e, err = f.entry(ctx, d, seq)
	if !isNone(err) {
		return e, err
	}
	all, failed := f.store.List(ctx, "stream."+d.name)
	if failed != nil {
		return e, failed
	}
	i := slices.IndexFunc(all, func(v store.Value) bool { return v.Key > entryKey(d.name, seq) })
	if i < 0 {
		return e, err
	}
	var next entry
	if failed := wire.Unmarshal(all[i].Data, &next); failed != nil {
		return e, fmt.Errorf("read %q: %w", all[i].Key, failed)
	}
	if next.Adopted == [32]byte{} {
		return e, err
	}
	return next, nil
}

func (e entry) traced(kiosk [32]byte) Command {
	return Command{Seq: e.Seq, Previous: e.Previous, Link: e.link(kiosk), Orders: e.Orders}
}

// policies are all that were ever taken, as they are stored, by the hashes of their orders. None is ever written over, so that none is missing.
func (f *Fleet) policies(ctx context.Context) (map[[32]byte][]byte, error) {
	all, err := f.store.List(ctx, "policy")
	if err != nil {
		return nil, err
	}
	by := map[[32]byte][]byte{}
	for _, v := range all {
		ref, err := hex.DecodeString(strings.TrimPrefix(v.Key, "policy."))
		if err == nil && len(ref) == 32 {
			by[[32]byte(ref)] = v.Data
		}
	}
	return by, nil
}

// Placed are the commands of a kiosk's stream that have an order, the newest first.
func (f *Fleet) Placed(ctx context.Context, name string, order [32]byte) (list []Command, err error) {
	d, err := f.at(name)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	head, err := f.newest(ctx, d)
	if err != nil {
		return nil, err
	}
	for seq := head.Seq; seq > 0 && len(list) < pageOfCommands; seq-- {
		e, err := f.entry(ctx, d, seq)
		if isNone(err) || err == nil && e.Adopted != [32]byte{} {
			break
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(e.Orders, order) {
			list = append(list, e.traced(d.kiosk.ID))
		}
	}
	return list, nil
}
