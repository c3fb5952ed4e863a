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
	Clear   []uint8 // places in Orders of those that headquarters keeps in the clear, of which no vault of people need know; Commands alone says so
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
	id, door := d.kiosk.ID, d.kiosk.Door
	d.mu.Unlock() // what stands in a stream never changes, and the kiosk is served
	if err != nil {
		return nil, err
	}
	policies, err := f.policies(ctx) // all that stand in the stream as far as head
	if err != nil {
		return nil, err
	}
	for seq := after; seq < head.Seq && len(list) < pageOfCommands; {
		e, err := f.behind(ctx, d, seq)
		if err != nil {
			return nil, err
		}
		c := e.traced(id)
		if e.Adopted != [32]byte{} {
			c.Unknown = e.Seq - seq
		}
		for place, ref := range e.Orders {
			if _, here := f.clear.Load(ref); here {
				c.Clear = append(c.Clear, uint8(place)) // of wire.MaxOrders
			}
			if data, is := policies[ref]; is {
				p, err := decodePolicy(ref, data)
				if err != nil {
					return nil, err
				}
				c.Policy, c.Admits = true, p.admits(door)
			}
		}
		list, seq = append(list, c), e.Seq
	}
	return list, nil
}

// behind is the entry that follows a place which is not the newest. Before one that was adopted, and there alone, some may be unknown.
func (f *Fleet) behind(ctx context.Context, d *desk, seq uint64) (entry, error) {
	e, err := f.entry(ctx, d, seq+1)
	if !isNone(err) {
		return e, err
	}
	row, err := f.store.List(ctx, "stream."+d.name) // at once: a million may be unknown
	if err != nil {
		return e, err
	}
	at := slices.IndexFunc(row, func(v store.Value) bool { return v.Key > entryKey(d.name, seq) })
	if at >= 0 {
		if err := wire.Unmarshal(row[at].Data, &e); err != nil {
			return e, fmt.Errorf("read %q: %w", row[at].Key, err)
		}
	}
	if e.Adopted == [32]byte{} {
		return e, fmt.Errorf("command %d of kiosk %q is lost", seq+1, d.name)
	}
	return e, nil
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
	head, err := f.newest(ctx, d)
	id := d.kiosk.ID
	d.mu.Unlock() // what stands in a stream never changes
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
			list = append(list, e.traced(id))
		}
	}
	return list, nil
}
