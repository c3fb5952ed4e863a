package main

import (
	"slices"

	"github.com/lintel-access/lintel/access/vault"
)

// letGo has a step let go of everybody of whose groups no rule of this door names one, whatever its hours: they could not pass, and nothing is kept of
// them for nothing. Should a later document let them in, headquarters gives them again.
func (h *headquarters) letGo(s *step) error {
	stay := append(s.rules.site.Admits(h.door.policy.Door), localGroup) // headquarters could not give those of the kiosk itself back
	return h.door.store.All([32]byte{}, func(p vault.Person) error {    // no bundle: no reference is read
		if len(p.Groups) > 0 && !slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(stay, g) }) {
			s.add(-1, vault.Forget{Person: p.ID, Generation: p.Generation, Back: true})
		}
		return nil
	})
}
