package walkup

import (
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

func TestEnrolledPersonIsRecordedThenReleased(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	o := b.decided(5)
	if o.Verdict != access.Granted || o.Person != (access.PersonID{1}) || o.Released == 0 || o.First == 0 {
		t.Fatalf("outcome %+v, want a grant with relay edge and first stamp", o)
	}
	b.locked(func() {
		for i, what := range b.order {
			if what == "released" && (i == 0 || b.order[i-1] != "recorded granted") {
				t.Errorf("released without the record before it: %v", b.order)
			}
		}
		r := b.records[len(b.records)-1]
		if r.Event != access.EventWalkupGranted || r.Subject != (*benchGallery)(b).Subject(access.PersonID{1}, r.Wall) || r.Evidence == [32]byte{} || r.Session != o.Session {
			t.Errorf("record %+v lacks event, subject, evidence or session", r)
		}
	})
}

func TestGrantedPersonRestsBeforeTheNextGrant(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.GrantPause = 900 * time.Millisecond })
	b.enrolled(0, access.Permitted)
	b.decided(5)
	until := time.Now().Add(600 * time.Millisecond)
	b.stand(5, access.HintNone, func() bool { return time.Now().After(until) })
	b.locked(func() {
		if b.released != 1 {
			t.Errorf("released %d times during the pause", b.released)
		}
	})
	// Somebody else steps up at once.
	b.stand(6, access.HintNone, func() bool { n := 0; b.locked(func() { n = b.released }); return n == 2 })
}

func TestWhoStaysIsServedAgainAfterThePause(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.GrantPause = 300 * time.Millisecond })
	b.enrolled(0, access.Permitted)
	b.stand(5, access.HintNone, func() bool { n := 0; b.locked(func() { n = b.released }); return n == 2 })
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name   string
		bend   func(*bench)
		want   access.Reason
		event  access.Event
		subjct bool
	}{
		{"stranger", func(b *bench) { b.person = 3 }, access.ReasonUnknown, access.EventWalkupDenied, false},
		{"revoked", func(b *bench) { b.enrolled(0, access.Revoked) }, access.ReasonRevoked, access.EventWalkupDenied, true},
		{"screen that ignores the lamp", func(b *bench) { b.deaf = true }, access.ReasonNoAnswer, access.EventLampAnswerWrong, false},
		{"evidence of another session", func(b *bench) { b.bend = func(p *access.Presentation) { p.Nonce[0]++ } }, access.ReasonOtherSession, access.EventPresentationRefused, false},
		{"lockdown", func(b *bench) { b.door.Lockdown = true }, access.ReasonLockdown, access.EventWalkupDenied, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, nil)
			b.enrolled(0, access.Permitted)
			if tt.name == "lockdown" || tt.name == "stranger" || tt.name == "screen that ignores the lamp" {
				b.locked(func() { tt.bend(b) })
			} else {
				tt.bend(b)
			}
			o := b.decided(5)
			if o.Verdict != access.Denied || o.Reason != tt.want || !o.Person.IsZero() || o.Released != 0 {
				t.Errorf("outcome %+v, want a denial because of %v", o, tt.want)
			}
			b.locked(func() {
				if b.released != 0 {
					t.Error("the door was released")
				}
				for _, r := range b.records {
					if r.Reason == tt.want && (r.Event != tt.event || (r.Subject != [16]byte{}) != tt.subjct) {
						t.Errorf("record %+v: want event %d, a subject: %v", r, tt.event, tt.subjct)
					}
				}
			})
		})
	}
}

// Denials look alike and appear at one time after the code began, whatever their cause.
func TestDenialsCannotBeToldApart(t *testing.T) {
	shownAs := map[string]access.Indication{}
	for name, set := range map[string]func(*bench){
		"stranger": func(b *bench) { b.person = 3 },
		"screen":   func(b *bench) { b.deaf = true },
	} {
		b := start(t, nil)
		b.enrolled(0, access.Permitted)
		b.locked(func() { set(b) })
		o := b.decided(5)
		verdict := access.IndicateVerdict(access.Denied)
		b.stand(5, access.HintNone, func() bool {
			found := false
			b.locked(func() {
				for _, i := range b.shown {
					found = found || i == verdict
				}
			})
			return found
		})
		// The chips alone take 240 ms; the denial is decided then and shown 400 ms after the first of them.
		if at := now(); at-o.Decided < 20*time.Millisecond {
			t.Errorf("%s: the denial was shown %v after the decision, not at the fixed time", name, at-o.Decided)
		}
		shownAs[name] = verdict
	}
	if shownAs["stranger"] != shownAs["screen"] {
		t.Error("a stranger and a screen are shown different denials")
	}
}

func TestGrantThatCannotBeRecordedStaysShut(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.logErr = errors.New("no space left on device") })
	if o := b.decided(5); o.Verdict != access.Denied || o.Reason != access.ReasonNotRecorded {
		t.Errorf("outcome %+v, want denied: not recorded", o)
	}
	b.locked(func() {
		if b.released != 0 {
			t.Error("the door was released without a record")
		}
	})
}

func TestPasserByOpensNoSession(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	for _, h := range []access.Hint{access.HintTurned, access.HintTooFar, access.HintSeveral, access.HintCutOff, access.HintTooDark, access.HintTooClose} {
		until := time.Now().Add(100 * time.Millisecond)
		b.stand(5, h, func() bool { return time.Now().After(until) })
	}
	if v := b.w.View(); v.State != access.Idle || len(v.Outcomes) != 0 {
		t.Errorf("state %v with %d outcomes: a passer-by opened a session", v.State, len(v.Outcomes))
	}
}

func TestEyeThatDiesMidSessionIsARetry(t *testing.T) {
	b := start(t, nil)
	b.locked(func() { b.silent = true })
	b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Capturing })
	b.w.EyeDown(b.ctx, (*benchEye)(b))
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(time.Millisecond) {
		if v := b.w.View(); len(v.Outcomes) > 0 {
			if v.Outcomes[0].Verdict != access.Retry || v.Outcomes[0].Reason != access.ReasonEyeLost || v.Eye {
				t.Errorf("view %+v, want a retry because eye was lost", v)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("the session never ended")
		}
	}
}

func TestEyeThatNeverPresentsMeetsTheDeadline(t *testing.T) {
	b := start(t, nil)
	b.locked(func() { b.silent = true })
	b.stand(5, access.HintNone, func() bool { v := b.w.View(); return len(v.Outcomes) > 0 })
	if o := b.w.View().Outcomes[0]; o.Verdict != access.Retry || o.Reason != access.ReasonDeadline {
		t.Errorf("outcome %+v, want retry: deadline", o)
	}
}

// Control: B21
func TestManyAttemptsRestLonger(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.Quota, p.FailureCooldown = 3, 700*time.Millisecond })
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.person = 3 })
	var times []time.Duration
	b.stand(5, access.HintNone, func() bool {
		times = times[:0]
		for _, o := range b.w.View().Outcomes {
			if o.Verdict == access.Denied {
				times = append(times, o.Decided)
			}
		}
		return len(times) >= 4
	})
	// Newest first: the pause before the fourth must hold the longer cool-down.
	if pause := times[0] - times[1]; pause < 700*time.Millisecond {
		t.Errorf("fourth attempt came %v after the third, want at least 700ms", pause)
	}
}

// Failures outlive a restart: with the limit reached before it, the first failure after it rests longer already.
//
// Control: A25
// Control: C18
func TestRememberedFailuresStillLimit(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.FailureCooldown, p.FailureLimit = 700*time.Millisecond, 2 }, now())
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.person = 3 })
	var times []time.Duration
	b.stand(5, access.HintNone, func() bool {
		times = times[:0]
		for _, o := range b.w.View().Outcomes {
			if o.Verdict == access.Denied {
				times = append(times, o.Decided)
			}
		}
		return len(times) >= 2
	})
	if pause := times[0] - times[1]; pause < 700*time.Millisecond {
		t.Errorf("second attempt came %v after the first, want at least 700ms: the remembered failure was forgotten", pause)
	}
	b.locked(func() {
		if len(b.saved) != 3 {
			t.Errorf("%d failures saved, want the remembered one and two new", len(b.saved))
		}
	})
}

func TestUnaskedPresentationIsIgnored(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	b.w.Presented(b.ctx, (*benchEye)(b), &access.Presentation{})
	other := benchEye{}
	b.w.Presented(b.ctx, &other, &access.Presentation{})
	time.Sleep(20 * time.Millisecond)
	if v := b.w.View(); v.State != access.Idle || len(v.Outcomes) != 0 {
		t.Errorf("an unasked presentation moved the walk-up: %+v", v)
	}
}

func TestBoundaryLiesBetweenExposures(t *testing.T) {
	p := phase{stamp: time.Second, interval: 33 * time.Millisecond, exposure: 8 * time.Millisecond}
	for ms := range 200 {
		at := time.Second + time.Duration(ms)*time.Millisecond
		b := p.boundary(at, 1)
		if b < at+lead || b > at+lead+p.interval {
			t.Fatalf("boundary %v for %v: not the first one after the lead", b, at)
		}
		// Distance to the end of the exposure before it.
		if d := (b - p.stamp) % p.interval; d < 10*time.Millisecond || d > 15*time.Millisecond {
			t.Fatalf("boundary lies %v after an exposure's end, want 12.5 ms", d)
		}
	}
}
