package match

import "fmt"

// Int8ScoreError bounds the difference between the scores of an Int8 and a Float32 gallery, for templates of which no component
// is above 0.25. A component is off by at most half a step of 0.25/127, evenly spread, which over both unit vectors makes a
// standard deviation of 0.0008; this is six of them, and the tests see half of it. Two owners whose scores lie within twice
// this may change places.
const Int8ScoreError = 0.005

// An Int8 is a gallery of quantised templates, one byte a component: a quarter of the memory and of the time to read it.
// The zero Int8 has no room. Not safe for concurrent use.
//
// Each template has its own scale, 127 over its largest component, so that none is clipped and a flat one loses nothing. What
// a comparison needs is the cosine, in which scales cancel: only 1/|q| is kept beside a row.
type Int8 struct {
	roll[int8]
	probe    []int8    // the first row of the slab, in use during a search
	inverses []float32 // 1/|q| of each row
}

// NewInt8 makes an empty gallery in the slab, which it clears and from then on owns. The slab's first row holds the quantised
// probe during a search, so that it is as well guarded as the references: Cap is len(slab)/dim - 1. dim is the number of
// components, a multiple of 32 up to MaxDim.
func NewInt8(slab []int8, dim int) (*Int8, error) {
	if dim > 0 && len(slab) < 2*dim {
		return nil, fmt.Errorf("new gallery: a slab of %d components has no room for the probe and a reference of %d", len(slab), dim)
	}
	head := slab[:max(0, min(dim, len(slab)))]
	r, err := newRoll(slab[len(head):], dim)
	if err != nil {
		return nil, err
	}
	clear(head)
	return &Int8{roll: r, probe: head, inverses: make([]float32, r.Cap())}, nil
}

// Append quantises a reference into the next row and returns that row. It refuses a template of another dimension or one that
// Check refuses, and with ErrFull when the slab is full.
func (g *Int8) Append(owner uint32, template []float32) (int, error) {
	i, err := g.claim(owner, template)
	if err != nil {
		return 0, err
	}
	g.inverses[i] = quantise(g.row(i), template)
	return i, nil
}

// Remove removes the reference in row i and wipes its memory. The last reference takes its row.
func (g *Int8) Remove(i int) error {
	last := g.Len() - 1
	if err := g.remove(i); err != nil {
		return err
	}
	g.inverses[i] = g.inverses[last]
	g.inverses[last] = 0
	return nil
}

// RemoveOwner removes all references of the owner as Remove does and returns how many there were.
func (g *Int8) RemoveOwner(owner uint32) int { return g.removeOwner(owner, g.Remove) }

// Wipe zeroes the slab and leaves the gallery empty.
func (g *Int8) Wipe() {
	g.wipe()
	clear(g.probe)
	clear(g.inverses)
}

// Search does what Float32's does, on the quantised probe.
func (g *Int8) Search(probe, scores []float32) (Result, error) {
	if err := g.admitSearch(probe, scores); err != nil {
		return Result{}, err
	}
	inverse := quantise(g.probe, probe)
	n := g.Len()
	s := newSelection()
	var sums [searchBlock]int32
	for at := 0; at < n; at += searchBlock {
		end := min(at+searchBlock, n)
		block, inverses := scores[at:end], g.inverses[at:end]
		dotsInt8(g.kernel, sums[:len(block)], g.slab[at*g.dim:end*g.dim], g.probe)
		for i := range block {
			block[i] = float32(sums[i]) * (inverses[i] * inverse)
		}
		s.add(block, g.owners[at:end])
	}
	clear(sums[:])
	clear(g.probe)
	result, ok := s.result(scores[:n], g.owners)
	if !ok {
		return Result{}, errDamaged
	}
	return result, nil
}
