package people

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// What headquarters wants of a kiosk and what the kiosk has applied are compared person by person; the difference is what drifted.
//
// Control: S6
func TestDrift(t *testing.T) {
	b := start(t)
	one, two, three := b.enrol(t, request("one", "1")), b.enrol(t, request("two", "2")), b.enrol(t, request("three", "3"))
	if err := b.SetState(two.Person, Suspended, b.root); err != nil {
		t.Fatal(err)
	}
	complete := b.assigned(t, lab)
	want, err := b.Roster(lab)
	if err != nil || len(want) != 3 {
		t.Fatalf("%+v, %v", want, err)
	}
	if d := Diff(want, Applied(complete)); len(d) != 0 {
		t.Fatalf("a kiosk that applied everything drifted: %+v", d)
	}
	if got, err := b.Roster(Kiosk{ID: [32]byte{2}, Groups: []string{"other"}}); err != nil || len(got) != 0 {
		t.Errorf("a kiosk that needs nobody: %+v, %v", got, err)
	}
	if err := b.Delete(three.Person, b.ann); err != nil {
		t.Fatal(err)
	}
	want, err = b.Roster(lab)
	if err != nil {
		t.Fatal(err)
	}
	var behind []Entry // has not heard of one, of two's suspension or of three's deletion
	for _, e := range complete {
		if e.Person != one.Person && e.Kind != wire.KindStanding {
			behind = append(behind, e)
		}
	}
	drifts := map[access.PersonID]Drift{}
	for _, d := range Diff(want, Applied(behind)) {
		drifts[d.Person] = d
	}
	if d := drifts[one.Person]; d.Have.Generation != 0 || d.Want.Generation != 1 {
		t.Errorf("missing: %+v", d)
	}
	if d := drifts[two.Person]; d.Have.State != Active || d.Want.State != Suspended {
		t.Errorf("standing: %+v", d)
	}
	if d := drifts[three.Person]; d.Have.Generation != 1 || d.Want.Generation != 0 {
		t.Errorf("surplus: %+v", d)
	}
	if len(drifts) != 3 {
		t.Errorf("%d drifts", len(drifts))
	}
	mended := append(behind, b.assigned(t, lab)...)
	if d := Diff(want, Applied(mended)); len(d) != 0 {
		t.Errorf("what Assign gives does not mend it: %+v", d)
	}
}

// In whatever order entries come, they come to the same: deletion beats enrolment, the higher generation counts.
func TestAppliedHasNoOrder(t *testing.T) {
	entries := []Entry{
		{Order: [32]byte{1}, Kind: wire.KindEnrolment, Person: access.PersonID{1}, Generation: 1},
		{Order: [32]byte{2}, Kind: wire.KindDeletion, Person: access.PersonID{1}, Generation: 1},
		{Order: [32]byte{3}, Kind: wire.KindEnrolment, Person: access.PersonID{1}, Generation: 2},
		{Order: [32]byte{4}, Kind: wire.KindEnrolment, Person: access.PersonID{2}, Generation: 1},
		{Order: [32]byte{5}, Kind: wire.KindStanding, Person: access.PersonID{2}, Generation: 1, State: Revoked},
		{Order: [32]byte{6}, Kind: wire.KindDeletion, Person: access.PersonID{3}, Generation: 4},
		{Order: [32]byte{7}, Kind: wire.KindEnrolment, Person: access.PersonID{3}, Generation: 3},
	}
	want := []Holding{
		{access.PersonID{1}, 2, Active, [][32]byte{{3}}},
		{access.PersonID{2}, 1, Revoked, [][32]byte{{4}, {5}}},
	}
	for range 200 {
		rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		if got := Applied(entries); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v became %+v", entries, got)
		}
	}
}
