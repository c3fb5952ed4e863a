package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/sync/wire"
)

// logRows bend the history.
func (t *theft) logRows() []row {
	v := t.victim
	end := v.moments[theEnd]
	whole := crowd + 1 + 3 + 2*recordsBehind // enrolled, removed, granted
	anchored := whole - 2*recordsBehind
	signed := whole - recordsBehind
	// changed opens the log after its folder was worked on.
	changed := func(work func(dir string) error) func() (string, error) {
		return func() (string, error) {
			k, err := t.stage(end, end)
			if err == nil {
				err = work(k.audit())
			}
			if err == nil {
				err = k.startLog(v.image)
			}
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("OPENS, records: %d of %d", k.log.Head(), whole), nil
		}
	}
	cut := func(keep int) func(dir string) error {
		return func(dir string) error {
			return errors.Join(forge(dir, upTo(keep)), forget(dir))
		}
	}
	return []row{
		{"6.0", "control: the log as it is", nil, changed(func(string) error { return nil })},
		{"6.1", "log cut off before the anchor; checkpoint, hashes and cursor removed", auditlog.ErrCutOff, changed(cut(anchored - 1))},
		{"6.2", "a record exchanged for one of another event, checksum made to fit, hashes removed", auditlog.ErrCutOff, changed(func(dir string) error {
			return errors.Join(forge(dir, denyFirst), forget(dir))
		})},
		{"6.3", "the same, the hashes left as they were", nil, t.foundLater},
		{"6.4", "log of before put back", auditlog.ErrCutOff, changed(func(dir string) error {
			return errors.Join(os.RemoveAll(dir), copyTree(dir, filepath.Join(v.moments[atAnchor].disk(), "audit")))
		})},
		{"6.5", "log of the thief's own kiosk in its place", auditlog.ErrCutOff, changed(func(dir string) error {
			return errors.Join(os.RemoveAll(dir), copyTree(dir, filepath.Join(t.thief.moments["begun"].disk(), "audit")))
		})},
		{"6.6", "log removed", auditlog.ErrCutOff, changed(os.RemoveAll)},
		{"6.7", "records cut off, hashes and checkpoint left as they were", nil, t.reportedLost},
		{"6.8", "log cut off behind the anchor, before the last signed checkpoint, which stays", auditlog.ErrCutOff, changed(func(dir string) error {
			return errors.Join(forge(dir, upTo(signed-1)), os.Remove(filepath.Join(dir, "hashes")))
		})},
		{"6.9", "the same, the checkpoint removed too", nil, func() (string, error) {
			found, err := changed(cut(signed - 1))()
			return found + ", the window that the threat model names", err
		}},
	}
}

// foundLater is a record exchanged behind hashes that were left: the log opens, and Check finds it.
func (t *theft) foundLater() (string, error) {
	end := t.victim.moments[theEnd]
	k, err := t.stage(end, end)
	if err == nil {
		err = forge(k.audit(), denyFirst)
	}
	if err == nil {
		err = k.startLog(t.victim.image)
	}
	if err != nil {
		return "", err
	}
	damage, err := k.log.Check()
	if err == nil && !slices.Equal(damage, []auditlog.Damage{{From: 0, Until: 1}}) {
		err = fmt.Errorf("its check finds %v", damage)
	}
	return "opens; its check, an expiry or a receipt finds the record, as its FORMAT.md says", err
}

// reportedLost cuts off a record that the anchor covers, and leaves the hashes: the log opens, goes on behind the gap and reports it.
func (t *theft) reportedLost() (string, error) {
	end := t.victim.moments[theEnd]
	k, err := t.stage(end, end)
	if err == nil {
		err = forge(k.audit(), upTo(1))
	}
	if err == nil {
		err = k.startLog(t.victim.image)
	}
	if err != nil {
		return "", err
	}
	if lost := k.recovery.Damage; len(lost) != 1 || lost[0].From != 1 || lost[0].Until != k.log.Head() {
		return "", fmt.Errorf("%d records, damage %v", k.log.Head(), lost)
	}
	return fmt.Sprintf("opens behind the gap, and reports records 1 to %d as lost: as a bad disk", k.log.Head()-1), nil
}

// upTo keeps the first n records.
func upTo(n int) func([][]byte) ([][]byte, error) {
	return func(records [][]byte) ([][]byte, error) { return records[:n], nil }
}

// denyFirst makes the first record one of another event.
func denyFirst(records [][]byte) ([][]byte, error) {
	var r access.Record
	if err := wire.Unmarshal(records[0], &r); err != nil {
		return nil, err
	}
	r.Event = access.EventWalkupDenied
	var err error
	records[0], err = wire.Marshal(r)
	return records, err
}

// forget removes what the log remembers of itself beside its records.
func forget(dir string) error {
	for _, name := range []string{"checkpoint", "hashes", "cursor"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// The layout of a segment, from FORMAT.md of the audit log.
const (
	segmentHead = 24
	frameHead   = 24
)

// forge rewrites the first segment with other records, and checksums that are right.
func forge(dir string, work func(records [][]byte) ([][]byte, error)) error {
	path := filepath.Join(dir, fmt.Sprintf("%020d.seg", 0))
	segment, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var records, heads [][]byte
	for at := segmentHead; at+frameHead <= len(segment); {
		n := int(binary.BigEndian.Uint32(segment[at:]))
		if n == 0 {
			break
		}
		heads = append(heads, bytes.Clone(segment[at:at+frameHead]))
		records = append(records, bytes.Clone(segment[at+frameHead:at+frameHead+n]))
		at += frameHead + n
	}
	if records, err = work(records); err != nil {
		return fmt.Errorf("forge log: %w", err)
	}
	forged := bytes.Clone(segment[:segmentHead])
	for i, r := range records {
		f := append(heads[i], r...)
		binary.BigEndian.PutUint32(f, uint32(len(r)))
		table := crc32.MakeTable(crc32.Castagnoli)
		binary.BigEndian.PutUint32(f[4:], crc32.Update(crc32.Checksum(f[8:], table), table, f[:4]))
		forged = append(forged, f...)
	}
	clear(segment)
	copy(segment, forged)
	return os.WriteFile(path, segment, 0o600)
}
