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
	Groups     []string    // of the site's rules, few; nobody changes them
	References [][]float32 // norm 1, of one bundle, as Transform turns them
}

// Store keeps the enrolled durably. What it returns is durable when it returns.
type Store interface {
	// Each calls f for everybody, with the references that a bundle made: none when another bundle made them.
	Each(bundle [32]byte, f func(Enrollee) error) error
	// One is a person with the references that a bundle made; false when nobody of that id is kept.
	One(p access.PersonID, bundle [32]byte) (Enrollee, bool, error)
	// Keep replaces the references of a person, given as they were measured, and permits them until a Unix second; 0 is no end.
	Keep(p access.PersonID, references [][]float32, bundle [32]byte, until int64) error
	// Transform turns a vector of ProbeSize components in place, as the store turns references. It must not allocate.
	Transform(probe []float32) error
	// Subject is the person's pseudonym in the audit log on the day of a Unix second.
	Subject(p access.PersonID, wall int64) [16]byte
}

// ErrUnknownPerson means that nobody of that id is enrolled.
var ErrUnknownPerson = errors.New("nobody of that id is enrolled")

// People is the enrolled in memory, ready to be searched. It follows its Store: durable first, then in memory.
type People struct {
	store  Store
	bundle [32]byte

	order sync.Mutex // held while somebody is changed, which may wait for the disk and the TPM; taken before mu
	// withheld are those whom the Follow that runs is about to take a permission from.
	withholding sync.Mutex // innermost
	withheld    map[access.PersonID]bool

	mu      sync.Mutex
	slab    []float32 // holds the three below
	probe   []float32 // the turned probe, in use during a search
	scores  []float32
	rows    *match.Float32
	persons []known // by owner number; a slot is never used again
	slots   map[access.PersonID]uint32
	changes uint64 // of anybody's standing
}

// known is what is remembered of somebody beside their rows. The zero known is somebody who was removed.
type known struct {
	person     access.PersonID
	standing   access.Standing
	extended   bool
	groups     []string
	references int
}

// SlabFloats is the length of the slab that NewPeople needs for so many references.
func SlabFloats(references int) int { return access.ProbeSize + references*(access.ProbeSize+1) }

// NewPeople reads the store into a gallery of references made by one bundle. Probes, scores and references lie in the slab, which
// SlabFloats sizes and which the caller gives, guards and takes back after Wipe.
func NewPeople(store Store, bundle [32]byte, slab []float32) (*People, error) {
	references := (len(slab) - access.ProbeSize) / (access.ProbeSize + 1)
	if references <= 0 {
		return nil, fmt.Errorf("make gallery: a slab of %d floats has no room for a reference", len(slab))
	}
	probe, rest := slab[:access.ProbeSize], slab[access.ProbeSize:]
	rows, err := match.NewFloat32(rest[:references*access.ProbeSize], access.ProbeSize)
	if err != nil {
		return nil, err
	}
	g := &People{
		store: store, bundle: bundle, slab: slab, probe: probe, scores: rest[references*access.ProbeSize:], rows: rows,
		slots: map[access.PersonID]uint32{},
	}
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
	g.persons[slot] = known{e.Person, e.Standing, e.Extended, e.Groups, len(e.References)}
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

// Search walks the whole gallery for a probe of a bundle, which it leaves as it is. A probe of another bundle than the gallery's
// cannot be compared and finds nobody. It does not allocate.
func (g *People) Search(probe []float32, bundle [32]byte) (access.Candidate, error) {
	if bundle != g.bundle || len(probe) != access.ProbeSize {
		return access.Candidate{Second: -1}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	scores := g.scores[:g.rows.Len()]
	copy(g.probe, probe)
	err := g.store.Transform(g.probe)
	var r match.Result
	if err == nil {
		r, err = g.rows.Search(g.probe, scores)
	}
	clear(g.probe)
	clear(scores)
	if err != nil || !r.Found {
		return access.Candidate{Second: -1}, err
	}
	p := g.persons[r.Owner]
	c := access.Candidate{Found: true, Person: p.person, Standing: g.stands(p), Extended: p.extended, Score: r.Score, Second: -1}
	if r.Other != match.NoScore {
		c.Second, c.SecondPerson = r.Other, g.persons[r.OtherOwner].person
	}
	return c, nil
}

// Keep stores the references of a person, durably first. The permission ends at the Unix second until; 0 is no end.
func (g *People) Keep(p access.PersonID, references [][]float32, bundle [32]byte, until int64) (int, error) {
	if bundle != g.bundle {
		return 0, errors.New("keep references: they are of another model bundle than the gallery")
	}
	turned := make([][]float32, len(references))
	defer func() {
		for _, t := range turned {
			clear(t)
		}
	}()
	g.order.Lock()
	defer g.order.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rows.Len()+len(references) > g.rows.Cap() {
		return 0, match.ErrFull
	}
	for i, r := range references {
		turned[i] = append([]float32(nil), r...)
		if err := g.store.Transform(turned[i]); err != nil {
			return 0, err
		}
	}
	if err := g.store.Keep(p, references, bundle, until); err != nil {
		return 0, err
	}
	e, _, err := g.store.One(p, [32]byte{}) // no bundle: only what else the store keeps of them
	if err != nil {
		return 0, err
	}
	g.changes++
	if err := g.put(Enrollee{Person: p, Standing: access.Permitted, Extended: e.Extended, Groups: e.Groups, References: turned}); err != nil {
		return 0, err
	}
	return len(references), nil
}

// Look is a person as they stand, without a score; NotPermitted when nobody of that id is here.
func (g *People) Look(p access.PersonID) access.Candidate {
	g.mu.Lock()
	defer g.mu.Unlock()
	slot, ok := g.slots[p]
	if !ok {
		return access.Candidate{Person: p}
	}
	return access.Candidate{Person: p, Standing: g.stands(g.persons[slot]), Extended: g.persons[slot].extended}
}

// Groups are those of a person, for the site's rules; none when nobody of that id is here. They belong to the gallery and must not be changed. It does
// not allocate.
func (g *People) Groups(p access.PersonID) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	slot, ok := g.slots[p]
	if !ok {
		return nil
	}
	return g.persons[slot].groups
}

// Holds reports whether a permitted person has references of the gallery's bundle.
func (g *People) Holds(p access.PersonID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	slot, ok := g.slots[p]
	return ok && g.stands(g.persons[slot]) == access.Permitted && g.persons[slot].references > 0
}

// Subject is the person's pseudonym in the audit log on the day of a Unix second.
func (g *People) Subject(p access.PersonID, wall int64) [16]byte { return g.store.Subject(p, wall) }

// Wipe zeroes the slab, forgets everybody and lets go of the slab: from then on nobody is found and there is room for nobody.
func (g *People) Wipe() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.slab)
	g.slab, g.probe, g.scores, g.rows = nil, nil, nil, new(match.Float32)
	clear(g.persons)
	clear(g.slots)
}
