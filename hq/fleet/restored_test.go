package fleet

import (
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

// within waits for something to be true of a kiosk as headquarters shows it.
func (h *house) within(k *double, what string, is func(Overview) bool) {
	h.t.Helper()
	for range 1000 {
		if is(overview(h.t, h, k.name)) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatalf("%s: never; it is %+v", what, overview(h.t, h, k.name))
}

// strand has a kiosk stand, by its own records, where headquarters does not know it.
func (h *house) strand(k *double, ledger *signed, seq uint64) {
	h.t.Helper()
	k.mu.Lock()
	k.seq, k.head = seq, [32]byte{40}
	k.mu.Unlock()
	k.sign(ledger)
	k.greet()
	h.within(k, "quarantine", func(o Overview) bool { return o.State == Quarantined })
}

// After a restore nobody is handed on before it is known where a kiosk stands, whatever the vault of people has by then.
func TestRestoredKioskIsHeardFirst(t *testing.T) {
	h, ledger := newSignedHouse(t)
	stranded, sound := known(t, h, "front"), known(t, h, "back")
	for _, k := range []*double{stranded, sound} {
		if _, err := h.fleet.store.Put(t.Context(), store.Restored+k.name, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	h.stop()
	h.shelf.queue = [][32]byte{h.enrolment(1), h.enrolment(2)}
	h.start(false)
	if err := h.fleet.follow(t.Context(), h.fleet.desks[stranded.name]); err != nil {
		t.Fatal(err)
	}
	if o := overview(t, h, stranded.name); o.Head != 0 {
		t.Errorf("before it was heard its stream has grown to %d", o.Head)
	}
	sound.greet()
	sound.until("its people, since it stands where headquarters knows it", func() bool { return len(sound.orders) == 2 })
	h.strand(stranded, ledger, 1)
	if err := h.fleet.Adopt(t.Context(), stranded.name); err != nil {
		t.Fatal(err)
	}
	stranded.until("its people, once it was adopted", func() bool { return len(stranded.orders) == 2 })
	h.restart()
	for _, k := range []*double{stranded, sound} {
		if d := h.fleet.desks[k.name]; d.restored != 0 {
			t.Errorf("kiosk %s still counts as not heard", k.name)
		}
	}
}

// No record of a kiosk has headquarters count so far that its stream ends.
func TestAdoptsNobodyFromTheEndOfTime(t *testing.T) {
	h, ledger := newSignedHouse(t)
	k := known(t, h, "front")
	h.strand(k, ledger, math.MaxUint64)
	if err := h.fleet.Adopt(t.Context(), k.name); err == nil || !strings.Contains(err.Error(), "none has ever given that many") {
		t.Errorf("adopted: %v", err)
	}
}

func TestAdoptionThatWasCutShortGoesOn(t *testing.T) {
	h, ledger := newSignedHouse(t)
	k := known(t, h, "front")
	if err := h.fleet.Submit(t.Context(), "", h.sign(wire.Fleet(), wire.Lockdown{Version: 1, On: true, Issued: 1})); err != nil {
		t.Fatal(err)
	}
	k.until("the lockdown", func() bool { return k.seq == 1 })
	h.strand(k, ledger, 40)
	full := func(key string) error {
		if key == entryKey(k.name, 41) {
			return store.ErrNotStored
		}
		return nil
	}
	h.disk.fails.Store(&full)
	if err := h.fleet.Adopt(t.Context(), k.name); err == nil {
		t.Fatal("adopted with a full disk")
	}
	h.disk.fails.Store(nil)
	if err := h.fleet.Adopt(t.Context(), k.name); err != nil {
		t.Fatal(err)
	}
	k.until("what is in force", func() bool { return k.seq == 41 })
}

// A stream whose newest entry is not its highest takes nothing more, and nobody waits for it.
func TestLinkGivesUp(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	tries := 0
	taken := func(key string) error {
		if !strings.HasPrefix(key, "stream.") {
			return nil
		}
		if tries++; tries > 9 {
			return store.ErrNotStored // it would go on for ever
		}
		return store.ErrConflict
	}
	h.disk.fails.Store(&taken)
	if err := h.fleet.Append(t.Context(), k.name, [][32]byte{h.enrolment(1)}); err == nil || tries != 2 {
		t.Errorf("after %d tries: %v", tries, err)
	}
}

// queued has headquarters know so many orders for all, and hand them on to a kiosk.
func (h *house) queued(k *double, people int) (queue [][32]byte) {
	h.t.Helper()
	for n := range people {
		queue = append(queue, h.enrolment(byte(n)))
	}
	h.shelf.mu.Lock()
	h.shelf.queue = queue
	h.shelf.mu.Unlock()
	h.fleet.Nudge()
	h.within(k, "everybody", func(o Overview) bool { return o.Queue == uint64(people) })
	return queue
}

// givenOnce has a kiosk come, and holds headquarters to giving it so many people, each once.
func (h *house) givenOnce(k *double, people int) {
	h.t.Helper()
	k.listen()
	k.greet()
	h.within(k, "all that is left", func(o Overview) bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.orders) == people && o.Queue == uint64(len(h.shelf.queue)) && o.Head == k.seq
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	for ref, n := range k.orders {
		if n > 1 {
			h.t.Fatalf("order %x came %d times, in a stream of %d", ref[:4], n, k.seq)
		}
	}
}

// People who are gone from many commands of a stream have the others handed on anew once, not once for each command.
func TestMendingHandsOnOnce(t *testing.T) {
	const people = 90
	h := newHouse(t, false)
	k := h.introduce("front")
	queue := h.queued(k, people)
	for n := 0; n < people; n += 3 { // one of each command
		h.shelf.destroy(queue[n])
	}
	h.givenOnce(k, people*2/3)
}

// A lift that hands everybody on again does it once, too: the commands whose orders are lost are in the stream before it.
func TestLiftHandsOnOnce(t *testing.T) {
	const people = 30
	h := newHouse(t, false)
	k := h.introduce("front")
	queue := h.queued(k, people)
	h.shelf.mu.Lock()
	for n := 0; n < people; n += 3 {
		delete(h.shelf.held, queue[n])
	}
	h.shelf.mu.Unlock()
	d, err := h.fleet.at(k.name)
	if err != nil {
		t.Fatal(err)
	}
	before := d.head.Seq
	h.fleet.alarm(t.Context(), d, Lost, "words")
	d.mu.Unlock()
	if err := h.fleet.Lift(t.Context(), k.name); err != nil {
		t.Fatal(err)
	}
	h.within(k, "everybody again", func(o Overview) bool { return o.Queue == people && o.Head > before })
	h.givenOnce(k, people*2/3)
}

// A kiosk that turns out to have what could not be read for it waits for nothing.
func TestBusyEnds(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	h.air.silence(k.name, true)
	appendAll(t, h, k, h.enrolment(1))
	h.shelf.mu.Lock()
	h.shelf.busy = true
	h.shelf.mu.Unlock()
	d, err := h.fleet.at(k.name)
	if err != nil {
		t.Fatal(err)
	}
	defer d.mu.Unlock()
	d.sent = 0
	if h.fleet.pump(t.Context(), d); !d.busy {
		t.Error("the vault cannot be read, and nobody has noticed")
	}
	d.greeting.Seq = 1
	if h.fleet.pump(t.Context(), d); d.busy {
		t.Error("it is asked for every second, and needs nothing")
	}
}

func TestOneLineASecond(t *testing.T) {
	var l oneASecond
	now := time.Unix(1000, 0)
	if !l.may(now) || l.may(now.Add(999*time.Millisecond)) || !l.may(now.Add(time.Second)) {
		t.Error("lines about what a kiosk sends are not one a second")
	}
}

// A kiosk that has a line logged each second does not keep the operator from reading what headquarters fails to do for it.
func TestNoKioskTalksHeadquartersErrorsAway(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	h.stop()
	var lines strings.Builder
	now := time.Now()
	h.fleet.config.Log = slog.New(slog.NewTextHandler(&lines, nil))
	h.fleet.config.Now = func() time.Time { return now }
	h.fleet.config.Ledger = ledgerFunc(func([32]byte, wire.Records) (*wire.Acknowledge, error) { return nil, errors.New("disk on fire") })
	for _, body := range []wire.Body{wire.Refusal{Why: "because"}, wire.Records{Records: [][]byte{{1}}}} {
		data, err := wire.Report(body)
		if err != nil {
			t.Fatal(err)
		}
		h.fleet.hear(t.Context(), h.fleet.desks[k.name], broker.Message{Data: data})
	}
	if s := lines.String(); !strings.Contains(s, "because") || !strings.Contains(s, "disk on fire") {
		t.Errorf("logged %s", s)
	}
}

// A greeting that the broker took before headquarters was started, and brings then, was said when the broker took it: the kiosk may have left since. One that
// has waited in this headquarters' queue is as good as new.
func TestKeptGreetingShowsNobodyConnected(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	h.stop()
	now := time.Unix(2_000_000_000, 0)
	h.fleet.config.Now = func() time.Time { return now }
	h.fleet.begun = now.Add(-5 * time.Second)
	data, err := wire.Report(wire.Greeting{Nonce: [16]byte{1}, Exchange: 1, Boot: 1, Door: "front"})
	if err != nil {
		t.Fatal(err)
	}
	d := h.fleet.desks[k.name]
	for _, c := range []struct {
		stored time.Time
		seen   time.Time
		online bool
	}{
		{now.Add(-away), now.Add(-away), false},
		{now.Add(time.Second - away), now.Add(time.Second - away), true},
		{now.Add(-4 * time.Second), now, true},
		{now.Add(time.Hour), now, true}, // the clock went back
		{time.Time{}, now, true},
	} {
		d.greeted, d.online = time.Time{}, time.Time{}
		if o := overview(t, h, k.name); o.Since {
			t.Error("it has greeted since the start, which nobody heard")
		}
		h.fleet.hear(t.Context(), d, broker.Message{Data: data, Stored: c.stored})
		if o := overview(t, h, k.name); !o.Since || !o.Seen.Equal(c.seen) || o.Online.IsZero() == c.online || c.online && !o.Online.Equal(c.seen) {
			t.Errorf("stored %v: seen %v, online since %v", c.stored, o.Seen, o.Online)
		}
	}
}

// markRestored has headquarters start as after a restore, with people to hand on.
func (h *house) markRestored(k *double) {
	h.t.Helper()
	if _, err := h.fleet.store.Put(h.t.Context(), store.Restored+k.name, nil, 0); err != nil {
		h.t.Fatal(err)
	}
	h.stop()
	h.shelf.queue = [][32]byte{h.enrolment(1)}
	h.start(false)
}

// waitsAt greets so, and holds headquarters to handing nobody on for it.
func (h *house) waitsAt(k *double, g wire.Greeting) {
	h.t.Helper()
	k.mu.Lock()
	times := k.times
	k.mu.Unlock()
	g.Nonce = [16]byte{1}
	k.say(g)
	k.until("the time, which it cannot hurt to tell", func() bool { return k.times > times })
	if err := h.fleet.follow(h.t.Context(), h.fleet.desks[k.name]); err != nil {
		h.t.Fatal(err)
	}
	if o := overview(h.t, h, k.name); o.Queue != 0 {
		h.t.Errorf("said to stand at %d, it is handed people on", g.Seq)
	}
}

// After a restore a broker invents a greeting, or repeats an old one: nobody is handed on for that, and the kiosk can still be adopted.
//
// Control: S18
func TestForgedGreetingEndsNoWaitingAfterARestore(t *testing.T) {
	h, ledger := newSignedHouse(t)
	k := known(t, h, "front")
	appendAll(t, h, k, h.enrolment(2))
	k.until("the order", func() bool { return k.seq == 1 })
	old := wire.Greeting{Seq: 1, Head: k.head, Exchange: 1, Boot: 1, Door: "front"}
	k.mu.Lock()
	k.seq, k.head = 7, [32]byte{40} // what it was told after the backup
	k.mu.Unlock()
	k.sign(ledger)
	h.markRestored(k)
	d, err := h.fleet.at(k.name)
	if err != nil {
		t.Fatal(err)
	}
	h.fleet.alarm(t.Context(), d, Garbage, "words")
	d.mu.Unlock()
	if err := h.fleet.Lift(t.Context(), k.name); !errors.Is(err, ErrUnheard) || !errors.Is(err, ErrOffline) {
		t.Errorf("before it greets a person has it heard: %v", err)
	}
	wantAlarms(t, h, k)
	h.waitsAt(k, old)
	// Nobody's word is taken for less than it has signed for.
	if err := h.fleet.Lift(t.Context(), k.name); !errors.Is(err, ErrUnheard) || !strings.HasSuffix(err.Error(), "it is said to stand at command 1, and its signed records say 7") {
		t.Errorf("lifted: %v", err)
	}
	h.waitsAt(k, old)
	h.waitsAt(k, wire.Greeting{Exchange: 1, Boot: 1, Door: "front"}) // upon which it is sent a command, and greets
	h.strand(k, ledger, 7)
	if err := h.fleet.Adopt(t.Context(), k.name); err != nil {
		t.Fatal(err)
	}
	k.until("its people", func() bool { return k.orders[h.shelf.queue[0]] == 1 })
}

// A kiosk whose records are on their way is heard when they have come; one whose records were lost with the ledger, when a person takes its word.
func TestKioskIsHeardWithItsRecordsOrByAPerson(t *testing.T) {
	for what, heard := range map[string]func(*house, *double, *signed) error{
		"records": func(_ *house, k *double, s *signed) error { k.sign(s); k.greet(); return nil },
		"lift":    func(h *house, k *double, _ *signed) error { return h.fleet.Lift(h.t.Context(), k.name) },
	} {
		t.Run(what, func(t *testing.T) {
			h, ledger := newSignedHouse(t)
			k := known(t, h, "front")
			appendAll(t, h, k, h.enrolment(2))
			k.until("the order", func() bool { return k.seq == 1 })
			h.markRestored(k)
			h.waitsAt(k, wire.Greeting{Seq: 1, Head: k.head, Exchange: 1, Boot: 1, Door: "front"})
			if err := heard(h, k, ledger); err != nil {
				t.Fatal(err)
			}
			k.until("its people", func() bool { return k.orders[h.shelf.queue[0]] == 1 })
		})
	}
}
