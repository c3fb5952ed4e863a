package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// While one kiosk's many records are read, the others are heard; who asks for the same one waits for it.
func TestOpeningHoldsNobodyUp(t *testing.T) {
	b := started(t)
	other := newDouble(t, "other")
	slow, going := make(chan struct{}), make(chan struct{})
	b.tune = func(*folder) { close(going); <-slow }
	added := make(chan error, 2)
	go func() { added <- b.Add(other.kiosk()) }()
	<-going
	b.add(t, 1)
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 5), 11)
	b.Judge()
	go func() { added <- b.Add(other.kiosk()) }()
	select {
	case err := <-added:
		t.Fatalf("a kiosk is there before its records are read: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := b.Ingest(other.id, wire.Records{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("it is heard before it is there: %v", err)
	}
	close(slow)
	for range 2 {
		if err := <-added; err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Status(other.id); err != nil {
		t.Error(err)
	}
}

// What nobody vouches for is bounded over all kiosks: when others have filled the room, it is refused and sent again later; what is vouched for passes.
func TestSharedRoom(t *testing.T) {
	b := started(t)
	b.Ledger.held.Add(maxShared - 300)
	one := [][]byte{b.record(access.EventDoorOpened, 1)}
	b.mustSend(t, wire.Records{From: 10, Records: one}, 10)
	if n := b.Ledger.held.Load(); n <= maxShared-300 {
		t.Errorf("a record that is held does not count: %d", n)
	}
	more := append(one, make([]byte, 200))
	b.mustRefuse(t, "more than there is room for", wire.Records{From: 10, Records: more}, 10)
	b.Ingest(b.id, wire.Records{From: 15, Records: [][]byte{make([]byte, 400)}})
	if k := b.kiosks[b.id]; len(k.early) != 0 {
		t.Error("a message that came early was kept beyond the room")
	}
	b.add(t, 2)
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 5), 12)
	b.rings = nil
	if err := b.Remove(b.id); err != nil {
		t.Fatal(err)
	}
	if n := b.Ledger.held.Load(); n != maxShared-300 {
		t.Errorf("%d bytes of a kiosk that is gone still count", n-maxShared+300)
	}
}

// Whoever begins to follow today is told what has been wrong since yesterday, and not what is over.
func TestFollowBeginsWithOpenAlarms(t *testing.T) {
	b := started(t)
	b.mustRefuse(t, "a forgery", wire.Records{Checkpoint: []byte("nonsense")}, 10)
	b.clock.pass(2 * defaultSilence)
	b.Judge()
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 1), 10)
	b.wantRings(t, "bad signature", "silence", "silence over")
	b.clock.pass(24 * time.Hour)
	list := b.all(t, Filter{Since: b.clock.now()})
	if len(list) != 1 || list[0].Alarm == nil || list[0].Alarm.Kind != AlarmSignature {
		t.Errorf("%+v", list)
	}
}
