package walkup

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
)

// shelfFake is a small store in memory with one hook for a fault.
type shelfFake struct {
	people       map[access.PersonID]Enrollee
	fail         error
	turns        bool
	transformErr error
}

func (s *shelfFake) Each(_ [32]byte, f func(Enrollee) error) error {
	for _, e := range s.people {
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelfFake) One(p access.PersonID, _ [32]byte) (Enrollee, bool, error) {
	e, found := s.people[p]
	for i, r := range e.References {
		if i == 0 {
			e.References = slices.Clone(e.References)
		}
		e.References[i] = slices.Clone(r)
	}
	return e, found, s.fail
}

func (s *shelfFake) Keep(p access.PersonID, refs [][]float32, _ [32]byte, _ int64) error {
	if s.fail != nil {
		return s.fail
	}
	e := Enrollee{Person: p, Standing: access.Permitted, Extended: true, Groups: []string{"local"}}
	for _, r := range refs {
		turned := slices.Clone(r)
		_ = s.Transform(turned)
		e.References = append(e.References, turned)
	}
	s.people[p] = e
	return nil
}

// Transform is the simplest one that is not the identity: it exchanges the halves.
func (s *shelfFake) Transform(v []float32) error {
	if !s.turns {
		return nil
	}
	half := len(v) / 2
	for i := range half {
		v[i], v[half+i] = v[half+i], v[i]
	}
	return s.transformErr
}

func (s *shelfFake) revoke(p access.PersonID) func() error {
	return func() error {
		if s.fail != nil {
			return s.fail
		}
		e := s.people[p]
		e.Standing = access.Revoked
		s.people[p] = e
		return nil
	}
}

func (s *shelfFake) Subject(p access.PersonID, _ int64) [16]byte { return p }

// axis is the unit vector of one component, tilted a little towards the next.
func axis(k int, tilt float64) []float32 {
	v := make([]float32, access.ProbeSize)
	v[k], v[k+1] = float32(math.Cos(tilt)), float32(math.Sin(tilt))
	return v
}

var benchBundle = [32]byte{9}

func gallery(t *testing.T, s *shelfFake, capacity int) *People {
	t.Helper()
	g, err := NewPeople(s, benchBundle, make([]float32, SlabFloats(capacity)))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestPeopleFindTheNearestAndTheNextPerson(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{
		{1}: {Person: access.PersonID{1}, Standing: access.Permitted, References: [][]float32{axis(0, 0), axis(0, 0.2)}},
	}}
	g := gallery(t, s, 8)
	if c, err := g.Search(axis(0, 0.1), benchBundle); err != nil || c.Person != (access.PersonID{1}) || c.Second != -1 || !c.SecondPerson.IsZero() || c.Standing != access.Permitted {
		t.Fatalf("search among one: %+v, %v", c, err)
	}
	if n, err := g.Keep(access.PersonID{2}, [][]float32{axis(1, 0)}, benchBundle, 0); n != 1 || err != nil {
		t.Fatalf("keep: %d, %v", n, err)
	}
	if who := g.Look(access.PersonID{2}); !slices.Equal(g.Groups(who.Person), []string{"local"}) || !who.Extended || g.Groups(access.PersonID{1}) != nil || g.Groups(access.PersonID{3}) != nil {
		t.Errorf("what the store says of somebody just kept is %+v, in %q", who, g.Groups(who.Person))
	}
	c, err := g.Search(axis(0, 0.1), benchBundle)
	if err != nil || c.Person != (access.PersonID{1}) || c.SecondPerson != (access.PersonID{2}) || math.Abs(float64(c.Second)-math.Sin(0.1)) > 1e-5 {
		t.Errorf("search among two: %+v, %v; want the second person's score as Second", c, err)
	}
	if g.Len() != 2 {
		t.Errorf("%d people, want 2", g.Len())
	}
}

func TestEmptyGalleryAndForeignProbeFindNobody(t *testing.T) {
	g := gallery(t, &shelfFake{people: map[access.PersonID]Enrollee{}}, 4)
	if c, err := g.Search(axis(0, 0), benchBundle); err != nil || c.Found {
		t.Errorf("empty gallery: %+v, %v", c, err)
	}
	if _, err := g.Keep(access.PersonID{1}, [][]float32{axis(0, 0)}, benchBundle, 0); err != nil {
		t.Fatal(err)
	}
	if c, err := g.Search(axis(0, 0), [32]byte{1}); err != nil || c.Found {
		t.Errorf("a probe of another bundle found %+v, %v", c, err)
	}
	if _, err := g.Keep(access.PersonID{2}, [][]float32{axis(1, 0)}, [32]byte{1}, 0); err == nil {
		t.Error("references of another bundle were kept")
	}
}

// What the store could not make durable does not take effect in memory either.
func TestMemoryFollowsTheStore(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{}}
	g := gallery(t, s, 4)
	if _, err := g.Keep(access.PersonID{1}, [][]float32{axis(0, 0)}, benchBundle, 0); err != nil {
		t.Fatal(err)
	}
	s.fail = errors.New("no space left on device")
	if _, err := g.Keep(access.PersonID{2}, [][]float32{axis(1, 0)}, benchBundle, 0); !errors.Is(err, s.fail) {
		t.Errorf("keep on a full disk: %v", err)
	}
	if err := g.SetStanding(access.PersonID{1}, access.Revoked, s.revoke(access.PersonID{1})); !errors.Is(err, s.fail) {
		t.Errorf("revoke on a full disk: %v", err)
	}
	if c, _ := g.Search(axis(1, 0), benchBundle); c.Score > 0.5 {
		t.Error("somebody who is not stored can be found")
	}
	if c, _ := g.Search(axis(0, 0), benchBundle); c.Standing != access.Permitted {
		t.Error("a revocation that was not stored took effect: it would be forgotten by a restart")
	}
	s.fail = nil
	if err := g.SetStanding(access.PersonID{1}, access.Revoked, s.revoke(access.PersonID{1})); err != nil {
		t.Fatal(err)
	}
	if c, _ := g.Search(axis(0, 0), benchBundle); c.Standing != access.Revoked || g.Len() != 0 {
		t.Errorf("after the revocation: %+v, %d permitted", c, g.Len())
	}
	if err := g.SetStanding(access.PersonID{9}, access.Revoked, s.revoke(access.PersonID{9})); !errors.Is(err, ErrUnknownPerson) {
		t.Errorf("revoke nobody: %v", err)
	}
}

func TestReEnrolmentReplacesAndRoomIsBounded(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{}}
	g := gallery(t, s, 2)
	for range 3 {
		if _, err := g.Keep(access.PersonID{1}, [][]float32{axis(0, 0)}, benchBundle, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Keep(access.PersonID{2}, [][]float32{axis(2, 0), axis(4, 0)}, benchBundle, 0); !errors.Is(err, match.ErrFull) {
		t.Errorf("two references in one free row: %v", err)
	}
	if len(s.people) != 1 {
		t.Error("what has no room in memory was stored")
	}
	g.Wipe()
	if c, _ := g.Search(axis(0, 0), benchBundle); c.Found {
		t.Error("a wiped gallery still knows somebody")
	}
}

func TestPeopleHoldsThePermitted(t *testing.T) {
	s := &shelfFake{people: map[access.PersonID]Enrollee{
		{1}: {Person: access.PersonID{1}, Standing: access.Permitted, References: [][]float32{axis(0, 0)}},
		{2}: {Person: access.PersonID{2}, Standing: access.Permitted},
		{3}: {Person: access.PersonID{3}, Standing: access.Revoked, References: [][]float32{axis(4, 0)}},
	}}
	g := gallery(t, s, 8)
	for id, want := range map[byte]bool{1: true, 2: false, 3: false, 4: false} {
		if got := g.Holds(access.PersonID{id}); got != want {
			t.Errorf("holds %d: %v", id, got)
		}
	}
	if err := g.SetStanding(access.PersonID{1}, access.Revoked, s.revoke(access.PersonID{1})); err != nil || g.Holds(access.PersonID{1}) {
		t.Errorf("after revoking: %v, holds %v", err, g.Holds(access.PersonID{1}))
	}
}
