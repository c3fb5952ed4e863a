package main

import (
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// A document lets go of whom no rule of this door is about, on record and so that headquarters may give them again; what was taken from them stays taken.
func TestPolicyLetsGoOfWhomNoRuleIsAbout(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	document := func(group string) []byte {
		s := access.Site{Format: access.SiteFormat, Text: [32]byte{1}, Name: "Test", Groups: []string{group},
			Zone:  access.Zone{Name: "UTC", Offsets: []access.Offset{{From: 1e9}}, Until: 3e9},
			Doors: []access.SiteDoor{{Name: c.policy.Door, Rules: []access.Rule{{Groups: access.GroupSet{}.Add(0), Until: 1}}}}}
		data, err := wire.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first, second := access.PersonID{1}, access.PersonID{2}
	c.give(1, c.enrolment(first, 1, 3), c.enrolment(second, 1, 5))
	c.give(0, c.admin(wire.Standing{Person: second, Generation: 1, Serial: 1, State: 0, Issued: 1}))

	c.give(0, c.admin(wire.Policy{Version: 1, Document: document("staff"), Issued: 1})) // a rule of long ago is about them all the same
	if f := c.find(3); f.Person != first {
		t.Fatalf("whom a rule is about is %+v", f)
	}
	c.wantCount(access.EventPersonDeleted, 0)
	c.give(0, c.admin(wire.Policy{Version: 2, Document: document("cleaning"), Issued: 1}))
	if c.find(3).Found || c.find(5).Found || c.store.Count() != 0 {
		t.Errorf("%d people are kept whom no rule is about", c.store.Count())
	}
	c.wantCount(access.EventRetentionRemoved, 1)
	c.wantCount(access.EventPersonDeleted, 0)
	c.wantCount(access.EventOrderRefused, 0)
	c.stop()
	c.start()
	if c.store.Count() != 0 {
		t.Error("a restart brought them back")
	}

	c.give(1, c.enrolment(first, 1, 3), c.enrolment(second, 1, 5))
	if f := c.find(3); f.Person != first || f.Standing != access.Permitted {
		t.Errorf("given again is %+v", f)
	}
	if f := c.find(5); f.Person != second || f.Standing != access.Suspended {
		t.Errorf("who was suspended and is given again is %+v", f)
	}
}
