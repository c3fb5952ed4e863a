package walkup

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
)

// The store turns what it keeps: a search turns the probe the same way, and leaves neither it nor the scores behind.
func TestPeopleSearchTurned(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{}, turns: true}
	slab := make([]float32, SlabFloats(4))
	g, err := NewPeople(s, benchBundle, slab)
	if err != nil {
		t.Fatal(err)
	}
	plain := axis(0, 0)
	if _, err := g.Keep(access.PersonID{1}, [][]float32{plain}, benchBundle, 0); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(plain, axis(0, 0)) {
		t.Error("the reference that was given is turned")
	}
	if row := slab[access.ProbeSize:][:access.ProbeSize]; row[access.ProbeSize/2] != 1 || row[0] != 0 {
		t.Error("the gallery holds the plain reference")
	}
	for _, again := range []*People{g, gallery(t, s, 4)} { // also as the store gives it back
		if c, err := again.Search(plain, benchBundle); err != nil || c.Person != (access.PersonID{1}) || c.Score < 0.999 {
			t.Errorf("search: %+v, %v", c, err)
		}
	}
	if !slices.Equal(plain, axis(0, 0)) {
		t.Error("the search turned the caller's probe")
	}
	left := append(slices.Clone(slab[:access.ProbeSize]), slab[access.ProbeSize*5:]...)
	if i := slices.IndexFunc(left, func(x float32) bool { return x != 0 }); i >= 0 {
		t.Errorf("probe or scores are still in memory, at %d", i)
	}
	if n := testing.AllocsPerRun(10, func() {
		if _, err := g.Search(plain, benchBundle); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a search", n)
	}
	s.transformErr = errors.New("closed")
	if c, err := g.Search(plain, benchBundle); !errors.Is(err, s.transformErr) || c.Found {
		t.Errorf("search that cannot turn: %+v, %v", c, err)
	}
	if _, err := g.Keep(access.PersonID{2}, [][]float32{plain}, benchBundle, 0); !errors.Is(err, s.transformErr) || len(s.people) != 1 {
		t.Errorf("keep that cannot turn: %v, %d stored", err, len(s.people))
	}
}

// After Wipe nothing is in the slab, and nobody touches it again: its pages may be gone.
func TestPeopleLetGoOfTheSlab(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{}}
	slab := make([]float32, SlabFloats(4))
	g, err := NewPeople(s, benchBundle, slab)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Keep(access.PersonID{1}, [][]float32{axis(0, 0)}, benchBundle, 0); err != nil {
		t.Fatal(err)
	}
	g.Wipe()
	if c, _ := g.Search(axis(0, 0), benchBundle); c.Found {
		t.Error("found somebody")
	}
	if _, err := g.Keep(access.PersonID{2}, [][]float32{axis(2, 0)}, benchBundle, 0); !errors.Is(err, match.ErrFull) {
		t.Errorf("kept somebody: %v", err)
	}
	_ = g.Remove(access.PersonID{1}, func() error { return nil })
	g.Wipe()
	if i := slices.IndexFunc(slab, func(x float32) bool { return x != 0 }); i >= 0 {
		t.Errorf("the slab holds something at %d", i)
	}
	for _, n := range []int{0, access.ProbeSize, SlabFloats(1) - 1} {
		if _, err := NewPeople(s, benchBundle, make([]float32, n)); err == nil {
			t.Errorf("a slab of %d floats was taken", n)
		}
	}
}

func TestPeopleRemove(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{}}
	g := gallery(t, s, 4)
	for i := range 2 {
		if _, err := g.Keep(access.PersonID{byte(i + 1)}, [][]float32{axis(2*i, 0)}, benchBundle, 0); err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("input/output error")
	if err := g.Remove(access.PersonID{1}, func() error { return broken }); !errors.Is(err, broken) || !g.Holds(access.PersonID{1}) {
		t.Errorf("removal that was not stored: %v, holds %v", err, g.Holds(access.PersonID{1}))
	}
	asked := 0
	for _, id := range []access.PersonID{{1}, {9}} { // the store may know whom the gallery does not
		if err := g.Remove(id, func() error { asked++; return nil }); err != nil {
			t.Error(err)
		}
	}
	if asked != 2 {
		t.Errorf("the store was asked %d times", asked)
	}
	c, err := g.Search(axis(0, 0), benchBundle)
	if err != nil || c.Person != (access.PersonID{2}) || !c.SecondPerson.IsZero() || g.Len() != 1 {
		t.Errorf("after the removal: %+v, %v, %d people", c, err, g.Len())
	}
	if err := g.SetStanding(access.PersonID{1}, access.Permitted, func() error { return nil }); !errors.Is(err, ErrUnknownPerson) {
		t.Errorf("somebody who was removed was permitted: %v", err)
	}
	if n, err := g.Keep(access.PersonID{1}, [][]float32{axis(0, 0)}, benchBundle, 0); n != 1 || err != nil || !g.Holds(access.PersonID{1}) {
		t.Errorf("enrolled anew: %d, %v", n, err)
	}
}

func TestRefreshFollowsTheStore(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{}}
	g := gallery(t, s, 4)
	for i := range 3 {
		if _, err := g.Keep(access.PersonID{byte(i + 1)}, [][]float32{axis(2*i, 0)}, benchBundle, 0); err != nil {
			t.Fatal(err)
		}
	}
	say := func(list map[access.PersonID]access.Standing, err error) func(func(access.PersonID, access.Standing) error) error {
		return func(f func(access.PersonID, access.Standing) error) error {
			for p, s := range list {
				if err := f(p, s); err != nil {
					return err
				}
			}
			return err
		}
	}
	ended := map[access.PersonID]access.Standing{{1}: access.Expired, {2}: access.Permitted, {8}: access.Permitted}
	if n, err := g.Refresh(say(ended, nil)); n != 1 || err != nil {
		t.Errorf("refresh: %d, %v", n, err)
	}
	if c, _ := g.Search(axis(0, 0), benchBundle); c.Standing != access.Expired || g.Len() != 2 {
		t.Errorf("after the lease ended: %+v, %d permitted", c, g.Len())
	}
	if n, err := g.Refresh(say(map[access.PersonID]access.Standing{{1}: access.Permitted}, nil)); n != 1 || err != nil || !g.Holds(access.PersonID{1}) {
		t.Errorf("after time was trusted again: %d, %v", n, err)
	}
	broken := errors.New("input/output error")
	if n, err := g.Refresh(say(map[access.PersonID]access.Standing{{2}: access.Revoked}, broken)); n != 0 || !errors.Is(err, broken) || !g.Holds(access.PersonID{2}) {
		t.Errorf("half a reading: %d, %v", n, err)
	}

	// An order that comes while the store is read wins over what was read before it.
	readings := 0
	n, err := g.Refresh(func(f func(access.PersonID, access.Standing) error) error {
		readings++
		standing := access.Permitted
		if readings > 1 {
			standing = access.Suspended
		}
		if err := f(access.PersonID{3}, standing); err != nil || readings > 1 {
			return err
		}
		return g.SetStanding(access.PersonID{3}, access.Suspended, func() error { return nil })
	})
	if n != 0 || err != nil || readings != 2 || g.Holds(access.PersonID{3}) {
		t.Errorf("refresh: %d, %v after %d readings; the suspended person may enter: %v", n, err, readings, g.Holds(access.PersonID{3}))
	}
}

// Memory follows the store for everybody who was changed, and for nobody else; whoever cannot be read back is not found.
func TestFollow(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{}}
	g := gallery(t, s, 4)
	first, second, third := access.PersonID{1}, access.PersonID{2}, access.PersonID{3}
	for i, p := range []access.PersonID{first, second} {
		if _, err := g.Keep(p, [][]float32{axis(i, 0)}, benchBundle, 0); err != nil {
			t.Fatal(err)
		}
	}
	found := func(component int) access.Candidate {
		t.Helper()
		c, err := g.Search(axis(component, 0), benchBundle)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	err := g.Follow(func(room int) ([]access.PersonID, error) {
		if room != 2 {
			t.Errorf("room for %d references, want 2", room)
		}
		delete(s.people, first)
		s.people[second] = Enrollee{Person: second, Standing: access.Suspended, References: s.people[second].References}
		s.people[third] = Enrollee{Person: third, Standing: access.Permitted, Extended: true, References: [][]float32{axis(2, 0), axis(3, 0)}}
		return []access.PersonID{first, second, third}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := found(0); c.Person == first {
		t.Errorf("somebody removed is %+v", c)
	}
	if c := found(1); c.Person != second || c.Standing != access.Suspended {
		t.Errorf("somebody suspended is %+v", c)
	}
	if c := found(3); c.Person != third || !c.Extended || c.Standing != access.Permitted {
		t.Errorf("somebody new is %+v", c)
	}
	off := errors.New("called off")
	if err := g.Follow(func(int) ([]access.PersonID, error) { return nil, off }); !errors.Is(err, off) || found(3).Person != third {
		t.Errorf("%v", err)
	}
	s.fail = errors.New("no answer")
	if err := g.Follow(func(int) ([]access.PersonID, error) { return []access.PersonID{third}, nil }); !errors.Is(err, s.fail) || found(3).Person == third {
		t.Errorf("who cannot be read back is %+v, %v", found(3), err)
	}
}

// While the store changes many people, walk-ups go on: whoever is about to lose a permission has lost it, everybody else is found as before, and another
// change waits.
//
// Control: A22
func TestPeopleAreFoundWhileTheStoreChanges(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{}}
	g := gallery(t, s, 4)
	first, second := access.PersonID{1}, access.PersonID{2}
	for i, p := range []access.PersonID{first, second} {
		if _, err := g.Keep(p, [][]float32{axis(2*i, 0), axis(2*i+1, 0)}, benchBundle, 0); err != nil {
			t.Fatal(err)
		}
	}
	found := func(component int, want access.Standing) {
		t.Helper()
		answer := make(chan access.Candidate, 1)
		go func() {
			c, err := g.Search(axis(component, 0), benchBundle)
			if err != nil {
				t.Error(err)
			}
			answer <- c
		}()
		select {
		case c := <-answer:
			if c.Standing != want || g.Look(c.Person).Standing != want || g.Holds(c.Person) != (want == access.Permitted) {
				t.Errorf("found as %v, want %v", c.Standing, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a search waits for the store")
		}
	}
	waited := make(chan error, 1)
	err := g.Follow(func(int) ([]access.PersonID, error) {
		g.Withhold([]access.PersonID{first})
		found(0, access.NotPermitted)
		found(2, access.Permitted)
		go func() { waited <- g.SetStanding(second, access.Revoked, s.revoke(second)) }()
		time.Sleep(20 * time.Millisecond)
		found(2, access.Permitted)
		return nil, errors.New("called off")
	})
	if err == nil {
		t.Error("an error of the store is lost")
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
	found(0, access.Permitted) // nothing came of it
	found(2, access.Revoked)
	// References are exchanged for others where there is no room for both.
	if err := g.Follow(func(room int) ([]access.PersonID, error) {
		s.people[second] = Enrollee{Person: second, Standing: access.Permitted, References: [][]float32{axis(10, 0), axis(11, 0), axis(12, 0)}}
		delete(s.people, first)
		return []access.PersonID{second, first, second}, nil
	}); err != nil || g.rows.Len() != 3 || len(g.persons) != 2 {
		t.Errorf("%v, %d references of %d people", err, g.rows.Len(), len(g.persons))
	}
}
