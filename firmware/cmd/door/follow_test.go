package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/inference/model"
)

// follows is a policy that lets faces be followed.
func follows(k *kiosk) {
	hasten(k)
	k.policy.Follow = access.Follow{On: true, Basis: "works agreement 7/2026", Keep: time.Hour, Threshold: 0.5, Limit: 3}
}

// of are the records of an event.
func (k *kiosk) of(t *testing.T, e access.Event) (list []access.Record) {
	t.Helper()
	records, err := tail(k.audit, 4096)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Event == e {
			list = append(list, r)
		}
	}
	return list
}

// A face that fails again and again is flagged and waits for a review. What the release role has not signed for this kiosk lifts nothing and stands in
// the log; what it has signed lifts the flag once. In all the while no probe of the face reaches a file or a socket.
//
// Control: B22
// Control: B24
func TestFlaggedFaceIsReviewed(t *testing.T) {
	calibration, err := model.DefaultCalibration()
	if err != nil {
		t.Fatal(err)
	}
	state := stateFolder(t)
	b, g, release := groundReleased(t, state, root.Measurements{{1}, {2}, {3}, {4}})
	k := standUnder(t, b, g, follows, t.Logf)
	v := &visits{
		running: k, t: t, rng: mathrand.New(mathrand.NewPCG(1, 1)), bundle: calibration.Bundle,
		run: k.run, view: k.status, lit: k.wires.litAt, deadline: k.policy.Deadline,
	}
	if err := v.open("twin"); err != nil {
		t.Fatal(err)
	}
	if begun := k.of(t, access.EventFollowingBegun); len(begun) != 1 || begun[0].Detail != `basis: "works agreement 7/2026"; a face is kept for 1h0m0s` {
		t.Errorf("recorded at the start: %+v", begun)
	}
	face := drawVector(v.rng)
	fail := func(until func() bool) {
		t.Helper()
		for range 30 { // a busy machine loses frames
			if until() {
				return
			}
			_, err := v.come(v.near(face, 0.3), func(p *access.Presentation) {
				for i := range p.Frames {
					p.Frames[i].Ring = p.Frames[i].Level[0] // a sheet
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Fatalf("nobody is flagged: %v", v.reasons)
	}
	waiting := func() []ipc.Recurrence { return k.status().Waiting }
	fail(func() bool { return len(waiting()) == 1 })
	r := waiting()[0]
	if r.Count != 3 || r.Materials != "sheet" || r.First <= 0 || r.Last <= r.First {
		t.Errorf("waiting %+v", r)
	}
	if flagged := k.of(t, access.EventRecurrenceFlagged); len(flagged) != 1 || !strings.Contains(flagged[0].Detail, r.ID.String()) {
		t.Errorf("recorded %+v, want %v", flagged, r.ID)
	}

	sign := func(by *ecdsa.PrivateKey, id root.Identity, what access.CorrelationID) []byte {
		t.Helper()
		order, err := root.SignReview(by, id, what)
		if err != nil {
			t.Fatal(err)
		}
		return order
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := k.root.Identity()
	elsewhere := id
	elsewhere.Device[0]++
	good := sign(release, id, r.ID)
	refused := [][]byte{sign(stranger, id, r.ID), sign(release, elsewhere, r.ID), sign(release, id, access.CorrelationID{1}), {0xa0}, good[1:]}
	for i, order := range refused {
		if err := v.order(ipc.KindReview, ipc.Review{Order: order}); err == nil {
			t.Errorf("order %d was carried out", i)
		}
	}
	if len(waiting()) != 1 || len(k.of(t, access.EventCommandRefused)) != len(refused) {
		t.Errorf("%d wait, %d refusals are on record", len(waiting()), len(k.of(t, access.EventCommandRefused)))
	}
	if err := v.order(ipc.KindReview, ipc.Review{Order: good}); err != nil || len(waiting()) != 0 {
		t.Errorf("reviewed: %v, %d wait", err, len(waiting()))
	}
	if reviewed := k.of(t, access.EventRecurrenceReviewed); len(reviewed) != 1 || reviewed[0].Detail != "recurrence "+r.ID.String() {
		t.Errorf("recorded %+v", reviewed)
	}
	if err := v.order(ipc.KindReview, ipc.Review{Order: good}); err == nil || len(k.of(t, access.EventCommandRefused)) != len(refused)+1 {
		t.Errorf("the same order once more: %v", err)
	}
	fail(func() bool { return len(waiting()) == 1 })
	if again := waiting()[0]; again.ID == r.ID || again.Count != 3 {
		t.Errorf("after the review %+v, before %+v", again, r)
	}

	var d dictionary
	v.forbidden(&d)
	k.stop()
	var found haul
	if _, size, err := files(state, &d, &found); err != nil || size == 0 {
		t.Fatalf("%d bytes of files, %v", size, err)
	}
	if _, _, err := v.said(&d, &found); err != nil {
		t.Fatal(err)
	}
	if len(v.vectors) < 6 || len(found.faults()) != 0 {
		t.Errorf("of %d probes, turned and plain, something was found: %v", len(v.vectors), found.faults())
	}
}

// Without a basis in the policy nobody is followed and nothing can be reviewed.
//
// Control: B22
func TestNobodyIsFollowedByDefault(t *testing.T) {
	k := provisioned(t)
	if k.trail != nil || len(k.of(t, access.EventFollowingBegun)) != 0 {
		t.Error("faces are followed by default")
	}
	if err := k.review([]byte{0xa0}); err == nil || len(k.of(t, access.EventCommandRefused)) != 1 {
		t.Errorf("a review of nothing: %v", err)
	}
}

// Signals come from where they are known: what was measured, the clock, the execution provider, and whoever raises one.
//
// Control: A28
func TestSignalsOfTheKiosk(t *testing.T) {
	product := root.Measurements{{1}, {2}, {3}, sha256.Sum256([]byte("lintel debug: lab=false"))}
	for name, tt := range map[string]struct {
		image root.Measurements
		lab   bool
		debug bool
	}{
		"product":                  {product, false, false},
		"debug image of a product": {root.Measurements{{1}, {2}, {3}, {4}}, false, true},
		"lab board":                {root.Measurements{{1}, {2}, {3}, {4}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, g, _ := groundReleased(t, stateFolder(t), tt.image)
			b.Lab = tt.lab
			k := stand(t, b, g)
			if got := k.signals().Has(access.SignalDebugImage); got != tt.debug {
				t.Errorf("debug image: %v", got)
			}
			if got := k.signals().Has(access.SignalClock); got != !tt.lab { // a bench's own clock is believed
				t.Errorf("clock untrusted: %v", got)
			}
			k.test.judge(health.Models, health.Impaired, "")
			k.raise(access.SignalCameraChanged, true)
			if s := k.signals(); !s.Has(access.SignalProvider) || !s.Has(access.SignalCameraChanged) {
				t.Errorf("signals %q", s)
			}
			k.test.judge(health.Models, health.Works, "")
			k.raise(access.SignalCameraChanged, false)
			if s := k.signals(); s.Has(access.SignalProvider) || s.Has(access.SignalCameraChanged) {
				t.Errorf("signals %q", s)
			}
		})
	}
	without := &kiosk{test: newSelfTest(board.Board{}, func(access.Event, string) {}, func() {})}
	if without.debugged(); !without.signals().Has(access.SignalDebugImage) {
		t.Error("without a TPM nobody knows what runs")
	}
}
