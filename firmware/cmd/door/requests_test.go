package main

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

func TestRequestsArePaced(t *testing.T) {
	var r requests
	n := uint64(0)
	next := func(now time.Duration) (ok bool) {
		n++
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], n)
		_, ok = r.admit(id, now)
		return ok
	}
	const start = 1000 * time.Hour // since power-on
	for i := range requestBurst {
		if !next(start) {
			t.Fatalf("request %d of %d at once is not answered", i+1, requestBurst)
		}
	}
	if next(start) || next(start+requestEvery-time.Millisecond) {
		t.Error("there is no pace")
	}
	if !next(start+2*requestEvery) || !next(start+2*requestEvery) || next(start+2*requestEvery) {
		t.Error("two periods later two are answered")
	}
	var first [16]byte
	binary.BigEndian.PutUint64(first[:], 1)
	for range 100 {
		if known, ok := r.admit(first, start+time.Hour); !known || ok {
			t.Fatal("a request that comes again is answered")
		}
	}
	if !next(start + time.Hour) {
		t.Error("those that came again took from the pace")
	}
	for i := range 2 * requestsKept {
		next(start + time.Duration(i+1000)*time.Hour)
	}
	if len(r.seen) != requestsKept {
		t.Errorf("%d are remembered", len(r.seen))
	}
}

// Whoever brings headquarters' requests again, or many of them, costs the TPM nothing, and takes no challenge from the operator who has it.
func TestFloodOfRequests(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	ask := func(n byte, kind wire.Kind) []byte {
		return c.sign("server", c.id, wire.Ask{Request: [16]byte{15: n}, For: kind})
	}
	key := ask(1, wire.KindExchange)
	if err := c.bring(key); err != nil {
		t.Fatal(err)
	}
	shown := report[wire.Exchange](c)
	mine := c.challenged()
	for range 20 {
		if err := c.bring(key); err != nil {
			t.Fatal(err)
		}
	}
	c.mu.Lock()
	for _, data := range c.reports {
		if kind, err := wire.Reported(data); err == nil && kind == wire.KindExchange {
			t.Error("a request that came again is answered")
		}
	}
	c.mu.Unlock()
	c.hq.mu.Lock()
	c.hq.requests.spent = 0 // as after a while
	c.hq.mu.Unlock()
	if err := c.bring(ask(2, wire.KindExchange)); err != nil {
		t.Fatal(err)
	}
	if again := report[wire.Exchange](c); string(again.Signature) != string(shown.Signature) {
		t.Error("the TPM attested the same key a second time")
	}
	refused := 0
	for n := range byte(50) {
		if c.bring(ask(n+10, wire.KindChallenge)) != nil {
			refused++
		}
	}
	if refused < 50-maxChallenges {
		t.Errorf("%d of 50 requests were refused", refused)
	}
	before := c.wires.released()
	if err := c.bring(c.sign("releaser", c.id, wire.Release{Challenge: mine.Challenge, Door: mine.Door, Action: wire.ActionRelease})); err != nil || c.wires.released() == before {
		t.Errorf("a flood took the operator's challenge: %v", err)
	}
	c.wantCount(access.EventRemoteReleaseGranted, 1)
}
