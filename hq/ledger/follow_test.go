package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

// all reads what a filter wants, once.
func (b *bench) all(t testing.TB, f Filter) []Event {
	t.Helper()
	list, err := b.once(t, f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// once is all, of a ledger that may be damaged.
func (b *bench) once(t testing.TB, f Filter) (list []Event, err error) {
	t.Helper()
	r, err := Inspect(b.dir)
	if err == nil {
		err = r.Follow(t.Context(), f, false, func(e Event) error { list = append(list, e); return nil })
	}
	return list, err
}

func (b *bench) log1(t testing.TB, r access.Record) {
	t.Helper()
	r.Version = access.RecordVersion
	data, err := wire.Marshal(r)
	if err == nil {
		_, err = b.log.Append(auditlog.Vital, data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever follows sees an event within a second of its arrival, whether vouched for or not, and each once; one who never takes the next holds up nobody.
//
// Control: G9
func TestFollow(t *testing.T) {
	b := started(t)
	r, err := Inspect(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := contextFor(t, time.Minute)
	defer stop()
	stuck, seen, vouched := make(chan struct{}), make(chan Event, 100), make(chan Event, 100)
	ended := make(chan error, 3)
	go func() {
		ended <- r.Follow(ctx, Filter{}, true, func(Event) error {
			select {
			case <-stuck:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	go func() { ended <- r.Follow(ctx, Filter{}, true, func(e Event) error { seen <- e; return nil }) }()
	go func() {
		ended <- r.Follow(ctx, Filter{Vouched: true}, true, func(e Event) error { vouched <- e; return nil })
	}()
	late := 0
	want := func(from chan Event, index uint64, isVouched, replaces bool) {
		t.Helper()
		began := time.Now()
		select {
		case e := <-from:
			if time.Since(began) > time.Second {
				late++
			}
			if e.Index != index || e.Vouched != isVouched || e.Replaces != replaces || e.Alarm != nil {
				t.Fatalf("record %d, vouched %v, replaces %v, alarm %v; want %d, %v, %v", e.Index, e.Vouched, e.Replaces, e.Alarm, index, isVouched, replaces)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("record %d is not shown within ten seconds", index)
		}
	}
	for i := range uint64(10) {
		want(seen, i, true, false)
		want(vouched, i, true, false)
	}
	b.mustSend(t, wire.Records{From: 10, Records: [][]byte{b.record(access.EventDoorForcedOpen, 1)}}, 10)
	want(seen, 10, false, false)
	b.add(t, 2)
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 2), 12)
	want(seen, 10, true, true)
	want(seen, 11, true, false)
	if e := <-seen; e.Alarm == nil || e.Alarm.Kind != AlarmContradicted {
		t.Fatalf("%+v", e)
	}
	if e := <-vouched; e.Index != 10 || !e.Vouched {
		t.Fatalf("%+v", e)
	}
	b.add(t, 1)
	b.mustSend(t, b.report(t, 12, 1), 12)
	want(seen, 12, false, false)
	b.sign(t)
	b.mustSend(t, b.report(t, 13, 0), 13)
	want(vouched, 11, true, false)
	if e := <-vouched; e.Alarm == nil {
		t.Fatalf("%+v", e)
	}
	want(vouched, 12, true, false)
	stop()
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if late > 2 { // a machine may hiccup; without one none takes a second
		t.Errorf("%d events were shown later than a second after they came", late)
	}
	if len(seen)+len(vouched) > 0 {
		t.Errorf("%d and %d events were shown twice", len(seen), len(vouched))
	}
}

func TestFilter(t *testing.T) {
	b := newBench(t)
	for _, r := range []access.Record{
		{Event: access.EventBooted, Boot: 1, Door: "front"},
		{Event: access.EventDoorForcedOpen, Door: "front"},
		{Event: access.EventDoorHeldOpen, Door: "back"},
	} {
		b.log1(t, r)
	}
	if _, err := b.log.Append(auditlog.Vital, []byte{0xff}); err != nil {
		t.Fatal(err)
	}
	b.sign(t)
	b.mustSend(t, b.report(t, 0, 4), 4)
	b.clock.pass(time.Hour)
	b.log1(t, access.Record{Event: access.EventDoorClosed, Door: "front"})
	b.mustSend(t, b.report(t, 4, 1), 4)
	for _, c := range []struct {
		filter Filter
		want   []uint64 // 100: the alarm about a record that nobody can read
	}{
		{Filter{}, []uint64{0, 1, 2, 3, 4, 100}},
		{Filter{Vouched: true}, []uint64{0, 1, 2, 3, 100}},
		{Filter{Door: "front"}, []uint64{0, 1, 4, 100}}, // it has named both
		{Filter{Door: "back"}, []uint64{2, 100}},
		{Filter{Door: "cellar"}, nil},
		{Filter{Door: "back", Since: b.clock.now()}, []uint64{100}},
		{Filter{Door: "front", Since: b.clock.now()}, []uint64{4, 100}},
		{Filter{Kind: "307"}, []uint64{1}},
		{Filter{Kind: "3xx"}, []uint64{1, 2, 4}},
		{Filter{Kind: "held open"}, []uint64{2}},
		{Filter{Kind: "alarm"}, []uint64{100}},
		{Filter{Kind: "unreadable"}, []uint64{100}},
		{Filter{Kind: "silence"}, nil},
		{Filter{Severity: access.Alert}, []uint64{1, 3, 100}},
		{Filter{Since: b.clock.now()}, []uint64{4, 100}}, // an alarm that stands open is never old
		{Filter{Kiosk: "zz"}, nil},
		{Filter{Kiosk: b.name()[:4], Door: "back"}, []uint64{2, 100}},
	} {
		if !c.filter.Able() {
			t.Errorf("%+v is of no kind", c.filter)
		}
		var got []uint64
		for _, e := range b.all(t, c.filter) {
			if e.Alarm != nil {
				e.Index = 100
			}
			got = append(got, e.Index)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v gives %v, want %v", c.filter, got, c.want)
		}
	}
}

// A kiosk that names door after door is everybody's, and takes no more memory for it.
func TestAlarmsOfAKioskOfManyDoors(t *testing.T) {
	f := follower{}
	for i := range 2 * maxDoors {
		f.names(strconv.Itoa(i))
		f.names("front")
		e := Event{Alarm: &Alarm{Kind: AlarmFork}, Door: f.door, doors: f.doors}
		if is, want := (Filter{Door: "cellar"}).wants(e), i >= maxDoors-2; is != want || len(f.doors) > maxDoors {
			t.Errorf("after %d doors, of which %d are kept: shown %v", i+2, len(f.doors), is)
		}
	}
}

// Segments that came before a time are not read.
func TestSinceSkips(t *testing.T) {
	b := newBench(t)
	b.kiosks[b.id].folder.segment = 2000
	for range 5 {
		b.add(t, 20)
		b.sign(t)
		from := b.kiosks[b.id].folder.head
		b.mustSend(t, b.report(t, from, 20), from+20)
		b.clock.pass(time.Hour)
	}
	f := follower{name: b.name(), from: &Reader{b.dir}}
	f.skip(b.clock.now().Add(-90 * time.Minute))
	if f.at.index == 0 || f.at.index > 80 {
		t.Errorf("begins at %d", f.at.index)
	}
	if list := b.all(t, Filter{Since: b.clock.now().Add(-90 * time.Minute)}); len(list) != 20 || list[0].Index != 80 {
		t.Errorf("%d events", len(list))
	}
}

func TestLinesAndJSON(t *testing.T) {
	zone := time.FixedZone("here", 2*3600)
	at := time.Unix(1_800_000_000, 0)
	event := Event{Kiosk: strings.Repeat("ab", 16), Entry: Entry{Index: 7, Arrived: at, Record: []byte{1, 2}}, Vouched: true, Known: true, Decoded: access.Record{
		Event: access.EventWalkupDenied, Door: "front\x1b[2J", Wall: at.Unix() - 60, Session: access.SessionID{Boot: 3, Number: 4}, Reason: access.ReasonUnknown,
		Subject: [16]byte{1}, Detail: "a \"detail\"",
	}}
	trusted := event
	trusted.Decoded.Clock, trusted.Vouched, trusted.Replaces = access.ClockTrusted, false, true
	strange := event
	strange.Known = false
	alarm := Event{Kiosk: event.Kiosk, Door: "front", Alarm: &Alarm{Kind: AlarmFork, Since: at.UnixMilli(), Text: "text", Count: 1}}
	over := alarm
	over.Alarm = &Alarm{Kind: AlarmGap, Since: at.UnixMilli(), Ended: at.UnixMilli() + 1000}
	for _, c := range []struct {
		event      Event
		line, json []string
	}{
		{event, []string{"2027-01-15T10:00:00+02:00", "notice", `"front\x1b[2J"`, "session 3/4", "subject 01000000", "clock untrusted", `\"detail\"`, "abababab #7"},
			[]string{`"verdict":"denied"`, `"session":"3/4"`, `"record":"0102"`, `"vouched":true`}},
		{trusted, []string{"2027-01-15T09:59:00+02:00", "not vouched for yet", "was not the kiosk's"}, []string{`"clock_trusted":true`, `"replaces":true`, `"vouched":false`}},
		{strange, []string{"layout that this program does not know: 0102"}, []string{`"record":"0102"`, `"severity":"alert"`}},
		{alarm, []string{`"front"  ALARM: fork`, AlarmFork.Remedy()}, []string{`"kind":"fork"`, `"door":"front"`}},
		{over, []string{"ALARM OVER: gap"}, []string{`"ended":"2027-01-15T08:00:01Z"`}},
	} {
		line := c.event.Line(zone)
		data, err := c.event.JSON()
		if err != nil || !json.Valid(data) {
			t.Errorf("%s: %v", data, err)
		}
		for _, s := range c.line {
			if !strings.Contains(line, s) || strings.ContainsAny(line, "\x1b\n") {
				t.Errorf("%q lacks %q", line, s)
			}
		}
		for _, s := range c.json {
			if !strings.Contains(string(data), s) {
				t.Errorf("%s lacks %s", data, s)
			}
		}
	}
}

// Headquarters' receipts are of the kiosk's own format: whoever verifies one verifies the other.
//
// Control: G9
func TestReceipts(t *testing.T) {
	b := started(t)
	r := &Reader{b.dir}
	b.add(t, 7)
	b.mustSend(t, b.report(t, 10, 7), 10)
	for i := range uint64(10) {
		mine, err := r.Receipt(b.name(), i)
		if err != nil {
			t.Fatal(err)
		}
		kiosks, err := b.log.Receipt(i)
		if err != nil || string(mine) != string(kiosks) {
			t.Errorf("receipt %d is not the kiosk's: %v", i, err)
		}
		if v, err := proof.VerifyReceipt(mine, &b.audit.PublicKey); err != nil || v.Seq != i {
			t.Errorf("%+v, %v", v, err)
		}
	}
	for _, i := range []uint64{10, 17, 1 << 60} {
		if _, err := r.Receipt(b.name(), i); !errors.Is(err, ErrUncovered) {
			t.Errorf("receipt %d: %v", i, err)
		}
	}
	end, err := r.Session(b.name(), access.SessionID{Boot: 1, Number: b.number(t, 4)})
	if err != nil || end.Index != 4 || end.Record.Event != access.EventWalkupGranted {
		t.Errorf("%+v, %v", end, err)
	}
	if _, err := r.Session(b.name(), access.SessionID{Boot: 9, Number: 9}); !errors.Is(err, ErrNoSession) {
		t.Error(err)
	}
	if name, err := r.Find(b.name()[:3]); err != nil || name != b.name() {
		t.Errorf("%q, %v", name, err)
	}
	if _, err := r.Find("x"); err == nil {
		t.Error("a kiosk x was found")
	}
	if _, err := Inspect(t.TempDir()); err == nil {
		t.Error("an empty folder is a ledger")
	}

	// A record that was changed on headquarters' disk has no receipt.
	b.bend(t, segmentName(0), func(data []byte) []byte {
		list, _ := frames(data, headerSize, 0)
		e := list[3].Entry
		e.Record[20] ^= 1
		return append(appendFrame(data[:list[2].end:list[2].end], e, 0), data[list[3].end:]...)
	})
	if _, err := r.Receipt(b.name(), 3); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// number is the session of a record.
func (d *double) number(t testing.TB, index uint64) uint64 {
	t.Helper()
	list, err := d.log.Read(index, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := decode(list[0].Record)
	if !ok {
		t.Fatal("record cannot be read")
	}
	return r.Session.Number
}

func TestFollowEndsWithTheReadersError(t *testing.T) {
	b := started(t)
	enough := errors.New("enough")
	n := 0
	err := (&Reader{b.dir}).Follow(context.Background(), Filter{}, true, func(Event) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}
