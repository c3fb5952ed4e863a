package match

import (
	"errors"
	"fmt"
)

const (
	// dimStep is the number of components that the kernels take at a time; a dimension is a multiple of it.
	dimStep = 32
	// MaxDim bounds a template's components: 127*127*1024 is below 2^24, so that every int8 sum is exact as a float32.
	MaxDim = 1024
	// searchBlock is how many rows are compared before their scores are looked at, so that these are still in the nearest
	// cache: 256 scores are 1 KiB. A multiple of NEON's four rows.
	searchBlock = 256
)

// ErrFull says that the slab has no room for another reference.
var ErrFull = errors.New("append reference: the gallery is full")

// A roll is what galleries of either kind share: rows of templates in memory that the caller gave, and their owners.
type roll[T float32 | int8] struct {
	slab   []T // whole rows
	dim    int
	owners []uint32 // of the rows in use, the first len(owners)
	kernel kernel
}

func newRoll[T float32 | int8](slab []T, dim int) (roll[T], error) {
	if dim <= 0 || dim > MaxDim || dim%dimStep != 0 {
		return roll[T]{}, fmt.Errorf("new gallery: %d components, want a multiple of %d up to %d", dim, dimStep, MaxDim)
	}
	rows := len(slab) / dim
	if rows == 0 {
		return roll[T]{}, fmt.Errorf("new gallery: a slab of %d components has no room for a reference of %d", len(slab), dim)
	}
	slab = slab[:rows*dim]
	clear(slab)
	return roll[T]{slab: slab, dim: dim, owners: make([]uint32, 0, rows), kernel: kernels()[0]}, nil
}

func (r *roll[T]) row(i int) []T { return r.slab[i*r.dim:][:r.dim] }

// Len is the number of references.
func (r *roll[T]) Len() int { return len(r.owners) }

// Cap is the number of references that the slab holds.
func (r *roll[T]) Cap() int { return cap(r.owners) }

// Dim is the number of components of a template and of a probe.
func (r *roll[T]) Dim() int { return r.dim }

// Owner is the owner of the reference in row i, which must be below Len.
func (r *roll[T]) Owner(i int) uint32 { return r.owners[i] }

// claim checks the template and gives it the next row.
func (r *roll[T]) claim(owner uint32, template []float32) (int, error) {
	if err := r.admit(template); err != nil {
		return 0, fmt.Errorf("append reference: %w", err)
	}
	if len(r.owners) == cap(r.owners) {
		return 0, ErrFull
	}
	r.owners = append(r.owners, owner)
	return len(r.owners) - 1, nil
}

// remove wipes row i after the last row has taken its place, so that rows stay without gaps and the time of a search depends
// on the number of references alone.
func (r *roll[T]) remove(i int) error {
	last := len(r.owners) - 1
	if i < 0 || i > last {
		return fmt.Errorf("remove reference: no row %d of %d", i, len(r.owners))
	}
	copy(r.row(i), r.row(last))
	clear(r.row(last))
	r.owners[i] = r.owners[last]
	r.owners = r.owners[:last]
	return nil
}

// wipe zeroes the whole slab and forgets every reference.
func (r *roll[T]) wipe() {
	clear(r.slab)
	clear(r.owners)
	r.owners = r.owners[:0]
}

// removeOwner removes all references of an owner, last row first, and returns their number.
func (r *roll[T]) removeOwner(owner uint32, remove func(int) error) int {
	removed := 0
	for i := len(r.owners) - 1; i >= 0; i-- {
		if r.owners[i] == owner && remove(i) == nil {
			removed++
		}
	}
	return removed
}

// admit says why a vector is neither a template nor a probe of this gallery.
func (r *roll[T]) admit(v []float32) error {
	if len(v) != r.dim {
		return fmt.Errorf("%d components, want %d", len(v), r.dim)
	}
	return Check(v)
}

// admitSearch checks the arguments of a search.
func (r *roll[T]) admitSearch(probe, scores []float32) error {
	if err := r.admit(probe); err != nil {
		return fmt.Errorf("search gallery: probe: %w", err)
	}
	if len(scores) < len(r.owners) {
		return fmt.Errorf("search gallery: room for %d scores of %d", len(scores), len(r.owners))
	}
	return nil
}

var errDamaged = errors.New("search gallery: a score is out of bounds, the slab was written by somebody else")
