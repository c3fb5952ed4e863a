package walkup

import (
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

// What was presented again and again rests at once, whoever presents it; another material does not.
//
// Control: B20
func TestSameMaterialRestsAtOnce(t *testing.T) {
	b := start(t, func(p *access.Policy) {
		p.MaterialLimit, p.Quota, p.FailureLimit, p.FailureCooldown = 1, 10, 200, 700*time.Millisecond
	})
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.deaf = true })
	var last access.SessionID
	rest := func(track uint32, want access.Reason) time.Duration {
		t.Helper()
		b.stand(track, access.HintNone, func() bool {
			list := b.w.View().Outcomes
			return len(list) > 0 && list[0].Session.Number > last.Number && list[0].Verdict == access.Denied
		})
		o := b.w.View().Outcomes[0]
		if last = o.Session; o.Reason != want {
			t.Fatalf("denied because of %v, want %v", o.Reason, want)
		}
		b.stand(track, access.HintNone, func() bool { return b.w.View().State == access.Cooldown })
		began := time.Now()
		b.stand(track, access.HintNone, func() bool { return b.w.View().State != access.Cooldown })
		return time.Since(began)
	}
	first, second := rest(5, access.ReasonNoAnswer), rest(6, access.ReasonNoAnswer)
	b.locked(func() {
		b.deaf = false
		b.bend = func(p *access.Presentation) {
			for i := range p.Frames {
				p.Frames[i].Ring = p.Frames[i].Level[0]
			}
		}
	})
	other := rest(7, access.ReasonFlat)
	if first > 600*time.Millisecond || second < 600*time.Millisecond || other > 600*time.Millisecond {
		t.Errorf("cool-downs %v, %v after the same material, %v after another", first, second, other)
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
	if err := b.w.Confirm(b.ctx, p.Session, p.First); err != nil {
		t.Errorf("confirmed: %v", err)
	}
	b.locked(func() {
		if b.released != 1 {
			t.Errorf("released %d times", b.released)
		}
	})
	if r := b.noted(access.EventWalkupGranted); len(r) != 1 || r[0].Detail != "signals: clock untrusted" {
		t.Errorf("records %+v: want a grant that names the signal", r)
	}
}
