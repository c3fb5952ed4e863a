package fleet

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Command is what a kiosk was or will be given at one place of its stream, without what the orders say.
type Command struct {
	Seq      uint64
	Previous [32]byte
	Link     [32]byte
	Orders   [][32]byte // SHA-256 of their envelopes
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
	missing := uint64(0)
	for seq := after + 1; seq <= head.Seq && len(list) < pageOfCommands; seq++ {
		e, err := f.entry(ctx, d, seq)
		if isNone(err) {
			missing = seq
			continue
		}
		if err == nil && missing > 0 && e.Adopted == [32]byte{} { // only before one that was adopted may some be unknown
			err = fmt.Errorf("command %d of kiosk %q is lost", missing, name)
		}
		if err != nil {
			return nil, err
		}
		missing = 0
		c := e.traced(d.kiosk.ID)
		for _, ref := range e.Orders {
			if data, is := policies[ref]; is {
				p, err := decodePolicy(ref, data)
				if err != nil {
					return nil, err
				}
				c.Policy, c.Admits = true, p.admits(d.kiosk.Door)
			}
		}
		list = append(list, c)
	}
	return list, nil
}

func (e entry) traced(kiosk [32]byte) Command {
	return Command{Seq: e.Seq, Previous: e.Previous, Link: e.link(kiosk), Orders: e.Orders}
}

// policies are all that were ever taken, as they are stored, by the hashes of their orders.
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
