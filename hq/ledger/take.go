package ledger

import (
	"bytes"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

// ingest takes in a message, and whatever came early and follows on it.
func (k *kiosk) ingest(m wire.Records, now time.Time) (ack *wire.Acknowledge, err error) {
	err = k.locked(now, func() error {
		if k.folder.broken != nil {
			return k.folder.broken
		}
		err := k.take(m, now)
		for err == nil {
			next, ok := k.follows()
			if !ok || k.take(next, now) != nil {
				break // it said what it had to by an alarm, or it comes again
			}
		}
		ack = k.acknowledgement()
		return err
	})
	return ack, err
}

// follows takes a message that came early out of those that wait, if its turn has come.
func (k *kiosk) follows() (wire.Records, bool) {
	for from, m := range k.early {
		if from <= k.next() {
			delete(k.early, from)
			return m, true
		}
	}
	return wire.Records{}, false
}

// next is the first record that is not here.
func (k *kiosk) next() uint64 { return k.folder.head + uint64(len(k.pending.list)) }

func (k *kiosk) acknowledgement() *wire.Acknowledge {
	if k.folder.head == 0 || k.folder.broken != nil {
		return nil
	}
	root, err := k.tree.root(k.folder.head)
	if err != nil {
		return nil
	}
	return &wire.Acknowledge{Records: k.folder.head, Root: root}
}

func (k *kiosk) take(m wire.Records, now time.Time) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if m.From > proof.MaxSize {
		return fmt.Errorf("%w: it begins with record %d", ErrRefused, m.From)
	}
	var c signed
	if len(m.Checkpoint) > 0 {
		var err error
		if c, err = openSigned(k.Kiosk, m.Checkpoint, m.Time); err != nil {
			k.alarm(AlarmSignature, err.Error(), m.Checkpoint, now)
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if err := k.weigh(c, now); err != nil {
			return err
		}
	}
	if m.From > k.next() {
		k.remember(m, now)
		m = wire.Records{From: k.next()} // its checkpoint may still cover what is here
	}
	return k.place(m, c, now)
}

// remember keeps a message until what comes before it is here. Of too many the first are kept.
func (k *kiosk) remember(m wire.Records, now time.Time) {
	if len(m.Records) == 0 {
		return
	}
	if k.hole.IsZero() {
		k.hole = now
	}
	if old, ok := k.early[m.From]; ok && len(old.Records) >= len(m.Records) {
		return
	}
	if !k.room(sizeOf(m)) {
		return // the kiosk sends it again
	}
	k.early[m.From] = m
	last := m.From
	for from := range k.early {
		last = max(last, from)
	}
	if len(k.early) > maxEarly {
		delete(k.early, last)
	}
}

// weigh holds a checkpoint, whose signature is good, to all that this kiosk signed before.
func (k *kiosk) weigh(c signed, now time.Time) error {
	fork := func(other string) error {
		text := fmt.Sprintf("it signed a log of %d records that is not %s", c.Size, other)
		k.alarm(AlarmFork, text, c.Note, now)
		return fmt.Errorf("%w: %s", ErrRefused, text)
	}
	here := c.Size > 0 && c.Size <= k.folder.head
	if here {
		root, err := k.tree.root(c.Size)
		if err != nil {
			return err
		}
		if root != c.Root {
			return fork("the one that it has sent")
		}
	}
	// By the clock it is held to the newest checkpoint whose attestation came: a carrier may have taken that of newer ones away.
	n, t := k.state.Newest, k.state.Clocked
	if !n.none() {
		switch {
		case c.Size == n.Size && c.Root != n.Root:
			return fork("the one that it had signed before")
		case c.Size < n.Size && c.Counter > n.Counter, c.Size < t.Size && c.clock(t) > 0:
			k.alarm(AlarmRewind, fmt.Sprintf("it signed %d records after it had signed %d", c.Size, max(n.Size, t.Size)), c.Note, now)
		case c.Size > n.Size && c.Counter < n.Counter:
			k.alarm(AlarmRewind, fmt.Sprintf("its counter was %d with %d records, and is %d with %d", n.Counter, n.Size, c.Counter, c.Size), c.Note, now)
		case c.Size > t.Size && c.clock(t) < 0, c.Size == t.Size && c.Counter > t.Counter && c.clock(t) < 0:
			k.alarm(AlarmClone, fmt.Sprintf("the clock of its TPM was at reset %d, %d ms, and is at reset %d, %d ms", t.Resets, t.Clock, c.Resets, c.Clock), c.Note, now)
		}
	}
	fresh := c.later(n) || c.Size == n.Size && c.Counter == n.Counter && c.clock(t) > 0
	k.keepTime(c, fresh, now)
	if fresh {
		k.state.Newest, k.heard, k.unsaved = c, now, true
		k.over(AlarmSilence, now)
		if c.Size > k.folder.head {
			k.await(c, now)
		}
	}
	if here && c.later(k.state.Covered) {
		k.state.Covered, k.unsaved = c, true
	}
	return nil
}

// maxAhead is how many checkpoints wait for their records. Of too many the oldest and the newest are kept: the one says since when records are missing,
// the other how many.
const maxAhead = 16

func (k *kiosk) await(c signed, now time.Time) {
	if len(k.ahead) == maxAhead {
		k.ahead = append(k.ahead[:maxAhead-2], k.ahead[maxAhead-1])
	}
	k.ahead = append(k.ahead, awaited{c, now})
}

// place finds out which of the records at hand the kiosk vouches for, and keeps the others apart.
func (k *kiosk) place(m wire.Records, c signed, now time.Time) error {
	head := k.folder.head
	for i, r := range m.Records {
		at := m.From + uint64(i)
		if at >= head {
			break
		}
		if same, err := k.tree.holds(at, r); err != nil || !same {
			return k.contradicted(fmt.Errorf("record %d came with other bytes than those that are vouched for", at), err, now)
		}
	}
	chain, agrees := k.chain(m, now)
	upTo, g, err := k.reach(chain, c, m)
	if err != nil {
		return err
	}
	if upTo > head {
		err := k.promote(chain, g, now)
		if err == nil && !agrees {
			k.alarm(AlarmContradicted, fmt.Sprintf("records came that claimed to follow record %d, and the kiosk's signature is over others", head), nil, now)
		}
		return err
	}
	if !agrees {
		// Two versions, and nobody vouches for this one. The other may be proven right.
		if upTo, g, err = k.reach(k.pending.list, c, wire.Records{}); err == nil && upTo > head {
			err = k.promote(k.pending.list, g, now)
		}
		return k.contradicted(fmt.Errorf("records from %d on came in two versions", m.From), err, now)
	}
	if k.refuted(chain, c, m) {
		why := fmt.Errorf("records from %d on are not those that the kiosk signed", head)
		if len(k.pending.list) == 0 || m.From <= head {
			return k.contradicted(why, nil, now)
		}
		// Which of them are wrong nobody knows: all go, and the kiosk, which has no acknowledgement, sends them again.
		if err := k.folder.keepPending(&k.pending, nil); err != nil {
			return err
		}
		k.remember(m, now)
		return k.contradicted(why, nil, now)
	}
	fresh := chain[min(len(chain), len(k.pending.list)):]
	if len(chain) > maxPending || bytesOf(chain) > maxPendingBytes {
		return fmt.Errorf("%w: %d records that no checkpoint covers", ErrRefused, len(chain))
	}
	if len(fresh) == 0 {
		return nil
	}
	if !k.room(int64(bytesOf(fresh) + overhead*len(fresh))) {
		return fmt.Errorf("%w: kiosks have sent more that no checkpoint covers than there is room for", ErrRefused)
	}
	return k.folder.hold(&k.pending, fresh)
}

// contradicted refuses what is not true, unless the disk has something worse to say.
func (k *kiosk) contradicted(what, failed error, now time.Time) error {
	if failed != nil {
		return failed
	}
	k.alarm(AlarmContradicted, what.Error(), nil, now)
	return fmt.Errorf("%w: %w", ErrRefused, what)
}

// chain is what would follow the ledger's records if the message were true: its own before what is pending. agrees is false when these contradict
// each other.
func (k *kiosk) chain(m wire.Records, now time.Time) (chain []Entry, agrees bool) {
	head, old := k.folder.head, k.pending.list
	chain = append(chain, old[:min(uint64(len(old)), max(m.From, head)-head)]...)
	agrees = true
	for i, r := range m.Records {
		at := m.From + uint64(i)
		if at < head {
			continue
		}
		e := Entry{at, now, bytes.Clone(r)}
		if n := at - head; n < uint64(len(old)) {
			if bytes.Equal(old[n].Record, r) {
				e.Arrived = old[n].Arrived
			} else {
				agrees = false
			}
		}
		chain = append(chain, e)
	}
	if agrees && len(chain) < len(old) {
		chain = append(chain, old[len(chain):]...)
	}
	return chain, agrees
}
