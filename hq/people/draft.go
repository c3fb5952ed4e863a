package people

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/sync/wire"
)

// draftFor is how long headquarters takes a draft back, signed: whoever signs may be on a journey, and what was decided longer ago is to be decided anew.
const draftFor = 7 * 24 * time.Hour

// drafted is what headquarters keeps of the draft of an enrolment until it comes back. It hangs on the person's content key.
type drafted struct {
	Person    Person `cbor:"1,keyasint"` // without enroller, order and look-alikes
	Proofing  []byte `cbor:"2,keyasint"`
	Duplicate bool   `cbor:"3,keyasint"`
	Row       []byte `cbor:"4,keyasint"` // of a bulk enrolment
}

// DraftEnrolment makes the draft of an enrolment. What Hand will refuse is refused here as far as it is known.
func (p *People) DraftEnrolment(ctx context.Context, r Request, x Extractor, rules Rules) (made draft.Draft, err error) {
	now := p.now()
	if err := r.check(now); err != nil {
		return made, Refused{strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	d := Person{
		Generation: 1, Name: r.Name, Number: r.Number, Groups: sortedGroups(r.Groups), Until: r.Until.Unix(), Extended: r.Extended, Consent: r.Consent,
		Proofing: sha256.Sum256(r.Proofing), At: r.At, Issued: now.Unix(), State: Active, Batch: r.batch,
	}
	var references [][]float32
	if len(r.Photos) > 0 {
		if references, err = acquire(ctx, r.Photos, x, rules.Same); err != nil {
			return made, err
		}
		d.Bundle = rules.Bundle
		for _, v := range references {
			d.References = append(d.References, extract.Encode(v))
		}
	}
	err = p.update(func(t *txn) (err error) {
		made, err = t.draft(d, references, r, rules)
		return err
	})
	return made, err
}

func (t *txn) draft(d Person, references [][]float32, r Request, rules Rules) (made draft.Draft, err error) {
	all, err := t.names()
	if err != nil {
		return made, err
	}
	var n uint32
	var s slot
	if !r.Again.IsZero() {
		d.ID = r.Again
		if n, s, err = t.place(&d, references, all, rules); err != nil {
			return made, err
		}
	} else {
		d.ID = newID()
	}
	if _, _, err := all.looks(d.ID, references, r.Duplicate, rules); err != nil {
		return made, err
	}
	if made.Orders, err = d.bodies(); err != nil {
		return made, err
	}
	made.Called = d.Name
	if r.Again.IsZero() { // not before nothing can be refused any more
		if n, s, err = t.claim(d.ID); err != nil {
			return made, err
		}
	}
	data, err := wire.Marshal(drafted{d, r.Proofing, r.Duplicate, r.row})
	if err != nil {
		return made, err
	}
	defer clear(data)
	of := made.Orders[len(made.Orders)-1].Hash()
	return made, t.put(bucketDraft, of[:], n, s, data)
}

// bodies are the orders of a draft, in the order in which kiosks must get them: the generation before is deleted wherever it is, also where the new one
// does not go.
func (d Person) bodies() (orders []draft.Order, err error) {
	var all []wire.Body
	if d.Generation > 1 {
		all = append(all, wire.Deletion{Person: d.ID, Generation: d.Generation - 1, Issued: d.Issued})
	}
	if d.At == [32]byte{} {
		all = append(all, wire.Enrolment{
			Person: d.ID, Generation: d.Generation, Bundle: d.Bundle, References: d.References, Until: d.Until, Groups: d.Groups, Consent: d.Consent,
			Proofing: d.Proofing, Issued: d.Issued, Extended: d.Extended,
		})
	} else {
		all = append(all, wire.Supervised{
			Person: d.ID, Generation: d.Generation, Until: d.Until, Groups: d.Groups, Consent: d.Consent, Proofing: d.Proofing, Issued: d.Issued,
			NotAfter: d.Issued + int64(supervisedFor/time.Second), Extended: d.Extended,
		})
	}
	for i, body := range all {
		audience := wire.Fleet()
		if i == len(all)-1 {
			audience = d.At
		}
		o, err := draft.New(audience, body)
		if err != nil {
			return nil, Refused{strings.ReplaceAll(err.Error(), "\n", "; ")}
		}
		orders = append(orders, o)
	}
	return orders, nil
}

// DraftState makes the draft of what a person may do from now on: administrators suspend, resume and revoke. Who is revoked stays so; they can be deleted.
func (p *People) DraftState(id access.PersonID, to State) (made draft.Draft, err error) {
	now := p.now()
	err = p.view(func(t *txn) error {
		d, _, _, err := t.person(id)
		if err != nil {
			return err
		}
		if err := d.become(to); err != nil {
			return err
		}
		// Above every serial that was ever signed, those that a restored people.db has forgotten among them: kiosks heed the highest.
		made, err = single(d.Name, wire.Standing{
			Person: id, Generation: d.Generation, Serial: max(d.Serial+1, uint64(now.UnixMilli())), State: uint8(to), Issued: now.Unix(),
		})
		return err
	})
	return made, err
}

// become refuses a state that cannot follow a person's.
func (p Person) become(to State) error {
	switch p.State {
	case to:
		return Refused{"this person is " + to.String() + " already"}
	case Revoked:
		return Refused{"this person is revoked, which is for good: delete and enrol anew"}
	}
	return nil
}

// DraftDeletion makes the draft by which a person is forgotten, at headquarters and at every kiosk, for good: one who is enrolled or waits to be, or anybody
// of whom headquarters knows no more than the id, and kiosks perhaps more.
func (p *People) DraftDeletion(id access.PersonID) (made draft.Draft, err error) {
	now := p.now()
	err = p.read(func(t *txn, all *roll) error {
		last, err := t.last(id, all)
		if err != nil {
			return err
		}
		called := all.members[id].Name
		if called == "" {
			called = all.waiting[id].Name
		}
		// Above every generation that was ever signed of this id, which is never used again: so a deletion counts, too, after an old people.db was put back.
		made, err = single(called, wire.Deletion{Person: id, Generation: max(last.generation, uint64(now.Unix())), Issued: now.Unix()})
		return err
	})
	return made, err
}

// DraftApproval makes the draft by which a second operator agrees to an enrolment that waits, named by the SHA-256 of its envelope.
func (p *People) DraftApproval(ref [32]byte) (made draft.Draft, err error) {
	err = p.view(func(t *txn) error {
		w, _, _, err := t.waits(ref[:], t.bucket(bucketPending).Get(ref[:]))
		if err != nil {
			return err
		}
		if made, err = single(w.Person.Name, wire.Approval{Order: ref, Issued: p.now().Unix()}); err != nil {
			return err
		}
		made.Orders[0].Approved, _, _, err = t.get(bucketOrder, ref[:])
		return err
	})
	return made, err
}

func single(called string, body wire.Body) (draft.Draft, error) {
	o, err := draft.New(wire.Fleet(), body)
	return draft.Draft{Orders: []draft.Order{o}, Called: called}, err
}

// expired lists the drafts of enrolments that will not be taken back any more.
func (t *txn) expired() (keys [][]byte, err error) {
	err = t.bucket(bucketDraft).ForEach(func(k, v []byte) error {
		plain, _, _, err := t.unseal(bucketDraft, k, v)
		if errors.Is(err, errDestroyed) || errors.Is(err, errShut) { // of before a backup was put back
			keys = append(keys, slices.Clone(k))
			return nil
		}
		if err != nil { // it may be read another time
			return nil
		}
		defer clear(plain)
		var d drafted
		if err = recall(plain, &d); err == nil && d.Person.stale(t.p.now()) {
			keys = append(keys, slices.Clone(k))
		}
		return err
	})
	return keys, err
}

func (p Person) stale(now time.Time) bool { return now.Sub(time.Unix(p.Issued, 0)) > draftFor }

// drop forgets the drafts of enrolments: somebody who is enrolled stays, of anybody else nothing does.
func (t *txn) drop(keys [][]byte) error {
	for _, k := range keys {
		_, n, s, lost := t.get(bucketDraft, k)
		if err := t.bucket(bucketDraft).Delete(k); err != nil {
			return err
		}
		if lost != nil { // its slot may be somebody else's now
			continue
		}
		if _, _, _, err := t.person(s.person); !errors.Is(err, ErrUnknown) {
			if err != nil {
				return err
			}
			continue
		}
		s.key = [32]byte{}
		if err := t.keys.write(n, s); err != nil {
			return err
		}
	}
	return nil
}
