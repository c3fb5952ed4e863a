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
	var err error
	for head := log.Head(); from < head; {
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
	next := from + uint64(len(r.Records))
	if r.Proof, err = h.prove(next, r.Checkpoint); err != nil {
		return ipc.Fetched{}, err
	}
	data, err := wire.Report(r)
	return ipc.Fetched{Report: data, Next: next}, err
}

// prove shows that a log of so many records is the beginning of the one that the checkpoint is of: so headquarters may believe each message of many
// under the one newest checkpoint.
func (h *headquarters) prove(size uint64, note []byte) (list [][32]byte, err error) {
	c, err := proof.ClaimedCheckpoint(note)
	if err != nil || size == 0 || size >= c.Size {
		return nil, nil // it has none yet, or ends where they do or before
	}
	p, err := h.door.audit.ProveConsistency(size, c.Size)
	for _, hash := range p {
		list = append(list, hash)
	}
	return list, err
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

// point tells headquarters of each new checkpoint: without it the last records could not be acknowledged before others come, and a kiosk with nothing
// to tell would not be known from one that is kept from telling.
func (h *headquarters) point() {
	note, attestation := h.checkpoint()
	if len(note) == 0 || bytes.Equal(note, h.noted) {
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
	if a.Records > log.Head() {
		return errForeignRoot
	}
	root, err := log.Root(a.Records)
	if err != nil {
		return err // a disk that cannot be read accuses nobody
	}
	if root != a.Root {
		return errForeignRoot
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
