package walkup

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// keeping is a policy that keeps evidence.
func keeping(s access.Selection, framed bool) func(*access.Policy) {
	return func(p *access.Policy) {
		p.Evidence = access.Evidence{
			Select: s, Frames: framed, Reviewers: []string{"age1" + strings.Repeat("q", access.RecipientBytes-4)}, Keep: 24 * time.Hour, MaxBytes: 32 << 20,
		}
	}
}

// last is the case of a session.
func (b *bench) last(t *testing.T, id access.SessionID) (c *abuse.Case, shown time.Duration) {
	t.Helper()
	b.stand(5, access.HintTurned, func() (found bool) { // until the walk-up has gone on to hand it over
		b.locked(func() {
			for i := range b.kept {
				if b.kept[i].Opened.Session == id {
					c, shown, found = b.kept[i], b.shownAt[i], true
				}
			}
		})
		return found
	})
	return c, shown
}

// A case that is kept is judged again as the walk-up was, and names nobody.
//
// Control: B28
// Control: B29
func TestCaseOfAWalkUpIsJudgedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*bench)
		reason  access.Reason
	}{
		"granted":       {func(b *bench) { b.enrolled(0, access.Permitted) }, access.ReasonAllowed},
		"revoked":       {func(b *bench) { b.enrolled(0, access.Revoked) }, access.ReasonRevoked},
		"unknown":       {func(b *bench) {}, access.ReasonUnknown},
		"does not glow": {func(b *bench) { b.deaf = true }, access.ReasonNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, keeping(access.SelectAll, false))
			b.locked(func() { b.person = 0 })
			c.prepare(b)
			o := b.decided(5)
			if o.Reason != c.reason {
				t.Fatalf("decided %v, want %v", o.Reason, c.reason)
			}
			kept, shown := b.last(t, o.Session)
			findings, d := kept.Judge(&kept.Presentation)
			if d.Verdict != o.Verdict || d.Reason != o.Reason || kept.Outcome != o.Verdict || kept.Why != o.Reason {
				t.Errorf("judged again: %v, %v; it was %v, %v", d.Verdict, d.Reason, o.Verdict, o.Reason)
			}
			if !slices.Equal(abuse.Keep(findings), kept.Findings) {
				t.Error("judged again the findings are others")
			}
			if want := o.Verdict == access.Granted; (shown == o.Decided) != want {
				t.Errorf("shown at %v, decided at %v", shown, o.Decided)
			}
			if slices.Max(kept.Presentation.Probe) != 1 {
				t.Error("the case has no probe of its own")
			}
			who := kept.Question.Candidate.Person
			if known := o.Reason == access.ReasonAllowed || o.Reason == access.ReasonRevoked; known && who[0] != 0xee || who == (access.PersonID{1}) {
				t.Errorf("the case names %v, no pseudonym", who)
			}
			b.locked(func() {
				if len(b.session.Reviewers) != 0 {
					t.Error("eye may encrypt frames that the policy does not keep")
				}
			})
		})
	}
}

// What policy does not select is not kept, and eye forgets its frames.
func TestUnselectedWalkUpsAreForgotten(t *testing.T) {
	b := start(t, keeping(access.SelectAttacks, true))
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.person = 0 })
	o := b.decided(5)
	if o.Verdict != access.Granted {
		t.Fatalf("decided %v", o.Reason)
	}
	b.stand(5, access.HintTurned, func() (told bool) {
		b.locked(func() { told = slices.Contains(b.aborted, o.Session) })
		return told
	})
	b.locked(func() {
		if len(b.kept) != 0 {
			t.Errorf("%d cases of walk-ups that are no attack", len(b.kept))
		}
		if len(b.session.Reviewers) != 1 {
			t.Errorf("eye was told of %d reviewers", len(b.session.Reviewers))
		}
	})
}

// Who is being enrolled is nobody's evidence.
func TestEnrolmentIsNoEvidence(t *testing.T) {
	b := start(t, keeping(access.SelectAll, true))
	done := make(chan ipc.Enrolled, 1)
	go func() {
		e, err := b.w.Enrol(b.ctx, ipc.Enrol{Person: access.PersonID{3}, Within: 20 * time.Second})
		if err != nil {
			t.Error(err)
		}
		done <- e
	}()
	b.stand(5, access.HintNone, func() bool {
		b.locked(func() {
			if b.presented > 0 && len(b.session.Reviewers) != 0 {
				t.Error("eye may encrypt the frames of an enrolment")
			}
		})
		return len(done) > 0
	})
	if e := <-done; e.Reason != access.ReasonEnrolled {
		t.Fatalf("enrolment: %v", e.Reason)
	}
	b.locked(func() {
		for _, c := range b.kept {
			if c.Why == access.ReasonEnrolled {
				t.Error("a walk-up of an enrolment was kept")
			}
		}
	})
}

// Nor is a walk-up in which an enrolment began: it answered no question, and would not come out the same.
func TestEnrolmentBegunInAWalkUpIsNoEvidence(t *testing.T) {
	var b *bench
	for try, again := 1, true; again; try++ { // a busy machine may lose frames or time, which is a retry for another reason
		b = start(t, keeping(access.SelectAll, false))
		b.locked(func() { b.silent = true }) // the walk-up does not end before the enrolment begins
		b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Capturing })
		got := b.enrols(access.PersonID{3})
		b.locked(func() { b.silent = false })
		b.answered(got)
		list := b.w.View().Outcomes
		o := list[len(list)-1]
		again = o.Verdict == access.Retry && o.Reason.Again() && try < 30
		if !again && (o.Verdict != access.Retry || o.Reason != access.ReasonNotReady) {
			t.Fatalf("the first outcome was %v because of %v: the enrolment did not begin in it", o.Verdict, o.Reason)
		}
	}
	b.locked(func() {
		if len(b.kept) != 0 {
			t.Errorf("%d cases kept, the first because of %v", len(b.kept), b.kept[0].Why)
		}
	})
}
