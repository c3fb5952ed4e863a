package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/sync/wire"
)

const (
	// maxOwedRecords is what four commands can come to. More are owed only while the log cannot be written, of which it tells itself.
	maxOwedRecords = 4 * wire.MaxOrders
	// maxOwedCommands wait to be final while the TPM is away; the oldest give way, since a later one of the chain stands for them.
	maxOwedCommands = 64
)

// debt is what the audit log still has to say of what the vault has applied. The vault takes it in the very transaction: a power cut between the two loses
// no record, and none is written twice. The zero debt owes nothing.
type debt struct {
	From     uint64          `cbor:"1,keyasint"` // records that the log had before: what stands behind them is paid
	Records  []access.Record `cbor:"2,keyasint"`
	Commands []owedCommand   `cbor:"3,keyasint"` // that are not on record as final
	Lost     uint64          `cbor:"4,keyasint"` // records that gave way
}

type owedCommand struct {
	Detail  string `cbor:"1,keyasint"`
	Idle    bool   `cbor:"2,keyasint"` // it changed nothing: headquarters' server alone can send as many of them as it likes
	Partial bool   `cbor:"3,keyasint"` // orders of it were refused, or it came without
	Before  int    `cbor:"4,keyasint"` // so many right before it, idle and not partial, have no record but this one
	Unsaid  int    `cbor:"5,keyasint"` // so many right before it, those too and all others, have none
}

// after is the command that stands for last, too, which came right before it.
func (c owedCommand) after(last owedCommand) owedCommand {
	if last.Idle && !last.Partial && c.Before == c.Unsaid {
		c.Before += last.Before + 1
	}
	c.Unsaid += last.Unsaid + 1
	return c
}

func (d debt) empty() bool { return len(d.Records)+len(d.Commands) == 0 && d.Lost == 0 }

// with is the debt with more of it, for a log of so many records: what was owed before does not stand among them either, or it would be paid.
func (d debt) with(head uint64, records []access.Record, commands ...owedCommand) debt {
	d.From = head
	d.Records = append(slices.Clip(d.Records), records...)
	if over := len(d.Records) - maxOwedRecords; over > 0 {
		d.Records, d.Lost = d.Records[over:], d.Lost+uint64(over)
	}
	d.Commands = slices.Clone(d.Commands)
	for _, c := range commands {
		if n := len(d.Commands); n > 0 && d.Commands[n-1].Idle && (d.Commands[n-1].Partial || !c.Idle || !c.Partial) { // this one stands for it
			c, d.Commands = c.after(d.Commands[n-1]), d.Commands[:n-1]
		}
		d.Commands = append(d.Commands, c)
	}
	for len(d.Commands) > maxOwedCommands {
		if !d.Commands[0].Idle {
			d.Lost++
		}
		d.Commands = fewer(d.Commands)
	}
	return d
}

// fewer is the list without its first, for which the next one stands.
func fewer(list []owedCommand) []owedCommand {
	rest := slices.Clone(list[1:])
	rest[0] = rest[0].after(list[0])
	return rest
}

// items are what the vault keeps of a debt.
func (d debt) items() (map[vault.Item][]byte, error) {
	data, err := wire.Marshal(d)
	return map[vault.Item][]byte{vault.Pending: data}, err
}

// pay writes the records that are owed. Those that find no room stay owed.
func (h *headquarters) pay() {
	h.owed.Records = h.door.recordMost(h.owed.Records)
	if h.owed.Lost > 0 && len(h.owed.Records) == 0 {
		h.door.note(access.EventEventsLost, fmt.Sprintf("%d records of what headquarters ordered", h.owed.Lost))
		h.owed.Lost = 0
	}
}

// settle pays all that can be paid: the records that commands are applied once they are final, since with the counter risen no older file brings back what
// they took. It is asked each minute, too.
func (h *headquarters) settle() {
	if h.owed.empty() {
		return
	}
	h.pay()
	if h.door.store.Settle() == nil {
		h.finish()
	}
	if h.owed.empty() {
		h.paid()
	}
}

// finish records what is final, in order: what changed something at once, with what came before it, else as others may come as often as they like. An idle
// one that finds no room holds up none that changed something: the next one stands for it.
func (h *headquarters) finish() {
	list, change := h.owed.Commands, 0
	for i, c := range list {
		if !c.Idle {
			change = i + 1
		}
	}
	for ; len(list) > 0; change-- {
		switch c := list[0]; {
		case h.final(c, change > 0):
			list = list[1:]
		case c.Idle && change > 0:
			list = fewer(list)
		default:
			h.owed.Commands = list
			return
		}
	}
	h.owed.Commands = nil
}

// paid has the vault keep no debt. If it kept one that is paid, the next start would find all of it in the log.
func (h *headquarters) paid() {
	_, err := h.door.store.Apply(vault.Step{Items: map[vault.Item][]byte{vault.Pending: nil}}, nil)
	h.door.degrade("paid debt", err)
}

// said is what the record says that it is applied.
func (c owedCommand) said() string {
	said := c.Detail
	if c.Before > 0 {
		said += fmt.Sprintf(" before=%d", c.Before)
	}
	if c.Unsaid > c.Before {
		said += fmt.Sprintf(" unsaid=%d", c.Unsaid)
	}
	return said
}

// final records that a command is, and reports whether it could. The idle ones have no claim on the log's reserve, nor, when nothing that changed waits for
// them, on more of the log than others who may come as often as they like.
func (h *headquarters) final(c owedCommand, now bool) bool {
	r := h.door.blank(access.EventCommandApplied)
	if r.Detail = c.said(); !c.Idle {
		return h.door.append(auditlog.Vital, r) == nil
	}
	if !now {
		if _, ok := h.idle.pass(frames.Now()); !ok {
			return false
		}
	}
	return h.door.put(auditlog.Ordinary, r) == nil
}

// readDebt is the debt that the vault kept, for a log of so many records. One that cannot be read is no reason to have no headquarters.
func readDebt(kept []byte, head uint64) (d debt) {
	if err := wire.Overlay(kept, &d); err != nil {
		return debt{From: head, Lost: 1}
	}
	return d
}

// pays takes away what a record of the log says. That a command is applied it says of those before it, too: they are on record, or it stands for them, maybe
// for more than when the vault was told.
func (d *debt) pays(said access.Record) {
	d.Records = slices.DeleteFunc(d.Records, func(r access.Record) bool { return r == said })
	if said.Event != access.EventCommandApplied {
		return
	}
	for i, c := range d.Commands {
		if said.Detail == c.Detail || strings.HasPrefix(said.Detail, c.Detail+" ") {
			d.Commands = d.Commands[i+1:]
			return
		}
	}
}

// restoreDebt takes up what was owed when the power went, and pays what the log does not say yet.
func (h *headquarters) restoreDebt() error {
	kept, err := h.door.store.Item(vault.Pending)
	if kept == nil || err != nil {
		return err
	}
	d := readDebt(kept, h.door.audit.Head())
	err = eachSince(h.door.audit, d.From, d.pays)
	if err != nil {
		return err
	}
	if h.owed = d; d.empty() {
		h.paid()
	}
	h.settle()
	return nil
}

// eachSince reads the records behind so many, those that can be read.
func eachSince(log *auditlog.Log, from uint64, f func(access.Record)) error {
	for head := log.Head(); from < head; {
		entries, err := log.Read(from, wire.MaxRecords)
		var lost auditlog.Damage
		var expired auditlog.Expired
		switch {
		case errors.As(err, &lost) && lost.Until > from:
			from = lost.Until
			continue
		case errors.As(err, &expired) && expired.Until > from:
			from = expired.Until
			continue
		case err != nil || len(entries) == 0:
			return err
		}
		for _, e := range entries {
			var r access.Record
			if wire.Unmarshal(e.Record, &r) == nil {
				f(r)
			}
		}
		from += uint64(len(entries))
	}
	return nil
}

// recordAll makes many records durable, which share their way to the disk.
func (k *kiosk) recordAll(list []access.Record) error {
	if left := k.recordMost(list); len(left) > 0 {
		return fmt.Errorf("the audit log does not say %d of %d records", len(left), len(list))
	}
	return nil
}

// recordMost returns those that could not be made durable.
func (k *kiosk) recordMost(list []access.Record) (left []access.Record) {
	errs := make([]error, len(list))
	var work sync.WaitGroup
	for i, r := range list {
		work.Go(func() { errs[i] = k.append(auditlog.Vital, r) })
	}
	work.Wait()
	for i, err := range errs {
		if err != nil {
			left = append(left, list[i])
		}
	}
	return left
}
