package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// standing are the words of the alarms that stand open, as hq events finds them.
func (b *bench) standing(t testing.TB) string {
	t.Helper()
	list, err := (&Reader{b.dir}).Alarms(b.name())
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, a := range list {
		if a.Open() {
			words = append(words, a.Kind.String())
		}
	}
	return strings.Join(words, ", ")
}

// A kiosk that was removed is missed no more: what only its next word could end is over, what somebody must judge stands, and so do its records.
//
// Control: G5
func TestRemovedKioskIsMissedNoMore(t *testing.T) {
	b := started(t)
	b.add(t, 10)
	b.sign(t)
	signed := b.report(t, 10, 0)
	signed.Proof = nil
	b.mustSend(t, signed, 10)
	b.mustRefuse(t, "a forgery", wire.Records{Checkpoint: []byte("nonsense")}, 10)
	b.clock.pass(2 * defaultSilence)
	b.Judge()
	b.wantRings(t, "bad signature", "silence", "gap")
	for range 2 { // cut short, it is said again
		if err := b.Remove(b.id); err != nil {
			t.Fatal(err)
		}
	}
	b.wantRings(t, "silence over", "gap over")
	b.clock.pass(time.Hour)
	b.Judge()
	b.wantRings(t)
	if is := b.standing(t); is != "bad signature" {
		t.Errorf("open: %s", is)
	}
	if s, err := b.Status(b.id); err != nil || len(s.Alarms) != 3 {
		t.Errorf("its status has %d alarms, %v", len(s.Alarms), err)
	}
	if n := len(b.held(t)); n != 10 {
		t.Errorf("%d records are left", n)
	}
	if err := b.Add(b.kiosk()); err != nil { // it comes back
		t.Fatal(err)
	}
	b.mustSend(t, b.report(t, 10, 10), 20)
	if err := b.Remove([32]byte{1}); err != nil {
		t.Errorf("a kiosk that has no folder: %v", err)
	}
	if _, err := b.Status([32]byte{1}); !errors.Is(err, ErrUnknown) {
		t.Errorf("its status: %v", err)
	}
}

// A person ends what does not end by itself; what is seen again is raised again.
func TestLift(t *testing.T) {
	b := started(t)
	forge := func() { b.mustRefuse(t, "a forgery", wire.Records{Checkpoint: []byte("nonsense")}, 10) }
	forge()
	b.clock.pass(2 * defaultSilence)
	b.Judge()
	for range 2 {
		if err := b.Raise(b.id, AlarmGarbage, "words"); err != nil {
			t.Fatal(err)
		}
		if is := b.standing(t); is != "bad signature, silence, garbage" {
			t.Errorf("open: %s", is)
		}
		b.reopen(t)
	}
	b.wantRings(t, "bad signature", "silence")
	if err := b.Lift(b.id); err != nil {
		t.Fatal(err)
	}
	b.wantRings(t, "bad signature over", "garbage over")
	if is := b.standing(t); is != "silence" {
		t.Errorf("open: %s", is)
	}
	forge()
	b.wantRings(t, "bad signature")
}

// After a write whose end is unknown nothing can be noted: whoever lifts an alarm is told so, and it stands open for all who look.
func TestBrokenFolderTakesNoWord(t *testing.T) {
	b := started(t)
	b.mustRefuse(t, "a forgery", wire.Records{Checkpoint: []byte("nonsense")}, 10)
	if err := b.Raise(b.id, AlarmGarbage, "words"); err != nil {
		t.Fatal(err)
	}
	b.wantRings(t, "bad signature")
	b.kiosks[b.id].folder.fail(errors.New("the disk said so"))
	for what, err := range map[string]error{
		"lift": b.Lift(b.id), "end": b.End(b.id, AlarmGarbage), "raise": b.Raise(b.id, AlarmFlood, "words"),
	} {
		if !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.wantRings(t)
	if s, err := b.Status(b.id); err != nil || len(s.Alarms) != 2 || !s.Alarms[0].Open() || !s.Alarms[1].Open() {
		t.Errorf("in memory: %+v, %v", s.Alarms, err)
	}
	if err := b.Remove(b.id); err != nil {
		t.Errorf("removed: %v", err)
	}
	if is := b.standing(t); is != "bad signature, garbage" {
		t.Errorf("open: %s", is)
	}
}

// A ledger that does not open is an alarm of its kiosk, where whoever reads finds it, and changes nothing else of the folder.
func TestDamagedLedgerIsAnAlarm(t *testing.T) {
	b := started(t)
	b.Ledger.Close()
	b.bend(t, hashesName, func([]byte) []byte { return nil })
	b.bend(t, segmentName(0), func(data []byte) []byte { data[headerSize+frameHead+3] ^= 1; return data })
	var err error
	if b.Ledger, err = Open(b.dir, Options{Now: b.clock.now, Alarm: b.ring}); err != nil {
		t.Fatal(err)
	}
	if err = b.Add(b.kiosk()); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if err := b.Raise(b.id, AlarmDamage, err.Error()); err != nil {
		t.Fatal(err)
	}
	if is := b.standing(t); is != "damaged ledger" {
		t.Errorf("open: %s", is)
	}
}

// A state that another program wrote is not understood here: nobody writes over it, not even the alarm that says so, and whoever reads is told.
func TestStateOfAnotherVersionStays(t *testing.T) {
	b := started(t)
	s := b.kiosks[b.id].state
	s.Version = 2
	if err := errors.Join(b.kiosks[b.id].folder.save(s), b.Remove(b.id)); !errors.Is(err, ErrDamaged) {
		t.Errorf("removed: %v", err)
	}
	was, err := os.ReadFile(filepath.Join(b.dir, b.name(), stateName))
	if err != nil {
		t.Fatal(err)
	}
	_, status := b.Status(b.id)
	_, alarms := (&Reader{b.dir}).Alarms(b.name())
	for what, err := range map[string]error{
		"add": b.Add(b.kiosk()), "raise": b.Raise(b.id, AlarmDamage, "words"), "lift": b.Lift(b.id), "status": status, "alarms": alarms,
	} {
		if !errors.Is(err, ErrDamaged) || !strings.HasSuffix(err.Error(), "its state is of version 2, this program knows 1") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if is, err := os.ReadFile(filepath.Join(b.dir, b.name(), stateName)); err != nil || !bytes.Equal(is, was) {
		t.Errorf("%d bytes became %d: %v", len(was), len(is), err)
	}
	list, err := b.once(t, Filter{Kind: kindAlarm})
	if len(list) != 1 || list[0].Alarm.Kind != AlarmDamage || !list[0].Alarm.Open() || !errors.Is(err, ErrDamaged) {
		t.Errorf("whoever looks sees %v, %v", list, err)
	}
}

// Whoever follows all kiosks sees those that can be read, and an alarm of one that cannot.
func TestDamagedFolderHidesNoOther(t *testing.T) {
	b := started(t)
	other := newDouble(t, "other")
	if err := b.Add(other.kiosk()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ingest(other.id, wire.Records{Records: [][]byte{other.record(access.EventDoorForcedOpen, 1)}}); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{segmentName(0), stateName} {
		path := b.kiosks[b.id].folder.path(file)
		was, err := os.ReadFile(path)
		if err == nil {
			err = errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) // what cannot be read
		}
		if err != nil {
			t.Fatal(err)
		}
		alarms, others := 0, 0
		list, err := b.once(t, Filter{Door: "front"})
		if err == nil || !strings.Contains(err.Error(), b.name()) || strings.Contains(err.Error(), other.name()) {
			t.Errorf("%s: %v", file, err)
		}
		for _, e := range list {
			if e.Alarm != nil && e.Alarm.Kind == AlarmDamage && e.Kiosk == b.name() && e.Alarm.Text != "" {
				alarms++
			}
			if e.Kiosk == other.name() {
				others++
			}
		}
		if alarms != 1 || others != 1 {
			t.Errorf("%s: %d alarms, %d records of the other", file, alarms, others)
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, was, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// What a reader could not read ends when it can, and when whoever writes the ledger has an alarm of it: each is said once.
func TestReadersOwnAlarmEnds(t *testing.T) {
	b := started(t)
	f := &follower{name: b.name(), from: &Reader{b.dir}, shown: map[uint64][32]byte{}}
	f.skip(time.Time{})
	says := func(when, want string) {
		t.Helper()
		for _, want := range []string{want, ""} {
			var said []string
			if _, err := f.poll(t.Context(), Filter{Kind: kindAlarm}, func(e Event) error {
				said = append(said, e.Alarm.Kind.String()+map[bool]string{false: " over"}[e.Alarm.Open()])
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if is := strings.Join(said, ", "); is != want {
				t.Errorf("%s: %q, want %q", when, is, want)
			}
		}
	}
	segment := b.kiosks[b.id].folder.path(segmentName(0))
	spoil := func() {
		t.Helper()
		if err := errors.Join(os.Rename(segment, segment+".away"), os.Mkdir(segment, 0o700)); err != nil { // what cannot be read
			t.Fatal(err)
		}
		f.at = reading{dir: f.at.dir}
	}
	says("whole", "")
	for range 2 {
		spoil()
		says("damaged", "damaged ledger")
		if err := errors.Join(os.Remove(segment), os.Rename(segment+".away", segment)); err != nil {
			t.Fatal(err)
		}
		says("mended", "damaged ledger over")
		time.Sleep(2 * time.Millisecond) // the next one is another by its time
	}
	spoil()
	says("damaged again", "damaged ledger")
	if err := b.Raise(b.id, AlarmDamage, "words"); err != nil {
		t.Fatal(err)
	}
	says("whoever writes says so", "damaged ledger over, damaged ledger")
}

// What is noted about a kiosk while its records are being opened is not lost, and neither is what was to be noted when it was removed.
func TestAlarmBesideAddAndRemove(t *testing.T) {
	b := started(t)
	if err := b.Remove(b.id); err != nil {
		t.Fatal(err)
	}
	noted := make(chan error, 1)
	raise := func(kind AlarmKind) {
		go func() { noted <- b.Raise(b.id, kind, "words") }()
		time.Sleep(20 * time.Millisecond) // until it waits
	}
	b.tune = func(*folder) {
		if raise(AlarmGarbage); len(noted) > 0 {
			t.Error("noted where whoever opens it has read already")
		}
	}
	if err := b.Add(b.kiosk()); err != nil {
		t.Fatal(err)
	}
	if err := <-noted; err != nil {
		t.Error(err)
	}
	b.mustRefuse(t, "a forgery", wire.Records{Checkpoint: []byte("nonsense")}, 10) // which has its state written
	if is := b.standing(t); is != "garbage, bad signature" {
		t.Errorf("open: %s", is)
	}

	k := b.kiosks[b.id]
	k.mu.Lock()
	raise(AlarmFlood)
	b.Ledger.mu.Lock()
	k.folder.close()
	delete(b.kiosks, b.id)
	b.Ledger.mu.Unlock()
	k.mu.Unlock()
	if err := <-noted; err != nil {
		t.Error(err)
	}
	if is := b.standing(t); is != "garbage, bad signature, floods" {
		t.Errorf("open: %s", is)
	}
	b.Ledger.Close()
	if err := b.Raise(b.id, AlarmKey, "words"); !errors.Is(err, errClosed) {
		t.Errorf("after the end, when another may write: %v", err)
	}
}
