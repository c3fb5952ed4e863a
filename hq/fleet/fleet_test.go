package fleet

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/sync/wire"
)

// Control: S18
func TestHostileKioskHarmsNobodyElse(t *testing.T) {
	h := newHouse(t, false)
	evil, good := known(t, h, "front"), known(t, h, "back")
	absurd, err := wire.Report(wire.Greeting{Nonce: [16]byte{1}, Seq: 1<<64 - 1, Head: [32]byte{1}, Trust: 1<<64 - 1, Policy: 1<<64 - 1, Exchange: 1<<32 - 1, Records: 1<<64 - 1, Boot: 1<<64 - 1, Door: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3000 {
		switch n % 4 {
		case 0:
			evil.up([]byte("no message"))
		case 1:
			evil.up(nil)
		case 2:
			evil.up(make([]byte, wire.MaxMessage))
		case 3:
			evil.up(absurd)
		}
	}
	h.air.up <- broker.Message{Kiosk: strings.Repeat("f", 32), Data: absurd, Ack: func() error { return nil }}
	before := time.Now()
	ref := h.enrolment(1)
	appendAll(t, h, good, ref)
	good.greet()
	good.until("its order", func() bool { return good.orders[ref] == 1 })
	if d := time.Since(before); d > 3*time.Second {
		t.Errorf("the other kiosk waited %v", d)
	}
	h.within(evil, "three alarms", func(o Overview) bool { return len(o.Alarms) == 3 })
	o := overview(t, h, evil.name)
	kinds := map[Kind]int{}
	for _, a := range o.Alarms {
		kinds[a.Kind]++
	}
	if o.State != Active || kinds[Garbage] != 1 || kinds[Flood] != 1 || kinds[Fork] != 1 {
		t.Errorf("%v, alarms %v", o.State, o.Alarms)
	}
	if o := overview(t, h, good.name); o.State != Active || len(o.Alarms) != 0 {
		t.Errorf("the other one is %v, alarms %v", o.State, o.Alarms)
	}
}

// A kiosk whose every message costs headquarters dear, and that says as much as it may, has its turn like the others and no more.
func TestCostlyKioskStarvesNobody(t *testing.T) {
	h := newHouse(t, false)
	h.stop()
	var slow [32]byte
	var done atomic.Int32
	h.ledger = ledgerFunc(func(id [32]byte, _ wire.Records) (*wire.Acknowledge, error) {
		if id == slow {
			time.Sleep(50 * time.Millisecond)
			done.Add(1)
		}
		return nil, nil
	})
	h.start(false)
	evil := known(t, h, "front")
	slow = evil.id
	// Four others, of which one would have shared a queue with it.
	others := []*double{known(t, h, "a"), known(t, h, "b"), known(t, h, "c"), known(t, h, "d"), known(t, h, "e"), known(t, h, "f"), known(t, h, "g"), known(t, h, "h")}
	for from := range uint64(burst - 10) {
		evil.say(wire.Records{From: from})
	}
	began := time.Now()
	for _, k := range others {
		k.mu.Lock()
		before := k.times
		k.mu.Unlock()
		k.greet()
		k.until("the time", func() bool { return k.times > before })
	}
	if d, n := time.Since(began), done.Load(); d > 2*time.Second || n > 100 {
		t.Errorf("the others waited %v, while %d messages of the costly one were dealt with", d, n)
	}
}

func TestContentIsSealedToTheKeyOfTheHour(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	k.mu.Lock()
	k.number = 2 // a quarter is over; the first key is destroyed
	public := k.newExchange()
	k.mu.Unlock()
	ref := h.enrolment(1)
	k.greet()
	appendAll(t, h, k, ref)
	k.until("the question", func() bool { return len(k.asks) == 1 && k.asks[0].For == wire.KindExchange })
	k.say(wire.Exchange{Number: 3, Blob: public, Attestation: []byte("somebody's word")})
	k.say(wire.Exchange{Number: 2, Blob: public, Attestation: []byte("attested")})
	k.until("the order", func() bool { return k.orders[ref] == 1 })
	k.say(wire.Exchange{Number: 1, Blob: public, Attestation: []byte("attested")})
	o := overview(t, h, k.name)
	if o.Exchange.Number != 2 || len(o.Alarms) != 1 || o.Alarms[0].Kind != Key {
		t.Errorf("key %d, alarms %v", o.Exchange.Number, o.Alarms)
	}
}

// Control: S8
func TestReleaseGoesNowOrNever(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	type answer struct {
		c   wire.Challenge
		err error
	}
	got := make(chan answer, 1)
	go func() {
		c, err := h.fleet.Challenge(t.Context(), k.name)
		got <- answer{c, err}
	}()
	k.until("the question", func() bool { return len(k.asks) == 1 })
	k.say(wire.Challenge{Request: [16]byte{9}, Challenge: [32]byte{9}, Door: "front"}) // nobody asked for it
	k.say(wire.Challenge{Request: k.asks[0].Request, Challenge: [32]byte{7}, Door: "front"})
	a := <-got
	if a.err != nil || a.c.Challenge != [32]byte{7} {
		t.Fatalf("%+v", a)
	}
	release := h.sign(k.id, wire.Release{Challenge: a.c.Challenge, Door: "front", Action: wire.ActionRelease})
	soon, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := h.fleet.Release(soon, k.name, release); err != nil {
		t.Fatal(err)
	}
	k.until("the release", func() bool { return slices.Contains(k.order, sha256.Sum256(release)) })
	if o := overview(t, h, k.name); o.Head != 0 {
		t.Error("a release stands in the stream")
	}
	if err := h.fleet.Release(t.Context(), k.name, h.sign(k.id, wire.Lockdown{Version: 1, Issued: 1})); err == nil {
		t.Error("something else was handed on as a release")
	}
	supervised := h.sign(k.id, wire.Supervised{Person: [16]byte{1}, Generation: 1, Until: 9, Consent: "C", Proofing: [32]byte{1}, Issued: 1, NotAfter: 2})
	begin := h.sign(k.id, wire.Begin{Challenge: a.c.Challenge, Order: supervised})
	refused := make(chan error, 1)
	go func() { refused <- h.fleet.Release(t.Context(), k.name, begin) }()
	k.until("the word to begin", func() bool { return slices.Contains(k.order, sha256.Sum256(begin)) })
	k.say(wire.Refusal{What: wire.KindBegin, Hash: sha256.Sum256(supervised), Why: "that was something else"})
	k.say(wire.Refusal{What: wire.KindBegin, Hash: sha256.Sum256(begin), Why: "too late"})
	select {
	case err := <-refused:
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "late") {
			t.Errorf("refused with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody is told that the kiosk refuses")
	}
	for _, envelope := range [][]byte{supervised, begin} {
		if err := h.fleet.Submit(t.Context(), k.name, envelope); err == nil {
			t.Error("an enrolment at a kiosk was taken into its stream")
		}
	}
	if err := h.fleet.Release(t.Context(), k.name, supervised); err == nil {
		t.Error("an enrolment at a kiosk was handed on by itself")
	}
	away := h.introduce("away")
	if err := h.fleet.Release(t.Context(), away.name, release); !errors.Is(err, ErrOffline) {
		t.Errorf("to a kiosk that is away: %v", err)
	}
	if _, err := h.fleet.Challenge(t.Context(), away.name); !errors.Is(err, ErrOffline) {
		t.Errorf("of a kiosk that is away: %v", err)
	}
}

func TestClockThatGoesBackTellsNobodyTheTime(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	h.stop()
	var at time.Time
	h.clock = func() time.Time { return at }
	for _, back := range []time.Time{time.Unix(0, 0), time.Now().Add(-24 * time.Hour)} {
		at = back
		h.start(false)
		k.mu.Lock()
		before := k.times
		k.mu.Unlock()
		k.greet()
		time.Sleep(100 * time.Millisecond)
		h.stop()
		k.mu.Lock()
		if k.times != before {
			t.Errorf("at %v a kiosk was told the time", back)
		}
		k.mu.Unlock()
	}
	h.clock = time.Now
	h.start(false)
}

// What time kiosks were told is known after a restart; somebody must say that the clock was wrong then.
func TestClockThatWentBackOverARestart(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	told := func() int {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.times
	}
	h.skip(time.Hour)
	before := told()
	k.greet()
	k.until("the time", func() bool { return k.times > before })
	h.skip(-time.Hour)
	h.restart()
	before = told()
	k.greet()
	time.Sleep(100 * time.Millisecond)
	if told() != before {
		t.Error("kiosks were told a time of before the last that they were told")
	}
	h.mended = true
	h.restart()
	k.greet()
	k.until("the time", func() bool { return k.times > before })
}

func TestLedgersWordReachesTheKiosk(t *testing.T) {
	h := newHouse(t, false)
	h.stop()
	h.ledger = ledgerFunc(func(_ [32]byte, r wire.Records) (*wire.Acknowledge, error) {
		switch r.From {
		case 1:
			return nil, nil
		case 2:
			return nil, fmt.Errorf("disk full")
		}
		return &wire.Acknowledge{Records: r.From, Root: [32]byte{1}}, nil
	})
	h.start(false)
	k := known(t, h, "front")
	for from := range uint64(4) {
		if from > 0 {
			k.say(wire.Records{From: from})
		}
	}
	k.until("one acknowledgement", func() bool { return len(k.acks) == 1 && k.acks[0].Records == 3 })
}

// What waits is bounded for all kiosks together, and one that says little is heard all the same.
func TestWhatWaitsIsBounded(t *testing.T) {
	h := newHouse(t, false)
	h.stop()
	goOn := make(chan struct{})
	var taken atomic.Int64
	h.ledger = ledgerFunc(func([32]byte, wire.Records) (*wire.Acknowledge, error) {
		<-goOn
		taken.Add(1)
		return nil, nil
	})
	h.start(false)
	loud, other := []*double{known(t, h, "a"), known(t, h, "b"), known(t, h, "c")}, known(t, h, "quiet")
	r := wire.Records{}
	for range wire.MaxRecords {
		r.Records = append(r.Records, make([]byte, 500))
	}
	data, err := wire.Report(r)
	if err != nil {
		t.Fatal(err)
	}
	for range queued - 1 {
		for _, k := range loud {
			k.up(data)
		}
	}
	other.mu.Lock()
	before := other.times
	other.mu.Unlock()
	other.greet()
	other.until("the time", func() bool { return other.times > before })
	close(goOn)
	most := int64(held/len(data) + len(loud))
	for end := time.Now().Add(10 * time.Second); taken.Load() < most-2*int64(len(loud)) && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	if n := taken.Load(); n > most || n < most-2*int64(len(loud)) {
		t.Errorf("%d messages waited, of %d bytes each: want %d", n, len(data), most)
	}
	loud[0].mu.Lock()
	before = loud[0].times
	loud[0].mu.Unlock()
	h.skip(time.Minute) // its pace
	loud[0].greet()
	loud[0].until("the time, once there is room", func() bool { return loud[0].times > before })
}

type ledgerFunc func([32]byte, wire.Records) (*wire.Acknowledge, error)

func (f ledgerFunc) Meet([32]byte, *ecdsa.PublicKey, *ecdsa.PublicKey) error { return nil }
func (f ledgerFunc) Part([32]byte) error                                     { return nil }

func (f ledgerFunc) Applied([32]byte) (uint64, [32]byte, error) { return 0, [32]byte{}, nil }

func (f ledgerFunc) Ingest(id [32]byte, r wire.Records) (*wire.Acknowledge, error) { return f(id, r) }
