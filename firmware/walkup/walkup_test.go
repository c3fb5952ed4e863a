package walkup

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// bench is a small real door: a lamp with a history, an eye that sees that lamp on whoever stands there, a gallery of vectors.
type bench struct {
	t   *testing.T
	w   *Walkup
	ctx context.Context

	mu       sync.Mutex
	lamp     []access.Chip // history: each entry holds until the next
	order    []string      // what happened, in order: "recorded granted", "released"
	records  []access.Record
	shown    []access.Indication
	released int
	logErr   error
	hello    ipc.Hello

	person    int  // component of the probe that is 1
	deaf      bool // the face does not follow the lamp
	silent    bool // eye never presents
	known     map[int]access.Candidate
	bend      func(*access.Presentation)
	door      access.AccessPoint
	session   ipc.Observe
	seq       uint64
	presented int
	saved     []time.Duration
}

const (
	benchInterval = 12 * time.Millisecond
	benchExposure = 2 * time.Millisecond
)

var began = time.Now()

func now() time.Duration { return time.Since(began) + time.Hour }

func start(t *testing.T, bend func(*access.Policy), remembered ...time.Duration) *bench {
	t.Helper()
	p := access.DefaultPolicy()
	p.RevealAfter, p.ShowFor, p.Cooldown = 250*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	p.FailureCooldown = 150 * time.Millisecond
	p.Deadline = time.Second
	if bend != nil {
		bend(&p)
	}
	b := &bench{t: t, known: map[int]access.Candidate{}}
	b.hello = ipc.Hello{Camera: frames.Camera{Interval: benchInterval}, Bundle: [32]byte{9}}
	w, err := New(Config{
		Policy: p, Boot: 4, Lamp: (*benchLamp)(b), Door: (*benchDoor)(b), Log: (*benchLog)(b), Gallery: (*benchGallery)(b),
		Threshold: func(bundle [32]byte) (float32, bool) { return 0.5, bundle == b.hello.Bundle },
		Show: func(i access.Indication) {
			b.mu.Lock()
			b.shown = append(b.shown, i)
			b.mu.Unlock()
		},
		Failures: remembered,
		SaveFailures: func(f []time.Duration) error {
			b.mu.Lock()
			b.saved = append(b.saved[:0], f...)
			b.mu.Unlock()
			return nil
		},
		Now: now, Wall: time.Now, Changed: func() {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("walk-up ended: %v", err)
		}
	})
	b.w, b.ctx = w, ctx
	w.EyeUp(ctx, (*benchEye)(b), b.hello, [32]byte{7})
	return b
}

type (
	benchLamp    bench
	benchDoor    bench
	benchLog     bench
	benchGallery bench
	benchEye     bench
)

func (b *benchLamp) Set(on bool) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := now()
	b.lamp = append(b.lamp, access.Chip{From: at, Lit: on})
	return at, nil
}

func (b *benchDoor) Release(_ context.Context, p access.Pass) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !p.Valid() {
		return 0, errors.New("pass is not valid")
	}
	b.order = append(b.order, "released")
	b.released++
	return now(), nil
}

func (b *benchDoor) State() access.AccessPoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.door
}

func (b *benchLog) Append(r access.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.logErr != nil {
		return b.logErr
	}
	b.order = append(b.order, "recorded "+r.Verdict.String())
	b.records = append(b.records, r)
	return nil
}

func (b *benchGallery) Search(probe []float32, _ [32]byte) (access.Candidate, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, c := range b.known {
		if probe[k] == 1 {
			return c, nil
		}
	}
	return access.Candidate{Found: len(b.known) > 0, Person: access.PersonID{1}, Score: 0.1, Second: -1}, nil
}

func (b *benchGallery) Keep(p access.PersonID, refs [][]float32, _ [32]byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, v := range refs[0] {
		if v == 1 {
			b.known[k] = access.Candidate{Found: true, Person: p, Standing: access.Permitted, Score: 0.9, Second: -1}
		}
	}
	return len(refs), nil
}

func (b *benchGallery) Subject(p access.PersonID) [16]byte { return [16]byte{0xee, p[0]} }

func (b *benchEye) Observe(o ipc.Observe) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session = o
	return nil
}

func (b *benchEye) Abort(ipc.Abort) error { return nil }

// Conclude makes the frames that a camera would have taken of the lamp since the session began.
func (b *benchEye) Conclude(c ipc.Conclude) error {
	b.mu.Lock()
	if b.silent {
		b.mu.Unlock()
		return nil
	}
	p := &access.Presentation{
		Session: b.session.Session, Nonce: b.session.Nonce, Camera: [32]byte{7}, Bundle: b.hello.Bundle,
		Probe: make([]float32, access.ProbeSize), ProbeFrom: 6, Liveness: -1,
	}
	p.Probe[b.person] = 1
	// Stamps lie where the sightings lay: on the grid of the camera.
	from := b.session.Deadline - time.Second
	for stamp := grid(from) + benchInterval; stamp < c.Until; stamp += benchInterval {
		if stamp-benchExposure < from {
			continue
		}
		b.seq++
		f := access.FrameEvidence{Seq: b.seq, Stamp: stamp, Exposure: benchExposure, Track: b.session.Track, Ring: 40}
		f.Chain[0], f.Chain[1] = byte(b.seq), byte(b.seq>>8)
		for i := range f.Level {
			f.Level[i] = 60
			if b.litDuring(stamp) && !b.deaf {
				f.Level[i] = 150
			}
		}
		p.Frames = append(p.Frames, f)
	}
	if b.bend != nil {
		b.bend(p)
	}
	b.presented++
	b.mu.Unlock()
	go b.w.Presented(b.ctx, b, p)
	return nil
}

// litDuring reports the lamp at the middle of an exposure.
func (b *benchEye) litDuring(stamp time.Duration) bool {
	lit := false
	for _, c := range b.lamp {
		if c.From <= stamp-benchExposure/2 {
			lit = c.Lit
		}
	}
	return lit
}

func grid(at time.Duration) time.Duration { return at / benchInterval * benchInterval }

// stand lets somebody stand at the door until stop returns true, and fails when it never does.
func (b *bench) stand(track uint32, hint access.Hint, stop func() bool) {
	b.t.Helper()
	first := grid(now())
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(4 * time.Millisecond) {
		b.w.Saw(b.ctx, (*benchEye)(b), ipc.Approach{Stamp: grid(now()), First: first, Track: track, Hint: hint, Exposure: benchExposure, Faces: 1})
		if stop() {
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Fatalf("nothing happened in 8 s; state %v, order %v, outcomes %+v", b.w.View().State, b.order, b.w.View().Outcomes)
}

// decided waits until the newest outcome is anything but a technical retry, and returns it.
func (b *bench) decided(track uint32) ipc.Outcome {
	b.t.Helper()
	var o ipc.Outcome
	b.stand(track, access.HintNone, func() bool {
		for _, o = range b.w.View().Outcomes {
			if o.Verdict != access.Retry {
				return true
			}
		}
		return false
	})
	return o
}

func (b *bench) enrolled(component int, standing access.Standing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[component] = access.Candidate{Found: true, Person: access.PersonID{byte(component + 1)}, Standing: standing, Score: 0.9, Second: 0.1}
}

func (b *bench) locked(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

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
		if r.Event != access.EventWalkupGranted || r.Subject != [16]byte{0xee, 1} || r.Evidence == [32]byte{} || r.Session != o.Session {
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
		// The chips alone take 144 ms; the denial is decided then and shown 250 ms after the first of them.
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
	b := start(t, func(p *access.Policy) { p.FailureCooldown = 700 * time.Millisecond })
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

func TestEnrolThenWalkUp(t *testing.T) {
	b := start(t, nil)
	got := make(chan ipc.Enrolled, 1)
	go func() {
		e, err := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{0xaa}, Within: 8 * time.Second})
		if err != nil {
			t.Errorf("enrol: %v", err)
		}
		got <- e
	}()
	var e ipc.Enrolled
	b.stand(5, access.HintNone, func() bool {
		select {
		case e = <-got:
			return true
		default:
			return false
		}
	})
	if e.References != 3 || e.Reason != access.ReasonEnrolled {
		t.Fatalf("enrolled %+v, want 3 references", e)
	}
	b.locked(func() {
		if b.released != 0 {
			t.Error("the door opened during the enrolment")
		}
	})
	if o := b.decided(6); o.Verdict != access.Granted || o.Person != (access.PersonID{0xaa}) {
		t.Errorf("after enrolment: %+v, want granted", o)
	}
}

func TestEnrolmentOfSomebodyKnownIsRefused(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	got := make(chan ipc.Enrolled, 1)
	go func() {
		e, _ := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{0xaa}, Within: 8 * time.Second})
		got <- e
	}()
	var e ipc.Enrolled
	b.stand(5, access.HintNone, func() bool {
		select {
		case e = <-got:
			return true
		default:
			return false
		}
	})
	if e.References != 0 || e.Reason != access.ReasonEnrolDuplicate {
		t.Errorf("enrolled %+v, want a refusal as duplicate", e)
	}
}

func TestEnrolmentEndsInTimeAndAlone(t *testing.T) {
	b := start(t, nil)
	first := make(chan ipc.Enrolled, 1)
	go func() {
		e, _ := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{1}, Within: 300 * time.Millisecond})
		first <- e
	}()
	for !b.w.View().Enrolling {
		time.Sleep(time.Millisecond)
	}
	if _, err := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{2}, Within: time.Second}); !errors.Is(err, ErrBusy) {
		t.Errorf("second enrolment: %v, want ErrBusy", err)
	}
	if e := <-first; e.References != 0 || e.Reason != access.ReasonDeadline {
		t.Errorf("enrolment nobody walked up to: %+v", e)
	}
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
		b := p.boundary(at)
		if b < at+lead || b > at+lead+p.interval {
			t.Fatalf("boundary %v for %v: not the first one after the lead", b, at)
		}
		// Distance to the end of the exposure before it.
		if d := (b - p.stamp) % p.interval; d < 10*time.Millisecond || d > 15*time.Millisecond {
			t.Fatalf("boundary lies %v after an exposure's end, want 12.5 ms", d)
		}
	}
}
