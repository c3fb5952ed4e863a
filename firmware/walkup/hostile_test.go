package walkup

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// leave lets whoever stands there leave in the middle of a session.
func (b *bench) leave() {
	b.t.Helper()
	b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Capturing })
	for range missedToLeave {
		b.w.Saw(b.ctx, (*benchEye)(b), ipc.Approach{Stamp: grid(now()), Hint: access.HintNobody, Exposure: benchExposure})
	}
	for b.w.View().State == access.Capturing {
		time.Sleep(time.Millisecond)
	}
}

// A guess at the lamp's code cannot be taken back for nothing: who turns away again and again waits like one who failed.
//
// Control: B21
func TestLeavingAgainAndAgainRestsLonger(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.FailureCooldown = 900 * time.Millisecond })
	b.locked(func() { b.silent = true })
	var began time.Time
	for range fruitlessBeforeRest {
		b.leave()
		began = time.Now()
	}
	b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Capturing })
	if rest := time.Since(began); rest < 900*time.Millisecond {
		t.Errorf("the next session began %v after the last was left, want the longer cool-down", rest)
	}
	b.locked(func() {
		if len(b.saved) != 0 {
			t.Error("somebody who left was charged with a failure")
		}
	})
}

// Whatever a compromised eye says about time, the walk-up neither waits for tomorrow nor divides by nothing.
func TestSightingsOfAnotherTimeOpenNothing(t *testing.T) {
	b := start(t, nil)
	at := grid(now())
	for name, a := range map[string]ipc.Approach{
		"stamp of tomorrow":   {Stamp: at + 24*time.Hour, Exposure: benchExposure},
		"stamp without end":   {Stamp: math.MaxInt64, Exposure: benchExposure},
		"stamp of long ago":   {Stamp: 1, Exposure: benchExposure},
		"exposure of an age":  {Stamp: at, Exposure: math.MaxInt64},
		"exposure as a chip":  {Stamp: at, Exposure: maxStretch * benchInterval},
		"first in the future": {Stamp: at, First: at + time.Hour, Exposure: benchExposure},
	} {
		a.Track = 5
		for range steadySightings + 1 {
			b.w.Saw(b.ctx, (*benchEye)(b), a)
		}
		time.Sleep(10 * time.Millisecond)
		if v := b.w.View(); v.State != access.Idle {
			t.Errorf("%s: state %v", name, v.State)
		}
	}
	// A camera without a frame interval cannot time a lamp.
	b.w.EyeUp(b.ctx, (*benchEye)(b), ipc.Hello{Bundle: b.hello.Bundle}, [32]byte{7})
	until := time.Now().Add(50 * time.Millisecond)
	b.stand(5, access.HintNone, func() bool { return time.Now().After(until) })
	if v := b.w.View(); v.State != access.Idle {
		t.Errorf("no interval: state %v", v.State)
	}
}

// A frame that door has seen in another session is refused, although nothing else is wrong with it.
//
// Control: A20
func TestFramesOfEarlierSessionsAreRefused(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.GrantPause = 50 * time.Millisecond })
	b.enrolled(0, access.Permitted)
	var first access.PixelHash
	b.locked(func() { b.bend = func(p *access.Presentation) { first = p.Frames[4].Pixels } })
	if o := b.decided(5); o.Verdict != access.Granted {
		t.Fatalf("outcome %+v, want a grant", o)
	}
	b.locked(func() { b.bend = func(p *access.Presentation) { p.Frames[7].Pixels = first } })
	b.stand(6, access.HintNone, func() bool {
		o := b.w.View().Outcomes[0]
		return o.Verdict == access.Denied && o.Reason == access.ReasonRepeated
	})
	b.locked(func() {
		if r := b.records[len(b.records)-1]; r.Event != access.EventPresentationRefused || r.Reason != access.ReasonRepeated {
			t.Errorf("last record %+v", r)
		}
	})
}

// An eye that connects while another is there ends its session: nobody answers for what somebody else was asked.
func TestNewEyeEndsTheOldOnesSession(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.silent = true }) // or it may end by itself first
	b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Capturing })
	other := &benchEye{}
	b.w.EyeUp(b.ctx, other, b.hello, [32]byte{7})
	for len(b.w.View().Outcomes) == 0 {
		time.Sleep(time.Millisecond)
	}
	if o := b.w.View().Outcomes[0]; o.Verdict != access.Retry || o.Reason != access.ReasonEyeLost {
		t.Errorf("outcome %+v, want a retry because eye was lost", o)
	}
	b.w.EyeDown(b.ctx, (*benchEye)(b)) // late: the new one is not touched
	time.Sleep(10 * time.Millisecond)
	if !b.w.View().Eye {
		t.Error("the end of the old eye took the new one along")
	}
}

// A grant that came to nothing at the door stands in the log as such.
func TestRefusedReleaseIsRecorded(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.doorErr = errors.New("locked down meanwhile") })
	if o := b.decided(5); o.Verdict != access.Denied || o.Reason != access.ReasonNotReady || o.Released != 0 {
		t.Errorf("outcome %+v, want denied", o)
	}
	b.locked(func() {
		last := b.records[len(b.records)-1]
		if last.Event != access.EventReleaseRefused || last.Session.Number == 0 || last.Verdict != access.Denied {
			t.Errorf("last record %+v, want a refused release of that session", last)
		}
	})
}

// A lamp that cannot be lit ends no more than recognition.
func TestBrokenLampEndsNothing(t *testing.T) {
	b := start(t, nil)
	b.locked(func() { b.lampErr = errors.New("no such line") })
	b.enrolled(0, access.Permitted)
	if o := b.decided(5); o.Verdict != access.Denied || o.Reason != access.ReasonNotReady {
		t.Errorf("outcome %+v, want denied: not ready", o)
	}
}

// Failures older than the window are forgiven, also when nobody failed since.
func TestOldFailuresAreForgiven(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.FailureLimit, p.FailureCooldown = 1, 30*time.Second }, now()-2*time.Hour)
	b.enrolled(0, access.Permitted)
	b.decided(5)
	b.stand(6, access.HintNone, func() bool { n := 0; b.locked(func() { n = b.released }); return n == 2 })
}

// A denial is shown while its session stands, never over the one after it.
func TestDenialIsShownOnceAndInItsTime(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.Cooldown, p.FailureCooldown = 2*time.Second, 2*time.Second }) // long enough to be seen
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.person = 3 })
	b.decided(5)
	b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Cooldown })
	b.locked(func() {
		var verdicts []int
		for i, in := range b.shown {
			if in == access.IndicateVerdict(access.Denied) {
				verdicts = append(verdicts, i)
			}
		}
		if len(verdicts) != 1 || verdicts[0]+1 >= len(b.shown) || b.shown[verdicts[0]+1] != (access.Indication{}) {
			t.Errorf("shown %+v: want one denial, and nothing after it", b.shown)
		}
	})
}

// Nobody's probe outlives their walk-up.
func TestProbeIsWiped(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	var p *access.Presentation
	b.locked(func() { b.bend = func(q *access.Presentation) { p = q } })
	b.decided(5)
	b.stand(5, access.HintNone, func() bool { return b.w.View().State != access.Comparing })
	if len(p.Probe) != access.ProbeSize || len(p.Reflected) != access.ProbeSize {
		t.Fatalf("probes of %d and %d components", len(p.Probe), len(p.Reflected))
	}
	for i, v := range append(p.Probe, p.Reflected...) {
		if v != 0 {
			t.Fatalf("component %d of the probes is still in memory", i)
		}
	}
}
