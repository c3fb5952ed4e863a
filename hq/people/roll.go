package people

import (
	"bytes"
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/extract"
)

// roll is everybody in memory: those who are enrolled and those who wait for approval.
type roll struct {
	change  uint64                     // of the vault when this was true
	members map[access.PersonID]member // who is enrolled
	waiting map[access.PersonID]member // whose enrolment waits for approval; who is enrolled again stands in both
	lost    int                        // records that do not open
}

// member is one person in memory. References stand in refs alone.
type member struct {
	Person
	refs    [][]float32
	origin  [][]float32 // of the first enrolment
	pending bool
	removed bool // from both
}

// names reads the roll anew if the vault has changed since.
func (t *txn) names() (*roll, error) {
	if r := t.p.roll; r != nil && r.change == t.number(metaChange) {
		return r, nil
	}
	r := &roll{change: t.number(metaChange), members: map[access.PersonID]member{}, waiting: map[access.PersonID]member{}}
	for _, b := range []string{bucketPerson, bucketPending} {
		err := t.bucket(b).ForEach(func(k, v []byte) error {
			plain, _, _, err := t.unseal(b, k, v)
			if err != nil {
				r.lost++ // its key was destroyed: the file was put back from a backup
				return nil
			}
			defer clear(plain)
			var w waiting
			if b == bucketPerson {
				err = recall(plain, &w.Person)
			} else {
				err = recall(plain, &w)
			}
			if err != nil {
				return err
			}
			m, err := newMember(w.Person, b == bucketPending)
			if err != nil {
				return err
			}
			r.learn(m)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	t.p.roll = r
	return r, nil
}

func newMember(p Person, pending bool) (member, error) {
	m := member{Person: p, pending: pending}
	for _, of := range []struct {
		from [][]byte
		to   *[][]float32
	}{{p.References, &m.refs}, {p.Origin, &m.origin}} {
		for _, b := range of.from {
			v, err := extract.Decode(b)
			clear(b)
			if err != nil {
				return m, err
			}
			*of.to = append(*of.to, v)
		}
	}
	m.References, m.Origin = nil, nil
	return m, nil
}

// follow takes over what a transaction has changed. A nil roll has nothing to follow.
func (r *roll) follow(changed []member) {
	if r == nil {
		return
	}
	r.change++
	for _, m := range changed {
		r.learn(m)
	}
}

func (r *roll) learn(m member) {
	switch {
	case m.removed:
		delete(r.members, m.ID)
		delete(r.waiting, m.ID)
	case m.pending:
		r.waiting[m.ID] = m
	default:
		r.members[m.ID] = m
		if r.waiting[m.ID].Generation <= m.Generation {
			delete(r.waiting, m.ID)
		}
	}
}

// waits reports whether an enrolment of the person waits for approval.
func (r *roll) waits(id access.PersonID) bool { return r.waiting[id].Generation > 0 }

// note has the memory learn of a person when the transaction has been committed.
func (t *txn) note(p Person, pending bool) error {
	m, err := newMember(clonePerson(p), pending)
	t.changed = append(t.changed, m)
	return err
}

// forget has the memory forget a person when the transaction has been committed.
func (t *txn) forget(id access.PersonID) {
	t.changed = append(t.changed, member{Person: Person{ID: id}, removed: true})
}

// maxAlike is how many look-alikes are kept of a person: who has more is nobody's mistake.
const maxAlike = 8

// alike finds who scores above least with one of the references, the nearest first; above same they count as the same person. Nobody's score leaves it.
func (r *roll) alike(references [][]float32, except access.PersonID, same, least float32) []Likeness {
	type found struct {
		id    access.PersonID
		score float32
	}
	var all []found
	for id, m := range r.everybody() {
		if id == except {
			continue
		}
		if s := best(references, m.refs); s > least {
			all = append(all, found{id, s})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.score, a.score), bytes.Compare(a.id[:], b.id[:]))
	})
	var list []Likeness
	for _, f := range all {
		l := Likeness{f.id, f.score > same}
		if len(list) < maxAlike && !slices.ContainsFunc(list, func(o Likeness) bool { return o.Person == l.Person }) {
			list = append(list, l)
		}
	}
	return list
}

// everybody goes through who is enrolled and who waits.
func (r *roll) everybody() iter.Seq2[access.PersonID, member] {
	return func(yield func(access.PersonID, member) bool) {
		for _, all := range []map[access.PersonID]member{r.members, r.waiting} {
			for id, m := range all {
				if !yield(id, m) {
					return
				}
			}
		}
	}
}

// best is the highest comparison score of two sets of references; -1 if one is empty.
func best(a, b [][]float32) float32 {
	top := float32(-1)
	for _, v := range a {
		for _, w := range b {
			top = max(top, score(v, w))
		}
	}
	return top
}

// worst is the lowest comparison score of two sets of references; 1 if one is empty.
func worst(a, b [][]float32) float32 {
	low := float32(1)
	for _, v := range a {
		for _, w := range b {
			low = min(low, score(v, w))
		}
	}
	return low
}

func score(v, w []float32) float32 {
	// Four sums side by side: a single one waits for itself, and a bulk enrolment compares everybody with everybody.
	var s [4]float32
	for i := 0; i+4 <= min(len(v), len(w)); i += 4 {
		s[0] += v[i] * w[i]
		s[1] += v[i+1] * w[i+1]
		s[2] += v[i+2] * w[i+2]
		s[3] += v[i+3] * w[i+3]
	}
	return s[0] + s[1] + s[2] + s[3]
}

// List is everybody, by name. Pending says who waits for approval; lost counts the records whose keys have been destroyed, as after a backup was put back.
func (p *People) List() (all []Listed, lost int, err error) {
	err = p.read(func(t *txn, r *roll) error {
		for _, m := range r.everybody() {
			all = append(all, Listed{m.Person, m.pending, len(m.refs)})
		}
		lost = r.lost
		return nil
	})
	slices.SortFunc(all, func(a, b Listed) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.Generation, b.Generation))
	})
	return all, lost, err
}

// Ended is everybody who is enrolled and whose permission ended so long ago, by name.
func (p *People) Ended(ago time.Duration) (ended []Listed, err error) {
	all, _, err := p.List()
	return slices.DeleteFunc(all, func(l Listed) bool { return l.Pending || time.Unix(l.Until, 0).After(p.now().Add(-ago)) }), err
}

// Listed is a person without references.
type Listed struct {
	Person
	Pending bool
	Count   int // of references
}

// read runs f with the roll as it is now.
func (p *People) read(f func(*txn, *roll) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view(func(t *txn) error {
		r, err := t.names()
		if err != nil {
			return err
		}
		return f(t, r)
	})
}

// ErrSeveral means that a name is that of several people.
var ErrSeveral = errors.New("several people are called so: say which by the id")

// Find finds a person by id or, where there is none, by number and name: neither hides the other.
func (p *People) Find(what string) (found Listed, err error) {
	all, _, err := p.List()
	if err != nil {
		return found, err
	}
	for _, is := range []func(Listed) bool{
		func(l Listed) bool { return l.ID.String() == what },
		func(l Listed) bool { return what != "" && (l.Number == what || l.Name == what) },
	} {
		i := slices.IndexFunc(all, is)
		if i < 0 {
			continue
		}
		// Who is enrolled again stands in the list twice: the record that counts comes first.
		if slices.ContainsFunc(all[i+1:], func(l Listed) bool { return is(l) && l.ID != all[i].ID }) {
			return found, ErrSeveral
		}
		return all[i], nil
	}
	return found, ErrUnknown
}
