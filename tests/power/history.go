package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// contents is what the vault must hold beside its boot counter.
type contents struct {
	people           map[access.PersonID]standing
	lockdown, locked bool
	failures         int // that the door remembers
	policy           string
}

func (c contents) clone() contents {
	c.people = maps.Clone(c.people)
	return c
}

func (c contents) equal(o contents) bool {
	return maps.Equal(c.people, o.people) && c.lockdown == o.lockdown && c.locked == o.locked && c.failures == o.failures && c.policy == o.policy
}

// history is what a child has said: what is acknowledged, and what was begun and may stand or not.
type history struct {
	records map[uint64]string // hash by acknowledged sequence
	tried   map[string]bool   // hashes of records that may be there
	vault   contents
	boots   uint64
	note    []byte // the last acknowledged checkpoint
	cursor  uint64

	nv, mayNV kept   // what a double holds, and what it may hold while a command is under way
	anchored  uint64 // records that the last acknowledged anchor covers

	// before is the vault's file as it was before the change that may come or is under way; older is one that a later acknowledged
	// restricting change has made worthless. nil: there is none.
	before, older []byte
	restricted    int // such changes

	unended uint64 // checks that were begun since, and cut before they ended

	begun     map[string]string // number → words of what is not acknowledged
	mayCursor uint64
	lines     int
	seen      *seen
}

// seen counts what is worth telling of the checks, over all clones of a history.
type seen struct {
	older int // older vaults that were refused
	twice int // cuts with a command of the TPM under way
	torn  int // logs that ended in half a record
}

func newHistory() *history {
	nv := kept{counter: born}
	return &history{
		records: map[uint64]string{}, tried: map[string]bool{}, vault: contents{people: map[access.PersonID]standing{}},
		begun: map[string]string{}, nv: nv, mayNV: nv, seen: &seen{},
	}
}

func (h *history) clone() *history {
	c := *h
	c.records, c.tried, c.vault, c.begun = maps.Clone(h.records), maps.Clone(h.tried), h.vault.clone(), maps.Clone(h.begun)
	c.note = slices.Clone(h.note)
	return &c
}

// chips are what a TPM may hold at this moment: one state, or two while a command is under way.
func (h *history) chips() []kept {
	if h.nv.counter == h.mayNV.counter && string(h.nv.anchor) == string(h.mayNV.anchor) {
		return []kept{h.nv}
	}
	return []kept{h.nv, h.mayNV}
}

// hear takes one line of a child.
func (h *history) hear(line string) error {
	h.lines++
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "raising", "raised", "anchoring", "anchored":
		return h.hearChip(word, rest)
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

func (h *history) hearChip(word, rest string) (err error) {
	switch word {
	case "raising":
		h.mayNV.counter, err = strconv.ParseUint(rest, 10, 64)
	case "raised":
		h.nv.counter = h.mayNV.counter
	case "anchoring":
		h.mayNV.anchor, err = hex.DecodeString(rest)
	case "anchored":
		h.nv.anchor = h.mayNV.anchor
	}
	return err
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
		return nil
	case "checkpoint", "anchor":
		note, err := base64.StdEncoding.DecodeString(result)
		if err != nil {
			return err
		}
		h.note = note
		if kind == "anchor" {
			_, err = fmt.Sscanf(string(note), origin+"\n%d\n", &h.anchored)
		}
		return err
	case "cursor":
		_, err := fmt.Sscan(result, &h.cursor)
		return err
	case "boot":
		_, err := fmt.Sscan(result, &h.boots)
		return err
	case "expire", "open", "settle":
		return nil
	}
	if kind == "sweep" {
		what += " " + result // whom the vault chose
	}
	if restricts(what, h.vault) {
		h.older, h.restricted = h.before, h.restricted+1
	}
	return h.vault.apply(what)
}

// restricts says whether a change is one whose loss would give back what was taken: when it is acknowledged no older file may open.
func restricts(what string, before contents) bool {
	words := strings.Fields(what)
	switch words[0] {
	case "revoke", "erase", "suspend", "policy", "rekey":
		return true
	case "lockdown":
		return words[1] == "true"
	case "lockout":
		return words[2] == "true" && !before.locked
	case "sweep":
		return len(words) > 2 // somebody is gone
	}
	return false
}

// apply does to the model what an operation does to the vault.
func (c *contents) apply(what string) (err error) {
	words := strings.Fields(what)
	switch kind := words[0]; kind {
	case "lockdown":
		c.lockdown = words[1] == "true"
	case "lockout":
		c.locked = words[2] == "true"
		c.failures, err = strconv.Atoi(words[1])
	case "policy":
		c.policy = words[1]
	case "rekey": // seen in how the templates compare, if at all
	case "sweep":
		if words[1] != "0" {
			c.failures = 0
		}
		for _, id := range words[2:] {
			if err := c.stand("erase", id); err != nil {
				return err
			}
		}
	case "put":
		id, err := access.ParsePersonID(words[1])
		if err != nil {
			return err
		}
		s := c.people[id]
		s.state = vault.Active
		s.generation, err = strconv.ParseUint(words[2], 10, 64)
		c.people[id] = s
		return err
	default:
		err = c.stand(kind, words[1])
	}
	return err
}

// stand changes how somebody stands who is enrolled.
func (c *contents) stand(how, hexID string) error {
	id, err := access.ParsePersonID(hexID)
	if err != nil {
		return err
	}
	s := c.people[id]
	switch how {
	case "revoke":
		s.state, s.buried = vault.Revoked, s.generation
	case "erase":
		s = standing{buried: s.generation}
	case "suspend":
		s.state = vault.Suspended
	case "resume":
		s.state = vault.Active
	default:
		return fmt.Errorf("%q is no operation of the vault", how)
	}
	c.people[id] = s
	return nil
}

// pending is the one operation of the vault that was begun and not acknowledged; empty when there is none.
func (h *history) pending() string {
	for _, what := range h.begun {
		switch kind, _, _ := strings.Cut(what, " "); kind {
		case "put", "revoke", "erase", "suspend", "resume", "lockdown", "lockout", "policy", "sweep":
			return what
		}
	}
	return ""
}

// allows says whether the vault may hold what was found: what was acknowledged, and what was begun whole or not at all.
func (h *history) allows(found contents) (bool, error) {
	next := h.vault.clone()
	what := h.pending()
	switch what {
	case "":
	case "sweep": // one after the other goes, of those who may go
		for id, s := range found.people {
			if was := h.vault.people[id]; s != was && was.state != vault.Active && was.generation != 0 {
				next.people[id] = standing{buried: was.generation}
			}
		}
		if !next.locked && found.failures == 0 {
			next.failures = 0
		}
	default:
		if err := next.apply(what); err != nil {
			return false, err
		}
	}
	return found.equal(h.vault) || found.equal(next), nil
}
