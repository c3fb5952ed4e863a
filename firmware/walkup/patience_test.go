package walkup

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

// profiles notes the profile that each session was held to, as far as it came to its evidence.
func (b *bench) profiles() *[]access.Profile {
	list := new([]access.Profile)
	b.locked(func() {
		b.bend = func(*access.Presentation) { *list = append(*list, b.w.session.bar.Profile) } // the session's owner waits for this very presentation
	})
	return list
}

// After a quota of attempts the same presence is held to a higher bar; who leaves and somebody else are not.
//
// Control: B21
func TestQuotaThenAHigherBar(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.Quota, p.FailureCooldown = 2, 120*time.Millisecond })
	profiles := b.profiles()
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.person = 3 })
	b.denials(3)
	b.locked(func() { b.person = 0 })
	b.granted(5, 1) // who passes at the higher bar
	b.granted(6, 2) // somebody else at the same door
	want := []access.Profile{access.Office, access.Office, access.Restricted, access.Restricted, access.Office}
	b.locked(func() {
		if !slices.Equal(slices.Compact(slices.Clone(*profiles)), slices.Compact(want)) {
			t.Errorf("profiles %v, want the beginning and end of %v", *profiles, want)
		}
	})
	denied := b.noted(access.EventWalkupDenied)
	if len(denied) != 3 || denied[0].Detail != "" || denied[2].Detail != "signals: attempts used up" {
		t.Errorf("records %+v: want the signal in the third", denied)
	}
}

// granted lets a track stand there until the door was released so often.
func (b *bench) granted(track uint32, times int) {
	b.t.Helper()
	b.stand(track, access.HintNone, func() bool { n := 0; b.locked(func() { n = b.released }); return n >= times })
}

// A policy may ask relief of whoever used up the quota.
//
// Control: B21
func TestQuotaThenRelief(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.Quota, p.Signals.Relief, p.FailureCooldown = 1, true, 120*time.Millisecond })
	b.enrolled(0, access.Permitted)
	dark := func(p *access.Presentation) { // no light besides the lamp's: relief cannot be known
		for i := range p.Frames {
			f := &p.Frames[i]
			lit := f.Level[0] > 100
			for k := range f.Level {
				f.Level[k] = 0
				if lit {
					f.Level[k] = 90
				}
			}
			f.Ring, f.Edge = 0, [access.Edges]float32{}
		}
	}
	b.locked(func() { b.person, b.bend = 3, dark })
	if r := b.denials(1); r != access.ReasonUnknown {
		t.Fatalf("in darkness an office door denied because of %v", r)
	}
	b.stand(5, access.HintNone, func() bool {
		return slices.ContainsFunc(b.noted(access.EventWalkupRetry), func(r access.Record) bool { return r.Reason == access.ReasonReliefUnknown })
	})
}

// patient is a walk-up that ends sessions, and no more, by a clock of its own.
func patient(bend func(*access.Policy)) (*Walkup, *bench) {
	b := &bench{}
	p := access.DefaultPolicy()
	p.MaterialLimit, p.Quota, p.FailureLimit = 20, 10, 200
	bend(&p)
	return &Walkup{cfg: Config{
		Policy: p, Log: (*benchLog)(b), Now: func() time.Duration { return time.Hour }, Wall: func() (time.Time, access.ClockState) { return time.Now(), access.ClockUntrusted },
		SaveFailures: func([]time.Duration, bool) error { return nil },
	}}, b
}

// ended is the cool-down after a session that was refused for a reason.
func (w *Walkup) ended(s session, r access.Reason) time.Duration {
	now := w.cfg.Now()
	w.session = s
	w.session.reason = r
	w.follow(now)
	w.flag()
	w.charge(access.Decision{Reason: r}, now)
	return w.cooldown()
}

// What was presented again and again rests at once, whoever presents it, and the presence is held to more; another material does not.
//
// Control: B20
func TestSameMaterialRestsAtOnce(t *testing.T) {
	w, _ := patient(func(p *access.Policy) { p.MaterialLimit = 1 })
	p := w.cfg.Policy
	for i, tt := range []struct {
		reason access.Reason
		rest   time.Duration
	}{
		{access.ReasonNoAnswer, p.Cooldown}, {access.ReasonFlat, p.Cooldown}, {access.ReasonNoTexture, p.FailureCooldown},
		{access.ReasonNoRelief, p.FailureCooldown}, {access.ReasonLateAnswer, p.Cooldown}, {access.ReasonUnknown, p.Cooldown},
	} {
		w.spent = false // somebody else
		if rest := w.ended(session{}, tt.reason); rest != tt.rest || w.spent != (rest == p.FailureCooldown) {
			t.Errorf("session %d, refused because of %v: rest %v, want %v; attempts used up %v", i, tt.reason, rest, tt.rest, w.spent)
		}
	}
}

// What an enrolment under supervision presents is nobody's material.
//
// Control: B20
func TestEnrolmentPresentsNoMaterial(t *testing.T) {
	w, _ := patient(func(p *access.Policy) { p.MaterialLimit = 1 })
	for range 3 {
		w.ended(session{enrol: &enrolment{}}, access.ReasonNoAnswer)
	}
	if rest := w.ended(session{}, access.ReasonNoAnswer); rest != w.cfg.Policy.Cooldown || w.spent {
		t.Errorf("the first of a walk-up rests %v, attempts used up %v", rest, w.spent)
	}
}

// A face that failed before rests, and longer once it is flagged. What asks more of a presence is its own attempts: those are counted beside.
//
// Control: B22
func TestRecurrenceRests(t *testing.T) {
	w, _ := patient(func(p *access.Policy) { p.Follow, p.Quota = followRules(), 4; p.Follow.Rest = 9 * time.Second })
	trail, _ := newTrail(t, nil)
	w.cfg.Trail = trail
	p := w.cfg.Policy
	for i, want := range []time.Duration{p.Cooldown, p.FailureCooldown, p.Follow.Rest, p.Follow.Rest} {
		s := session{shown: &access.Presentation{Probe: face(1)}}
		s.opened.Bundle = [32]byte{9}
		if rest := w.ended(s, access.ReasonNoAnswer); rest != want || w.spent != (i == 3) {
			t.Errorf("failure %d: rest %v, want %v; attempts used up %v", i+1, rest, want, w.spent)
		}
	}
}

// Memory that somebody else wrote to follows nobody any more: it is wiped, and said once.
func TestDamagedTrailIsGivenUp(t *testing.T) {
	w, b := patient(func(p *access.Policy) { p.Follow = followRules() })
	trail, slab := newTrail(t, nil)
	w.cfg.Trail = trail
	s := func() session {
		s := session{shown: &access.Presentation{Probe: face(1)}}
		s.opened.Bundle = [32]byte{9}
		return s
	}
	w.ended(s(), access.ReasonNoAnswer)
	slab[3] = float32(math.NaN())
	for range 2 {
		if w.ended(s(), access.ReasonNoAnswer); w.session.recurrence != (Recurrence{}) {
			t.Errorf("followed all the same: %+v", w.session.recurrence)
		}
	}
	if list := b.noted(access.EventDegradedEntered); len(list) != 1 || list[0].Detail == "" {
		t.Errorf("said %+v", list)
	}
	trail.Wipe() // as door does when it ends
	if faces, floats := held(trail, slab); faces != 0 || floats != 0 {
		t.Errorf("%d faces and %d floats are left", faces, floats)
	}
}

// Signals that door knows hold in every session, also those that come up in the middle of one, and stand in the record.
//
// Control: A28
func TestSignalsReachTheDecision(t *testing.T) {
	set := func(b *bench, s access.Signal, up bool) { b.locked(func() { b.signals = b.signals.With(s, up) }) }
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	set(b, access.SignalCameraChanged, true)
	set(b, access.SignalClock, true)
	if o := b.decided(5); o.Verdict != access.Denied || o.Reason != access.ReasonOtherCamera {
		t.Errorf("outcome %+v, want a denial because of the camera", o)
	}
	if r := b.noted(access.EventPresentationRefused); len(r) != 1 || r[0].Detail != "signals: camera changed, clock untrusted" {
		t.Errorf("records %+v", r)
	}

	b = start(t, nil)
	b.enrolled(0, access.Permitted)
	profiles := b.profiles()
	came := false
	b.w.cfg.Signals = func() access.Signals { // comes up when the first session has come to its comparison
		came = came || b.w.state == access.Comparing
		return access.Signals(0).With(access.SignalProvider, came)
	}
	b.granted(5, 1)
	b.locked(func() {
		if !slices.Equal(slices.Compact(slices.Clone(*profiles)), []access.Profile{access.Office, access.Restricted}) {
			t.Errorf("profiles %v: want a session at the policy's, and one above it", *profiles)
		}
	})
	if r := b.noted(access.EventWalkupRetry); !slices.ContainsFunc(r, func(r access.Record) bool { return r.Reason == access.ReasonSteppedUp }) {
		t.Errorf("records %+v: want one that was stepped up", r)
	}
}

// A decision that falls after the session's deadline opens nothing, whatever held it up.
//
// Control: A28
func TestStaleChallengeIsDenied(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	b.w.cfg.PersonFailures = func(access.PersonID) ([]time.Duration, error) {
		time.Sleep(b.w.cfg.Policy.Deadline) // a disk that hangs
		return nil, nil
	}
	if o := b.decided(5); o.Verdict != access.Denied || o.Reason != access.ReasonStaleChallenge {
		t.Errorf("outcome %+v, want a denial because of the stale challenge", o)
	}
	b.locked(func() {
		if b.released != 0 {
			t.Error("the door was released")
		}
	})
}

// A signal that the policy has confirmed waits for an operator, who is asked about one person.
//
// Control: A28
func TestSignalWaitsForAnOperator(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.Signals.Confirm = access.Signals(0).With(access.SignalClock, true) })
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.signals = b.signals.With(access.SignalClock, true) })
	if o := b.decided(5); o.Verdict != access.Uncertain || o.Reason != access.ReasonUnconfirmed {
		t.Fatalf("outcome %+v, want uncertain", o)
	}
	b.stand(5, access.HintNone, func() bool { return b.w.View().Pending.First != access.PersonID{} })
	p := b.w.View().Pending
	if !p.Second.IsZero() {
		t.Errorf("the operator is asked about a second person: %+v", p)
	}
	if err := b.w.Confirm(b.ctx, p.Session, p.First, ""); err != nil {
		t.Errorf("confirmed: %v", err)
	}
	b.locked(func() {
		if b.released != 1 || len(b.limited) != 0 {
			t.Errorf("released %d times, failures charged %d times", b.released, len(b.limited))
		}
	})
	if r := b.noted(access.EventWalkupGranted); len(r) != 1 || r[0].Detail != "signals: clock untrusted" {
		t.Errorf("records %+v: want a grant that names the signal", r)
	}
}
