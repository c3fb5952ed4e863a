package walkup

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/firmware/ipc"
)

func followRules() access.Follow {
	return access.Follow{On: true, Basis: "a basis for tests", Keep: time.Hour, Threshold: 0.5, Limit: 3, Rest: 900 * time.Millisecond}
}

func newTrail(t *testing.T, bend func(*access.Follow)) (*Trail, []float32) {
	t.Helper()
	rules := followRules()
	if bend != nil {
		bend(&rules)
	}
	slab := make([]float32, FollowFloats)
	trail, err := NewTrail(rules, [32]byte{9}, slab)
	if err != nil {
		t.Fatal(err)
	}
	return trail, slab
}

// face is a probe of a face of its own.
func face(n uint64) []float32 {
	rng := rand.New(rand.NewPCG(n, 1))
	v := make([]float32, access.ProbeSize)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	match.Normalise(v)
	return v
}

func (t *Trail) failed(tt *testing.T, probe []float32, m access.Material, now time.Duration) Recurrence {
	tt.Helper()
	r, err := t.Failed(probe, [32]byte{9}, m, now)
	if err != nil {
		tt.Fatal(err)
	}
	return r
}

// held counts the faces that are followed and the floats of the slab that hold anything.
func held(t *Trail, slab []float32) (faces, floats int) {
	for _, f := range t.faces {
		if f.count > 0 {
			faces++
		}
	}
	for _, x := range slab {
		if x != 0 {
			floats++
		}
	}
	return faces, floats
}

// One face is followed under one random id until it is flagged; another has another; after its time it is a new one, and nothing of it is left.
//
// Control: B22
// Control: B23
func TestTrailFollowsAFace(t *testing.T) {
	trail, slab := newTrail(t, nil)
	ada, eve := face(1), face(2)
	near := append([]float32(nil), ada...)
	for i, x := range face(3) {
		near[i] += 0.5 * x
	}
	match.Normalise(near)
	first := trail.failed(t, ada, access.MaterialSheet, time.Minute)
	other := trail.failed(t, eve, access.MaterialScreen, time.Minute)
	second := trail.failed(t, near, access.MaterialSheet, 2*time.Minute)
	third := trail.failed(t, ada, access.MaterialReplay, 3*time.Minute)
	fourth := trail.failed(t, ada, access.MaterialReplay, 4*time.Minute)
	if first.Count != 1 || second.Count != 2 || second.ID != first.ID || other.ID == first.ID || other.Count != 1 {
		t.Errorf("%+v, %+v and of somebody else %+v", first, second, other)
	}
	if second.Flagged || !third.Flagged || !third.News || !fourth.Flagged || fourth.News || third.Materials != "sheet, replay" {
		t.Errorf("%+v, %+v, %+v: want it flagged with the third, once", second, third, fourth)
	}
	if first.ID == (access.CorrelationID{}) {
		t.Error("no correlation id")
	}
	want := []ipc.Recurrence{{ID: first.ID, First: time.Minute, Last: 4 * time.Minute, Count: 4, Materials: "sheet, replay"}}
	if got := trail.Waiting(); len(got) != 1 || got[0] != want[0] {
		t.Errorf("waiting %+v, want %+v", got, want)
	}
	// The time runs from the first session: whoever keeps coming is not kept for longer.
	trail.failed(t, ada, access.MaterialSheet, time.Hour)
	again := trail.failed(t, ada, access.MaterialSheet, time.Hour+time.Minute+1)
	if again.Count != 1 || again.ID == first.ID || len(trail.Waiting()) != 0 {
		t.Errorf("after its time: %+v", again)
	}
	trail.Expire(3 * time.Hour)
	if faces, floats := held(trail, slab); faces != 0 || floats != 0 {
		t.Errorf("%d faces and %d floats are left after their time", faces, floats)
	}
}

// What cannot be compared is not followed: another bundle, no probe, one that is not of length 1.
func TestTrailTakesProbesAlone(t *testing.T) {
	trail, slab := newTrail(t, nil)
	long := face(1)
	long[0] += 3
	for name, r := range map[string]func() (Recurrence, error){
		"another bundle": func() (Recurrence, error) { return trail.Failed(face(1), [32]byte{8}, access.MaterialSheet, 1) },
		"no probe":       func() (Recurrence, error) { return trail.Failed(nil, [32]byte{9}, access.MaterialSheet, 1) },
		"too long":       func() (Recurrence, error) { return trail.Failed(long, [32]byte{9}, access.MaterialSheet, 1) },
	} {
		if got, err := r(); err != nil || got != (Recurrence{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if faces, floats := held(trail, slab); faces != 0 || floats != 0 {
		t.Errorf("%d faces, %d floats", faces, floats)
	}
	for name, bend := range map[string]func(*access.Follow){"off": func(f *access.Follow) { f.On = false }, "no basis": func(f *access.Follow) { f.Basis = "" }} {
		rules := followRules()
		bend(&rules)
		if _, err := NewTrail(rules, [32]byte{9}, make([]float32, FollowFloats)); err == nil {
			t.Errorf("%s: a trail all the same", name)
		}
	}
}

// However many faces come, memory stays bounded; those that are flagged give up their place last, and wiping leaves nothing.
//
// Control: B22
func TestTrailIsBounded(t *testing.T) {
	trail, slab := newTrail(t, nil)
	var flagged access.CorrelationID
	for i := range 3 {
		flagged = trail.failed(t, face(0), access.MaterialSheet, time.Duration(i+1)).ID
	}
	for n := range uint64(4 * MaxFollowed) {
		trail.failed(t, face(n+1), access.MaterialSheet, time.Duration(n+10))
	}
	if faces, _ := held(trail, slab); faces != MaxFollowed || trail.rows.Len() != MaxFollowed {
		t.Errorf("%d faces, %d rows", faces, trail.rows.Len())
	}
	if r := trail.failed(t, face(0), access.MaterialSheet, 1000); r.ID != flagged || !r.Flagged {
		t.Errorf("the flagged one gave up its place: %+v", r)
	}
	if r := trail.failed(t, face(4*MaxFollowed), access.MaterialSheet, 1001); r.Count != 2 {
		t.Errorf("the newest was forgotten: %+v", r)
	}
	for n := range uint64(2 * MaxFollowed) {
		for range 3 {
			trail.failed(t, face(1000+n), access.MaterialSheet, time.Duration(n+2000))
		}
	}
	if n := len(trail.Waiting()); n != ipc.MaxRecurrences {
		t.Errorf("%d wait for a review, want as many as a status carries", n)
	}
	trail.Wipe()
	if faces, floats := held(trail, slab); faces != 0 || floats != 0 {
		t.Errorf("%d faces and %d floats are left", faces, floats)
	}
	if r, err := trail.Failed(face(1), [32]byte{9}, access.MaterialSheet, 3000); err != nil || r.Count != 0 {
		t.Errorf("after wiping: %+v, %v", r, err)
	}
}

// A review lifts a flag once, on record first; whoever fails again has another random id.
//
// Control: B24
func TestLiftedOnceAndOnRecord(t *testing.T) {
	trail, slab := newTrail(t, nil)
	var r Recurrence
	for i := range 3 {
		r = trail.failed(t, face(1), access.MaterialSheet, time.Duration(i+1))
	}
	recorded := 0
	record := func() error { recorded++; return nil }
	if err := trail.Lift(access.CorrelationID{1}, 4, record); !errors.Is(err, ErrNotFlagged) || recorded != 0 {
		t.Errorf("an id of nobody: %v, %d records", err, recorded)
	}
	if err := trail.Lift(r.ID, 4, func() error { return errors.New("no space left") }); err == nil || len(trail.Waiting()) != 1 {
		t.Errorf("lifted unseen: %v", err)
	}
	if err := trail.Lift(r.ID, 4, record); err != nil || recorded != 1 || len(trail.Waiting()) != 0 {
		t.Errorf("lifted: %v, %d records", err, recorded)
	}
	if _, floats := held(trail, slab); floats != 0 {
		t.Errorf("%d floats of the face are left", floats)
	}
	if err := trail.Lift(r.ID, 4, record); !errors.Is(err, ErrNotFlagged) || recorded != 1 {
		t.Errorf("once more: %v, %d records", err, recorded)
	}
	if again := trail.failed(t, face(1), access.MaterialSheet, 5); again.ID == r.ID || again.Count != 1 || again.Flagged {
		t.Errorf("after the review %+v, before %+v", again, r)
	}
	fresh := trail.failed(t, face(2), access.MaterialSheet, 6)
	if err := trail.Lift(fresh.ID, 6, record); !errors.Is(err, ErrNotFlagged) {
		t.Errorf("of a face that is not flagged: %v", err)
	}
}

// While a review is put on record walk-ups go on, and of two orders at once one is recorded. Whose place is given up meanwhile is forgotten as they are.
//
// Control: B24
func TestLiftWaitsForTheDiskAlone(t *testing.T) {
	trail, _ := newTrail(t, nil)
	var r Recurrence
	for i := range 3 {
		r = trail.failed(t, face(1), access.MaterialSheet, time.Duration(i+1))
	}
	writing, written, ends := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	recorded := 0 // by whoever holds the order
	for range 2 {
		go func() {
			ends <- trail.Lift(r.ID, 4, func() error { recorded++; close(writing); <-written; return nil })
		}()
	}
	<-writing
	failed := make(chan Recurrence, 1)
	go func() {
		r, _ := trail.Failed(face(2), [32]byte{9}, access.MaterialSheet, 5)
		failed <- r
	}()
	select {
	case other := <-failed:
		if other.Count != 1 {
			t.Errorf("somebody else: %+v", other)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a walk-up waits for the disk")
	}
	close(written)
	if a, b := <-ends, <-ends; (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), ErrNotFlagged) || recorded != 1 {
		t.Errorf("%v and %v, %d records", a, b, recorded)
	}
	for n := range uint64(2) {
		for i := range 3 {
			r = trail.failed(t, face(10+n), access.MaterialSheet, time.Duration(10+10*int(n)+i))
		}
	}
	err := trail.Lift(r.ID, 30, func() error {
		trail.Expire(20 + followRules().Keep + 1)
		trail.failed(t, face(12), access.MaterialSheet, time.Hour+40)
		return nil
	})
	if again := trail.failed(t, face(12), access.MaterialSheet, time.Hour+41); err != nil || again.Count != 2 {
		t.Errorf("lifted: %v; whoever has the place by now: %+v", err, again)
	}
}

// A failed session walks the same rows, whoever it is, without allocating, in far less time than a frame lasts.
func BenchmarkTrail(b *testing.B) {
	trail, err := NewTrail(followRules(), [32]byte{9}, make([]float32, FollowFloats))
	if err != nil {
		b.Fatal(err)
	}
	faces := make([][]float32, 2*MaxFollowed)
	for i := range faces {
		faces[i] = face(uint64(i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := trail.Failed(faces[i%len(faces)], [32]byte{9}, access.MaterialSheet, time.Duration(i)); err != nil {
			b.Fatal(err)
		}
	}
}

// A passer-by who does not look opens no session: nothing is presented, no probe is extracted, nobody is followed. Nor is anybody whom the checks pass,
// enrolled or not.
//
// Control: B22
func TestWhoIsNotFollowed(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.Follow = followRules() })
	b.enrolled(0, access.Permitted)
	for _, h := range []access.Hint{access.HintTurned, access.HintTooFar, access.HintSeveral, access.HintCutOff, access.HintTooDark, access.HintTooClose, access.HintNobody} {
		until := time.Now().Add(80 * time.Millisecond)
		b.stand(5, h, func() bool { return time.Now().After(until) })
	}
	b.locked(func() {
		if b.presented != 0 || b.session.Track != 0 {
			t.Errorf("a passer-by had a session: %+v, %d presentations", b.session, b.presented)
		}
	})
	b.granted(6, 1)
	b.locked(func() { b.person = 3 }) // a stranger, alive
	b.stand(7, access.HintNone, func() bool { return len(b.noted(access.EventWalkupDenied)) > 0 })
	b.locked(func() { b.bend = func(p *access.Presentation) { p.Nonce[0]++ } }) // evidence of another session is nobody's
	b.stand(8, access.HintNone, func() bool { return len(b.noted(access.EventPresentationRefused)) > 0 })
	if faces, _ := held(b.w.cfg.Trail, nil); faces != 0 {
		t.Errorf("%d faces are followed", faces)
	}
}

// A face that fails again and again is flagged once; an enrolled person of that very face who passes the checks is let in all the while, flagged or not,
// and also where an operator is asked about who used up their attempts.
//
// Control: B22
func TestRecurrenceNeverDeniesWhoPasses(t *testing.T) {
	b := start(t, func(p *access.Policy) {
		p.Follow, p.Quota, p.MaterialLimit, p.FailureLimit = followRules(), 10, 20, 200
		p.Signals.Confirm = access.Signals(0).With(access.SignalPresence, true)
	})
	b.enrolled(0, access.Permitted)
	for n := range 3 {
		b.locked(func() { b.deaf = true }) // a screen with Ada's face
		b.stand(uint32(5+n), access.HintNone, func() bool { return len(b.noted(access.EventLampAnswerWrong)) > n })
		b.locked(func() { b.deaf = false })
		b.granted(uint32(50+n), n+1) // Ada
	}
	wrong, flagged := b.noted(access.EventLampAnswerWrong), b.noted(access.EventRecurrenceFlagged)
	if len(flagged) != 1 || !strings.HasPrefix(flagged[0].Detail, "recurrence ") || !strings.HasSuffix(flagged[0].Detail, "; presented as: screen") {
		t.Fatalf("flagged %+v", flagged)
	}
	id := strings.TrimSuffix(flagged[0].Detail, "; presented as: screen")
	for _, r := range wrong {
		if !strings.HasSuffix(r.Detail, id) || r.Subject != [16]byte{} {
			t.Errorf("record %+v does not name %q, or names a person", r, id)
		}
	}
	for _, r := range b.noted(access.EventWalkupGranted) {
		if strings.Contains(r.Detail, "recurrence") {
			t.Errorf("a grant is tied to a recurrence: %q", r.Detail)
		}
	}
}
