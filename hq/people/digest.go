package people

import (
	"bytes"
	"slices"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Holding is one person as a kiosk has them, or should.
type Holding struct {
	Person     access.PersonID
	Generation uint64
	State      State
	Orders     [][32]byte // that make it so
}

// Roster is whom a kiosk should hold, by id.
func (p *People) Roster(k Kiosk) (all []Holding, err error) {
	err = p.view(func(t *txn) error {
		return t.bucket(bucketPerson).ForEach(func(key, v []byte) error {
			plain, _, _, err := t.unseal(bucketPerson, key, v)
			if err != nil {
				return err
			}
			defer clear(plain)
			var d Person
			if err := recall(plain, &d); err != nil {
				return err
			}
			if k.needs(d) {
				h := Holding{Person: d.ID, Generation: d.Generation, State: d.State, Orders: [][32]byte{d.Order}}
				if d.Standing != [32]byte{} {
					h.Orders = append(h.Orders, d.Standing)
				}
				all = append(all, h)
			}
			return nil
		})
	})
	slices.SortFunc(all, byPerson)
	return all, err
}

func byPerson(a, b Holding) int { return bytes.Compare(a.Person[:], b.Person[:]) }

// Applied is whom a kiosk holds that has applied these entries, in whatever order they came: deletion beats enrolment of its generation and of those
// before, the higher generation counts.
func Applied(entries []Entry) []Holding {
	held, deleted := map[access.PersonID]Holding{}, map[access.PersonID]uint64{}
	for _, e := range entries {
		switch e.Kind {
		case wire.KindDeletion:
			deleted[e.Person] = max(deleted[e.Person], e.Generation)
		case wire.KindEnrolment, wire.KindSupervised:
			if held[e.Person].Generation < e.Generation {
				held[e.Person] = Holding{e.Person, e.Generation, Active, [][32]byte{e.Order}}
			}
		}
	}
	for _, e := range entries {
		if h, ok := held[e.Person]; ok && e.Kind == wire.KindStanding && h.Generation == e.Generation && h.State != Revoked {
			h.State, h.Orders = e.State, [][32]byte{h.Orders[0], e.Order}
			held[e.Person] = h
		}
	}
	var all []Holding
	for id, h := range held {
		if h.Generation > deleted[id] {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, byPerson)
	return all
}

// Drift is one person whom a kiosk should hold otherwise than it does.
type Drift struct {
	Person access.PersonID
	Want   Holding // zero: the kiosk should not hold them
	Have   Holding // zero: it does not
}

// Diff compares whom a kiosk should hold with whom it does, by id. What a kiosk says is believed no further than that: missing is not good.
func Diff(want, have []Holding) (drifts []Drift) {
	both := map[access.PersonID]Drift{}
	for _, h := range want {
		both[h.Person] = Drift{Person: h.Person, Want: h}
	}
	for _, h := range have {
		d := both[h.Person]
		d.Person, d.Have = h.Person, h
		both[h.Person] = d
	}
	for _, d := range both {
		if d.Want.State == Revoked && d.Have.Generation == 0 {
			continue // whoever was revoked before the kiosk needed them is not given to it
		}
		if d.Want.Generation != d.Have.Generation || d.Want.State != d.Have.State {
			drifts = append(drifts, d)
		}
	}
	slices.SortFunc(drifts, func(a, b Drift) int { return bytes.Compare(a.Person[:], b.Person[:]) })
	return drifts
}
