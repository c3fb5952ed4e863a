package walkup

import (
	"errors"
	"fmt"
	"sync"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
)

// Enrollee is somebody as the store keeps them.
type Enrollee struct {
	Person     access.PersonID
	Standing   access.Standing
	Extended   bool
	References [][]float32 // norm 1, of one bundle
}

// Store keeps the enrolled durably. What it returns is durable when it returns.
type Store interface {
	// Each calls f for everybody, with the references that a bundle made: none when another bundle made them.
	Each(bundle [32]byte, f func(Enrollee) error) error
	// Keep replaces the references of a person and permits them.
	Keep(p access.PersonID, references [][]float32, bundle [32]byte) error
	// Revoke ends a permission. The person stays known.
	Revoke(access.PersonID) error
	// Subject is the person's pseudonym in the audit log.
	Subject(access.PersonID) [16]byte
}

// ErrUnknownPerson means that nobody of that id is enrolled.
var ErrUnknownPerson = errors.New("nobody of that id is enrolled")

// People is the enrolled in memory, ready to be searched. It follows its Store: durable first, then in memory.
type People struct {
	store  Store
	bundle [32]byte

	mu      sync.Mutex
	rows    *match.Float32
	scores  []float32
	persons []known // by owner number; a slot is never used again
	slots   map[access.PersonID]uint32
}

// known is what is remembered of somebody beside their rows.
type known struct {
	person     access.PersonID
	standing   access.Standing
	extended   bool
	references int
}

// NewPeople reads the store into a gallery with room for a number of references made by one bundle.
func NewPeople(store Store, bundle [32]byte, capacity int) (*People, error) {
	rows, err := match.NewFloat32(make([]float32, capacity*access.ProbeSize), access.ProbeSize)
	if err != nil {
		return nil, err
	}
	g := &People{store: store, bundle: bundle, rows: rows, scores: make([]float32, capacity), slots: map[access.PersonID]uint32{}}
	err = store.Each(bundle, func(e Enrollee) error { return g.put(e) })
	if err != nil {
		g.Wipe()
		return nil, fmt.Errorf("read the enrolled: %w", err)
	}
	return g, nil
}

// put adds or replaces somebody in memory. Called with mu held, or before anybody else knows g.
func (g *People) put(e Enrollee) error {
	slot, ok := g.slots[e.Person]
	if !ok {
		slot = uint32(len(g.persons))
		g.persons = append(g.persons, known{})
		g.slots[e.Person] = slot
	}
	g.rows.RemoveOwner(slot)
	for _, r := range e.References {
		if _, err := g.rows.Append(slot, r); err != nil {
			return err
		}
	}
	g.persons[slot] = known{e.Person, e.Standing, e.Extended, len(e.References)}
	return nil
}

// Len is the number of people whose standing is Permitted.
func (g *People) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, p := range g.persons {
		if p.standing == access.Permitted {
			n++
		}
	}
	return n
}

// Search walks the whole gallery for a probe of a bundle. A probe of another bundle than the gallery's cannot be compared and finds
// nobody.
func (g *People) Search(probe []float32, bundle [32]byte) (access.Candidate, error) {
	if bundle != g.bundle {
		return access.Candidate{Second: -1}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	defer clear(g.scores[:g.rows.Len()])
	r, err := g.rows.Search(probe, g.scores)
	if err != nil || !r.Found {
		return access.Candidate{Second: -1}, err
	}
	p := g.persons[r.Owner]
	// match says -2 where there is no other person; access wants a score.
	return access.Candidate{Found: true, Person: p.person, Standing: p.standing, Extended: p.extended, Score: r.Score, Second: max(r.Other, -1)}, nil
}

// Keep stores the references of a person, durably first.
func (g *People) Keep(p access.PersonID, references [][]float32, bundle [32]byte) (int, error) {
	if bundle != g.bundle {
		return 0, errors.New("keep references: they are of another model bundle than the gallery")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rows.Len()+len(references) > g.rows.Cap() {
		return 0, match.ErrFull
	}
	if err := g.store.Keep(p, references, bundle); err != nil {
		return 0, err
	}
	if err := g.put(Enrollee{Person: p, Standing: access.Permitted, References: references}); err != nil {
		return 0, err
	}
	return len(references), nil
}

// Revoke ends a permission, durably first.
func (g *People) Revoke(p access.PersonID) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	slot, ok := g.slots[p]
	if !ok {
		return ErrUnknownPerson
	}
	if err := g.store.Revoke(p); err != nil {
		return err
	}
	g.persons[slot].standing = access.Revoked
	return nil
}

// Holds reports whether a permitted person has references of the gallery's bundle.
func (g *People) Holds(p access.PersonID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	slot, ok := g.slots[p]
	return ok && g.persons[slot].standing == access.Permitted && g.persons[slot].references > 0
}

// Subject is the person's pseudonym in the audit log.
func (g *People) Subject(p access.PersonID) [16]byte { return g.store.Subject(p) }

// Wipe zeroes all references in memory.
func (g *People) Wipe() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rows.Wipe()
	clear(g.persons)
	clear(g.slots)
}
