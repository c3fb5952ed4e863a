package main

import (
	"math/rand/v2"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/sync/wire"
)

// Somebody whom headquarters has a kiosk enrol is known there from then on, and of all that the kiosk says to headquarters no part is their face: not what
// was seen, and not what is kept of it.
//
// Control: S15
func TestSupervisedEnrolmentStaysAtTheKiosk(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.bend = hasten
	c.start()
	if err := c.answer(c.greeting(), c.now); err != nil {
		t.Fatal(err)
	}
	v := &visits{
		running: c.running, t: t, rng: rand.New(rand.NewPCG(15, 15)), bundle: c.bundle, run: c.run, view: c.status, lit: c.wires.litAt, deadline: c.policy.Deadline,
	}
	if err := v.open("twin"); err != nil {
		t.Fatal(err)
	}
	who := v.newVisitor()
	order := c.sign("enroller", c.id, wire.Supervised{
		Person: who.id, Generation: 1, Until: c.now + 90_000, Groups: []string{"staff"}, Consent: "C", Proofing: [32]byte{1}, Issued: c.now, NotAfter: c.now + 3600,
	})
	if err := c.bring(c.sign("enroller", c.id, wire.Begin{Challenge: c.challenged().Challenge, Order: order})); err != nil {
		t.Fatal(err)
	}
	if err := v.until("door enrols", func() bool { return v.view().Enrolling }); err != nil {
		t.Fatal(err)
	}
	for v.view().Enrolling {
		if _, err := v.come(v.near(who.reference, 0.3), nil); err != nil {
			t.Fatal(err)
		}
	}
	c.wantCount(access.EventEnrolled, 1)
	found, err := c.gallery.Search(who.reference, c.bundle)
	if err != nil || found.Person != who.id {
		t.Fatalf("the kiosk does not know whom it has enrolled: %+v, %v", found, err)
	}
	if p, err := c.store.Get(who.id, c.bundle); err != nil || len(p.References) != int(c.policy.EnrolReferences) {
		t.Fatalf("%d references are kept, %v", len(p.References), err)
	}

	c.greeting()
	var d dictionary
	v.forbidden(&d)
	var gave haul
	size := 0
	for _, said := range c.everything() {
		d.read("what headquarters is told", said, &gave)
		size += len(said)
	}
	for _, f := range gave.faults() {
		t.Error("the kiosk gave away:", f)
	}
	if len(v.vectors) < 4 || size < 4000 {
		t.Errorf("%d bytes were searched for %d vectors", size, len(v.vectors))
	}
}

// everything is all that the kiosk has to say to headquarters: its reports, and its records from the first on.
func (c *centre) everything() [][]byte {
	c.t.Helper()
	c.mu.Lock()
	all := append([][]byte(nil), c.told...)
	c.mu.Unlock()
	for next := uint64(0); next < c.audit.Head(); {
		var f ipc.Fetched
		if err := c.call(ipc.KindFetch, ipc.Fetch{From: next}, &f); err != nil {
			c.t.Fatal(err)
		}
		all, next = append(all, f.Report), f.Next
	}
	return all
}
