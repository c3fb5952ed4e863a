package people

import (
	"context"
	"crypto/rand"
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

// Enrol enrols a person in one step, signed by an operator whose key is here: DraftEnrolment, the signature, Hand.
func (p *People) Enrol(ctx context.Context, r Request, by Operator, x Extractor, rules Rules) (Enrolled, error) {
	kind := wire.KindEnrolment
	if r.At != [32]byte{} {
		kind = wire.KindSupervised
	}
	if err := by.may(kind, p.now()); err != nil { // before anything is kept
		return Enrolled{}, err
	}
	d, err := p.DraftEnrolment(ctx, r, x, rules)
	if err != nil {
		return Enrolled{}, err
	}
	s, err := d.Sign(by.key)
	if err != nil {
		return Enrolled{}, err
	}
	h, err := p.Hand(s, by.trust, rules)
	if err != nil { // what was refused is not kept for somebody else to sign
		return Enrolled{}, errors.Join(err, p.update(func(t *txn) error { return t.drop([][]byte{s.Of[:]}) }))
	}
	return h.Enrolled, nil
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
		case i > 0 && len(why) == 0 && worst(references, [][]float32{r.Reference}) <= same:
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

// place puts the draft of somebody who is enrolled again behind what they are now. The new photographs must show the same person as every reference that
// counts and those of the first enrolment: else a photograph between two faces would lead, step by step, from one person to another.
func (t *txn) place(d *Person, references [][]float32, all *roll, rules Rules) (n uint32, s slot, err error) {
	m, ok := all.members[d.ID]
	switch {
	case !ok:
		return 0, s, Refused{"nobody of that id is enrolled"}
	case all.waits(d.ID):
		return 0, s, Refused{"an enrolment of this person waits for approval already"}
	}
	if before := slices.Concat(m.refs, m.origin); len(before) > 0 && len(references) > 0 && worst(references, before) <= rules.Same {
		return 0, s, Refused{"the photographs show somebody else than the references of this person: delete and enrol anew if that is meant"}
	}
	before, n, s, err := t.person(d.ID)
	if err != nil {
		return 0, s, err
	}
	if before.State != Active { // an enrolment permits, and only an administrator may give back what one has taken
		return 0, s, Refused{"this person is " + before.State.String() + ": an administrator must resume them first"}
	}
	d.Generation, d.Earlier, d.Origin = before.next(), before.orders(), before.Origin
	if len(d.Origin) == 0 {
		d.Origin = before.References
	}
	if d.At != [32]byte{} { // whose references are at that kiosk alone
		d.Origin = nil
	}
	return n, s, nil
}

// looks finds who may be taken for a person, and refuses who is enrolled already unless a second operator will be asked.
func (r *roll) looks(id access.PersonID, references [][]float32, ask bool, rules Rules) (alike []Likeness, duplicates bool, err error) {
	alike = r.alike(references, id, rules.Same, rules.Alike)
	duplicates = slices.ContainsFunc(alike, func(l Likeness) bool { return l.Same })
	if duplicates && !ask {
		err = Refused{"this person is enrolled already, or the doors cannot tell the two apart: " + list(alike)}
	}
	return alike, duplicates, err
}

func newID() (id access.PersonID) {
	rand.Read(id[:])
	return id
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
