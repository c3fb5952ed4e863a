package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
)

// standing is what the vault must hold of one person.
type standing struct {
	generation uint64 // 0: nobody
	state      vault.State
	buried     uint64 // tombstone
}

// history is what a child has said: what is acknowledged, and what was begun and may stand or not.
type history struct {
	records map[uint64]string // hash by acknowledged sequence
	tried   map[string]bool   // hashes of records that may be there
	people  map[access.PersonID]standing
	boots   uint64
	note    []byte // the last acknowledged checkpoint
	anchor  []byte
	cursor  uint64

	begun     map[string]string // number → words of what is not acknowledged
	mayCursor uint64
	lines     int
}

func newHistory() *history {
	return &history{records: map[uint64]string{}, tried: map[string]bool{}, people: map[access.PersonID]standing{}, begun: map[string]string{}}
}

func (h *history) clone() *history {
	c := *h
	c.records, c.tried, c.people, c.begun = maps.Clone(h.records), maps.Clone(h.tried), maps.Clone(h.people), maps.Clone(h.begun)
	c.note, c.anchor = slices.Clone(h.note), slices.Clone(h.anchor)
	return &c
}

// hear takes one line of a child.
func (h *history) hear(line string) error {
	h.lines++
	word, rest, _ := strings.Cut(line, " ")
	if word == "anchor" {
		var err error
		h.anchor, err = hex.DecodeString(rest)
		return err
	}
	number, rest, _ := strings.Cut(rest, " ")
	switch word {
	case "try":
		h.begun[number] = rest
		if hash, ok := strings.CutPrefix(rest, "record "); ok {
			h.tried[hash] = true
		}
		if strings.HasPrefix(rest, "cursor ") {
			if _, err := fmt.Sscanf(rest, "cursor %d", &h.mayCursor); err != nil {
				return err
			}
		}
		return nil
	case "ok":
		what, found := h.begun[number]
		if !found {
			return fmt.Errorf("child acknowledges %q, which it has not begun", line)
		}
		delete(h.begun, number)
		return h.acknowledged(what, rest)
	}
	return fmt.Errorf("child says %q", line)
}

func (h *history) acknowledged(what, result string) error {
	kind, args, _ := strings.Cut(what, " ")
	switch kind {
	case "record":
		var seq uint64
		if _, err := fmt.Sscan(result, &seq); err != nil {
			return err
		}
		if h.records[seq] != "" {
			return fmt.Errorf("sequence %d was given twice", seq)
		}
		h.records[seq] = args
	case "checkpoint":
		note, err := base64.StdEncoding.DecodeString(result)
		h.note = note
		return err
	case "cursor":
		_, err := fmt.Sscan(result, &h.cursor)
		return err
	case "boot":
		_, err := fmt.Sscan(result, &h.boots)
		return err
	case "expire":
	default:
		return apply(h.people, what)
	}
	return nil
}

// apply does to the model what put, revoke and delete do to the vault.
func apply(people map[access.PersonID]standing, what string) error {
	var kind, hexID string
	var generation uint64
	if _, err := fmt.Sscan(what, &kind, &hexID, &generation); err != nil {
		return fmt.Errorf("%q: %w", what, err)
	}
	id, err := access.ParsePersonID(hexID)
	if err != nil {
		return err
	}
	s := people[id]
	switch kind {
	case "put":
		s.generation, s.state = generation, vault.Active
	case "revoke":
		s.state, s.buried = vault.Revoked, generation
	case "delete":
		s.generation, s.state, s.buried = 0, 0, generation
	default:
		return fmt.Errorf("%q is no operation of the vault", what)
	}
	people[id] = s
	return nil
}

// pending is the one operation of the vault that was begun and not acknowledged; empty when there is none.
func (h *history) pending() string {
	for _, what := range h.begun {
		if kind, _, _ := strings.Cut(what, " "); kind == "put" || kind == "revoke" || kind == "delete" {
			return what
		}
	}
	return ""
}
