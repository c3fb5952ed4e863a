package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/sync/wire"
)

func TestWithoutHeadquarters(t *testing.T) {
	c := newCentre(t)
	c.start()
	var s ipc.Stationed
	if err := c.call(ipc.KindStation, nil, &s); err != nil || s.Broker != "" || s.Name != "" {
		t.Errorf("%+v, %v", s, err)
	}
	if err := c.call(ipc.KindOnline, ipc.Online{On: true}, nil); err != nil {
		t.Error(err)
	}
	if err := c.bring(c.sign("server", c.id, wire.Time{Nonce: [16]byte{1}, Now: 1, Trust: 1})); err == nil {
		t.Error("an envelope was taken")
	}
	if err := c.call(ipc.KindFetch, ipc.Fetch{}, &ipc.Fetched{}); err == nil {
		t.Error("records were given away")
	}
	if c.signals().Has(access.SignalStale) {
		t.Error("a kiosk without headquarters misses one")
	}
	for e := access.Event(1100); e < 1150; e++ {
		c.wantCount(e, 0)
	}
}

// Control: A22
func TestGreetingIsAnsweredOnce(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	var s ipc.Stationed
	if err := c.call(ipc.KindStation, nil, &s); err != nil || s.Broker != "hq.example:8883" || s.Name != wire.Name(c.id) || !bytes.Equal(s.Authorities[0], c.ca.Raw) {
		t.Errorf("%+v, %v", s, err)
	}
	g := c.greeting()
	if g.Seq != 0 || g.Trust != 1 || g.Exchange != 1 || g.Boot != c.boot || g.Bundle != c.bundle || g.Records == 0 {
		t.Errorf("%+v", g)
	}
	if _, ok := c.clock.trusted(); ok {
		t.Error("the clock is trusted before anybody told it")
	}
	other := g
	other.Nonce[0]++
	if c.answer(other, c.now) == nil || c.bring(c.sign("administrator", c.id, wire.Time{Nonce: g.Nonce, Now: c.now * 1000, Trust: 1})) == nil {
		t.Error("another nonce, or an administrator, tells the time")
	}
	if err := c.answer(g, c.now+3600); err != nil {
		t.Fatal(err)
	}
	at, ok := c.clock.trusted()
	if off := at.Unix() - c.now - 3600; !ok || off < 0 || off > 20 {
		t.Errorf("clock %v, trusted %t", at, ok)
	}
	if c.answer(g, c.now) == nil {
		t.Error("the same answer tells the time twice")
	}
	if r := c.blank(access.EventBooted); r.Clock != access.ClockTrusted || r.Wall < c.now+3600 {
		t.Errorf("records say %v, %d", r.Clock, r.Wall)
	}
	if err := c.answer(c.greeting(), c.now-7200); err == nil {
		t.Error("time went back")
	}
	c.wantCount(access.EventClockTrusted, 1)
	c.wantCount(access.EventHeadquartersReached, 1)
	c.wantCount(access.EventHeadquartersAdopted, 1)
	// Over a restart nobody vouches for the time, and it still does not go back.
	c.stop()
	c.start()
	if _, ok := c.clock.trusted(); ok {
		t.Error("the clock is trusted after a restart")
	}
	if err := c.answer(c.greeting(), c.now); err == nil {
		t.Error("time went back over a restart")
	}
	if err := c.answer(c.greeting(), c.now+3700); err != nil {
		t.Error(err)
	}
	c.wantCount(access.EventHeadquartersAdopted, 1)
}

// Control: A22
func TestCommandsArePutIntoEffect(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	first, second := access.PersonID{1}, access.PersonID{2}
	c.give(1, c.enrolment(first, 1, 3), c.enrolment(second, 1, 5))
	if f := c.find(3); f.Person != first || f.Standing != access.Permitted {
		t.Fatalf("somebody just enrolled is %+v", f)
	}
	c.wantCount(access.EventEnrolled, 2)
	c.wantCount(access.EventCommandApplied, 1)
	if g := report[wire.Greeting](c); g.Seq != 1 {
		t.Errorf("the kiosk says that it is at %d", g.Seq)
	}

	// The same again is nothing; what is sealed for another command, or to no key of ours, opens nothing.
	if err := c.bring(c.before); err != nil {
		t.Errorf("again: %v", err)
	}
	c.wantCount(access.EventCommandApplied, 1)

	c.give(0, c.admin(wire.Standing{Person: first, Generation: 1, Serial: 1, State: 0, Issued: 1}), c.sign("enroller", wire.Fleet(), wire.Deletion{Person: second, Generation: 1, Issued: 1}))
	if f := c.find(3); f.Standing != access.Suspended {
		t.Errorf("somebody suspended is %v", f.Standing)
	}
	if f := c.find(5); f.Found {
		t.Errorf("somebody deleted is %+v", f)
	}
	// Deletion wins, and one refused order keeps no other from its effect.
	c.give(1, c.enrolment(second, 1, 5), c.sign("stranger", c.id, wire.Lockdown{Version: 1, On: true, Issued: 1}), c.admin(wire.Lockdown{Version: 1, On: true, Issued: 1}))
	if f := c.find(5); f.Found || !c.portal.State().Lockdown {
		t.Errorf("deleted and repeated: %+v; lockdown %t", f, c.portal.State().Lockdown)
	}
	c.wantCount(access.EventOrderRefused, 1) // a record for both
	c.wantCount(access.EventPersonDeleted, 1)
	c.wantCount(access.EventEnrolled, 2)

	// Out of order, forged, of another stream: nothing changes.
	third := c.chain(0, c.admin(wire.Lockdown{Version: 2, Issued: 1}))
	c.before, c.seq = third, c.seq+1
	fourth := c.chain(0, c.admin(wire.Disable{Version: 1, On: true, Issued: 1}))
	c.seq, c.before = c.seq-1, nil
	state := c.stands()
	for name, data := range map[string][]byte{"gap": fourth, "forged": bent(third), "rubbish": {1, 2, 3}, "fork": c.fork(third)} {
		if err := c.bring(data); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if after := c.stands(); after.Seq != state.Seq || after.Head() != state.Head() || c.disabled.Load() || !c.portal.State().Lockdown {
		t.Errorf("something changed: %+v", after.Seq)
	}
	c.wantCount(access.EventStreamGap, 1)
	c.wantCount(access.EventStreamForked, 1)
	c.wantCount(access.EventEnvelopeRefused, 2)

	// Over a restart all of it stands, and the stream goes on.
	c.stop()
	c.start()
	if f := c.find(3); f.Person != first || f.Standing != access.Suspended || !c.portal.State().Lockdown {
		t.Errorf("after a restart: %+v, lockdown %t", f, c.portal.State().Lockdown)
	}
	for _, data := range [][]byte{third, fourth} {
		if err := c.bring(data); err != nil {
			t.Fatal(err)
		}
	}
	if c.portal.State().Lockdown || !c.disabled.Load() || c.serves() {
		t.Errorf("lockdown %t, disabled %t", c.portal.State().Lockdown, c.disabled.Load())
	}
	c.stop()
	c.start()
	if !c.disabled.Load() || c.portal.State().Lockdown {
		t.Error("after a restart somebody is recognised")
	}
	if p, err := c.store.Get(first, [32]byte{}); err != nil || !slices.Equal(p.Groups, []string{"staff"}) || p.Until != c.now+90_000 {
		t.Errorf("%+v, %v", p, err)
	}
}

// Headquarters reads the very bytes of the log, and lets go only of what it has shown to hold.
//
// Control: G4
func TestRecordsAreFetchedAndAcknowledged(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	for range 600 {
		c.note(access.EventEyeLost, "")
	}
	if _, err := c.audit.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	head := c.audit.Head()
	var got [][]byte
	proven := 0
	for next := uint64(0); next < head; {
		var f ipc.Fetched
		if err := c.call(ipc.KindFetch, ipc.Fetch{From: next}, &f); err != nil {
			t.Fatal(err)
		}
		r, err := wire.Read[wire.Records](f.Report)
		if err != nil || r.From != next || len(r.Checkpoint) == 0 || len(r.Records) == 0 || f.Next != next+uint64(len(r.Records)) {
			t.Fatalf("from %d: %d records, next %d, %v", next, len(r.Records), f.Next, err)
		}
		got, next = append(got, r.Records...), f.Next
		note, err := proof.ClaimedCheckpoint(r.Checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		if next < note.Size {
			top, err := c.audit.Root(next)
			if err != nil {
				t.Fatal(err)
			}
			var p tlog.TreeProof
			for _, h := range r.Proof {
				p = append(p, h)
			}
			if err := tlog.CheckTree(p, int64(note.Size), note.Root, int64(next), top); err != nil {
				t.Errorf("%d records are not shown to be the beginning of %d: %v", next, note.Size, err)
			}
			proven++
		}
	}
	if proven == 0 {
		t.Error("no message ended before the checkpoint")
	}
	for from := uint64(0); from < head; {
		list, err := c.audit.Read(from, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if from < head && !bytes.Equal(e.Record, got[from]) {
				t.Fatalf("record %d is another", from)
			}
			from++
		}
	}
	acknowledge := func(n uint64, change byte) error {
		top, err := c.audit.Root(min(n, head))
		if err != nil {
			t.Fatal(err)
		}
		top[0] += change
		return c.bring(c.sign("server", c.id, wire.Acknowledge{Records: n, Root: top}))
	}
	if acknowledge(500, 1) == nil || acknowledge(c.audit.Head()+1000, 0) == nil || c.audit.Cursor() != 0 {
		t.Errorf("the cursor is at %d by an acknowledgement of other records", c.audit.Cursor())
	}
	c.wantCount(access.EventAcknowledgedWrongly, 2)
	for _, n := range []uint64{500, 300, 500, head} {
		if err := acknowledge(n, 0); err != nil {
			t.Fatal(err)
		}
	}
	if c.audit.Cursor() != head {
		t.Errorf("the cursor is at %d, want %d", c.audit.Cursor(), head)
	}
	// A checkpoint that came behind the last record is told by itself.
	c.hq.mu.Lock()
	c.hq.noted = nil
	if _, err := c.audit.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.hq.point()
	c.hq.mu.Unlock()
	if r := report[wire.Records](c); len(r.Records) != 0 || len(r.Checkpoint) == 0 {
		t.Errorf("%d records", len(r.Records))
	}
}

// What is urgent is signed for within seconds, and headquarters has the signature without having to wait for the minute.
func TestUrgentRecordsAreSignedForAtOnce(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	c.greeting()
	if err := c.lockdown(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for head := c.audit.Head(); ; {
		if p, err := proof.ClaimedCheckpoint(report[wire.Records](c).Checkpoint); err == nil && p.Size >= head {
			return
		}
	}
}

// A kiosk that has a headquarters signs each minute, also when nothing was recorded: or silence could not be told from peace.
//
// Control: G5
func TestQuietKioskSignsEachMinute(t *testing.T) {
	c := newCentre(t)
	for _, headquarters := range []bool{false, true} {
		if headquarters {
			c.configure("root")
		}
		c.start()
		n := notary{log: c.audit, signed: c.audit.Head(), watched: c.notary.watched}
		if n.due() != headquarters {
			t.Errorf("with nothing new it signs: %t; it has a headquarters: %t", n.due(), headquarters)
		}
		c.stop()
	}
}

// Whoever floods the kiosk with messages fills neither its log nor its memory, and does not hide a fork.
func TestFloodOfMessages(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	c.give(0, c.admin(wire.Lockdown{Version: 1, On: true, Issued: 1}))
	head := c.audit.Head()
	late := c.sign("server", c.id, wire.Command{Seq: 9, Previous: [32]byte{1}, Content: [32]byte{1}})
	for i := range 300 {
		data := late
		if i%2 == 0 {
			data = c.sign("stranger", c.id, wire.Time{Nonce: [16]byte{1}, Now: 1, Trust: 1})
		}
		if c.hq.take(t.Context(), data) == nil {
			t.Fatal("taken")
		}
	}
	if n := c.audit.Head() - head; n > 2*comingsBurst+10 {
		t.Errorf("%d records", n)
	}
	if c.hq.take(t.Context(), c.fork(late)) == nil || c.hq.take(t.Context(), c.fork(c.chain(0, c.admin(wire.Lockdown{Version: 2, Issued: 1})))) == nil {
		t.Error("a fork is taken")
	}
	c.wantCount(access.EventStreamForked, 1)
}

// A kiosk that does not hear headquarters for a day says so, restarts or not, and so does one that hears it again.
func TestStale(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	trusted := false
	c.aged(&trusted)
	if !c.signals().Has(access.SignalStale) {
		t.Error("headquarters was never heard, and is not stale")
	}
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	if c.aged(&trusted); c.signals().Has(access.SignalStale) || !trusted {
		t.Error("headquarters was heard, and is stale")
	}
	c.stop()
	c.start()
	if c.aged(&trusted); c.signals().Has(access.SignalStale) {
		t.Error("headquarters is stale a moment after a restart")
	}
	if err := c.answer(c.greeting(), c.now+60); err != nil {
		t.Fatal(err)
	}
	c.aged(&trusted)
	c.clock.mu.Lock()
	c.clock.stamp -= freshFor
	c.clock.mu.Unlock()
	if c.aged(&trusted); !c.signals().Has(access.SignalStale) || trusted {
		t.Error("headquarters was not heard for a day, and is not stale")
	}
	c.wantCount(access.EventHeadquartersStale, 2)
	c.wantCount(access.EventHeadquartersFresh, 1)
	c.wantCount(access.EventClockUntrusted, 2)
}

// A headquarters that cannot be taken up says why, in the log as well.
func TestHeadquartersThatCannotBeTakenUpSaysWhy(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	if err := c.store.SetItem(vault.Stream, []byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	c.stop()
	c.start()
	if c.hq != nil || !c.signals().Has(access.SignalStale) {
		t.Error("a stream that cannot be read is followed")
	}
	for _, r := range c.of(t, access.EventDegradedEntered) {
		if strings.HasPrefix(r.Detail, "headquarters: ") {
			return
		}
	}
	t.Error("the log does not say why there is none")
}
