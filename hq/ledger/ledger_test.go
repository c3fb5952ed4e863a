package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/sync/wire"
)

// held is what the ledger has of the kiosk, read as another process would.
func (b *bench) held(t testing.TB) (list [][]byte) {
	t.Helper()
	r, err := Inspect(b.dir)
	if err == nil {
		err = r.Walk(b.name(), 0, func(e Entry) error {
			if e.Index != uint64(len(list)) {
				t.Fatalf("record %d stands at %d", e.Index, len(list))
			}
			list = append(list, bytes.Clone(e.Record))
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// same holds the ledger to the first n records of the kiosk.
func (b *bench) same(t testing.TB, n int) {
	t.Helper()
	var want [][]byte
	for uint64(len(want)) < uint64(n) {
		list, err := b.log.Read(uint64(len(want)), n-len(want))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			want = append(want, e.Record)
		}
	}
	if got := b.held(t); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("the ledger has %d records that are not the kiosk's first %d", len(got), n)
	}
}

func TestRecordsAreTakenInUnderACheckpoint(t *testing.T) {
	b := newBench(t)
	b.add(t, 5)
	b.mustSend(t, b.report(t, 0, 5), 0) // nobody vouches for them
	if s, err := b.Status(b.id); err != nil || s.Records != 0 || s.Pending != 5 {
		t.Fatalf("%+v, %v", s, err)
	}
	b.reopen(t)
	b.sign(t)
	b.mustSend(t, b.report(t, 5, 5), 5) // the checkpoint alone
	b.add(t, 3)
	b.sign(t)
	b.add(t, 2)
	b.mustSend(t, b.report(t, 5, 5), 8) // two are newer than the checkpoint
	b.mustSend(t, b.report(t, 5, 5), 8) // again
	b.reopen(t)
	b.same(t, 8)
	s, err := b.Status(b.id)
	if err != nil || s.Records != 8 || s.Pending != 2 || s.Signed != 8 || s.Covered.Size != 8 {
		t.Fatalf("%+v, %v", s, err)
	}
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 5), 10)
	b.wantRings(t)
}

// A kiosk that was away for long has one checkpoint over all: each message proves itself.
func TestCatchingUp(t *testing.T) {
	b := newBench(t)
	b.log1(t, access.Record{Event: access.EventBooted, Boot: 1}) // looked at once, however often the ledger starts anew
	b.add(t, 999)
	b.sign(t)
	for from := uint64(0); from < 1000; from += 256 {
		b.mustSend(t, b.report(t, from, 256), min(from+256, 1000))
		b.reopen(t)
	}
	b.same(t, 1000)
	b.wantRings(t)
}

// Where a kiosk stands says a record that it has signed for, and none before that; over a restart, too.
func TestAppliedCommandIsKnown(t *testing.T) {
	b := newBench(t)
	link := func(n byte) string { return strings.Repeat(fmt.Sprintf("%02x", n), 32) }
	note := func(detail string) {
		b.log1(t, access.Record{Event: access.EventCommandApplied, Boot: 1, Detail: detail})
	}
	for _, d := range []string{"seq=7 link=" + link(7) + " orders=1 changed=1 refused=0", "seq=6 link=" + link(6), "seq=8 link=0808", unvouched + "seq=9 link=" + link(9), "seq=x", "seq=10"} {
		note(d)
	}
	b.sign(t)
	note("seq=11 link=" + link(11))
	b.mustSend(t, b.report(t, 0, 7), 6)
	want := Applied{Seq: 7}
	for i := range want.Link {
		want.Link[i] = 7
	}
	b.reopen(t)
	if s, err := b.Status(b.id); err != nil || s.Applied != want {
		t.Errorf("%+v, %v", s.Applied, err)
	}
	b.sign(t)
	b.mustSend(t, b.report(t, 7, 1), 7)
	if s, err := b.Status(b.id); err != nil || s.Applied.Seq != 11 {
		t.Errorf("%+v, %v", s.Applied, err)
	}
}

func TestTrustInForceIsKnown(t *testing.T) {
	b := newBench(t)
	for _, d := range []string{"version 3", "version 2", unvouched + "version 9", "version x"} {
		b.log1(t, access.Record{Event: access.EventTrustChanged, Boot: 1, Detail: d})
	}
	b.sign(t)
	b.log1(t, access.Record{Event: access.EventTrustChanged, Boot: 1, Detail: "version 4"})
	b.mustSend(t, b.report(t, 0, 5), 4)
	b.reopen(t)
	if s, err := b.Status(b.id); err != nil || s.Trust != 3 {
		t.Errorf("trust %d, %v", s.Trust, err)
	}
}

func TestMessagesInAnyOrder(t *testing.T) {
	b := newBench(t)
	b.add(t, 70)
	b.sign(t)
	for _, from := range []uint64{60, 20, 40, 10, 50, 30} {
		b.mustSend(t, b.report(t, from, 10), 0)
	}
	b.mustSend(t, b.report(t, 0, 10), 70)
	b.same(t, 70)
	b.Judge()
	b.wantRings(t)
}

// Control: S18
func TestWhatAKioskOrACarrierMayNotSay(t *testing.T) {
	b := newBench(t)
	b.add(t, 20)
	b.sign(t)
	b.mustSend(t, b.report(t, 0, 10), 10)
	other := newDouble(t, "other")
	other.add(t, 20)
	other.sign(t)
	for _, c := range []struct {
		what  string
		bend  func(m *wire.Records)
		rings string
	}{
		{"a changed record", func(m *wire.Records) { m.Records[3] = []byte("x") }, "contradicted"},
		{"a record left out", func(m *wire.Records) {
			m.Records = slices.Delete(b.report(t, 10, 8).Records, 2, 3)
			m.Proof = b.report(t, 10, 7).Proof
		}, "contradicted"},
		{"a record invented", func(m *wire.Records) { m.Records = slices.Insert(m.Records, 2, m.Records[0]) }, "contradicted"},
		{"two exchanged", func(m *wire.Records) { m.Records[1], m.Records[2] = m.Records[2], m.Records[1] }, "contradicted"},
		{"one too early", func(m *wire.Records) { m.From-- }, "contradicted"},
		{"a changed proof", func(m *wire.Records) { m.Records, m.Proof = m.Records[:5], [][32]byte{{1}} }, "contradicted"},
		{"another kiosk's checkpoint", func(m *wire.Records) { m.Checkpoint = other.log.LastCheckpoint() }, "bad signature"},
		{"another kiosk's message", func(m *wire.Records) { *m = other.report(t, 10, 10) }, "bad signature"},
		{"another kiosk's records", func(m *wire.Records) { m.Records = other.report(t, 10, 10).Records }, "contradicted"},
		{"a checkpoint that is none", func(m *wire.Records) { m.Checkpoint = []byte("x") }, "bad signature"},
		{"an empty record", func(m *wire.Records) { m.Records[0] = nil }, ""},
		{"too long a proof", func(m *wire.Records) { m.Proof = make([][32]byte, 129) }, ""},
		{"a checkpoint of a carrier's words", func(m *wire.Records) { m.Checkpoint = bytes.Repeat([]byte{0xff}, 4096) }, "bad signature"},
		{"a place that no log has", func(m *wire.Records) { m.From = 1 << 63 }, ""},
	} {
		m := b.report(t, 10, 10)
		c.bend(&m)
		b.mustRefuse(t, c.what, m, 10)
		if c.rings != "" {
			b.wantRings(t, c.rings)
		}
		for i := range b.kiosks[b.id].state.Alarms { // so that each case is news
			b.kiosks[b.id].state.Alarms[i].Ended = 1
		}
		b.wantRings(t)
	}
	b.mustSend(t, b.report(t, 10, 10), 20)
	b.same(t, 20)
	if _, err := b.Ingest([32]byte{1}, wire.Records{}); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// What a carrier invents behind the records that are vouched for is shown as such, and goes when the kiosk's signature comes.
func TestInventedRecordsGo(t *testing.T) {
	b := newBench(t)
	b.add(t, 10)
	b.sign(t)
	b.mustSend(t, b.report(t, 0, 10), 10)
	b.mustSend(t, wire.Records{From: 10, Records: [][]byte{b.record(access.EventDoorForcedOpen, 1)}}, 10)
	b.add(t, 10)
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 10), 20)
	b.wantRings(t, "contradicted")
	b.same(t, 20)

	// The invention stands before what is true: that is sent again.
	b.mustSend(t, wire.Records{From: 20, Records: [][]byte{b.record(access.EventDoorForcedOpen, 2)}}, 20)
	b.add(t, 10)
	b.sign(t)
	b.mustRefuse(t, "records behind an invention", b.report(t, 21, 9), 20)
	if s, err := b.Status(b.id); err != nil || s.Pending != 0 {
		t.Errorf("what a signature refuted is still shown: %+v, %v", s, err)
	}
	b.mustSend(t, b.report(t, 20, 1), 30)
	b.same(t, 30)
}

func TestTooMuchThatNobodyVouchesFor(t *testing.T) {
	b := newBench(t)
	big := bytes.Repeat([]byte{7}, maxRecord)
	for i := range uint64(maxPendingBytes / maxRecord) {
		b.mustSend(t, wire.Records{From: i, Records: [][]byte{big}}, 0)
	}
	b.mustRefuse(t, "one more", wire.Records{From: maxPendingBytes / maxRecord, Records: [][]byte{big}}, 0)
	for i := range uint64(3 * maxEarly) {
		b.mustSend(t, wire.Records{From: 1000 + 10*i, Records: [][]byte{big}}, 0)
	}
	if n := len(b.kiosks[b.id].early); n != maxEarly {
		t.Errorf("%d early messages are kept", n)
	}
}

// A layout of tomorrow is kept and counted, and the records behind it are none the worse.
func TestUnknownLayoutIsKept(t *testing.T) {
	b := newBench(t)
	strange := []byte{0xa1, 0x18, 0x63, 0x01} // {99: 1}
	for _, r := range [][]byte{strange, {0xff}} {
		if _, err := b.log.Append(auditlog.Vital, r); err != nil {
			t.Fatal(err)
		}
	}
	b.add(t, 1)
	b.sign(t)
	b.mustSend(t, b.report(t, 0, 3), 3)
	b.same(t, 3)
	if s, err := b.Status(b.id); err != nil || s.Strange != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	b.wantRings(t, "unreadable record")
}

func TestLedgerIsWrittenByOne(t *testing.T) {
	b := newBench(t)
	if _, err := Open(b.dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	other := b.kiosk()
	other.Audit = &newKey(t).PublicKey
	b.Ledger.Close()
	l, err := Open(b.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Add(other); !errors.Is(err, ErrOtherKey) {
		t.Error(err)
	}
	if err := l.Add(Kiosk{ID: [32]byte{9}}); err == nil {
		t.Error("a kiosk without keys was added")
	}
	if err := errors.Join(l.Add(b.kiosk()), l.Add(b.kiosk()), l.Remove(b.id), l.Remove(b.id), l.Add(b.kiosk())); err != nil {
		t.Error(err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	b := newBench(t)
	ended := make(chan error)
	ctx, stop := contextFor(t, time.Minute)
	go func() { ended <- b.Run(ctx) }()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Kiosks report, the ledger is looked at and judged, all at once.
func TestManyAtOnce(t *testing.T) {
	l, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var all sync.WaitGroup
	for i := range 4 {
		d := newDouble(t, strconv.Itoa(i))
		d.add(t, 40)
		d.sign(t)
		var messages []wire.Records
		for from := uint64(0); from < 40; from += 10 {
			messages = append(messages, d.report(t, from, 10))
		}
		if err := l.Add(d.kiosk()); err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			all.Go(func() {
				if _, err := l.Ingest(d.id, m); err != nil {
					t.Error(err)
				}
				l.Judge()
			})
		}
		t.Cleanup(func() {
			if s, err := (&Reader{l.dir}).state(d.name()); err != nil || s.Covered.none() {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	all.Wait()
	for _, k := range l.kiosks {
		if s := k.status(); s.Records != 40 || len(s.Alarms) > 0 {
			t.Errorf("%+v", s)
		}
	}
}
