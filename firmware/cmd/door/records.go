package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

// maxFetched is how many bytes of records go into one message: what is left of wire.MaxMessage holds the checkpoint, the attestation of the clock and
// what is around each record.
const maxFetched = wire.MaxMessage - 12<<10

// fetch reads records for headquarters as they stand in the log. What is damaged or has expired is left out: headquarters sees by their numbers that it
// is missing.
func (h *headquarters) fetch(from uint64) (ipc.Fetched, error) {
	if h == nil {
		return ipc.Fetched{}, errors.New("there is no headquarters")
	}
	log := h.door.audit
	var entries []auditlog.Entry
	for head := log.Head(); from < head; {
		var err error
		entries, err = log.Read(from, wire.MaxRecords)
		var lost auditlog.Damage
		var expired auditlog.Expired
		switch {
		case errors.As(err, &lost) && lost.Until > from:
			from = lost.Until
			continue
		case errors.As(err, &expired) && expired.Until > from:
			from = expired.Until
			continue
		case err != nil:
			return ipc.Fetched{}, err
		}
		break
	}
	if len(entries) == 0 {
		return ipc.Fetched{Next: from}, nil
	}
	r := wire.Records{From: from}
	r.Checkpoint, r.Time = h.checkpoint()
	room := maxFetched
	for _, e := range entries {
		if room -= len(e.Record) + 3; room < 0 { // 3: the head of a byte string of that length
			break
		}
		r.Records = append(r.Records, e.Record)
	}
	data, err := wire.Report(r)
	return ipc.Fetched{Report: data, Next: from + uint64(len(r.Records))}, err
}

// checkpoint is the newest one, and the attestation of the clock that it names, if that is still the newest.
func (h *headquarters) checkpoint() (note, attestation []byte) {
	note = h.door.audit.LastCheckpoint()
	c, err := proof.ClaimedCheckpoint(note)
	if err != nil {
		return nil, nil
	}
	attestation, err = os.ReadFile(filepath.Join(h.door.state, "root", "time"))
	if err != nil || sha256.Sum256(attestation) != c.Time {
		return note, nil
	}
	return note, attestation
}

// point tells headquarters of a checkpoint that came behind the last records: without it they could not be acknowledged before others come.
func (h *headquarters) point() {
	note, attestation := h.checkpoint()
	if c, err := proof.ClaimedCheckpoint(note); err != nil || c.Size <= h.door.audit.Cursor() || bytes.Equal(note, h.noted) {
		return
	}
	h.noted = note
	h.say(wire.Records{From: h.door.audit.Head(), Checkpoint: note, Time: attestation})
}

var errForeignRoot = errors.New("records were acknowledged that are not this kiosk's")

// acknowledged moves the outbox's cursor once headquarters has shown that it holds these very records.
func (h *headquarters) acknowledged(data []byte) error {
	a, _, err := roster.Granted[wire.Acknowledge](h.roster, data, h.now())
	if err != nil {
		return err
	}
	log := h.door.audit
	if root, err := log.Root(a.Records); err != nil || root != a.Root {
		return errors.Join(errForeignRoot, err)
	}
	if a.Records <= log.Cursor() {
		return nil
	}
	if err := log.Acknowledge(a.Records); err != nil {
		return err
	}
	h.door.changed()
	return nil
}
