package vault

import "fmt"

// occupancy is what a step comes to while its orders are done, one after the other.
type occupancy struct {
	people int // more than before
	bundle [32]byte
	room   int
}

// admit takes up the references that a person would have more than now, if there is room for them.
func (t *occupancy) admit(b book, p Person) error {
	if t.bundle == [32]byte{} {
		return nil
	}
	stored, err := b.references(p.ID, t.bundle)
	if err != nil {
		return err
	}
	more := -stored
	for _, r := range p.References {
		if r.Bundle == t.bundle {
			more++
		}
	}
	if more > max(t.room, 0) {
		return unfit{fmt.Errorf("%w: room for %d references more, not for %d", ErrFull, t.room, more)}
	}
	t.room -= more
	return nil
}
