package walkup

import (
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// another is an eye with a camera that was not measured yet.
func (b *bench) another() {
	b.t.Helper()
	b.w.EyeUp(b.ctx, (*benchEye)(b), b.hello, [32]byte{8})
	// The camera before it is measured: what the view says of that one must be past.
	b.stand(0, access.HintNobody, func() (begun bool) {
		b.locked(func() { begun = b.gauges > 0 })
		return begun || !b.w.View().Gauged
	})
}

// Before anybody is recognised by a camera, door finds out how late its frames are, and eye is told.
//
// Control: A12
func TestGauge(t *testing.T) {
	var b *bench
	for try, again := 1, true; again; try++ {
		b = start(t, nil)
		b.hello.Held = true
		b.lag = 30 * time.Millisecond
		b.another()
		b.stand(0, access.HintNobody, func() bool { return b.w.View().Gauged })
		// On a busy machine all measurements may be spoilt, and the last that is made is taken as it is.
		b.locked(func() { again = b.gauges >= gaugeTries && try < 5 })
	}
	b.locked(func() {
		middle := b.timing.Delay + b.timing.Exposure/2
		if off := middle - (b.lag + benchExposure/2); off.Abs() > 8*time.Millisecond {
			t.Errorf("told %+v of frames that are %v late", b.timing, b.lag)
		}
		// On a busy machine the first measurement may leave too much open.
		if b.gauges > gaugeTries || len(b.told) != 1 || !b.told[0] {
			t.Errorf("measured %d times, said %v", b.gauges, b.told)
		}
		if lit := b.lamp[len(b.lamp)-1].Lit; !lit {
			t.Error("the lamp was left dark")
		}
	})
	if v := b.w.View(); len(v.Outcomes) != 0 {
		t.Errorf("the measurement was a walk-up: %+v", v.Outcomes)
	}
}

// A lamp that the camera does not see is said, and tried again.
//
// Control: A12
func TestGaugeOfALampUnseen(t *testing.T) {
	b := start(t, nil)
	b.locked(func() { b.deaf = true })
	b.another()
	b.stand(0, access.HintNobody, func() bool { return b.w.View().Gauged })
	b.locked(func() {
		if b.gauges < gaugeTries || len(b.told) != 1 || b.told[0] {
			t.Errorf("measured %d times, said %v", b.gauges, b.told)
		}
	})
}

// A response that is doubted is measured anew, but not while somebody stands there, and a measurement that finds nothing takes nothing away.
func TestDoubtedResponse(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.deaf = true })
	b.stand(5, access.HintNone, func() bool { return len(b.w.View().Outcomes) >= doubtful })
	b.locked(func() {
		if b.gauges != 0 {
			t.Errorf("measured %d times with somebody in view", b.gauges)
		}
	})
	measured := 0
	b.stand(0, access.HintNobody, func() bool { b.locked(func() { measured = b.gauges }); return measured > 0 })
	time.Sleep(100 * time.Millisecond)
	b.locked(func() { b.deaf = false })
	b.stand(6, access.HintNone, func() (in bool) { b.locked(func() { in = b.released == 1 }); return in })
	b.locked(func() {
		if len(b.told) != 0 {
			t.Errorf("said %v", b.told)
		}
	})
}

// Who may not be recognised opens no session, whoever they are.
//
// Control: A12
func TestUnableOpensNoSession(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.unable = true })
	until := time.Now().Add(200 * time.Millisecond)
	b.stand(5, access.HintNone, func() bool { return time.Now().After(until) })
	if v := b.w.View(); v.State != access.Idle || len(v.Outcomes) != 0 {
		t.Errorf("state %v with %d outcomes", v.State, len(v.Outcomes))
	}
}

// A lamp that could not be lit once is lit as soon as it can be.
func TestLampIsLitAgain(t *testing.T) {
	b := start(t, nil)
	b.locked(func() { b.silent = true })
	b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Capturing })
	b.locked(func() { b.lampErr = errors.New("line is gone") })
	b.stand(5, access.HintNone, func() bool { return b.w.View().State != access.Capturing })
	b.locked(func() { b.lampErr = nil })
	b.stand(0, access.HintNobody, func() (lit bool) {
		b.locked(func() { lit = b.lamp[len(b.lamp)-1].Lit })
		return lit
	})
}

// Whether the lamp is seen is looked at hourly, and a minute after a session or a picture that says that it is not; a look takes nothing else: neither
// the response nor the doubts in it.
func TestLookAtTheLamp(t *testing.T) {
	at := time.Hour
	var told []bool
	known := access.Response{Delay: 30 * time.Millisecond, Exposure: benchExposure}
	w := &Walkup{cfg: Config{
		Now: func() time.Duration { return at }, Free: func() bool { return true },
		Gauged: func(_ access.Response, found bool) { told = append(told, found) },
	}, eye: &benchEye{}, response: &known, missed: missedToLeave}
	w.hello.Camera.Interval, w.hello.Held = benchInterval, true
	w.seen(known)
	due := func(what string, want bool) {
		t.Helper()
		if got := w.gaugeable(); got != want {
			t.Errorf("%s: due %v", what, got)
		}
	}
	found := func(look bool, r access.Response, yes bool) {
		w.gauging = &gauge{stop: func() {}, look: look}
		w.gauged(r, yes)
	}
	due("just seen", false)
	at += lookEvery
	due("an hour later", true)
	w.missed = 0
	due("an hour later, somebody in view", false)
	w.missed = missedToLeave
	w.seen(known)
	for name, unseen := range map[string]func(){
		"a session that the lamp did not answer in": func() { w.mistrust(access.ReasonNoAnswer) },
		"a session that was too bright":             func() { w.mistrust(access.ReasonTooBright) },
		"a picture that shows nothing":              func() { w.stall(t.Context(), ipc.Approach{Hint: access.HintTooDark, Exposure: 1}) },
	} {
		w.seen(known)
		w.mistrust(access.ReasonTooDark)
		at += 10 * time.Second
		unseen()
		due(name, false)
		at += lookSoon - 10*time.Second
		due(name+", a minute after it was seen", true)
	}

	w.doubts = doubtful - 1
	told = nil
	found(true, access.Response{Delay: 50 * time.Millisecond, Exposure: benchExposure, Depth: 9}, true)
	if w.response.Delay != known.Delay || w.doubts != doubtful-1 || w.lookNext != at+lookEvery {
		t.Errorf("after a look: %+v, %d doubts, the next one in %v", *w.response, w.doubts, w.lookNext-at)
	}
	for range gaugeTries {
		found(true, access.Response{}, false)
		due("a look that found nothing", false)
		at += gaugeLater
		due("later", true)
	}
	w.missed = 0
	due("a lamp that is not seen, somebody in view", true)
	if len(told) != 2 || !told[0] || told[1] || w.response.Delay != known.Delay || w.doubts != doubtful-1 {
		t.Errorf("said %v; %+v, %d doubts", told, *w.response, w.doubts)
	}
	found(false, access.Response{Delay: 50 * time.Millisecond, Exposure: benchExposure}, true)
	if w.response.Delay != 50*time.Millisecond || w.doubts != 0 || !told[len(told)-1] {
		t.Errorf("after a measurement: %+v, %d doubts, said %v", *w.response, w.doubts, told)
	}
	for range doubtful {
		w.mistrust(access.ReasonFewFrames)
	}
	w.missed = missedToLeave
	due("a response that is doubted", true)
	w.mistrust(access.ReasonTooDark)
	due("darkness doubts nothing", false)
}

// Chips of every length that least asks for hold a whole frame, wherever within its spread the stamp strays.
func TestLeastHoldsAFrame(t *testing.T) {
	const interval = 33 * time.Millisecond
	for _, r := range []access.Response{
		{Exposure: 8 * time.Millisecond}, {Exposure: 25 * time.Millisecond, Spread: 5 * time.Millisecond}, {Exposure: 16 * time.Millisecond, Spread: 12 * time.Millisecond},
		{Exposure: 40 * time.Millisecond, Spread: 2 * time.Millisecond}, {Exposure: 8 * time.Millisecond, Spread: 30 * time.Millisecond},
	} {
		w := &Walkup{response: &r, hello: ipc.Hello{}}
		w.hello.Camera.Interval = interval
		n := w.least()
		p := phase{stamp: time.Second, interval: interval, exposure: r.Exposure}
		from, held := p.boundary(time.Second, n), false
		for k := range time.Duration(12) {
			stamp := time.Second + k*interval
			held = held || stamp-r.Exposure-r.Spread >= from && stamp+r.Spread <= from+time.Duration(n)*interval
		}
		if !held {
			t.Errorf("%+v: a chip of %d frames holds none", r, n)
		}
	}
}
