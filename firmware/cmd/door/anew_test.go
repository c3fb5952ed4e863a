package main

import (
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// What was signed for a kiosk is for nobody once it is provisioned anew, on the same TPM and under the same fleet root: neither its old stream, which
// begins as a new one would, nor what was never sent.
func TestProvisionedAnew(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	person := access.PersonID{1}
	c.give(1, c.enrolment(person, 1, 0))
	first, kept := c.id, c.before
	farewell := c.chain(0, c.admin(wire.Decommission{Issued: c.now}))
	standing := c.sign("server", first, wire.Ask{Request: [16]byte{1}, For: wire.KindChallenge})
	device := c.root.Identity().Device
	c.stop()

	c.state = stateFolder(t)
	provisionOn(t, c.socket, c.state, c.image, c.owner, c.keys["release"])
	id, err := root.Load(c.state)
	if err != nil {
		t.Fatal(err)
	}
	if c.id = id.Kiosk(); c.id == first || id.Device != device {
		t.Fatalf("kiosk %x was %x, of device %x, was %x", c.id, first, id.Device, device)
	}
	c.configure("root")
	c.start()
	for name, old := range map[string][]byte{"its first command": kept, "its decommissioning": farewell, "a request": standing} {
		if err := c.bring(old); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	c.wantCount(access.EventEnvelopeRefused, 3)
	if s := c.stands(); s.Seq != 0 || c.retired {
		t.Errorf("it stands at command %d, retired %v", s.Seq, c.retired)
	}
	// Nor does an order for the kiosk before count in a stream of this one.
	c.before, c.seq = nil, 0
	c.give(0, c.sign("administrator", first, wire.Decommission{Issued: c.now}), c.sign("administrator", first, wire.Lockdown{Version: 1, On: true, Issued: c.now}))
	if p := c.portal.State(); p.Lockdown || c.retired {
		t.Errorf("lockdown %v, retired %v", p.Lockdown, c.retired)
	}
	if c.count(access.EventOrderRefused) == 0 {
		t.Error("nothing says that they were refused")
	}
	if _, err := c.store.Get(person, c.bundle); err == nil {
		t.Error("it knows whom the kiosk before knew")
	}
}
