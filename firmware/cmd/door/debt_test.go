package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

// cut carries a command out in the vault and writes so many of the records that follow it; then the power goes.
func (c *centre) cut(command []byte, records int) {
	c.t.Helper()
	c.hq.mu.Lock()
	defer c.hq.mu.Unlock()
	judged, err := c.hq.roster.Command(command, roster.Means{Open: c.hq.unseal})
	if err != nil {
		c.t.Fatal(err)
	}
	s := step{Step: judged, refused: judged.Refusals}
	if err = c.hq.plan(&s); err == nil {
		_, err = c.hq.commit(c.t.Context(), &s)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	owed := c.hq.owed
	if left := c.recordMost(owed.Records[:min(records, len(owed.Records))]); len(left) > 0 {
		c.t.Fatalf("%d records could not be written", len(left))
	}
	if records > len(owed.Records) {
		for _, o := range owed.Commands {
			c.hq.final(o, true)
		}
	}
	c.before, c.seq = command, c.seq+1
}

// Wherever the power goes between the vault's commit and the last record, what was taken is on record after the next start, and once.
//
// Control: A22
func TestNoRecordIsLostInACut(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	const cuts = 5 // before the first record, before the second, the third and the fourth, and behind the last
	for i := range byte(cuts) {
		c.give(1, c.enrolment(access.PersonID{i + 1}, 1, 2*int(i)), c.enrolment(access.PersonID{i + 101}, 1, 2*int(i)+1))
		n := uint64(i + 1)
		c.cut(c.chain(0,
			c.sign("enroller", c.id, wire.Deletion{Person: [16]byte{i + 1}, Generation: 1, Issued: 1}),
			c.admin(wire.Standing{Person: [16]byte{i + 101}, Generation: 1, Serial: 1, State: 0, Issued: 1}),
			c.admin(wire.Disable{Version: n, On: true, Issued: 1}),
		), int(i))
		for range 2 {
			c.stop()
			c.start()
			for e, want := range map[access.Event]int{
				access.EventPersonDeleted: int(n), access.EventPersonSuspended: int(n), access.EventKioskDisabled: int(n), access.EventCommandApplied: int(2 * n),
				access.EventEnrolled: int(2 * n),
			} {
				c.wantCount(e, want)
			}
			if kept, err := c.store.Item("hq pending"); err != nil || kept != nil {
				t.Errorf("cut %d: %d bytes are still owed, %v", i, len(kept), err)
			}
		}
	}
}

// A debt that cannot be paid does not grow for ever, and says what gave way; commands that changed nothing stand for one another.
func TestDebtIsBounded(t *testing.T) {
	var d debt
	for i := range 1000 {
		records := []access.Record{{Boot: uint64(i), Event: access.EventPersonDeleted, Detail: fmt.Sprintf("%200d", i)}}
		d = d.with(uint64(i), records, owedCommand{Detail: fmt.Sprintf("seq=%d", i), Idle: i%3 > 0})
	}
	changes := uint64(1000/3 + 1 - maxOwedCommands) // those that gave way
	if len(d.Records) != maxOwedRecords || d.Lost != 1000-maxOwedRecords+changes || d.Records[0].Boot != 1000-maxOwedRecords || d.From != 999 {
		t.Errorf("%d records, %d lost, from %d", len(d.Records), d.Lost, d.From)
	}
	if n := len(d.Commands); n != maxOwedCommands || d.Commands[n-1].Detail != "seq=999" || d.Commands[n-1].Before != 2 || d.Commands[n-2].Detail != "seq=996" || d.Commands[0].Unsaid != 999-3*(maxOwedCommands-1) || d.Commands[0].Before != 2 {
		t.Errorf("%d commands, the last %+v", n, d.Commands[n-3:])
	}
	d = d.with(0, nil, owedCommand{Idle: true, Partial: true}, owedCommand{Idle: true}, owedCommand{})
	if last := d.Commands[len(d.Commands)-1]; last.Before != 1 {
		t.Errorf("a record stands for %d commands, and one of two was refused something", last.Before)
	}
	d = debt{}.with(0, nil, owedCommand{Detail: "pure", Idle: true}, owedCommand{Idle: true, Partial: true}, owedCommand{Detail: "last", Idle: true})
	if len(d.Commands) != 2 || d.Commands[0].Detail != "pure" || d.Commands[1].said() != "last unsaid=1" {
		t.Errorf("of a command that was carried out nothing is left: %+v", d.Commands)
	}
	for want, c := range map[string]owedCommand{
		"x before=3":          owedCommand{Detail: "x", Before: 1, Unsaid: 1}.after(owedCommand{Idle: true, Before: 1, Unsaid: 1}),
		"x before=3 unsaid=5": owedCommand{Detail: "x", Before: 1, Unsaid: 1}.after(owedCommand{Idle: true, Before: 1, Unsaid: 3}),
		"x unsaid=2":          owedCommand{Detail: "x", Unsaid: 1}.after(owedCommand{Idle: true}), // not the one right before it
		"x unsaid=1":          owedCommand{Detail: "x"}.after(owedCommand{Idle: true, Partial: true}),
		"y unsaid=1":          owedCommand{Detail: "y"}.after(owedCommand{}),
	} {
		if said := c.said(); said != want {
			t.Errorf("it says %q, want %q", said, want)
		}
	}
	if d := readDebt([]byte{1, 2, 3}, 7); d.From != 7 || d.Lost != 1 {
		t.Errorf("a debt that cannot be read has all of the log read: %+v", d)
	}
	if items, err := d.items(); err != nil || len(items["hq pending"]) > 160<<10 {
		t.Errorf("%d bytes, %v", len(items["hq pending"]), err)
	}
}

// In a full log what changed nothing has no place, and holds up nothing that has one; that it is tried again and again is no loss of others' records.
func TestFullLogTakesWhatChanged(t *testing.T) {
	k := startKiosk(t, stateFolder(t), auditlog.Options{SegmentBytes: 32 << 10, MaxSegments: 8})
	for i := 0; k.lost.Load() == 0; i++ {
		if r := k.blank(access.EventWalkupDenied); i == 4000 {
			t.Fatal("4000 refusals found room in a small log")
		} else if err := k.append(auditlog.Ordinary, r); err != nil && !errors.Is(err, auditlog.ErrFull) {
			t.Fatal(err)
		}
	}
	h := &headquarters{door: k.kiosk}
	list := []owedCommand{{Detail: "seq=1", Idle: true}, {Detail: "seq=2", Idle: true, Partial: true}, {Detail: "seq=3"}, {Detail: "seq=4", Idle: true}, {Detail: "seq=5"}, {Detail: "seq=6", Idle: true}}
	h.owed.Commands = slices.Clone(list)
	h.finish()
	h.finish()
	var said []string
	applied := k.of(t, access.EventCommandApplied)
	for _, r := range applied {
		said = append(said, r.Detail)
	}
	if !slices.Equal(said, []string{"seq=3 unsaid=2", "seq=5 before=1"}) || len(h.owed.Commands) != 1 || h.owed.Commands[0].Detail != "seq=6" {
		t.Errorf("it says %q, and owes %+v", said, h.owed.Commands)
	}
	if n := k.lost.Load(); n != 1 {
		t.Errorf("%d refused walk-ups count as not recorded, and one was", n)
	}
	// The power goes before the vault knows what stands for what: none is written twice.
	d := debt{Commands: list}
	for _, r := range applied {
		d.pays(r)
	}
	if len(d.Commands) != 1 || d.Commands[0].Detail != "seq=6" {
		t.Errorf("after a cut %+v are owed", d.Commands)
	}
}

// Headquarters' server alone fills neither the log nor its reserve: neither with orders of nobody, nor with commands of nothing.
//
// Control: A22
func TestServerFillsNoLog(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	order := c.sign("stranger", c.id, wire.Lockdown{Version: 1, On: true, Issued: 1})
	c.give(0, order, order, order, order, order)
	if refused := c.of(t, access.EventOrderRefused); len(refused) != 1 || refused[0].Detail != "command 1, order 1: not granted, order 2: not granted, order 3: not granted, and 2 more" {
		t.Errorf("recorded %+v", refused)
	}
	head, counter := c.audit.Head(), c.version()
	for range 100 {
		c.give(0, order, order, c.sign("administrator", c.id, wire.Policy{Version: 1, Document: []byte("rubbish"), Issued: 1}))
	}
	if n := c.audit.Head() - head; n > 3*comingsBurst+10 {
		t.Errorf("%d records of 100 commands", n)
	}
	if n := c.version() - counter; n > 1 {
		t.Errorf("the counter rose by %d", n)
	}
	for _, e := range []access.Event{
		access.EventOrderRefused, access.EventPolicyRefused, access.EventCertificateChanged, access.EventHeadquartersReached, access.EventHeadquartersLost,
		access.EventRemoteReleaseRefused,
	} {
		if class(e) != auditlog.Ordinary {
			t.Errorf("%q may use the reserve", e)
		}
	}
	// Nor with an enrolment that the enroller did sign and nobody can read: it changes nothing.
	e, err := wire.Open[wire.Enrolment](c.enrolment(access.PersonID{1}, 1, 1), &c.keys["enroller"].PublicKey, wire.Fleet())
	if err != nil {
		t.Fatal(err)
	}
	e.References = append(e.References, make([]byte, wire.ReferenceBytes))
	unreadable := c.sign("enroller", wire.Fleet(), e)
	head = c.audit.Head()
	for range 10 {
		c.give(1, unreadable)
	}
	if n := c.audit.Head() - head; n > 2 {
		t.Errorf("%d records of 10 commands", n)
	}
	if owed := c.hq.owed.Commands; len(owed) != 1 || !strings.Contains(owed[0].Detail, " orders=1 changed=0 refused=1") {
		t.Errorf("of an enrolment that cannot be read %+v is owed", owed)
	}
	// What an operator ordered is on record all the same, and so is the newest command.
	c.give(0, c.admin(wire.Lockdown{Version: 1, On: true, Issued: 1}))
	applied := c.of(t, access.EventCommandApplied)
	if last := applied[len(applied)-1]; !strings.HasPrefix(last.Detail, fmt.Sprintf("seq=112 link=%x orders=1 changed=1 refused=0 unsaid=", c.stands().Head())) {
		t.Errorf("the last is %q", last.Detail)
	}
}

// version is that of the TPM's counter.
func (c *centre) version() uint64 {
	c.t.Helper()
	n, err := c.root.Counter()
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// A record that stands for commands before it is written once as well, whenever the power goes; a debt of an earlier version, or one that cannot be read, is
// no reason to have no headquarters.
func TestWhatStandsForOthersIsSaidOnce(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	gone := c.sign("enroller", c.id, wire.Deletion{Person: [16]byte{9}, Generation: 1, Issued: 1})
	c.give(0, gone)
	c.hq.idle.spent, c.hq.idle.since = comingsBurst, frames.Now()
	c.give(0, gone)
	c.give(0, gone)
	if n := len(c.hq.owed.Commands); n != 1 || c.hq.owed.Commands[0].Before != 1 {
		t.Fatalf("%d are owed: %+v", n, c.hq.owed.Commands)
	}
	c.cut(c.chain(0, c.admin(wire.Disable{Version: 1, On: true, Issued: 1})), 9)
	said := len(c.of(t, access.EventCommandApplied))
	for range 2 {
		c.stop()
		c.start()
		c.wantCount(access.EventCommandApplied, said)
	}
	if last := c.of(t, access.EventCommandApplied)[said-1]; !strings.HasSuffix(last.Detail, " before=2") {
		t.Errorf("it says %q", last.Detail)
	}
	for _, kept := range [][]byte{{0xa4, 1, 0, 2, 0x80, 3, 0x81, 0xa2, 1, 0x61, 'x', 2, 0xf4, 4, 0}, {1, 2, 3}} {
		if err := c.store.SetItem(vault.Pending, kept); err != nil {
			t.Fatal(err)
		}
		c.stop()
		c.start()
		if c.hq == nil {
			t.Fatalf("with a debt of %x there is no headquarters", kept)
		}
	}
	c.wantCount(access.EventEventsLost, 1)
	c.wantCount(access.EventHeadquartersForeign, 0)
}
