package vault

import (
	"errors"
	"fmt"
)

var errClosed = errors.New("vault is closed")

// Transform turns a probe of ProbeSize components in place, so that it compares with the templates that All and Get return. In a plain
// vault it leaves the probe as it is. It does not allocate. A probe that is not finite stays not finite, and match.Check refuses it.
func (v *Vault) Transform(probe []float32) error {
	if len(probe) != dim {
		return fmt.Errorf("transform probe: %d components, want %d", len(probe), dim)
	}
	v.turning.RLock()
	defer v.turning.RUnlock()
	if v.sealed == nil {
		return nil
	}
	if v.closed {
		return errClosed
	}
	var t [dim]float32
	copy(t[:], probe)
	v.sealed.q.apply(probe, t[:])
	clear(t[:])
	return nil
}

// Locked reports whether the transform and the keys that have pages lie in locked ones. Where it does not (RLIMIT_MEMLOCK), the roof shows a degraded mode. A
// plain vault has none and reports true.
func (v *Vault) Locked() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.sealed == nil || v.sealed.q.locked && v.sealed.locked
}

// Rekey draws another transform and turns every stored template to it, without enrolling anybody: templates that leaked before have
// nothing in common with the new ones but their cosines. Afterwards the gallery is to be read again. It is one transaction and needs
// memory for all templates, 10 kB a person.
func (v *Vault) Rekey() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.turning.Lock()
	defer v.turning.Unlock()
	s := v.sealed
	if s == nil {
		return fmt.Errorf("re-key templates: %w", ErrNotSealed)
	}
	turn := s.head.Turn + 1
	old := s.q
	to, err := newRotation(s.seed(turn), turn)
	if err != nil {
		return fmt.Errorf("re-key templates: %w", err)
	}
	s.q = to
	err = v.change(restricting, func(b book) error {
		sealed := b.(*sealedBook)
		sealed.head.Turn = turn
		return sealed.rekey(old)
	})
	if s.head.Turn == turn {
		old.drop()
	} else {
		s.q = old
		to.drop()
	}
	if err != nil {
		return fmt.Errorf("re-key templates: %w", err)
	}
	return nil
}

// rekey turns every template from one rotation to that of the seal, under new content keys.
func (b *sealedBook) rekey(from *rotation) error {
	var people []sealedPerson
	if err := b.records(func(r sealedPerson, _ aead) error { people = append(people, r); return nil }); err != nil {
		return err
	}
	for _, r := range people {
		if err := b.rekeyPerson(r, from); err != nil {
			return err
		}
	}
	return nil
}

func (b *sealedBook) rekeyPerson(r sealedPerson, from *rotation) error {
	_, content, err := b.record(b.seal.name(bucketPerson, r.ID[:]))
	if err != nil {
		return err
	}
	p := Person{ID: r.ID, State: r.State, Generation: r.Generation, Until: r.Until, Groups: r.Groups, Extended: r.Extended, References: make([]Reference, len(r.References))}
	defer func() {
		for _, ref := range p.References {
			ref.Template.Wipe()
		}
	}()
	var buffer [MaxReferences * templateBytes]byte
	defer clear(buffer[:])
	for _, bundle := range r.bundles() {
		set, err := b.set(buffer[:], r, content, bundle)
		if err != nil {
			return err
		}
		for i, ref := range r.References {
			if ref.Bundle != bundle {
				continue
			}
			t, err := decodeTemplate(set[:templateBytes])
			if err != nil {
				return err
			}
			set = set[templateBytes:]
			p.References[i] = Reference{t.undo(from), ref.Bundle, ref.Created, ref.Quality}
		}
	}
	return b.replace(p, r.Granted, r.Since)
}
