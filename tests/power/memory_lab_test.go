//go:build lab

package main

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/tests/lab/plan"
)

// memory is what of a history outlives the machine, outside of it. It is written when a check has ended well; what was said since then lies in the
// file Said.
type memory struct {
	Seed    uint64
	Boot    int
	Said    string
	Checks  uint64 // that were begun until then
	Records map[uint64]string
	Tried   map[string]bool
	People  map[access.PersonID]remembered

	Lockdown, Locked bool
	Failures         int
	Policy           string

	Boots, Cursor, Anchored uint64
	Note, Before, Older     []byte
	Restricted              int
	Table                   table
}

type remembered struct {
	Generation, Buried uint64
	State              vault.State
}

// memoryFile is replaced as a whole: the machine may be cut while it is written.
const memoryFile = plan.Outside + "/memory"

func (m *memory) load() error {
	f, err := os.Open(memoryFile)
	if err != nil {
		return err
	}
	defer f.Close()
	return gob.NewDecoder(f).Decode(m)
}

func (m *memory) save() (err error) {
	f, err := os.Create(memoryFile + ".new")
	if err != nil {
		return err
	}
	if err := errors.Join(gob.NewEncoder(f).Encode(m), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), memoryFile)
}

// history is the history as it was after the check.
func (m *memory) history() *history {
	h := newHistory()
	maps.Copy(h.records, m.Records)
	maps.Copy(h.tried, m.Tried)
	for id, p := range m.People {
		h.vault.people[id] = standing{p.Generation, p.State, p.Buried}
	}
	h.vault.lockdown, h.vault.locked, h.vault.failures, h.vault.policy = m.Lockdown, m.Locked, m.Failures, m.Policy
	h.boots, h.cursor, h.anchored, h.note, h.before, h.older, h.restricted = m.Boots, m.Cursor, m.Anchored, m.Note, m.Before, m.Older, m.Restricted
	h.mayCursor = m.Cursor
	return h
}

// take takes a history over after a check.
func (m *memory) take(h *history) {
	m.Records, m.Tried, m.People = h.records, h.tried, map[access.PersonID]remembered{}
	for id, s := range h.vault.people {
		m.People[id] = remembered{s.generation, s.buried, s.state}
	}
	m.Lockdown, m.Locked, m.Failures, m.Policy = h.vault.lockdown, h.vault.locked, h.vault.failures, h.vault.policy
	m.Boots, m.Cursor, m.Anchored, m.Note, m.Before, m.Older, m.Restricted = h.boots, h.cursor, h.anchored, h.note, h.before, h.older, h.restricted
}

// newSaid makes the file that the next worker speaks into. A machine that is lost and boots again has another.
func newSaid(boot int) (*os.File, error) {
	for n := 0; ; n++ {
		f, err := os.OpenFile(filepath.Join(plan.Outside, fmt.Sprintf("said-%d-%d", boot, n)), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// beginCheck notes that a check begins, which may not come to its end, and says how many have begun.
func beginCheck() (uint64, error) {
	f, err := os.OpenFile(filepath.Join(plan.Outside, "checks"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	if _, err := f.Write([]byte{'\n'}); err != nil {
		return 0, errors.Join(err, f.Close())
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return uint64(info.Size()), nil
}
