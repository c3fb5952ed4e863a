package main

import (
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/sync/wire"
)

// Twenty people come in one command and are found at once; whoever has no room is refused, and said to be.
func TestCommandOfTwentyPeople(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	var orders [][]byte
	for i := range 20 {
		orders = append(orders, c.enrolment(access.PersonID{byte(i + 1)}, 1, 3*i, 3*i+1, 3*i+2))
	}
	began := time.Now()
	c.give(1, orders...)
	t.Logf("a command of 20 people takes %v", time.Since(began))
	for i := range 60 {
		if f := c.find(i); f.Person != (access.PersonID{byte(i/3 + 1)}) {
			t.Fatalf("reference %d is found as %v", i, f.Person)
		}
	}
	c.give(1, c.enrolment(access.PersonID{21}, 1, 60, 61, 62), c.enrolment(access.PersonID{22}, 1, 63, 64), c.enrolment(access.PersonID{23}, 1, 65))
	if c.gallery.Len() != 22 || c.store.Count() != 22 || c.find(60).Person != (access.PersonID{21}) || c.find(65).Person != (access.PersonID{23}) {
		t.Errorf("%d people in memory, %d in the vault", c.gallery.Len(), c.store.Count())
	}
	c.wantCount(access.EventOrderRefused, 1)
	c.stop()
	c.start()
	if c.gallery.Len() != 22 {
		t.Errorf("%d people after a restart", c.gallery.Len())
	}
}

// Room in memory is counted as it will be: whoever comes again with as many references needs none, and whoever goes makes some.
func TestFullGalleryTakesReplacements(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	var orders [][]byte
	for i := range 21 { // of 3 references each: all that there is room for in these tests, but one
		orders = append(orders, c.enrolment(access.PersonID{byte(i + 1)}, 1, 3*i, 3*i+1, 3*i+2))
	}
	c.give(1, orders[:11]...)
	c.give(1, orders[11:]...)
	c.give(1, c.enrolment(access.PersonID{1}, 2, 70, 71, 72), c.enrolment(access.PersonID{2}, 2, 73, 74, 75))
	c.wantCount(access.EventOrderRefused, 0)
	c.give(1, c.sign("enroller", c.id, wire.Deletion{Person: [16]byte{3}, Generation: 1, Issued: 1}), c.enrolment(access.PersonID{30}, 1, 80, 81, 82, 83))
	c.wantCount(access.EventOrderRefused, 0)
	for axis, want := range map[int]access.PersonID{70: {1}, 75: {2}, 83: {30}} {
		if f := c.find(axis); f.Person != want {
			t.Errorf("reference %d is found as %v, want %v", axis, f.Person, want)
		}
	}
	c.give(1, c.enrolment(access.PersonID{31}, 1, 90))
	c.wantCount(access.EventOrderRefused, 1)
}

// While the TPM does not answer a restriction holds at once, and is not said to be final: its record comes when it is.
func TestCommandWhileTheTPMIsAway(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	c.give(1, c.enrolment(access.PersonID{1}, 1, 3))
	c.wantCount(access.EventCommandApplied, 1)
	if err := c.root.Close(); err != nil {
		t.Fatal(err)
	}
	c.give(0, c.admin(wire.Lockdown{Version: 1, On: true, Issued: 1}), c.sign("enroller", c.id, wire.Deletion{Person: [16]byte{1}, Generation: 1, Issued: 1}))
	if !c.portal.State().Lockdown || c.find(3).Found {
		t.Error("a restriction waits for the TPM")
	}
	c.wantCount(access.EventCommandApplied, 1)
	sealed := c.sign("server", c.id, wire.Command{Seq: 3, Previous: c.stands().Head(), Content: [32]byte{1}, Exchange: 1, Sealed: []byte{1}})
	if err := c.bring(sealed); err == nil {
		t.Error("sealed content was opened without the TPM")
	}
	c.stop()
	c.start()
	if !c.portal.State().Lockdown || c.find(3).Found || c.stands().Seq != 2 {
		t.Error("after a restart it does not hold")
	}
	c.wantCount(access.EventCommandApplied, 2)
}

// Who stands at the kiosk lifts no lockdown that headquarters ordered, not even after a restart; headquarters lifts any.
func TestLockdownOfHeadquartersIsTheirs(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	c.give(0, c.admin(wire.Lockdown{Version: 1, On: true, Issued: 1}))
	for range 2 {
		if err := c.lockdown(t.Context(), false); !errors.Is(err, errTheirs) || !c.portal.State().Lockdown {
			t.Errorf("%v, locked down: %t", err, c.portal.State().Lockdown)
		}
		c.stop()
		c.start()
	}
	c.give(0, c.admin(wire.Lockdown{Version: 2, Issued: 1}))
	if err := c.lockdown(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	c.give(0, c.admin(wire.Lockdown{Version: 3, Issued: 1}))
	if c.portal.State().Lockdown {
		t.Error("headquarters cannot lift it")
	}
	for _, on := range []bool{true, false} {
		if err := c.lockdown(t.Context(), on); err != nil {
			t.Error(err)
		}
	}
}

// Templates that are made for the vault and do not get there leave nothing behind.
func TestTemplatesThatAreDroppedAreWiped(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	gone := func(template vault.Template) bool {
		var copied [access.ProbeSize]float32
		return template.Copy(copied[:]) == len(copied) && copied == [access.ProbeSize]float32{}
	}
	e, err := wire.Open[wire.Enrolment](c.enrolment(access.PersonID{1}, 1, 1), &c.keys["enroller"].PublicKey, wire.Fleet())
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.hq.person(e)
	if err != nil || gone(p.References[0].Template) {
		t.Fatal("the template of a good enrolment is empty", err)
	}
	s := step{vault: vault.Step{Items: map[vault.Item][]byte{}}}
	s.add(0, vault.Enrol{Person: p})
	if err := c.hq.forgetAll(&s); err != nil || !gone(p.References[0].Template) {
		t.Error("a kiosk that is decommissioned leaves the template of whoever was to be enrolled", err)
	}
	e.References = append(e.References, make([]byte, wire.ReferenceBytes))
	if p, err = c.hq.person(e); err == nil || len(p.References) != 1 || !gone(p.References[0].Template) {
		t.Errorf("of an enrolment that cannot be read %d templates are left, %v", len(p.References), err)
	}
}
