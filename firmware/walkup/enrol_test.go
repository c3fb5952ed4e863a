package walkup

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/firmware/ipc"
)

func TestEnrolThenWalkUp(t *testing.T) {
	b := start(t, nil)
	got := make(chan ipc.Enrolled, 1)
	go func() {
		e, err := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{0xaa}, Within: time.Minute})
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
		e, _ := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{0xaa}, Within: time.Minute})
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
		e, _ := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{1}, Within: 3 * time.Second})
		first <- e
	}()
	for !b.w.View().Enrolling && len(first) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{2}, Within: time.Second}); !errors.Is(err, ErrBusy) {
		t.Errorf("second enrolment: %v, want ErrBusy", err)
	}
	if e := <-first; e.References != 0 || e.Reason != access.ReasonDeadline {
		t.Errorf("enrolment nobody walked up to: %+v", e)
	}
	if ended := b.noted(access.EventEnrolmentRefused); len(ended) != 1 || ended[0].Reason != access.ReasonDeadline || ended[0].Session != (access.SessionID{}) {
		t.Errorf("on record: %+v", ended)
	}
}

// An enrolment that whoever began it goes away from, or that ends with the program, was not one to which nobody came.
func TestEnrolmentThatIsGivenUpHasNoDeadline(t *testing.T) {
	b := start(t, nil)
	ctx, goAway := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := b.w.Enrol(ctx, ipc.Enrol{Person: access.PersonID{1}, Within: time.Minute})
		ended <- err
	}()
	for !b.w.View().Enrolling && len(ended) == 0 {
		time.Sleep(time.Millisecond)
	}
	goAway()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	for b.w.View().Enrolling {
		time.Sleep(time.Millisecond)
	}
	if list := b.noted(access.EventEnrolmentRefused); len(list) != 0 {
		t.Errorf("on record: %+v", list)
	}
}

// enrols starts an enrolment and returns its answer.
func (b *bench) enrols(id access.PersonID) <-chan ipc.Enrolled {
	b.t.Helper()
	got := make(chan ipc.Enrolled, 1)
	go func() {
		e, err := b.w.Enrol(b.ctx, ipc.Enrol{Person: id, Within: time.Minute})
		if err != nil && b.ctx.Err() == nil {
			b.t.Errorf("enrol: %v", err)
		}
		got <- e
	}()
	for !b.w.View().Enrolling && len(got) == 0 {
		time.Sleep(time.Millisecond)
	}
	return got
}

// answered lets somebody stand at the door until the enrolment is over.
func (b *bench) answered(got <-chan ipc.Enrolled) (e ipc.Enrolled) {
	b.t.Helper()
	b.stand(5, access.HintNone, func() bool {
		select {
		case e = <-got:
			return true
		default:
			return false
		}
	})
	return e
}

// Who steps in while somebody is being enrolled is not enrolled in their place.
func TestInterloperIsNotEnrolled(t *testing.T) {
	b := start(t, nil)
	got := b.enrols(access.PersonID{0xaa})
	b.stand(5, access.HintNone, b.taken)
	b.locked(func() { b.person = 7 })
	if e := b.answered(got); e.References != 0 || e.Reason != access.ReasonTrackLost {
		t.Errorf("enrolled %+v, want a refusal: somebody else stood there", e)
	}
	b.locked(func() {
		if len(b.known) != 0 {
			t.Errorf("references were kept: %v", b.known)
		}
	})
}

// taken reports whether a walk-up gave a reference. On a busy machine the first may lose frames, and then gives none.
func (b *bench) taken() bool {
	return slices.ContainsFunc(b.w.View().Outcomes, func(o ipc.Outcome) bool { return o.Reason == access.ReasonEnrolled })
}

// One who steps in between does not undo the enrolment of who began it.
func TestEnrolmentOutlastsOneInterloper(t *testing.T) {
	b := start(t, nil)
	got := b.enrols(access.PersonID{0xaa})
	b.stand(5, access.HintNone, b.taken)
	before := len(b.w.View().Outcomes)
	b.locked(func() { b.person = 7 })
	b.stand(6, access.HintNone, func() bool { return len(b.w.View().Outcomes) > before })
	b.locked(func() { b.person = 0 })
	if e := b.answered(got); e.References != 3 {
		t.Errorf("enrolled %+v, want 3 references", e)
	}
	b.locked(func() {
		if _, other := b.known[7]; other || len(b.known) != 1 {
			t.Errorf("enrolled %v, want the one who began", b.known)
		}
	})
}

// A walk-up that began before the enrolment gives no reference: that person came to enter.
func TestEnrolmentTakesNoWalkUpThatBeganBefore(t *testing.T) {
	for range 30 { // a busy machine may lose frames or time, which is a retry for another reason
		b := start(t, nil)
		b.enrolled(0, access.Permitted)
		b.locked(func() { b.silent = true }) // nobody is let in before the enrolment, however late it begins
		b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Capturing })
		b.enrols(access.PersonID{0xaa})
		b.locked(func() { b.silent = false })
		b.stand(5, access.HintNone, func() bool { return len(b.w.View().Outcomes) > 0 })
		b.locked(func() {
			if b.released != 0 {
				t.Error("the door opened during an enrolment")
			}
		})
		o := b.w.View().Outcomes
		first := o[len(o)-1]
		if first.Verdict == access.Retry && first.Reason.Again() {
			continue
		}
		if first.Verdict != access.Retry || first.Reason != access.ReasonNotReady {
			t.Errorf("outcome %+v, want a retry: it was opened for another end", first)
		}
		return
	}
	t.Fatal("thirty walk-ups in a row lost frames or time: this machine is too busy for the test")
}

// The answer says why nothing was kept, and an enrolment that is not on record does not happen.
func TestEnrolmentThatCannotBeKept(t *testing.T) {
	for name, tt := range map[string]struct {
		keep, log error
		want      access.Reason
	}{
		"gallery full":    {keep: match.ErrFull, want: access.ReasonFull},
		"disk broken":     {keep: errors.New("input/output error"), want: access.ReasonNotReady},
		"record not kept": {log: errors.New("no space left"), want: access.ReasonNotRecorded},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			b.locked(func() { b.keepErr, b.logErr = tt.keep, tt.log })
			if e := b.answered(b.enrols(access.PersonID{0xaa})); e.References != 0 || e.Reason != tt.want {
				t.Errorf("enrolled %+v, want a refusal: %v", e, tt.want)
			}
			b.locked(func() {
				if len(b.known) != 0 {
					t.Error("references were kept all the same")
				}
			})
		})
	}
}

// The log says once that somebody was enrolled, and whom.
func TestEnrolmentIsOneRecord(t *testing.T) {
	b := start(t, nil)
	b.answered(b.enrols(access.PersonID{0xaa}))
	n := 0
	b.locked(func() {
		for _, r := range b.records {
			if r.Event == access.EventEnrolled {
				n++
				if r.Subject == [16]byte{} {
					t.Errorf("record %+v does not say who", r)
				}
			}
		}
	})
	if n != 1 {
		t.Errorf("%d records of one enrolment", n)
	}
}

// An id that lets somebody in is not handed to another face; the same face may be enrolled anew, and a revoked id given away.
func TestEnrolmentOfAnIdThatExists(t *testing.T) {
	for name, tt := range map[string]struct {
		standing access.Standing
		person   int
		want     access.Reason
	}{
		"another face":             {access.Permitted, 7, access.ReasonEnrolDuplicate},
		"the same face":            {access.Permitted, 0, access.ReasonEnrolled},
		"another, after revoking":  {access.Revoked, 7, access.ReasonEnrolled},
		"the same, after revoking": {access.Revoked, 0, access.ReasonEnrolled},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			b.enrolled(0, tt.standing) // under the id {1}
			b.locked(func() { b.person = tt.person })
			if e := b.answered(b.enrols(access.PersonID{1})); e.Reason != tt.want || (e.References > 0) != (tt.want == access.ReasonEnrolled) {
				t.Errorf("enrolled %+v, want %v", e, tt.want)
			}
		})
	}
}

// Who looks like somebody enrolled is enrolled, the operator is told of whom, and the log says so: by pseudonyms, in one session.
func TestLookAlikeIsReported(t *testing.T) {
	// The threshold of the bench is 0.5 + 0.05, the policy's distance 0.15.
	for score, want := range map[float32]access.PersonID{0.39: {}, 0.41: {2}} {
		b := start(t, nil)
		b.enrolled(7, access.Permitted)
		b.locked(func() { b.nearest = access.Candidate{Person: access.PersonID{2}, Score: score, Second: -1} })
		if e := b.answered(b.enrols(access.PersonID{0xaa})); e.References != 3 || e.LookAlike != want {
			t.Errorf("%g: enrolled %+v, want look-alike %v", score, e, want)
		}
		reported, enrolled := b.noted(access.EventLookAlikeReported), b.noted(access.EventEnrolled)
		if want.IsZero() {
			if len(reported) != 0 {
				t.Errorf("%g: reported %+v", score, reported)
			}
			continue
		}
		if len(reported) != 1 || len(enrolled) != 1 {
			t.Fatalf("%g: %d reports of %d enrolments", score, len(reported), len(enrolled))
		}
		if r := reported[0]; r.Subject != (*benchGallery)(b).Subject(want, r.Wall) || r.Session != enrolled[0].Session {
			t.Errorf("%g: report %+v of enrolment %+v", score, r, enrolled[0])
		}
	}
}

// The look-alike is the nearest other person of all walk-ups, whether or not the person is enrolled already.
func TestNearestLookAlike(t *testing.T) {
	own := access.PersonID{1}
	for name, tt := range map[string]struct {
		found []access.Candidate
		want  access.PersonID
	}{
		"empty gallery":             {[]access.Candidate{{Second: -1}}, access.PersonID{}},
		"nobody near":               {[]access.Candidate{{Person: access.PersonID{2}, Score: 0.4, Second: -1}}, access.PersonID{}},
		"the nearest of three":      {[]access.Candidate{{Person: access.PersonID{2}, Score: 0.42}, {Person: access.PersonID{3}, Score: 0.5}, {Person: access.PersonID{4}, Score: 0.45}}, access.PersonID{3}},
		"again, nobody near":        {[]access.Candidate{{Person: own, Score: 0.9, Second: 0.3, SecondPerson: access.PersonID{2}}}, access.PersonID{}},
		"again, another near":       {[]access.Candidate{{Person: own, Score: 0.9, Second: 0.45, SecondPerson: access.PersonID{2}}}, access.PersonID{2}},
		"again, the only one there": {[]access.Candidate{{Person: own, Score: 0.9, Second: -1}}, access.PersonID{}},
	} {
		e := enrolment{person: own}
		for _, c := range tt.found {
			e.compare(c, 0.4)
		}
		if e.alike.person != tt.want {
			t.Errorf("%s: %v, want %v", name, e.alike.person, tt.want)
		}
	}
}

func TestLeaseReachesTheStore(t *testing.T) {
	b := start(t, nil)
	got := make(chan ipc.Enrolled, 1)
	go func() {
		e, _ := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{0xaa}, Within: time.Minute, Until: 1_900_000_000})
		got <- e
	}()
	if e := b.answered(got); e.References != 3 {
		t.Fatalf("enrolled %+v", e)
	}
	b.locked(func() {
		if b.lease != 1_900_000_000 {
			t.Errorf("lease until %d", b.lease)
		}
	})
}

// What denies a walk-up whatever its score denies an enrolment; what the policy only has confirmed does not.
//
// Control: A28
func TestSignalsDenyAnEnrolment(t *testing.T) {
	clock := access.Signals(0).With(access.SignalClock, true)
	for name, tt := range map[string]struct {
		bend func(*access.Policy)
		set  func(*bench)
		want access.Reason
	}{
		"open enclosure":          {nil, func(b *bench) { b.door.Tamper = true }, access.ReasonTamper},
		"debug image":             {nil, func(b *bench) { b.signals = b.signals.With(access.SignalDebugImage, true) }, access.ReasonDebugImage},
		"clock that denies":       {func(p *access.Policy) { p.Signals.Deny = clock }, func(b *bench) { b.signals = clock }, access.ReasonClock},
		"clock that is confirmed": {func(p *access.Policy) { p.Signals.Confirm = clock }, func(b *bench) { b.signals = clock }, access.ReasonEnrolled},
		"clock that nobody minds": {nil, func(b *bench) { b.signals = clock }, access.ReasonEnrolled},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, tt.bend)
			b.locked(func() { tt.set(b) })
			got := make(chan ipc.Enrolled, 1)
			go func() {
				e, err := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{0xaa}, Within: 20 * time.Second})
				if err != nil {
					t.Errorf("enrol: %v", err)
				}
				got <- e
			}()
			b.stand(5, access.HintNone, func() bool { return len(got) > 0 })
			e := <-got
			if e.Reason != tt.want || (e.References > 0) != (tt.want == access.ReasonEnrolled) {
				t.Errorf("enrolled %+v, want %v", e, tt.want)
			}
			refused := b.noted(access.EventEnrolmentRefused)
			if want := e.References == 0; want != (len(refused) == 1) || want && refused[0].Reason != tt.want {
				t.Errorf("records %+v", refused)
			}
		})
	}
}
