package main

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

// chip is a root in memory whose counter can fail.
type chip struct {
	counter uint64
	fail    error
}

func (c *chip) Unseal() (key [32]byte, err error) { return [32]byte{1}, nil }
func (c *chip) Counter() (uint64, error)          { return c.counter, c.fail }
func (c *chip) Raise() (uint64, error) {
	if c.fail == nil {
		c.counter++
	}
	return c.counter, c.fail
}

// resting is a kiosk on a sealed vault that is put together and does not run. Somebody is enrolled: {1}, along component 3.
type resting struct {
	*kiosk
	t      *testing.T
	chip   *chip
	wall   time.Time // trusted
	bundle [32]byte
}

func rest(t *testing.T) *resting {
	t.Helper()
	b, err := board.Load("desk")
	if err != nil {
		t.Fatal(err)
	}
	b.Gallery.References = 8
	calibration, err := model.DefaultCalibration()
	if err != nil {
		t.Fatal(err)
	}
	r := &resting{t: t, chip: &chip{}, wall: time.Unix(1_800_000_000, 0), bundle: calibration.Bundle}
	dir := stateFolder(t)
	store, err := vault.Open(filepath.Join(dir, "vault.db"), vault.Options{
		Root: r.chip, Device: [32]byte{2}, Adopt: true, Trusted: func() (time.Time, bool) { return r.wall, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	log, _, err := auditlog.Open(filepath.Join(dir, "audit"), auditlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = log.Close() // a test may have closed it, to break it
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWiring()
	if r.kiosk, err = newKiosk(b, w); err == nil {
		_, err = r.kiosk.furnish(b, &ground{vault: store, log: log, slab: make([]float32, walkup.SlabFloats(b.Gallery.References))}, w)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.enrol(access.PersonID{1}, 3, 0)
	return r
}

func (r *resting) enrol(id access.PersonID, component int, until int64) {
	r.t.Helper()
	if _, err := r.gallery.Keep(id, [][]float32{direction(component)}, r.bundle, until); err != nil {
		r.t.Fatal(err)
	}
}

func direction(component int) []float32 {
	v := make([]float32, access.ProbeSize)
	v[component] = 1
	return v
}

// standing is what a walk-up of {1} would find.
func (r *resting) standing() access.Standing {
	r.t.Helper()
	c, err := r.gallery.Search(direction(3), r.bundle)
	if err != nil || c.Person != (access.PersonID{1}) || c.Score < 0.9999 {
		r.t.Fatalf("search: %+v, %v", c, err)
	}
	return c.Standing
}

// events are those of the log that are about {1}, in order.
func (r *resting) events() (list []access.Event) {
	r.t.Helper()
	records, err := tail(r.audit, tailRecords)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, rec := range records {
		if rec.Subject == r.shelf.Subject(access.PersonID{1}, rec.Wall) {
			list = append(list, rec.Event)
		}
	}
	return list
}

func (r *resting) wantEvents(want ...access.Event) {
	r.t.Helper()
	got := r.events()
	if len(got) != len(want) {
		r.t.Fatalf("events %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			r.t.Fatalf("events %v, want %v", got, want)
		}
	}
}

func TestSuspendAndResume(t *testing.T) {
	r := rest(t)
	if err := r.resume(access.PersonID{1}); err == nil {
		t.Error("somebody who is not suspended was resumed")
	}
	if err := r.suspend(access.PersonID{1}); err != nil || r.standing() != access.Suspended {
		t.Fatalf("suspended: %v, %v", r.standing(), err)
	}
	if err := r.resume(access.PersonID{1}); err != nil || r.standing() != access.Permitted {
		t.Fatalf("resumed: %v, %v", r.standing(), err)
	}
	if err := errors.Join(r.suspend(access.PersonID{1}), r.revoke(access.PersonID{1})); err != nil {
		t.Fatal(err)
	}
	if err := r.resume(access.PersonID{1}); err == nil || r.standing() != access.Revoked {
		t.Errorf("somebody revoked was resumed: %v, %v", r.standing(), err)
	}
	if err := r.suspend(access.PersonID{1}); !errors.Is(err, vault.ErrSuperseded) || r.standing() != access.Revoked {
		t.Errorf("somebody revoked was suspended: %v, %v", r.standing(), err)
	}
	r.wantEvents(access.EventPersonSuspended, access.EventPersonResumed, access.EventPersonSuspended, access.EventRevoked)
	for name, order := range map[string]func(access.PersonID) error{"suspend": r.suspend, "resume": r.resume, "revoke": r.revoke} {
		if order(access.PersonID{9}) == nil {
			t.Errorf("%s: nobody was found", name)
		}
	}
}

// A restriction that is stored, but for which the counter did not rise, holds at once and is not acknowledged; a permission is not given.
func TestOrdersWhileTheCounterIsStuck(t *testing.T) {
	r := rest(t)
	r.chip.fail = errors.New("no answer")
	if err := r.shelf.saveFailures(person(access.PersonID{1}), nil, true); err != nil {
		t.Errorf("a lockout that stands was called lost: %v", err)
	}
	if l, err := r.store.Lockout(person(access.PersonID{1})); err != nil || !l.Locked {
		t.Errorf("%+v, %v", l, err)
	}
	if err := r.suspend(access.PersonID{1}); !errors.Is(err, vault.ErrUnacknowledged) || r.standing() != access.Suspended {
		t.Errorf("suspended: %v, %v", r.standing(), err)
	}
	r.wantEvents(access.EventPersonSuspended)
	if err := r.resume(access.PersonID{1}); err == nil || r.standing() != access.Suspended {
		t.Errorf("resumed: %v, %v", r.standing(), err)
	}
	r.wantEvents(access.EventPersonSuspended, access.EventPersonResumed, access.EventVaultRefused)
	if _, err := r.delete(access.PersonID{1}); !errors.Is(err, vault.ErrUnacknowledged) || r.gallery.Holds(access.PersonID{1}) {
		t.Errorf("deleted: %v", err)
	}
	if c, _ := r.gallery.Search(direction(3), r.bundle); c.Found {
		t.Errorf("somebody who was deleted is found: %+v", c)
	}
	r.chip.fail = nil
	if d, err := r.delete(access.PersonID{1}); err != nil || len(d.Receipt) == 0 {
		t.Errorf("asked again: %+v, %v", d, err)
	}
}

// What is not on record is not given, and what is taken is taken.
func TestOrdersWithoutAnAuditLog(t *testing.T) {
	r := rest(t)
	if err := r.suspend(access.PersonID{1}); err != nil {
		t.Fatal(err)
	}
	if err := r.audit.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.resume(access.PersonID{1}); err == nil || r.standing() != access.Suspended {
		t.Errorf("resumed unseen: %v, %v", r.standing(), err)
	}
	if s, err := r.shelf.state(access.PersonID{1}); err != nil || s != vault.Suspended {
		t.Errorf("the vault says %v, %v", s, err)
	}
	if err := r.revoke(access.PersonID{1}); err == nil || r.standing() != access.Revoked {
		t.Errorf("revoked: %v, %v; want it done and the gap in the log reported", r.standing(), err)
	}
}

// Control: P13
func TestDeleteLeavesNothingAndProvesIt(t *testing.T) {
	r := rest(t)
	id := access.PersonID{1}
	if err := r.shelf.saveFailures(person(id), []time.Duration{r.shelf.began}, true); err != nil {
		t.Fatal(err)
	}
	r.sign = func(b []byte) ([]byte, error) { return append([]byte("signed "), b[:4]...), nil }
	before := r.chip.counter
	d, err := r.delete(id)
	if err != nil {
		t.Fatal(err)
	}
	var receipt vault.Receipt
	if err := wire.Unmarshal(d.Receipt, &receipt); err != nil || receipt.Generation != 1 || receipt.Counter != before+1 {
		t.Errorf("receipt %+v, %v; the counter was %d before", receipt, err, before)
	}
	if want := "signed " + string(d.Receipt[:4]); string(d.Signature) != want {
		t.Errorf("signature %q, want %q", d.Signature, want)
	}
	if _, err := r.shelf.state(id); !errors.Is(err, vault.ErrUnknown) {
		t.Errorf("the vault still knows them: %v", err)
	}
	if l, err := r.store.Lockout(person(id)); err != nil || l.Locked || len(l.Failures) != 0 {
		t.Errorf("their refusals are still there: %+v, %v", l, err)
	}
	r.wantEvents(access.EventPersonDeleted)
	if again, err := r.delete(id); err != nil || len(again.Receipt) == 0 {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	if _, err := r.delete(access.PersonID{9}); !errors.Is(err, vault.ErrUnknown) {
		t.Errorf("somebody who never was: %v", err)
	}
	// Deletion of somebody whom the gallery does not hold.
	other := access.PersonID{2}
	if err := r.shelf.Keep(other, [][]float32{direction(5)}, r.bundle, 0); err != nil {
		t.Fatal(err)
	}
	if d, err := r.delete(other); err != nil || len(d.Receipt) == 0 {
		t.Errorf("somebody outside the gallery: %+v, %v", d, err)
	}
	r.sign = func([]byte) ([]byte, error) { return nil, errors.New("no answer") }
	if d, err := r.delete(other); err == nil || d.Receipt != nil {
		t.Errorf("a receipt that nobody signed: %+v, %v", d, err)
	}
}

// A lease that ends while the kiosk runs ends the permission, and resuming does not bring it back.
//
// Control: S7
func TestLeaseEnds(t *testing.T) {
	r := rest(t)
	r.enrol(access.PersonID{1}, 3, r.wall.Add(time.Hour).Unix())
	refresh := func() {
		t.Helper()
		_, err := r.gallery.Refresh(func(f func(access.PersonID, access.Standing) error) error {
			return r.store.States(func(id access.PersonID, s vault.State) error { return f(id, standing(s)) })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	if s := r.standing(); s != access.Permitted {
		t.Fatalf("before the end: %v", s)
	}
	if err := r.suspend(access.PersonID{1}); err != nil {
		t.Fatal(err)
	}
	r.wall = r.wall.Add(2 * time.Hour)
	if err := r.resume(access.PersonID{1}); err == nil || r.standing() != access.Suspended {
		t.Errorf("resumed after the lease: %v, %v", r.standing(), err)
	}
	refresh()
	if s := r.standing(); s != access.Expired {
		t.Errorf("after the end: %v", s)
	}
}

// Templates in memory are turned as those on disk are, and scores are those of the plain ones.
//
// Control: C13
func TestGalleryIsTurned(t *testing.T) {
	r := rest(t)
	tilted := make([]float32, access.ProbeSize)
	tilted[3], tilted[9] = 0.6, 0.8
	c, err := r.gallery.Search(tilted, r.bundle)
	if err != nil || math.Abs(float64(c.Score)-0.6) > 1e-5 {
		t.Errorf("search: %+v, %v; want a score of 0.6", c, err)
	}
	if tilted[3] != 0.6 || tilted[9] != 0.8 {
		t.Error("the probe was turned")
	}
}

// Another transform: nobody is enrolled anew, everybody is found as before, and it stands in the log.
//
// Control: C13
func TestRekeyedGallery(t *testing.T) {
	r := rest(t)
	before, err := r.store.Get(access.PersonID{1}, r.bundle)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.rekey(); err != nil || r.standing() != access.Permitted {
		t.Fatalf("%v, %v", r.standing(), err)
	}
	after, err := r.store.Get(access.PersonID{1}, r.bundle)
	if err != nil {
		t.Fatal(err)
	}
	var a, b [access.ProbeSize]float32
	before.References[0].Template.Copy(a[:])
	after.References[0].Template.Copy(b[:])
	if a == b {
		t.Error("the reference was not turned")
	}
	r.chip.fail = errors.New("no answer")
	if err := r.rekey(); !errors.Is(err, vault.ErrUnacknowledged) || r.standing() != access.Permitted {
		t.Errorf("stored, but not acknowledged: %v, %v", r.standing(), err)
	}
	records, err := tail(r.audit, tailRecords)
	if err != nil || records[len(records)-1].Event != access.EventTemplatesRekeyed {
		t.Errorf("%+v, %v", records, err)
	}
}

// Control: G14
// What the policy keeps no longer goes by itself: out of the vault, out of the gallery, and into the log.
func TestSweep(t *testing.T) {
	r := rest(t)
	if err := r.revoke(access.PersonID{1}); err != nil {
		t.Fatal(err)
	}
	r.wall = r.wall.Add(r.policy.Keep.Revoked - time.Hour)
	r.sweep()
	if r.standing() != access.Revoked {
		t.Error("somebody revoked was removed before their time")
	}
	r.wall = r.wall.Add(2 * time.Hour)
	r.sweep()
	if c, err := r.gallery.Search(direction(3), r.bundle); err != nil || c.Found || r.store.Count() != 0 {
		t.Errorf("after their time: found %v, %d in the vault, %v", c.Found, r.store.Count(), err)
	}
	r.wantEvents(access.EventRevoked, access.EventRetentionRemoved)
}

// Control: G14
func TestPolicyChangeIsRecorded(t *testing.T) {
	r := rest(t)
	if err := r.keepPolicy(); err != nil {
		t.Fatal(err)
	}
	before := r.audit.Head()
	if err := r.keepPolicy(); err != nil || r.audit.Head() != before {
		t.Fatalf("the same policy was recorded again: %v", err)
	}
	old := r.hash
	r.hash[0] ^= 1
	if err := r.keepPolicy(); err != nil {
		t.Fatal(err)
	}
	records, err := tail(r.audit, 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("from %x to %x", old, r.hash); records[0].Event != access.EventPolicyChanged || records[0].Detail != want {
		t.Errorf("recorded %+v, want %q", records[0], want)
	}
}

// A pseudonym is one person's for one UTC day, and the kiosk's own.
//
// Control: B23
func TestSubjectsChangeDaily(t *testing.T) {
	s, other := &shelf{key: [32]byte{1}}, &shelf{key: [32]byte{2}}
	const noon = 1_800_014_400 // 2027-01-15 12:00 UTC
	a := s.Subject(access.PersonID{1}, noon)
	if a != s.Subject(access.PersonID{1}, noon+12*3600-1) || a != s.Subject(access.PersonID{1}, noon-12*3600) {
		t.Error("two pseudonyms in one day")
	}
	for name, b := range map[string][16]byte{
		"next day": s.Subject(access.PersonID{1}, noon+12*3600), "day before": s.Subject(access.PersonID{1}, noon-12*3600-1),
		"another person": s.Subject(access.PersonID{2}, noon), "another kiosk": other.Subject(access.PersonID{1}, noon), "nobody": {},
	} {
		if a == b {
			t.Errorf("%s: the same pseudonym", name)
		}
	}
	// HKDF and HMAC computed by another program: headquarters must come to the same.
	want := [16]byte{0x50, 0x52, 0x27, 0xc3, 0xfd, 0x21, 0xfb, 0xde, 0x5d, 0x02, 0x18, 0xaf, 0x39, 0x4f, 0x18, 0x76}
	if a != want {
		t.Errorf("subject %x, want %x", a, want)
	}
}

// Refusals of an earlier boot count as of the start of this one, for as long as this one lasts.
//
// Control: A25
// Control: C18
func TestRefusalsOfAnEarlierBoot(t *testing.T) {
	r := rest(t)
	stored := []time.Duration{time.Hour, 2 * time.Hour}
	if err := r.store.SetLockout(person(access.PersonID{1}), vault.Lockout{Boot: r.boot - 1, Failures: stored, Locked: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := r.shelf.failures(person(access.PersonID{1}))
		if err != nil || len(got) != 2 || got[0] != r.shelf.began || got[1] != r.shelf.began {
			t.Errorf("failures %v, %v; want both at %v", got, err, r.shelf.began)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err := r.shelf.saveFailures(person(access.PersonID{1}), []time.Duration{r.shelf.began + 1}, false); err != nil {
		t.Fatal(err)
	}
	if got, err := r.shelf.failures(person(access.PersonID{1})); err != nil || len(got) != 1 || got[0] != r.shelf.began+1 {
		t.Errorf("of this boot: %v, %v", got, err)
	}
	if l, err := r.store.Lockout(person(access.PersonID{1})); err != nil || l.Locked {
		t.Errorf("%+v, %v", l, err)
	}
}
