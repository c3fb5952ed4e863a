package people

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/hq/draft"
	"github.com/lintel-access/lintel/sync/wire"
)

// What operators do in one step, as tests have it: draft, sign, hand in.

func (p *People) step(made draft.Draft, err error, by Operator) error {
	if err != nil {
		return err
	}
	s, err := made.Sign(by.key)
	if err != nil {
		return err
	}
	_, err = p.Hand(s, by.trust, rules())
	return err
}

func (p *People) SetState(id access.PersonID, to State, by Operator) error {
	made, err := p.DraftState(id, to)
	return p.step(made, err, by)
}

func (p *People) Delete(id access.PersonID, by Operator) error {
	made, err := p.DraftDeletion(id)
	return p.step(made, err, by)
}

func (p *People) Approve(ref [32]byte, by Operator) error {
	made, err := p.DraftApproval(ref)
	return p.step(made, err, by)
}

func (p *People) reject(ref [32]byte, by Operator) error {
	made, err := p.Reject(ref)
	if err != nil || len(made.Orders) == 0 {
		return err
	}
	return p.step(made, nil, by)
}

func enrolBy(p *People, by Operator) func(context.Context, Request) (Enrolled, error) {
	return func(ctx context.Context, r Request) (Enrolled, error) { return p.Enrol(ctx, r, by, faces{}, rules()) }
}

func (b *bench) drafted(t *testing.T, r Request) draft.Draft {
	t.Helper()
	made, err := b.DraftEnrolment(t.Context(), r, faces{}, rules())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (b *bench) signed(t *testing.T, made draft.Draft, by Operator) draft.Signed {
	t.Helper()
	s, err := made.Sign(by.key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A draft is nothing until it is signed by somebody who may, as it was drafted, while it holds, and once.
//
// Control: S10
func TestHand(t *testing.T) {
	b := start(t)
	made := b.drafted(t, request("one", "1"))
	if all, _, err := b.List(); err != nil || len(all) != 0 || len(b.assigned(t, lab)) != 0 {
		t.Fatalf("a draft counts: %v, %v", all, err)
	}
	other := b.drafted(t, request("two", "2"))
	stranger := b.signed(t, other, b.ann)
	stranger.Of = b.signed(t, made, b.ann).Of
	changed := b.signed(t, draft.Draft{Orders: other.Orders[:1]}, b.ann)
	changed.Of = made.Orders[0].Hash()
	spoilt := b.signed(t, made, b.ann)
	spoilt.Envelopes[0] = bytes.Clone(spoilt.Envelopes[0])
	spoilt.Envelopes[0][len(spoilt.Envelopes[0])-1] ^= 1
	twice := b.signed(t, made, b.ann)
	twice.Envelopes = append(twice.Envelopes, twice.Envelopes[0])
	unknown := b.signed(t, made, b.ann)
	unknown.Of[0] ^= 1
	for want, s := range map[string]draft.Signed{
		"may not sign":           b.signed(t, made, b.root),
		"not what was drafted":   stranger,
		"what was drafted, or":   changed,
		"does not verify":        spoilt,
		"2 orders, want 1":       twice,
		"has no such draft":      unknown,
		"hand in order: there i": {},
	} {
		if _, err := b.Hand(s, b.trust, rules()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	s := b.signed(t, made, b.ann)
	h, err := b.Hand(s, b.trust, rules())
	if err != nil || h.Kind != wire.KindEnrolment || len(b.assigned(t, lab)) != 1 {
		t.Fatalf("%+v, %v", h, err)
	}
	if l, err := b.Find("one"); err != nil || l.Enroller.Name != "ann" || l.Order != h.Order {
		t.Errorf("%+v, %v", l, err)
	}
	for _, again := range []draft.Signed{s, b.signed(t, made, b.bob)} {
		if _, err := b.Hand(again, b.trust, rules()); err == nil || !strings.Contains(err.Error(), "handed in already") {
			t.Errorf("handed in twice: %v", err)
		}
	}
	// Who was enrolled meanwhile is found when it comes back.
	same := b.drafted(t, request("the same", "3"))
	b.enrol(t, request("three", "3"))
	if _, err := b.Hand(b.signed(t, same, b.ann), b.trust, rules()); err == nil || !strings.Contains(err.Error(), "enrolled already") {
		t.Errorf("a duplicate: %v", err)
	}
	// An agreement of long ago is none.
	if err := b.SetPrivileged([]string{"board"}); err != nil {
		t.Fatal(err)
	}
	r := request("of the board", "7")
	r.Groups = []string{"board"}
	waits := b.enrol(t, r)
	b.now = func() time.Time { return time.Now().Add(-draftFor - time.Minute) }
	stale, err := b.DraftApproval(waits.Order)
	if err != nil {
		t.Fatal(err)
	}
	b.now = time.Now
	if _, err := b.Hand(b.signed(t, stale, b.bob), b.trust, rules()); err == nil || !strings.Contains(err.Error(), "older than a week") {
		t.Errorf("an approval of last week: %v", err)
	}
	fresh, err := b.DraftApproval(waits.Order)
	if err != nil {
		t.Fatal(err)
	}
	agreed := b.signed(t, fresh, b.bob)
	for range 2 { // what was taken is told as taken: hq hand is run again
		if h, err := b.Hand(agreed, b.trust, rules()); err != nil || h.Person != waits.Person || h.Order != waits.Order {
			t.Errorf("%+v, %v", h, err)
		}
	}
	if got := b.assigned(t, Kiosk{ID: [32]byte{4}, Groups: []string{"board"}}); len(got) != 1 {
		t.Errorf("agreed to twice, kiosks are told %+v", got)
	}
	// What was suspended meanwhile is not resumed by a draft of before, nor by a word that was handed in already.
	suspend, err := b.DraftState(h.Person, Suspended)
	if err != nil {
		t.Fatal(err)
	}
	word := b.signed(t, suspend, b.root)
	r = request("one", "1 0.95 5")
	r.Again = h.Person
	next := b.drafted(t, r)
	for range 2 {
		if h, err := b.Hand(word, b.trust, rules()); err != nil || h.State != Suspended {
			t.Fatalf("%+v, %v", h, err)
		}
	}
	if _, err := b.Hand(b.signed(t, next, b.ann), b.trust, rules()); err == nil || !strings.Contains(err.Error(), "suspended") {
		t.Errorf("enrolled anew over a suspension: %v", err)
	}
	if err := b.SetState(h.Person, Active, b.root); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Hand(word, b.trust, rules()); err == nil || !strings.Contains(err.Error(), "handed in already") {
		t.Errorf("an old word counts again: %v", err)
	}
	future, err := single("", wire.Standing{Person: h.Person, Generation: 1, Serial: 1 << 63, State: 2, Issued: time.Now().Unix()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Hand(b.signed(t, future, b.root), b.trust, rules()); err == nil || !strings.Contains(err.Error(), "of the future") {
		t.Errorf("the last word of all: %v", err)
	}
	if _, err := b.Hand(b.signed(t, suspend, b.ann), b.trust, rules()); err == nil || !strings.Contains(err.Error(), "may not sign") {
		t.Errorf("an enroller suspends: %v", err)
	}
}

// A draft that nobody signs is forgotten, and its references with it, after a week; one of a person who was deleted at once.
func TestDraftsEnd(t *testing.T) {
	b := start(t)
	e := b.enrol(t, request("enrolled", "5"))
	r := request("enrolled", "5 0.95 6")
	r.Again = e.Person
	made, again := b.drafted(t, request("one", "1")), b.drafted(t, r)
	before, err := os.ReadFile(filepath.Join(b.dir, keysFile))
	if err != nil {
		t.Fatal(err)
	}
	b.now = func() time.Time { return time.Now().Add(draftFor + time.Minute) }
	if _, err := b.Hand(b.signed(t, made, b.ann), b.trust, rules()); err == nil {
		t.Error("a draft of last week counts")
	}
	if err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(b.dir, keysFile))
	if err != nil {
		t.Fatal(err)
	}
	if same := bytes.Equal(before[offset(0):offset(1)], after[offset(0):offset(1)]); !same {
		t.Error("who is enrolled lost their key with a draft")
	}
	if same := bytes.Equal(before[offset(1):offset(2)], after[offset(1):offset(2)]); same {
		t.Error("the key of who was drafted is still there")
	}
	b.now = time.Now
	for _, d := range []draft.Draft{made, again} {
		if _, err := b.Hand(b.signed(t, d, b.ann), b.trust, rules()); err == nil || !strings.Contains(err.Error(), "no such draft") {
			t.Errorf("a draft that has ended: %v", err)
		}
	}
	again = b.drafted(t, r)
	if err := b.Delete(e.Person, b.ann); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Hand(b.signed(t, again, b.ann), b.trust, rules()); err == nil {
		t.Error("a draft brought a deleted person back")
	}
}

// Whom headquarters knows by a draft alone is deleted with it: signed, it would enrol nobody at any kiosk.
func TestDeletedWithTheirDraft(t *testing.T) {
	b := start(t)
	made, stays := b.drafted(t, request("one", "1")), b.drafted(t, request("two", "2"))
	body, _, err := draft.Inside(b.signed(t, made, b.ann).Envelopes[0])
	if err != nil {
		t.Fatal(err)
	}
	id := body.(wire.Enrolment).Person
	forget, err := b.DraftDeletion(id)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := b.Hand(b.signed(t, forget, b.ann), b.trust, rules()); err != nil || h.Stranger {
		t.Fatalf("%+v, %v", h, err)
	}
	if got := b.assigned(t, lab); len(got) != 1 || got[0].Kind != wire.KindDeletion || got[0].Person != id {
		t.Errorf("kiosks are told %+v", got)
	}
	if err := b.view(func(tx *txn) error {
		s, err := tx.keys.read(0) // the first that was drafted
		if n := tx.bucket(bucketDraft).Stats().KeyN; err != nil || s.person != id || !s.destroyed() || n != 1 {
			t.Errorf("%d drafts are left, of %v, destroyed %v, %v", n, s.person, s.destroyed(), err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if _, err := b.Hand(b.signed(t, made, b.ann), b.trust, rules()); err == nil || !strings.Contains(err.Error(), "no such draft") {
		t.Errorf("the draft of somebody who was deleted: %v", err)
	}
	if _, err := b.Hand(b.signed(t, stays, b.ann), b.trust, rules()); err != nil {
		t.Errorf("another draft: %v", err)
	}
}

// A draft that cannot be read is not taken for one that has ended.
func TestDraftThatCannotBeReadStays(t *testing.T) {
	b := start(t)
	if err := b.update(func(tx *txn) error { return tx.bucket(bucketDraft).Put([]byte("draft"), []byte("cut")) }); err != nil {
		t.Fatal(err)
	}
	if err := b.Finish(); err != nil {
		t.Error(err)
	}
	if err := b.view(func(tx *txn) error {
		if string(tx.bucket(bucketDraft).Get([]byte("draft"))) != "cut" {
			t.Error("it is gone")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// An enrolment at a kiosk is signed elsewhere, too, while the kiosk takes it; what begins it is had by id as long as nothing stands in its way.
func TestDraftForAKiosk(t *testing.T) {
	b := start(t)
	r := request("live")
	r.At = [32]byte{9}
	made := b.drafted(t, r)
	s := b.signed(t, made, b.ann)
	b.now = func() time.Time { return time.Now().Add(supervisedFor + time.Minute) }
	if _, err := b.Hand(s, b.trust, rules()); err == nil || !strings.Contains(err.Error(), "no longer accept") {
		t.Errorf("after a working day: %v", err)
	}
	b.now = time.Now
	h, err := b.Hand(s, b.trust, rules())
	if err != nil {
		t.Fatal(err)
	}
	kiosk, envelope, err := b.Supervised(h.Person)
	if err != nil || kiosk != r.At || !bytes.Equal(envelope, s.Envelopes[0]) {
		t.Errorf("kiosk %x, %d bytes, %v", kiosk[:4], len(envelope), err)
	}
	if err := b.SetState(h.Person, Suspended, b.root); err != nil {
		t.Fatal(err)
	}
	for want, id := range map[string]access.PersonID{"suspended": h.Person, "from photographs": b.enrol(t, request("one", "1")).Person, "approve it first": {7}} {
		if _, _, err := b.Supervised(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// From one person to another by way of a photograph between them, in one enrolment or in several: every photograph is held to all before it.
func TestNoChainOfPhotographs(t *testing.T) {
	b := start(t)
	var refused Refused
	// "1 0.7 2" lies between face 1 and the face of "2 0.0 …": the middle is near both ends, the ends are strangers.
	if _, err := b.Enrol(t.Context(), request("chain", "1", "1 0.7 2", "1 0.05 2"), b.ann, faces{}, rules()); !errors.As(err, &refused) || !strings.Contains(err.Error(), "photograph 3") {
		t.Errorf("in one enrolment: %v", err)
	}
	e := b.enrol(t, request("chain", "1"))
	r := request("chain", "1 0.7 2")
	r.Again = e.Person
	b.enrol(t, r)
	r = request("chain", "1 0.05 2")
	r.Again = e.Person
	if _, err := b.Enrol(t.Context(), r, b.ann, faces{}, rules()); !errors.As(err, &refused) || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("in three enrolments: %v", err)
	}
}

// Whoever kept a copy of what was rejected cannot have it count: every kiosk is told of its deletion, and of who was enrolled before it is void from then on.
//
// Control: S11
func TestRejectedIsDeleted(t *testing.T) {
	b := start(t)
	if err := b.SetPrivileged([]string{"lab"}); err != nil {
		t.Fatal(err)
	}
	e := b.enrol(t, request("one", "1"))
	made, err := b.Reject(e.Order)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := b.Pending(""); err != nil || len(w) != 1 {
		t.Errorf("it no longer waits before anybody signed: %v", err)
	}
	if _, err := b.Hand(b.signed(t, made, b.bob), b.trust, rules()); err != nil {
		t.Fatal(err)
	}
	got := b.assigned(t, lab)
	if len(got) != 1 || got[0].Kind != wire.KindDeletion || got[0].Person != e.Person || got[0].Generation < 1 {
		t.Errorf("kiosks are told %+v", got)
	}
	if all, _, err := b.List(); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// A number is not somebody else's name: whoever is called so is asked which of them is meant.
func TestFindIsNotMistaken(t *testing.T) {
	b := start(t)
	one := b.enrol(t, request("1042", "1"))
	r := request("two", "2")
	r.Number = "1042"
	two := b.enrol(t, r)
	if _, err := b.Find("1042"); !errors.Is(err, ErrSeveral) {
		t.Errorf("a number that is another's name: %v", err)
	}
	for _, tt := range []struct {
		what string
		want access.PersonID
	}{{"n-1042", one.Person}, {"two", two.Person}, {one.Person.String(), one.Person}} {
		if l, err := b.Find(tt.what); err != nil || l.ID != tt.want {
			t.Errorf("%s: %v, %v", tt.what, l, err)
		}
	}
}

// Whose permission has ended is found after a time, and is who stands to be deleted; who waits or is enrolled anew is not.
func TestEnded(t *testing.T) {
	b := start(t)
	e := b.enrol(t, request("ended", "1"))
	later := request("later", "2")
	later.Until = time.Now().AddDate(2, 0, 0)
	b.enrol(t, later)
	if all, err := b.Ended(0); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	b.now = func() time.Time { return time.Now().AddDate(0, 6, 31) }
	if all, err := b.Ended(30 * 24 * time.Hour); err != nil || len(all) != 1 || all[0].ID != e.Person {
		t.Errorf("%v, %v", all, err)
	}
	if all, err := b.Ended(40 * 24 * time.Hour); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// A draft that came back with an old people.db, whose slot is somebody else's by now, goes, and they stay.
func TestDraftInABackup(t *testing.T) {
	b := start(t)
	path := filepath.Join(b.dir, dbFile)
	keep := func() []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	restore := func(data []byte) *People {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return mustOpen(t, b.dir, b.master)
	}
	empty := keep()
	b.drafted(t, request("one", "1"))
	drafted := keep()
	b.People = restore(empty)
	e := b.enrol(t, request("two", "2"))
	enrolled := keep()
	keys, err := os.ReadFile(filepath.Join(b.dir, keysFile))
	if err != nil {
		t.Fatal(err)
	}
	restore(drafted)
	if after, err := os.ReadFile(filepath.Join(b.dir, keysFile)); err != nil || !bytes.Equal(after, keys) {
		t.Errorf("somebody's key went with a draft: %v", err)
	}
	if l, err := restore(enrolled).Find("two"); err != nil || l.ID != e.Person {
		t.Errorf("%v, %v", l, err)
	}
}
