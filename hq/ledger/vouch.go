package ledger

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/sync/wire"
)

// reach says how far the kiosk vouches for records that would follow the ledger's: how many there would be in all, and the tree over them. It is no more
// than there are when it vouches for none.
func (k *kiosk) reach(chain []Entry, c signed, m wire.Records) (uint64, *growth, error) {
	head := k.folder.head
	g, all := k.tree.grow(chain), k.folder.head+uint64(len(chain))
	if len(chain) == 0 {
		return head, g, nil
	}
	for _, s := range append(k.sizes(head, all), c) {
		if s.Size <= head || s.Size > all {
			continue
		}
		root, err := g.root(s.Size)
		if err != nil {
			return head, g, err
		}
		if root == s.Root {
			return s.Size, g.first(chain, s.Size), nil
		}
	}
	// The checkpoint covers more: the message itself may prove that it is a beginning of that.
	end := m.From + uint64(len(m.Records))
	if len(m.Proof) == 0 || end <= head || end > all || c.Size <= end {
		return head, g, nil
	}
	g = g.first(chain, end)
	root, err := g.root(end)
	if err != nil {
		return head, g, err
	}
	p := make(tlog.TreeProof, len(m.Proof))
	for i, h := range m.Proof {
		p[i] = h
	}
	if tlog.CheckTree(p, int64(c.Size), c.Root, int64(end), root) != nil {
		return head, g, nil
	}
	return end, g, nil
}

// sizes are the checkpoints that wait for just these records, the largest first.
func (k *kiosk) sizes(head, all uint64) (list []signed) {
	for i := len(k.ahead) - 1; i >= 0; i-- {
		if s := k.ahead[i].signed; s.Size > head && s.Size <= all {
			list = append(list, s)
		}
	}
	return list
}

// refuted reports whether a signature of the kiosk, under which reach found none of the records, shows that one of them is wrong.
func (k *kiosk) refuted(chain []Entry, c signed, m wire.Records) bool {
	head, all := k.folder.head, k.folder.head+uint64(len(chain))
	end := m.From + uint64(len(m.Records))
	return len(k.sizes(head, all)) > 0 || c.Size > head && c.Size <= all || len(m.Proof) > 0 && end > head && c.Size > end
}

// promote takes the records that g has into the ledger and keeps the rest of the chain pending.
func (k *kiosk) promote(chain []Entry, g *growth, now time.Time) error {
	n := g.size - k.folder.head
	if err := g.write(); err != nil { // first: behind the tree's end they mean nothing yet
		return err
	}
	k.folder.at("hashed")
	if err := k.folder.append(chain[:n]); err != nil {
		return err
	}
	g.take()
	for _, e := range chain[:n] {
		k.look(e, now)
	}
	if err := k.settle(now); err != nil {
		return err
	}
	if rest := chain[n:]; len(k.pending.list)+len(rest) > 0 {
		return k.folder.keepPending(&k.pending, rest)
	}
	return nil
}

// settle holds the checkpoints that have been waiting to the records that have come.
func (k *kiosk) settle(now time.Time) error {
	waiting := k.ahead[:0]
	for _, a := range k.ahead {
		if a.Size > k.folder.head {
			waiting = append(waiting, a)
			continue
		}
		root, err := k.tree.root(a.Size)
		if err != nil {
			return err
		}
		if root != a.Root {
			k.alarm(AlarmFork, fmt.Sprintf("it signed a log of %d records that is not the one that it has sent", a.Size), a.Note, now)
		} else if a.later(k.state.Covered) {
			k.state.Covered, k.unsaved = a.signed, true
		}
	}
	k.ahead = waiting
	return nil
}

// gap is since when records are known to be missing: signed for, or followed by others. Zero: none are.
func (k *kiosk) gap() time.Time {
	if len(k.early) == 0 {
		k.hole = time.Time{}
	}
	if len(k.ahead) > 0 && (k.hole.IsZero() || k.ahead[0].since.Before(k.hole)) {
		return k.ahead[0].since
	}
	return k.hole
}
