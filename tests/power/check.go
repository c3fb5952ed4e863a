package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/access/vault"
)

// held is an anchor that answers and cannot be written.
type held []byte

func (h held) ReadAnchor() ([]byte, error) { return h, nil }

func (h held) WriteAnchor([]byte) error { return errors.New("nobody anchors here") }

// check opens what a cut has left in dir and holds it to the history. What is found beyond what was acknowledged belongs to the
// history from then on: it has been seen, so it must stay.
func check(dir string, h *history) error {
	if err := checkVault(dir, h); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := checkLog(dir, h); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	clear(h.begun)
	return nil
}

func checkVault(dir string, h *history) (err error) {
	v, err := openVault(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	found := map[access.PersonID]standing{}
	for i := range people {
		buried, err := v.Tombstone(personID(i))
		if err != nil {
			return err
		}
		if buried > 0 {
			found[personID(i)] = standing{buried: buried}
		}
	}
	if err := v.All(bundle(), func(p vault.Person) error {
		found[p.ID] = standing{p.Generation, p.State, found[p.ID].buried}
		return sameReference(p)
	}); err != nil {
		return err
	}
	next := maps.Clone(h.people)
	if what := h.pending(); what != "" {
		if err := apply(next, what); err != nil {
			return err
		}
	}
	if !maps.Equal(found, h.people) && !maps.Equal(found, next) {
		return fmt.Errorf("it holds %v, acknowledged were %v, begun was %q", found, h.people, h.pending())
	}
	h.people = found
	// Raising the counter shows what it was, and that the vault can be written.
	boot, err := v.Boot()
	if err == nil && (boot < h.boots+1 || boot > h.boots+2) {
		err = fmt.Errorf("boot %d after %d acknowledged ones", boot, h.boots)
	}
	h.boots = boot
	return err
}

func sameReference(p vault.Person) error {
	if len(p.References) != 1 || p.Foreign != 0 {
		return fmt.Errorf("%d references of %s", len(p.References), p.ID)
	}
	got, want := make([]float32, access.ProbeSize), reference(p.ID, p.Generation)
	p.References[0].Template.Copy(got)
	for i := range want {
		// A vault may keep the reference transformed: what it gives back is then equal within rounding.
		if d := got[i] - want[i]; d > 1e-5 || d < -1e-5 {
			return fmt.Errorf("reference of %s is not that of generation %d", p.ID, p.Generation)
		}
	}
	return nil
}

func checkLog(dir string, h *history) error {
	l, r, err := openLog(dir, held(h.anchor))
	if err != nil {
		return err
	}
	defer func() { l.Close() }()
	if len(r.Damage) > 0 {
		return fmt.Errorf("damage where a power cut makes none: %+v", r)
	}
	if err := checkRecords(l, h); err != nil {
		return err
	}
	if at := l.Cursor(); at < h.cursor || at > max(h.cursor, h.mayCursor) {
		return fmt.Errorf("cursor is at %d, acknowledged was %d, begun %d", at, h.cursor, h.mayCursor)
	}
	h.cursor = l.Cursor()
	if err := checkNotes(l, h); err != nil {
		return err
	}
	if damage, err := l.Check(); err != nil {
		return err
	} else if len(damage) > 0 {
		return fmt.Errorf("check finds %v", damage)
	}
	// The log goes on, and what was mended stays so.
	data := fmt.Appendf(nil, "after the cut %d", l.Head())
	seq, err := l.Append(auditlog.Vital, data)
	if err != nil {
		return err
	}
	h.records[seq], h.tried[hash(data)] = hash(data), true
	if err := l.Close(); err != nil {
		return err
	}
	if l, r, err = openLog(dir, held(h.anchor)); err != nil {
		return fmt.Errorf("second open: %w", err)
	}
	if r.Torn != 0 || len(r.Damage) > 0 || l.Head() != seq+1 {
		return fmt.Errorf("second open: %+v, head %d", r, l.Head())
	}
	return nil
}

func hash(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// checkRecords reads the whole log: acknowledged records are where they were, and nothing is there that nobody wrote.
func checkRecords(l *auditlog.Log, h *history) error {
	from := uint64(0)
	var gone auditlog.Expired
	if _, err := l.Read(0, 1); errors.As(err, &gone) {
		from = gone.Until
	}
	for seq := range h.records {
		if seq >= l.Head() {
			return fmt.Errorf("record %d was acknowledged, the log ends at %d", seq, l.Head())
		}
		if seq < from && from > h.mayCursor {
			return fmt.Errorf("record %d has expired, acknowledged were %d", seq, h.mayCursor)
		}
	}
	list, err := l.Read(from, int(l.Head()))
	if err != nil {
		return err
	}
	if uint64(len(list)) != l.Head()-from {
		return fmt.Errorf("%d records from %d, it ends at %d", len(list), from, l.Head())
	}
	for _, e := range list {
		sum := hash(e.Record)
		if want := h.records[e.Seq]; want != "" && want != sum {
			return fmt.Errorf("record %d is not the one that was acknowledged", e.Seq)
		}
		if !h.tried[sum] {
			return fmt.Errorf("record %d was never written", e.Seq)
		}
		h.records[e.Seq] = sum
	}
	return nil
}

// checkNotes holds the tree to the last acknowledged checkpoint, which has gone to headquarters, and to the stored one.
func checkNotes(l *auditlog.Log, h *history) error {
	k, err := key()
	if err != nil {
		return err
	}
	stored := l.LastCheckpoint()
	size := uint64(0)
	for _, note := range [][]byte{h.note, stored} {
		if len(note) == 0 {
			continue
		}
		c, err := proof.OpenCheckpoint(note, &k.PublicKey)
		if err != nil {
			return err
		}
		if root, err := l.Root(c.Size); err != nil {
			return err
		} else if root != c.Root {
			return fmt.Errorf("checkpoint of %d records: root is %v, want %v", c.Size, root, c.Root)
		}
		if c.Size < size {
			return fmt.Errorf("stored checkpoint has %d records, acknowledged was one of %d", c.Size, size)
		}
		size = c.Size
	}
	if len(h.note) > 0 && len(stored) == 0 {
		return errors.New("acknowledged checkpoint is not stored")
	}
	if !bytes.Equal(h.note, stored) {
		h.note = stored
	}
	return nil
}
