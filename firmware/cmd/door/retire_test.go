package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

// A kiosk that is decommissioned has nobody's references, recognises nobody, obeys nobody, and lets people out; its last records go up.
//
// Control: A22
func TestDecommission(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	c.give(1, c.enrolment(access.PersonID{1}, 1, 3))
	c.give(0, c.sign("administrator", wire.Fleet(), wire.Decommission{Issued: 1}))
	if c.find(3); c.store.Count() != 1 {
		t.Fatal("a decommission for the fleet was obeyed")
	}
	c.give(0, c.admin(wire.Decommission{Issued: 1}))
	if c.store.Count() != 0 || c.gallery.Len() != 0 || c.serves() {
		t.Errorf("%d people in the vault, %d in memory, serves %t", c.store.Count(), c.gallery.Len(), c.serves())
	}
	for range 2 {
		if err := c.bring(c.chain(0, c.admin(wire.Lockdown{Version: 1, On: true, Issued: 1}))); !refusedBecause(err, errRetired) {
			t.Errorf("a command is answered with %v", err)
		}
		before := c.wires.released()
		c.wires.edges <- board.Edge{Line: board.REX, On: true, Stamp: time.Millisecond}
		for end := time.Now().Add(5 * time.Second); c.wires.released() == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody gets out")
			}
		}
		var f ipc.Fetched
		if err := c.call(ipc.KindFetch, ipc.Fetch{}, &f); err != nil || len(f.Report) == 0 {
			t.Errorf("records: %v", err)
		}
		c.stop()
		c.start()
		if c.closed == "" || c.gallery.Len() != 0 {
			t.Errorf("after a restart: %q, %d people", c.closed, c.gallery.Len())
		}
	}
	c.wantCount(access.EventDecommissioned, 1)
	if _, err := os.Stat(filepath.Join(c.state, vaultFile)); err != nil {
		t.Error(err)
	}
}

// Wherever the power goes while a kiosk is retired, the next start ends it: nobody is stored, whoever was enrolled while it went on included, and no key for
// sealed content is left.
func TestDecommissionThatIsCutShort(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	c.give(1, c.enrolment(access.PersonID{1}, 1, 3))
	command := c.chain(0, c.admin(wire.Decommission{Issued: 1}))
	c.hq.mu.Lock()
	judged, err := c.hq.roster.Command(command, roster.Means{})
	if err != nil {
		t.Fatal(err)
	}
	s := step{Step: judged}
	if err := c.hq.plan(&s); err != nil {
		t.Fatal(err)
	}
	keep := func(id access.PersonID) error {
		_, err := c.gallery.Keep(id, [][]float32{direction(5)}, c.bundle, 0) // as a walk-up does that enrols
		return err
	}
	if err := keep(access.PersonID{2}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.hq.commit(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if err := keep(access.PersonID{3}); !errors.Is(err, vault.ErrRetired) {
		t.Errorf("somebody was enrolled at a kiosk that is retired: %v", err)
	}
	c.hq.mu.Unlock()
	if id, err := root.Load(c.state); err != nil || len(id.Exchange) == 0 || c.store.Count() != 1 {
		t.Fatalf("the cut came too late: %d people, %v", c.store.Count(), err)
	}
	for range 2 {
		c.stop()
		c.start()
		id, err := root.Load(c.state)
		if err != nil || len(id.Exchange) != 0 || c.store.Count() != 0 {
			t.Errorf("after a start: %d bytes of a key, %d people, %v", len(id.Exchange), c.store.Count(), err)
		}
		if keys := c.exchangeKeys(); len(keys) != 1 || len(keys[0].Blob) != 0 {
			t.Errorf("keys %+v", keys)
		}
	}
	c.wantCount(access.EventDecommissioned, 1)
	c.wantCount(access.EventPersonDeleted, 2)
	c.wantCount(access.EventCommandApplied, 2)
}

// However many are forgotten with a kiosk, its log says so and loses nothing.
func TestDecommissionOfMany(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	const many = wire.MaxOrders + 6
	for n := 0; n < many; n += 10 {
		var orders [][]byte
		for i := range 10 {
			orders = append(orders, c.enrolment(access.PersonID{byte(n + i + 1)}, 1, (n+i)%60))
		}
		c.give(1, orders...)
	}
	if c.store.Count() < many-6 {
		t.Fatalf("%d people", c.store.Count())
	}
	c.give(0, c.admin(wire.Decommission{Issued: 1}))
	c.wantCount(access.EventEventsLost, 0)
	c.wantCount(access.EventPersonDeleted, 0)
	c.wantCount(access.EventRetentionRemoved, 1)
	if c.store.Count() != 0 {
		t.Errorf("%d people are left", c.store.Count())
	}
}
