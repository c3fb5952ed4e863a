package people

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/sync/wire"
)

// Handed is what became of signed orders about a person.
type Handed struct {
	Enrolled
	Kind  wire.Kind
	State State // of a standing
	// Stranger says of a deletion that nobody of this id was known here, not by a draft either: it is for kiosks that know them.
	Stranger bool
}

// About reports whether an order is one about people, which Hand takes.
func About(k wire.Kind) bool {
	switch k {
	case wire.KindEnrolment, wire.KindSupervised, wire.KindDeletion, wire.KindStanding, wire.KindApproval:
		return true
	}
	return false
}

// Hand takes signed orders about a person in: it judges them by the Trust, as every kiosk will, and by what has become of the person since they were drafted.
// An enrolment is handed on at once, unless a second operator must approve it.
func (p *People) Hand(s draft.Signed, trust wire.Trust, rules Rules) (h Handed, err error) {
	if len(s.Envelopes) == 0 {
		return h, errors.New("hand in order: there is none")
	}
	last := s.Envelopes[len(s.Envelopes)-1]
	claim, err := wire.Peek(last)
	if err != nil {
		return h, err
	}
	h.Kind = claim.Kind
	j := judge{trust, p.now()}
	if len(s.Envelopes) != 1 && claim.Kind != wire.KindEnrolment && claim.Kind != wire.KindSupervised {
		return h, fmt.Errorf("hand in %v: %d orders", claim.Kind, len(s.Envelopes))
	}
	switch claim.Kind {
	case wire.KindEnrolment, wire.KindSupervised:
		err = p.update(func(t *txn) (err error) {
			h.Enrolled, err = t.handEnrolment(s, j, rules)
			return err
		})
	case wire.KindStanding:
		err = p.update(func(t *txn) (err error) {
			h.Person, h.State, err = t.handStanding(last, j)
			return err
		})
	case wire.KindDeletion:
		h.Person, h.Stranger, err = p.handDeletion(last, j)
	case wire.KindApproval:
		err = p.update(func(t *txn) (err error) {
			h.Person, h.Order, err = t.handApproval(last, j)
			return err
		})
	default:
		err = fmt.Errorf("hand in order: a %v is not about a person", claim.Kind)
	}
	return h, err
}

// judge is the Trust in force, and when it is asked.
type judge struct {
	trust wire.Trust
	now   time.Time
}

// open verifies an envelope by the Trust and says who signed it.
func open[T wire.Body](j judge, envelope []byte, audience [32]byte) (body T, by Signatory, err error) {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return body, by, err
	}
	g, err := j.trust.Grant(claim.Key, body.Kind(), j.now.Unix())
	if err != nil {
		return body, by, err
	}
	key, err := wire.ParseKey(g.Key)
	if err != nil {
		return body, by, err
	}
	body, err = wire.Open[T](envelope, key, audience)
	return body, Signatory{claim.Key, g.Name}, err
}

// matches verifies that an envelope says what an order of a draft says, and who signed it.
func (j judge) matches(o draft.Order, envelope []byte) (by Signatory, err error) {
	var body wire.Body
	switch o.Kind {
	case wire.KindEnrolment:
		body, by, err = open[wire.Enrolment](j, envelope, o.Audience)
	case wire.KindSupervised:
		body, by, err = open[wire.Supervised](j, envelope, o.Audience)
	default:
		body, by, err = open[wire.Deletion](j, envelope, o.Audience)
	}
	if err != nil {
		return by, err
	}
	data, err := wire.Marshal(body)
	defer clear(data)
	if err == nil && !bytes.Equal(data, o.Body) {
		err = Refused{"what was signed is not what was drafted, or the person was changed since: draft it again"}
	}
	return by, err
}

// order is one signed envelope on its way into the vault.
type order struct {
	ref      [32]byte
	envelope []byte
	entry    Entry
}

func newOrder(envelope []byte, kind wire.Kind, audience [32]byte, id access.PersonID, generation uint64) order {
	ref := sha256.Sum256(envelope)
	return order{ref, envelope, Entry{Order: ref, Kind: kind, Person: id, Generation: generation, At: audience}}
}

// errDraft means that headquarters keeps no such draft.
var errDraft = Refused{"headquarters has no such draft: it was handed in already, it was dropped, or it is older than a week"}

// handEnrolment checks what was drafted against everybody else as they are now, and stores it.
func (t *txn) handEnrolment(s draft.Signed, j judge, rules Rules) (done Enrolled, err error) {
	plain, n, at, err := t.get(bucketDraft, s.Of[:])
	if errors.Is(err, ErrUnknown) {
		return done, errDraft
	}
	if err != nil {
		return done, err
	}
	defer clear(plain)
	var w drafted
	if err := recall(plain, &w); err != nil {
		return done, err
	}
	d := w.Person
	if d.stale(j.now) {
		return done, errDraft
	}
	if d.Bundle != rules.Bundle && len(d.References) > 0 {
		return done, Refused{"the references are of another model bundle: enrol anew"}
	}
	m, err := newMember(clonePerson(d), false)
	if err != nil {
		return done, err
	}
	all, err := t.names()
	if err != nil {
		return done, err
	}
	if d.Generation > 1 {
		if _, _, err := t.place(&d, m.refs, all, rules); err != nil {
			return done, err
		}
	}
	if d.At != [32]byte{} && j.now.After(d.supervisedUntil()) {
		return done, Refused{"the kiosk would no longer accept it: draft it again"}
	}
	if d.Until <= j.now.Unix() {
		return done, Refused{"the permission has ended meanwhile"}
	}
	alike, duplicates, err := all.looks(d.ID, m.refs, w.Duplicate, rules)
	if err != nil {
		return done, err
	}
	d.Alike = alike
	orders, err := t.signed(&d, s, j)
	if err != nil {
		return done, err
	}
	done = Enrolled{Person: d.ID, Order: d.Order, Alike: d.Alike}
	if done.Pending, err = t.why(d, duplicates); err != nil {
		return done, err
	}
	wait := waiting{Person: d, Why: done.Pending, Proofing: w.Proofing}
	for _, o := range orders {
		if err := t.put(bucketOrder, o.ref[:], n, at, o.envelope); err != nil {
			return done, err
		}
		wait.Entries = append(wait.Entries, o.entry)
	}
	if len(w.Row) > 0 {
		if err := t.put(bucketJournal, w.Row, noSlot, slot{}, d.ID[:]); err != nil {
			return done, err
		}
	}
	if err := t.bucket(bucketDraft).Delete(s.Of[:]); err != nil {
		return done, err
	}
	if done.Pending == "" {
		return done, t.admit(wait, n, at)
	}
	data, err := wire.Marshal(wait)
	if err != nil {
		return done, err
	}
	defer clear(data)
	return done, errors.Join(t.put(bucketPending, d.Order[:], n, at, data), t.note(d, true))
}

// signed verifies the envelopes of a drafted enrolment, all of one operator, and writes into the person whose and which they are.
func (t *txn) signed(d *Person, s draft.Signed, j judge) (orders []order, err error) {
	want, err := d.bodies()
	if err != nil {
		return nil, err
	}
	if len(want) != len(s.Envelopes) {
		return nil, fmt.Errorf("hand in enrolment: %d orders, want %d", len(s.Envelopes), len(want))
	}
	for i, w := range want {
		by, err := j.matches(w, s.Envelopes[i])
		if err != nil {
			return nil, err
		}
		if i > 0 && by != d.Enroller {
			return nil, Refused{"two operators have signed one enrolment"}
		}
		generation := d.Generation
		if w.Kind == wire.KindDeletion {
			generation--
		}
		o := newOrder(s.Envelopes[i], w.Kind, w.Audience, d.ID, generation)
		orders, d.Order, d.Enroller = append(orders, o), o.ref, by
	}
	return orders, nil
}

func (t *txn) handStanding(envelope []byte, j judge) (id access.PersonID, to State, err error) {
	o, _, err := open[wire.Standing](j, envelope, wire.Fleet())
	if err != nil {
		return id, to, err
	}
	id, to = o.Person, State(o.State)
	d, n, s, err := t.person(id)
	if err != nil {
		return id, to, err
	}
	switch {
	case d.Standing == sha256.Sum256(envelope):
		return id, to, nil // this very word was taken, and is the last
	case o.Generation != d.Generation || o.Serial <= d.Serial:
		return id, to, Refused{"this was handed in already, or something later was: draft it again"}
	case o.Serial > uint64(j.now.Add(24*time.Hour).UnixMilli()):
		return id, to, Refused{"its serial is one of the future: nobody could say anything later"}
	case (Person{Issued: o.Issued}).stale(j.now):
		return id, to, Refused{"it is older than a week: draft it again"}
	}
	if err := d.become(to); err != nil {
		return id, to, err
	}
	w := newOrder(envelope, wire.KindStanding, wire.Fleet(), id, d.Generation)
	w.entry.State = to
	if d.Standing != [32]byte{} {
		d.Earlier = [][32]byte{d.Standing}
	}
	d.State, d.Serial, d.Standing = to, o.Serial, w.ref
	if err := t.put(bucketOrder, w.ref[:], n, s, envelope); err != nil {
		return id, to, err
	}
	return id, to, t.admit(waiting{Person: d, Entries: []Entry{w.entry}}, n, s)
}

// handDeletion has a person forgotten. When it returns their content key is overwritten; the signed deletion stays and is handed on. It may be handed in
// again, after a crash as at any time. Of a stranger there is nothing to forget here: their key went with a deletion that an older people.db has lost, or they
// were enrolled after that was kept. Kiosks may hold them, and only this tells them. Of whom a draft alone is known that is destroyed: kiosks would refuse
// what came of it.
func (p *People) handDeletion(envelope []byte, j judge) (id access.PersonID, stranger bool, err error) {
	err = p.update(func(t *txn) error {
		d, by, err := open[wire.Deletion](j, envelope, wire.Fleet())
		if err != nil {
			return err
		}
		id = d.Person
		all, err := t.names()
		if err != nil {
			return err
		}
		last, err := t.last(id, all)
		if err != nil {
			return err
		}
		stranger = last.stranger
		if d.Generation < last.generation {
			return Refused{"this person was enrolled again since: draft the deletion again"}
		}
		if last.state != Active {
			if _, err := j.trust.Grant(by.Key, wire.KindStanding, j.now.Unix()); err != nil { // or an enroller could forget somebody and enrol them anew, as if nothing had been taken
				return fmt.Errorf("an administrator has taken this person's permission, and only an administrator deletes them: %w", err)
			}
		}
		o := newOrder(envelope, wire.KindDeletion, wire.Fleet(), id, d.Generation)
		if stranger && len(t.bucket(bucketOrder).Get(o.ref[:])) > goneOrder {
			return nil // this very one was taken, and stands in the queue
		}
		// Not under the person's key: a deletion must outlive the person.
		err = errors.Join(t.put(bucketOrder, o.ref[:], noSlot, slot{}, o.envelope), t.queue(o.entry))
		if err != nil {
			return err
		}
		n, known, err := t.slotOf(id, all)
		if stranger = !known; err != nil || stranger {
			return err
		}
		t.forget(id)
		return t.bucket(bucketDying).Put(t.p.personName(id), binary.BigEndian.AppendUint32(nil, n))
	})
	if err != nil {
		return id, stranger, err
	}
	p.interrupt("deletion begun")
	return id, stranger, p.Finish()
}

func (t *txn) handApproval(envelope []byte, j judge) (id access.PersonID, ref [32]byte, err error) {
	a, by, err := open[wire.Approval](j, envelope, wire.Fleet())
	if err != nil {
		return id, ref, err
	}
	w, n, s, err := t.waits(a.Order[:], t.bucket(bucketPending).Get(a.Order[:]))
	if errors.Is(err, ErrUnknown) {
		was := sha256.Sum256(envelope)
		if _, _, of, lost := t.get(bucketOrder, was[:]); lost == nil {
			return of.person, a.Order, nil // this very approval was taken
		}
	}
	if err != nil {
		return id, ref, err
	}
	if (Person{Issued: a.Issued}).stale(j.now) {
		return id, ref, Refused{"the approval is older than a week: draft it again"}
	}
	if by.Key == w.Person.Enroller.Key || by.Name == w.Person.Enroller.Name { // one person may have two keys
		return id, ref, ErrSecond
	}
	if err := t.still(w, j); err != nil {
		return id, ref, err
	}
	o := newOrder(envelope, wire.KindApproval, wire.Fleet(), w.Person.ID, w.Person.Generation)
	w.Person.Approver, w.Person.Approval = by, o.ref
	return w.Person.ID, a.Order, errors.Join(t.bucket(bucketPending).Delete(a.Order[:]), t.put(bucketOrder, o.ref[:], n, s, envelope), t.admit(w, n, s))
}

// clonePerson has references of its own, which newMember clears.
func clonePerson(p Person) Person {
	for _, of := range []*[][]byte{&p.References, &p.Origin} {
		*of = slices.Clone(*of)
		for i, b := range *of {
			(*of)[i] = bytes.Clone(b)
		}
	}
	return p
}
