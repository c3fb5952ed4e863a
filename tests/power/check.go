package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/access/vault"
)

// check opens what a cut has left in dir, with what the TPM holds then, and compares it with the history. What is found beyond what was
// acknowledged belongs to the history from then on: it has been seen, so it must stay.
func check(dir string, h *history, c chip) error {
	if err := checkVaults(dir, h, c); err != nil {
		return err
	}
	if err := checkLog(dir, h, c); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	clear(h.begun)
	return nil
}

// checkVaults checks the vault, and what must not be taken for it.
func checkVaults(dir string, h *history, c chip) error {
	if err := checkOlder(dir, h, c); err != nil { // first: checkVault has the counter rise by itself
		return fmt.Errorf("older vault: %w", err)
	}
	if err := checkVault(dir, h, c); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := mustRefuse(vaultFile(dir), vault.Options{}, vault.ErrSealed); err != nil {
		return fmt.Errorf("vault without a TPM: %w", err)
	}
	return nil
}

func checkVault(dir string, h *history, c chip) (err error) {
	v, err := openVault(dir, c, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	found, err := look(v)
	if err != nil {
		return err
	}
	if may, err := h.allows(found); err != nil {
		return err
	} else if !may {
		return fmt.Errorf("it holds %v, acknowledged were %v, begun was %q", found, h.vault, h.pending())
	}
	h.vault = found
	// Raising the boot counter shows what it was, and that the vault can be written.
	boot, err := v.Boot()
	if err == nil && (boot < h.boots+1 || boot > h.boots+2+h.unended) {
		err = fmt.Errorf("boot %d after %d acknowledged ones", boot, h.boots)
	}
	h.boots = boot
	return err
}

// look reads all that the vault holds.
func look(v *vault.Vault) (contents, error) {
	found := contents{people: map[access.PersonID]standing{}}
	for i := range people {
		buried, err := v.Tombstone(personID(i))
		if err != nil {
			return found, err
		}
		if buried > 0 {
			found.people[personID(i)] = standing{buried: buried}
		}
	}
	err := v.All(bundle(), func(p vault.Person) error {
		found.people[p.ID] = standing{p.Generation, p.State, found.people[p.ID].buried}
		return sameReference(v, p)
	})
	if err != nil {
		return found, err
	}
	var policy []byte
	var l vault.Lockout
	var errs [3]error
	found.lockdown, errs[0] = v.Lockdown()
	l, errs[1] = v.Lockout(door)
	policy, errs[2] = v.Policy()
	found.locked, found.failures, found.policy = l.Locked, len(l.Failures), string(policy)
	return found, errors.Join(errs[:]...)
}

// checkOlder puts back the file of before the last acknowledged restricting change.
func checkOlder(dir string, h *history, c chip) error {
	if h.older == nil {
		return nil
	}
	folder := filepath.Join(dir, "older")
	if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o700)); err != nil { // a check may have been cut, too
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "vault.db")
	if err := os.WriteFile(file, h.older, 0o600); err != nil {
		return err
	}
	h.seen.older++
	return mustRefuse(file, vault.Options{Root: c, Device: device()}, vault.ErrRolledBack)
}

func mustRefuse(file string, o vault.Options, want error) error {
	v, err := vault.Open(file, o)
	if err == nil {
		return errors.Join(fmt.Errorf("it opens, want %q", want), v.Close())
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("%w, want %q", err, want)
	}
	return nil
}

// sameReference compares a stored reference, turned as it is, with the one that was put.
func sameReference(v *vault.Vault, p vault.Person) error {
	if len(p.References) != 1 || p.Foreign != 0 {
		return fmt.Errorf("%d references of %s", len(p.References), p.ID)
	}
	got, want := make([]float32, access.ProbeSize), reference(p.ID, p.Generation)
	p.References[0].Template.Copy(got)
	if err := v.Transform(want); err != nil {
		return err
	}
	for i := range want {
		if d := got[i] - want[i]; d > 1e-5 || d < -1e-5 {
			return fmt.Errorf("reference of %s is not that of generation %d", p.ID, p.Generation)
		}
	}
	return nil
}

func checkLog(dir string, h *history, c chip) error {
	anchor, err := c.ReadAnchor()
	if err != nil {
		return err
	}
	if h.anchored > 0 && (len(anchor) != auditlog.AnchorBytes || binary.BigEndian.Uint64(anchor[8:]) < h.anchored) {
		return fmt.Errorf("the TPM remembers %x, acknowledged was an anchor of %d records", anchor, h.anchored)
	}
	l, r, err := openLog(dir, c)
	if err != nil {
		return err
	}
	defer func() { l.Close() }()
	if len(r.Damage) > 0 {
		return fmt.Errorf("damage where a power cut makes none: %+v", r)
	}
	if r.Torn > 0 {
		h.seen.torn++
	}
	if err := checkRecords(l, h); err != nil {
		return err
	}
	if at := l.Cursor(); at < h.cursor || at > max(h.cursor, h.mayCursor) {
		return fmt.Errorf("cursor is at %d, acknowledged was %d, begun %d", at, h.cursor, h.mayCursor)
	}
	h.cursor = l.Cursor()
	if err := checkNotes(l, h, c); err != nil {
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
	if l, r, err = openLog(dir, c); err != nil {
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
func checkNotes(l *auditlog.Log, h *history, c chip) error {
	public, ok := c.AuditKey().Public().(*ecdsa.PublicKey)
	if !ok {
		return errors.New("audit key is of another kind")
	}
	stored := l.LastCheckpoint()
	size := uint64(0)
	for _, note := range [][]byte{h.note, stored} {
		if len(note) == 0 {
			continue
		}
		c, err := proof.OpenCheckpoint(note, public)
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
