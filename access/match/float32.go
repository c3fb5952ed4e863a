package match

// A Float32 is a gallery of templates as they are, four bytes a component. The zero Float32 has no room. Not safe for
// concurrent use.
type Float32 struct {
	roll[float32]
}

// NewFloat32 makes an empty gallery of len(slab)/dim references in the slab, which it clears and from then on owns. dim is the
// number of components, a multiple of 32 up to MaxDim. Templates are kept in the slab and nowhere else.
func NewFloat32(slab []float32, dim int) (*Float32, error) {
	r, err := newRoll(slab, dim)
	if err != nil {
		return nil, err
	}
	return &Float32{r}, nil
}

// Append copies a reference into the next row and returns that row. It refuses a template of another dimension or one that
// Check refuses, and with ErrFull when the slab is full.
func (g *Float32) Append(owner uint32, template []float32) (int, error) {
	i, err := g.claim(owner, template)
	if err != nil {
		return 0, err
	}
	copy(g.row(i), template)
	return i, nil
}

// Remove removes the reference in row i and wipes its memory. The last reference takes its row.
func (g *Float32) Remove(i int) error { return g.remove(i) }

// RemoveOwner removes all references of the owner as Remove does and returns how many there were.
func (g *Float32) RemoveOwner(owner uint32) int { return g.removeOwner(owner, g.remove) }

// Wipe zeroes the slab and leaves the gallery empty.
func (g *Float32) Wipe() { g.wipe() }

// Search compares the probe with every reference, writes the score of row i to scores[i] and returns the best. scores has room
// for Len numbers; they are as secret as the probe and the caller's to clear. It does not allocate unless it fails: a probe of
// another dimension or one that Check refuses, too few scores, or a slab that somebody else wrote to.
func (g *Float32) Search(probe, scores []float32) (Result, error) {
	if err := g.admitSearch(probe, scores); err != nil {
		return Result{}, err
	}
	n := g.Len()
	s := newSelection()
	for at := 0; at < n; at += searchBlock {
		end := min(at+searchBlock, n)
		dotsFloat32(g.kernel, scores[at:end], g.slab[at*g.dim:end*g.dim], probe)
		s.add(scores[at:end], g.owners[at:end])
	}
	result, ok := s.result(scores[:n], g.owners)
	if !ok {
		return Result{}, errDamaged
	}
	return result, nil
}
