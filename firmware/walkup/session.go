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
		w.forget(ctx)
	case access.RestCooldown:
		w.timer.Reset(w.cooldown())
	}
}

func (w *Walkup) timeOver(ctx context.Context) {
	switch w.state {
	case access.Capturing, access.Assessing, access.Comparing:
		w.step(ctx, access.DeadlinePassed)
	case access.Showing:
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
	w.session = session{first: w.sighting.First, start: now}
	code, err := w.draw()
	if err != nil {
		w.fail(ctx, access.ReasonNotReady)
		return
	}
	o := access.Opened{
		Session: access.SessionID{Boot: w.cfg.Boot, Number: w.number},
		Camera:  w.camera, Bundle: w.hello.Bundle, Start: now, Code: code,
	}
	if _, err := rand.Read(o.Nonce[:]); err != nil {
		w.fail(ctx, access.ReasonNotReady)
		return
	}
	w.session.opened = o
	deadline := now + w.cfg.Policy.Deadline
	w.timer.Reset(w.cfg.Policy.Deadline)
	if err := w.eye.Observe(ipc.Observe{Session: o.Session, Nonce: o.Nonce, Track: w.sighting.Track, Deadline: deadline}); err != nil {
		w.fail(ctx, access.ReasonEyeLost)
		return
	}
	w.cfg.Show(access.IndicateSession(access.Capturing, access.HintNone, access.Denied))

	p := phase{stamp: w.sighting.Stamp, interval: w.hello.Camera.Interval, exposure: w.sighting.Exposure}
	start := p.boundary(w.cfg.Now())
	w.session.start = start
	w.session.reveal = start + w.cfg.Policy.RevealAfter*time.Duration(w.stretch)
	chip := p.interval * time.Duration(w.stretch)
	lampCtx, stop := context.WithCancel(ctx)
	w.session.stop = stop
	number := w.number
	go func() {
		chips, err := shine(lampCtx, w.cfg.Lamp, w.cfg.Now, code, start, chip)
		w.post(ctx, func(ctx context.Context) { w.played(ctx, number, chips, err) })
	}()
}

// played takes the lamp's history when the code has ended.
func (w *Walkup) played(ctx context.Context, number uint64, chips []access.Chip, err error) {
	if number != w.number || w.state != access.Capturing {
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
	capture := p.Capture
	if w.enrol != nil {
		capture.MinFused = max(capture.MinFused, p.EnrolFused)
	}
	if r := access.Check(w.session.shown, w.session.opened, w.book, capture, p.Challenge); r != access.ReasonNone {
		w.fail(ctx, r)
		return
	}
	w.session.reason = access.ReasonNone
	w.step(ctx, access.Passed)
}

func (w *Walkup) compare(ctx context.Context) {
	defer w.step(ctx, access.Decided)
	if w.enrol != nil {
		w.session.decision = w.take()
		return
	}
	threshold, calibrated := w.cfg.Threshold(w.session.opened.Bundle)
	candidate, err := w.cfg.Gallery.Search(w.session.shown.Probe, w.session.opened.Bundle)
	if err != nil {
		w.session.decision = access.Decision{Reason: access.ReasonNotReady}
		return
	}
	door := w.cfg.Door.State()
	w.session.decision = access.Decide(w.cfg.Policy, access.Question{
		Session: w.session.opened.Session, Checked: true, Threshold: threshold, Calibrated: calibrated,
		Candidate: candidate, Lockdown: door.Lockdown, Tamper: door.Tamper, Now: w.cfg.Now(),
	})
}

// conclude makes the outcome durable, acts on it and shows it. A grant is recorded first and opens after; one that cannot be
// recorded is a denial.
func (w *Walkup) conclude(ctx context.Context) {
	s := &w.session
	s.reveal = max(s.reveal, s.start+w.cfg.Policy.RevealAfter)
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
	now := w.cfg.Now()
	if err := w.cfg.Log.Append(w.record(d, now)); err != nil && d.Verdict == access.Granted {
		d = d.Unrecorded()
	}
	outcome := ipc.Outcome{Session: s.opened.Session, Verdict: d.Verdict, Reason: d.Reason, First: s.first, Decided: now}
	if d.Verdict == access.Granted {
		at, err := w.cfg.Door.Release(ctx, d.Pass())
		if err != nil {
			d = access.Decision{Verdict: access.Denied, Reason: access.ReasonNotReady}
			outcome.Verdict, outcome.Reason = d.Verdict, d.Reason
		} else {
			outcome.Person, outcome.Released = d.Person, at
			w.granted, w.pause = w.sighting.Track, now+w.cfg.Policy.GrantPause
		}
	}
	w.outcomes = append([]ipc.Outcome{outcome}, w.outcomes[:min(len(w.outcomes), maxOutcomes-1)]...)
	w.charge(d, now)
	w.reveal(d, now)
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

// charge counts a session against the door's limit. A retry is nobody's failure.
func (w *Walkup) charge(d access.Decision, now time.Duration) {
	if d.Verdict != access.Denied && d.Verdict != access.Uncertain || d.Reason == access.ReasonEnrolled {
		return
	}
	w.attempts++
	w.failures = append(w.failures, now)
	for len(w.failures) > 0 && now-w.failures[0] > w.cfg.Policy.FailureWindow || len(w.failures) > 255 {
		w.failures = w.failures[1:]
	}
	// An attacker who could fill the disk must not be forgiven by it: what counts is in memory until the next start.
	if err := w.cfg.SaveFailures(w.failures); err != nil {
		w.note(access.EventStorageLow, access.ReasonNone)
	}
	if len(w.failures) == int(w.cfg.Policy.FailureLimit) {
		w.note(access.EventFailuresLimited, access.ReasonNone)
	}
}

func (w *Walkup) cooldown() time.Duration {
	if w.attempts >= attemptsBeforeRest || len(w.failures) >= int(w.cfg.Policy.FailureLimit) {
		w.attempts = 0
		return w.cfg.Policy.FailureCooldown
	}
	return w.cfg.Policy.Cooldown
}

// quickShow is how long an outcome stands that asks nothing of the person: the next try begins at once.
const quickShow = 50 * time.Millisecond

// reveal shows the outcome: a grant at once; every denial at the same time after the code began, so that its cause cannot be read
// from how long it took.
func (w *Walkup) reveal(d access.Decision, now time.Duration) {
	if d.Reason == access.ReasonEnrolled || d.Verdict == access.Retry && d.Reason != access.ReasonTooBright {
		w.timer.Reset(quickShow)
		return
	}
	show := w.cfg.Policy.ShowFor
	if d.Verdict == access.Granted {
		w.cfg.Show(access.IndicateVerdict(d.Verdict))
		w.timer.Reset(show)
		return
	}
	indication := access.IndicateVerdict(d.Verdict)
	if d.Reason == access.ReasonTooBright {
		indication = access.IndicateHint(access.HintSaturated)
	}
	wait := max(w.session.reveal-now, 0)
	time.AfterFunc(wait, func() { w.cfg.Show(indication) })
	w.timer.Reset(wait + show)
}

// forget drops a session whose person has left. It was charged nothing but stands in the log: its code had run.
func (w *Walkup) forget(ctx context.Context) {
	w.timer.Stop()
	if w.session.stop != nil {
		w.session.stop()
	}
	if w.eye != nil {
		_ = w.eye.Abort(ipc.Abort{Session: w.session.opened.Session})
	}
	d := access.Decision{Verdict: access.Retry, Reason: access.ReasonLeft}
	// Nothing opens on this record; the log itself raises the alarm when it cannot write.
	_ = w.cfg.Log.Append(w.record(d, w.cfg.Now()))
	w.cfg.Show(access.Indication{})
}
