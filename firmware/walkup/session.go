package walkup

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// step moves the session and carries out what the move asks for.
func (w *Walkup) step(ctx context.Context, e access.SessionEvent) {
	next, effect := w.state.Next(e)
	w.state = next
	switch effect {
	case access.OpenSession:
		w.open(ctx)
	case access.AssessIt:
		w.assess(ctx)
	case access.CompareIt:
		w.compare(ctx)
	case access.ShowOutcome:
		if e == access.DeadlinePassed {
			w.session.reason = access.ReasonDeadline
		}
		w.conclude(ctx)
	case access.ForgetIt:
		w.forget()
	case access.RestCooldown:
		w.timer.Reset(w.cooldown())
	}
}

func (w *Walkup) timeOver(ctx context.Context) {
	switch w.state {
	case access.Capturing, access.Assessing, access.Comparing:
		w.step(ctx, access.DeadlinePassed)
	case access.Showing:
		if later := w.session.later; later != nil {
			w.session.later = nil
			w.cfg.Show(*later)
			w.timer.Reset(w.cfg.Policy.ShowFor)
			return
		}
		w.cfg.Show(access.Indication{})
		w.step(ctx, access.ShownLongEnough)
	case access.Cooldown:
		w.step(ctx, access.CooldownOver)
	}
}

// open draws the code, tells eye that a session runs, and starts the lamp between two exposures.
func (w *Walkup) open(ctx context.Context) {
	w.number++
	now := w.cfg.Now()
	w.session = session{first: w.sighting.First, start: now, track: w.sighting.Track, enrol: w.enrol}
	w.session.up = w.signals()
	w.session.bar = w.cfg.Policy.Bar(w.session.up)
	w.session.book = w.books[w.profile()]
	code, err := draw(w.session.book)
	if err != nil {
		w.fail(ctx, access.ReasonNotReady)
		return
	}
	o := access.Opened{
		Session: access.SessionID{Boot: w.cfg.Boot, Number: w.number},
		Camera:  w.camera, Bundle: w.hello.Bundle, Track: w.sighting.Track, Start: now, Code: code, Spread: w.spread(),
		Interval: w.hello.Camera.Interval, Doubted: w.doubted, MinLearned: w.cfg.MinLearned, Shown: w.shown,
	}
	if _, err := rand.Read(o.Nonce[:]); err != nil {
		w.fail(ctx, access.ReasonNotReady)
		return
	}
	w.session.opened = o
	w.session.reviewers = w.reviewers()
	deadline := now + w.cfg.Policy.Deadline
	w.timer.Reset(w.cfg.Policy.Deadline)
	if err := w.eye.Observe(ipc.Observe{Session: o.Session, Nonce: o.Nonce, Track: w.sighting.Track, Deadline: deadline, Reviewers: w.session.reviewers}); err != nil {
		w.fail(ctx, access.ReasonEyeLost)
		return
	}
	w.cfg.Show(access.IndicateSession(access.Capturing, access.HintNone, access.Denied))

	p := phase{stamp: w.sighting.Stamp, interval: w.hello.Camera.Interval, exposure: w.sighting.Exposure}
	n := max(w.stretch, w.least())
	start := p.boundary(w.cfg.Now(), n)
	w.session.start = start
	chip := p.interval * time.Duration(n)
	w.session.reveal = start + chip*time.Duration(code.Length) + w.cfg.Policy.RevealAfter
	lampCtx, stop := context.WithCancel(ctx)
	w.session.stop = stop
	number := w.session.opened.Session.Number
	w.lamps.Go(func() {
		chips, err := shine(lampCtx, w.cfg.Lamps, w.cfg.Now, code, start, even(int(code.Length), chip))
		w.post(ctx, func(ctx context.Context) { w.played(ctx, number, chips, err) })
	})
}

// played takes the lamp's history when the code has ended.
func (w *Walkup) played(ctx context.Context, number uint64, chips []access.Chip, err error) {
	w.unlit = w.unlit || err != nil && ctx.Err() == nil // it is tried again with the next sighting
	if number != w.session.opened.Session.Number || w.state != access.Capturing {
		return
	}
	if err != nil {
		w.fail(ctx, access.ReasonNotReady)
		return
	}
	w.session.opened.Chips = chips
	w.session.conclude = true
	if err := w.eye.Conclude(ipc.Conclude{Session: w.session.opened.Session, Until: chips[len(chips)-1].To}); err != nil {
		w.fail(ctx, access.ReasonEyeLost)
	}
}

func (w *Walkup) fail(ctx context.Context, r access.Reason) {
	w.session.reason = r
	w.step(ctx, access.Failed)
}

// assess runs the checks against attacks. Nothing is compared before they have passed, so that an attacker learns nothing about
// who is enrolled.
func (w *Walkup) assess(ctx context.Context) {
	p := w.cfg.Policy
	capture, challenge := p.Capture, p.Challenge
	challenge.NeedRelief = w.session.bar.NeedRelief
	if w.session.enrol != nil || w.closer {
		capture.MinFused = max(capture.MinFused, p.EnrolFused)
	}
	w.session.minFused = capture.MinFused
	w.session.findings = access.Examine(w.session.shown, w.session.opened, w.session.book, capture, challenge)
	w.shown = access.Remember(w.shown, w.session.shown.Frames)
	if r := w.session.findings.First(); r != access.ReasonNone {
		w.fail(ctx, r)
		return
	}
	w.session.reason = access.ReasonNone
	w.step(ctx, access.Passed)
}

func (w *Walkup) compare(ctx context.Context) {
	defer w.step(ctx, access.Decided)
	if w.session.enrol != w.enrol {
		// An enrolment began or ended while this person stood there: it is not clear what they came for.
		w.session.decision = access.Decision{Verdict: access.Retry, Reason: access.ReasonNotReady}
		return
	}
	if w.enrol != nil {
		w.session.decision = w.take()
		return
	}
	threshold, calibrated := w.cfg.Threshold(w.session.opened.Bundle)
	candidate, err := w.cfg.Gallery.Search(w.session.shown.Probe, w.session.opened.Bundle)
	if err == nil && candidate.Found {
		w.session.refusals, err = w.cfg.PersonFailures(candidate.Person)
	}
	if err != nil {
		// Who cannot be looked up may be locked out. The reason is the kiosk's all the same: the log must not say that somebody was
		// locked out whom nobody locked out.
		w.session.decision = access.Decision{Reason: access.ReasonNotReady}
		return
	}
	now := w.cfg.Now()
	candidate.Locked = w.cfg.Policy.LockedOut(w.session.refusals, now)
	candidate.Objection = w.objection(candidate.Person)
	up := w.signals() | w.cfg.Policy.Stale(w.session.opened.Start, now)
	w.session.up |= up
	w.session.question = access.Question{
		Session: w.session.opened.Session, Checked: true, Threshold: threshold, Calibrated: calibrated,
		Candidate: candidate, Signals: up, Bar: w.session.bar, Now: now,
	}
	w.session.decision = access.Decide(w.cfg.Policy, w.session.question)
}

// conclude makes the outcome durable, acts on it and shows it. A grant is recorded first and opens after; one that cannot be
// recorded is a denial.
func (w *Walkup) conclude(ctx context.Context) {
	s := &w.session
	s.reveal = max(s.reveal, s.start+w.cfg.Policy.RevealAfter) // a session that never came to its code
	if s.stop != nil {
		s.stop()
	}
	if s.shown == nil && w.eye != nil {
		// An eye that does not hear it is gone, and forgets by dying.
		_ = w.eye.Abort(ipc.Abort{Session: s.opened.Session})
	}
	d := s.decision
	if s.reason != access.ReasonNone {
		d = access.Decide(w.cfg.Policy, access.Question{Checked: true, Check: s.reason})
	}
	w.pace(d.Reason)
	w.doubted = d.Reason == access.ReasonReliefDoubt || w.doubted && d.Verdict == access.Retry
	w.mistrust(d.Reason)
	now := w.cfg.Now()
	decided := d
	d = w.doubt(d, now)
	w.follow(now)
	switch err := w.cfg.Log.Append(w.record(d, now)); {
	case err != nil && d.Verdict == access.Granted:
		d = d.Unrecorded()
	case d.Reason == access.ReasonEnrolled && !d.Person.IsZero():
		d = w.keep(d, err)
	}
	outcome := ipc.Outcome{Session: s.opened.Session, Verdict: d.Verdict, Reason: d.Reason, First: s.first, Decided: now}
	if d.Verdict == access.Granted {
		at, err := w.cfg.Door.Release(ctx, d.Pass())
		if err != nil {
			d = access.Decision{Verdict: access.Denied, Reason: access.ReasonNotReady}
			outcome.Verdict, outcome.Reason = d.Verdict, d.Reason
			w.note(access.EventReleaseRefused, d.Reason) // the log says granted: it must also say that nothing came of it
		} else {
			outcome.Person, outcome.Released = d.Person, at
			w.granted, w.pause = s.track, now+w.cfg.Policy.GrantPause
		}
	}
	w.outcomes = append([]ipc.Outcome{outcome}, w.outcomes[:min(len(w.outcomes), maxOutcomes-1)]...)
	w.flag()
	w.charge(d, now)
	w.blame(d, now)
	w.reveal(d)
	w.evidence(decided, d, now)
	s.wipe()
}

// wipe forgets the evidence: nobody's probe outlives their walk-up.
func (s *session) wipe() {
	if s.shown != nil {
		s.shown.Wipe()
	}
	s.shown, s.conclude = nil, false
}

// pace slows the code down when frames were lost, and lets it run faster again when none are.
func (w *Walkup) pace(r access.Reason) {
	if r == access.ReasonFewFrames {
		w.stretch, w.clean = min(w.stretch+1, maxStretch), 0
		return
	}
	if w.clean++; w.clean >= relaxAfter {
		w.stretch, w.clean = max(w.stretch-1, 1), 0
	}
}

// quickShow is how long an outcome stands that asks nothing of the person: the next try begins at once.
const quickShow = 50 * time.Millisecond

// reveal shows the outcome: a grant at once; every denial at the same time after the code began, so that its cause cannot be read
// from how long it took, nor from what had to be written down about it.
func (w *Walkup) reveal(d access.Decision) {
	if d.Reason == access.ReasonEnrolled || d.Verdict == access.Retry && d.Reason != access.ReasonTooBright {
		w.timer.Reset(quickShow)
		return
	}
	if d.Verdict == access.Granted {
		w.cfg.Show(access.IndicateVerdict(d.Verdict))
		w.timer.Reset(w.cfg.Policy.ShowFor)
		return
	}
	indication := access.IndicateVerdict(d.Verdict)
	if d.Reason == access.ReasonTooBright {
		indication = access.IndicateHint(access.HintSaturated)
	}
	w.session.later = &indication
	w.timer.Reset(max(w.session.reveal-w.cfg.Now(), 0))
}

// forget drops a session whose person has left. It stands in the log and counts as fruitless: its code had begun.
func (w *Walkup) forget() {
	if w.session.stop != nil {
		w.session.stop()
	}
	if w.eye != nil {
		_ = w.eye.Abort(ipc.Abort{Session: w.session.opened.Session})
	}
	d := access.Decision{Verdict: access.Retry, Reason: access.ReasonLeft}
	// Nothing opens on this record; the log itself raises the alarm when it cannot write.
	_ = w.cfg.Log.Append(w.record(d, w.cfg.Now()))
	w.charge(d, w.cfg.Now())
	w.session.wipe()
	w.cfg.Show(access.Indication{})
	w.timer.Reset(w.cooldown())
}
