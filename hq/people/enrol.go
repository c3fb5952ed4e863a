package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/sync/wire"
)

// Request is what an operator asks for.
type Request struct {
	Name, Number string
	Groups       []string
	Until        time.Time
	Extended     bool
	Consent      string // reference to the consent or another legal basis
	Proofing     []byte // the record of who checked the person's identity, and by what
	Photos       [][]byte
	At           [32]byte        // a kiosk that enrols the person itself, instead of photographs
	Again        access.PersonID // who is enrolled already and gets new photographs, groups or dates; zero: somebody new
	// Duplicate says that a second operator will be asked whether somebody who looks like an enrolled person is another one.
	Duplicate bool

	batch string
	row   []byte // name of a row of a bulk enrolment
}

// Enrolled is what became of a request.
type Enrolled struct {
	Person  access.PersonID
	Order   [32]byte   // SHA-256 of the signed enrolment
	Pending string     // why a second operator has to approve; empty: it is handed on
	Alike   []Likeness // to be looked at by people
}

// Refused says why somebody was not enrolled: a sentence or several, without a name. Nothing was kept.
type Refused []string

func (r Refused) Error() string { return "refused: " + strings.Join(r, "; ") }

// Extractor makes references of the photographs of one person: a result for each. extract.Host is one.
type Extractor interface {
	References(ctx context.Context, photos [][]byte) ([]extract.Result, error)
}

// Rules are the thresholds of one model bundle, as the doors have them.
type Rules struct {
	Bundle [32]byte
	Same   float32 // comparison score above which two references are of one person
	Alike  float32 // and above which two people are worth a look
}

// supervisedFor is for how long an enrolment at a kiosk may be begun: a working day.
const supervisedFor = 8 * time.Hour

// Enrol enrols a person, signed by an operator. The order is handed on at once, unless a second operator must approve it.
func (p *People) Enrol(ctx context.Context, r Request, by Operator, x Extractor, rules Rules) (Enrolled, error) {
	kind := wire.KindEnrolment
	if r.At != [32]byte{} {
		kind = wire.KindSupervised
	}
	now := p.now()
	who, err := by.may(kind, now)
	if err != nil {
		return Enrolled{}, err
	}
	if err := r.check(now); err != nil {
		return Enrolled{}, Refused{strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	d := Person{
		Generation: 1, Name: r.Name, Number: r.Number, Groups: sortedGroups(r.Groups), Until: r.Until.Unix(), Extended: r.Extended, Consent: r.Consent,
		Proofing: sha256.Sum256(r.Proofing), At: r.At, Issued: now.Unix(), Enroller: who, State: Active, Batch: r.batch,
	}
	var references [][]float32
	if len(r.Photos) > 0 {
		if references, err = acquire(ctx, r.Photos, x, rules.Same); err != nil {
			return Enrolled{}, err
		}
		d.Bundle = rules.Bundle
		for _, v := range references {
			d.References = append(d.References, extract.Encode(v))
		}
	}
	var done Enrolled
	err = p.update(func(t *txn) (err error) {
		done, err = t.enrol(d, references, r, by, rules)
		return err
	})
	if err != nil {
		return Enrolled{}, err
	}
	return done, nil
}

// acquire makes references of the photographs, all of which must be good and of one person.
func acquire(ctx context.Context, photos [][]byte, x Extractor, same float32) (references [][]float32, err error) {
	results, err := x.References(ctx, photos)
	if err != nil {
		return nil, err
	}
	if len(results) != len(photos) {
		return nil, fmt.Errorf("extract references: %d results of %d photographs", len(results), len(photos))
	}
	var why Refused
	for i, r := range results {
		switch {
		case r.Outcome != extract.Extracted && r.Why != nil:
			why = append(why, fmt.Sprintf("photograph %d: %v (%v)", i+1, r.Outcome, r.Why))
		case r.Outcome != extract.Extracted:
			why = append(why, fmt.Sprintf("photograph %d: %v", i+1, r.Outcome))
		case i > 0 && len(why) == 0 && best(references, [][]float32{r.Reference}) <= same:
			why = append(why, fmt.Sprintf("photograph %d shows somebody else than those before it", i+1))
		default:
			references = append(references, r.Reference)
		}
	}
	if why != nil {
		return nil, why
	}
	return references, nil
}

// enrol checks a draft against everybody else, signs it and stores it.
func (t *txn) enrol(d Person, references [][]float32, r Request, by Operator, rules Rules) (done Enrolled, err error) {
	all, err := t.names()
	if err != nil {
		return done, err
	}
	n, s, old, err := t.place(&d, references, r, all, rules)
	if err != nil {
		return done, err
	}
	d.Alike = all.alike(references, d.ID, rules.Same, rules.Alike)
	duplicates := slices.ContainsFunc(d.Alike, func(l Likeness) bool { return l.Same })
	if duplicates && !r.Duplicate {
		return done, Refused{"this person is enrolled already, or the doors cannot tell the two apart: " + list(d.Alike)}
	}
	orders, err := t.sign(&d, old, by)
	if err != nil {
		return done, err
	}
	done = Enrolled{Person: d.ID, Order: d.Order, Alike: d.Alike}
	if done.Pending, err = t.why(d, duplicates); err != nil {
		return done, err
	}
	if n == noSlot { // not before nothing can be refused any more
		if n, s, err = t.claim(d.ID); err != nil {
			return done, err
		}
	}
	for _, o := range orders {
		if err := t.put(bucketOrder, o.ref[:], n, s, o.envelope); err != nil {
			return done, err
		}
	}
	w := waiting{Person: d, Why: done.Pending, Proofing: r.Proofing}
	for _, o := range orders {
		w.Entries = append(w.Entries, o.entry)
	}
	if r.row != nil {
		if err := t.put(bucketJournal, r.row, noSlot, slot{}, d.ID[:]); err != nil {
			return done, err
		}
	}
	if done.Pending == "" {
		return done, t.admit(w, n, s)
	}
	data, err := wire.Marshal(w)
	if err != nil {
		return done, err
	}
	defer clear(data)
	return done, errors.Join(t.put(bucketPending, d.Order[:], n, s, data), t.note(d, true))
}

// place says who a draft is: somebody new, or one who is enrolled again under the same id, and then from which slot and after which record.
func (t *txn) place(d *Person, references [][]float32, r Request, all *roll, rules Rules) (n uint32, s slot, old *Person, err error) {
	if r.Again.IsZero() {
		rand.Read(d.ID[:])
		return noSlot, s, nil, nil
	}
	m, ok := all.members[r.Again]
	switch {
	case !ok:
		return 0, s, nil, Refused{"nobody of that id is enrolled"}
	case all.waits(r.Again):
		return 0, s, nil, Refused{"an enrolment of this person waits for approval already"}
	case len(m.refs) > 0 && len(references) > 0 && best(references, m.refs) <= rules.Same:
		return 0, s, nil, Refused{"the photographs show somebody else than the references of this person: delete and enrol anew if that is meant"}
	}
	before, n, s, err := t.person(r.Again)
	if err != nil {
		return 0, s, nil, err
	}
	if before.State != Active { // an enrolment permits, and only an administrator may give back what one has taken
		return 0, s, nil, Refused{"this person is " + before.State.String() + ": an administrator must resume them first"}
	}
	d.ID, d.Generation, d.Earlier = before.ID, before.Generation+1, before.orders()
	return n, s, &before, nil
}

// order is one signed envelope on its way into the vault.
type order struct {
	ref      [32]byte
	envelope []byte
	entry    Entry
}

// sign makes the orders of a draft, in the order in which kiosks must get them: the generation before is deleted wherever it is, also where the new one
// does not go.
func (t *txn) sign(d *Person, old *Person, by Operator) (orders []order, err error) {
	if old != nil {
		o, err := seal(by, wire.Fleet(), wire.Deletion{Person: d.ID, Generation: old.Generation, Issued: d.Issued}, d.ID, old.Generation)
		if err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	var body wire.Body = wire.Enrolment{
		Person: d.ID, Generation: d.Generation, Bundle: d.Bundle, References: d.References, Until: d.Until, Groups: d.Groups, Consent: d.Consent,
		Proofing: d.Proofing, Issued: d.Issued, Extended: d.Extended,
	}
	if d.At != [32]byte{} {
		body = wire.Supervised{
			Person: d.ID, Generation: d.Generation, Until: d.Until, Groups: d.Groups, Consent: d.Consent, Proofing: d.Proofing, Issued: d.Issued,
			NotAfter: d.Issued + int64(supervisedFor/time.Second), Extended: d.Extended,
		}
	}
	o, err := seal(by, d.At, body, d.ID, d.Generation)
	d.Order = o.ref
	return append(orders, o), err
}

func seal(by Operator, audience [32]byte, body wire.Body, id access.PersonID, generation uint64) (o order, err error) {
	if err := body.Validate(); err != nil {
		return o, Refused{strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	if o.envelope, err = wire.Sign(by.key, audience, body); err != nil {
		return o, err
	}
	o.ref = sha256.Sum256(o.envelope)
	o.entry = Entry{Order: o.ref, Kind: body.Kind(), Person: id, Generation: generation, At: audience}
	return o, nil
}

// why says whether a second operator must approve; empty: no.
func (t *txn) why(d Person, duplicates bool) (string, error) {
	privileged, err := t.privileged()
	switch {
	case err != nil:
		return "", err
	case d.Batch != "":
		return "bulk enrolment", nil
	case duplicates:
		return "looks like somebody who is enrolled", nil
	case slices.ContainsFunc(d.Groups, func(g string) bool { return slices.Contains(privileged, g) }):
		return "privileged group", nil
	}
	return "", nil
}

// list names the people by their ids.
func list(alike []Likeness) string {
	var ids []string
	for _, l := range alike {
		if l.Same {
			ids = append(ids, l.Person.String())
		}
	}
	return strings.Join(ids, ", ")
}
