package walkup

import (
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access"
)

// SetStanding changes what a person may do: durable makes it so in the store, and only when it has does memory follow. Walk-ups wait
// meanwhile. ErrUnknownPerson when nobody of that id is enrolled.
func (g *People) SetStanding(p access.PersonID, s access.Standing, durable func() error) error {
	g.order.Lock()
	defer g.order.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	slot, ok := g.slots[p]
	if !ok {
		return ErrUnknownPerson
	}
	if err := durable(); err != nil {
		return err
	}
	g.changes++
	g.persons[slot].standing = s
	return nil
}

// Remove forgets a person and wipes their references, after durable has removed them from the store. The store may know people whom
// the gallery does not: durable is asked in any case.
func (g *People) Remove(p access.PersonID, durable func() error) error {
	g.order.Lock()
	defer g.order.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := durable(); err != nil {
		return err
	}
	g.changes++
	g.drop(p)
	return nil
}

// Follow has many people changed at once: durable makes it so in the store, told for how many references there is room, and memory follows for whoever it
// names, also when it returns an error with them. Other changes wait meanwhile; walk-ups do not: the store may wait for the disk and the TPM. From whom a
// permission is about to be taken, durable has withheld. Who cannot be read afterwards is found no more.
func (g *People) Follow(durable func(room int) ([]access.PersonID, error)) error {
	g.order.Lock()
	defer g.order.Unlock()
	defer g.withhold(nil)
	changed, err := durable(g.room())
	present := map[access.PersonID]Enrollee{}
	defer func() {
		for _, e := range present {
			for _, r := range e.References {
				clear(r)
			}
		}
	}()
	for _, p := range changed {
		e, found, readErr := g.store.One(p, g.bundle)
		if readErr == nil && found {
			present[p] = e
		}
		err = errors.Join(err, readErr)
	}
	return errors.Join(err, g.replace(changed, present))
}

// replace has those who changed be who is present of them, and nobody else.
func (g *People) replace(changed []access.PersonID, present map[access.PersonID]Enrollee) (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(changed) > 0 {
		g.changes++
	}
	for _, p := range changed { // all of them first: whoever goes makes room for whoever comes
		if slot, ok := g.slots[p]; ok {
			g.rows.RemoveOwner(slot)
		}
	}
	for _, p := range changed {
		e, ok := present[p]
		if ok {
			if putErr := g.put(e); putErr != nil {
				ok, err = false, errors.Join(err, putErr)
			}
		}
		if !ok {
			g.drop(p)
		}
	}
	return err
}

// room is for how many more references there is some.
func (g *People) room() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rows.Cap() - g.rows.Len()
}

// Withhold has these people not be permitted, and nobody else, until the Follow that runs has ended: whoever loses a permission has lost it when it is
// decided, however long the disk and the TPM take.
func (g *People) Withhold(people []access.PersonID) {
	list := make(map[access.PersonID]bool, len(people))
	for _, p := range people {
		list[p] = true
	}
	g.withhold(list)
}

func (g *People) withhold(list map[access.PersonID]bool) {
	g.withholding.Lock()
	defer g.withholding.Unlock()
	g.withheld = list
}

// stands is somebody's standing now.
func (g *People) stands(p known) access.Standing {
	g.withholding.Lock()
	defer g.withholding.Unlock()
	if g.withheld[p.person] && p.standing == access.Permitted {
		return access.NotPermitted
	}
	return p.standing
}

// drop wipes whoever is here under that id. The caller holds mu.
func (g *People) drop(p access.PersonID) {
	if slot, ok := g.slots[p]; ok {
		g.rows.RemoveOwner(slot)
		g.persons[slot] = known{}
		delete(g.slots, p)
	}
}

// Reload reads everybody anew, after turn has turned the store's references. Walk-ups wait meanwhile. After an error of the reading nobody is
// enrolled here: references of before compare with nothing.
func (g *People) Reload(turn func() error) error {
	g.order.Lock()
	defer g.order.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := turn(); err != nil {
		return err
	}
	g.changes++
	g.forget()
	if err := g.store.Each(g.bundle, g.put); err != nil {
		g.forget()
		return fmt.Errorf("read the enrolled: %w", err)
	}
	return nil
}

// forget wipes all references. The caller holds mu.
func (g *People) forget() {
	g.rows.Wipe()
	clear(g.persons)
	g.persons = g.persons[:0]
	clear(g.slots)
}

// refreshes is how often Refresh reads without holding up whoever is changed by order.
const refreshes = 3

// Refresh follows standings that change by themselves, as that of a lease which ends, and returns how many changed. The store is read
// without holding up a walk-up; whoever's standing is changed by order meanwhile makes it begin anew, so that an old reading never
// overrules an order. Whom the store does not name keeps their standing, and so does everybody after an error.
func (g *People) Refresh(standings func(f func(access.PersonID, access.Standing) error) error) (changed int, err error) {
	for try := 0; ; try++ {
		if try == refreshes { // commands come faster than the store is read: they wait once
			g.order.Lock()
			defer g.order.Unlock()
		}
		before := g.changed()
		read := map[access.PersonID]access.Standing{}
		err := standings(func(p access.PersonID, s access.Standing) error { read[p] = s; return nil })
		if err != nil {
			return 0, fmt.Errorf("refresh standings: %w", err)
		}
		if n, ok := g.follow(read, before); ok {
			return n, nil
		}
	}
}

func (g *People) changed() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changes
}

// follow takes standings over, unless there was a change since they were read.
func (g *People) follow(read map[access.PersonID]access.Standing, before uint64) (changed int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changes != before {
		return 0, false
	}
	for i := range g.persons {
		p := &g.persons[i]
		if s, named := read[p.person]; named && s != p.standing {
			p.standing = s
			changed++
		}
	}
	return changed, true
}
