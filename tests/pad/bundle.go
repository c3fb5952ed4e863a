package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/sync/wire"
)

// binder writes an abuse bundle of each session, as door does, so that cmd/replay can try it again. The zero binder writes none.
type binder struct {
	dir       string
	reviewers []string
	to        []age.Recipient
	frames    bool
	label     string // of the presentation
}

func newBinder(o options) (b binder, err error) {
	if o.bundles == "" {
		return b, nil
	}
	b.dir, b.reviewers, b.frames = o.bundles, []string{o.reviewer}, o.frames
	if b.to, err = abuse.Recipients(b.reviewers); err != nil {
		return b, fmt.Errorf("-bundle needs -reviewer: %w", err)
	}
	return b, os.MkdirAll(b.dir, 0o700)
}

// filmed are those whom eye may encrypt the frames to.
func (b *binder) filmed() []string {
	if !b.frames {
		return nil
	}
	return b.reviewers
}

// name is the presentation's, fit for a file: species may be the title of a scene, which is anybody's text.
func (b *binder) name(species string, index int) {
	words := strings.FieldsFunc(strings.ToLower(species), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	b.label = fmt.Sprintf("%s-%d", strings.Join(words, "-"), index)
}

// bind writes the bundle of the session that was just judged. Nobody is enrolled here: where a comparison would follow, it is decided on a candidate that
// is made up, and the bundle says so.
func (p *walkUp) bind(findings access.Findings) (err error) {
	if p.binder.dir == "" {
		return nil
	}
	raw, err := wire.Marshal(p.policy)
	if err != nil {
		return err
	}
	q := access.Question{Session: p.opened.Session, Checked: true, Check: findings.First(), Bar: p.policy.Bar(0)}
	c := &abuse.Case{
		Opened: *p.opened, Presentation: *p.shown, Bar: p.policy.Bar(0), MinFused: p.policy.Capture.MinFused, Policy: p.policy, PolicyHash: sha256.Sum256(raw),
		Findings: abuse.Keep(findings), Made: abuse.Here("attack laboratory, presentation " + p.binder.label),
	}
	c.Made.Provider, c.Made.Board, c.Made.Camera = p.engine.Report.Provider, "attack laboratory: virtual time, the candidate of a comparison is made up", p.Camera()
	c.Made.Bundle = p.model
	if q.Check == access.ReasonNone {
		q.Threshold, q.Calibrated, q.Now = .5, true, p.now
		q.Candidate = access.Candidate{Found: true, Person: access.PersonID{1}, Standing: access.Permitted, Score: .8, Second: -1}
	}
	d := access.Decide(p.policy, q)
	c.Question, c.Verdict, c.Reason, c.Outcome, c.Why = q, d.Verdict, d.Reason, d.Verdict, d.Reason

	path := filepath.Join(p.binder.dir, fmt.Sprintf("%s-%d%s", p.binder.label, p.opened.Session.Number, abuse.Ending))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path)) // what is cut off is no bundle
		}
	}()
	w, err := abuse.NewWriter(f)
	if err != nil {
		return err
	}
	exploit := "none: not asked for"
	if p.binder.frames {
		exploit = "see the film of this file"
		if err := p.film(w); err != nil {
			return err
		}
	}
	_, err = w.Finish(c, exploit, p.binder.to)
	return err
}

// film has the watcher encrypt the frames, and takes all their parts.
func (p *walkUp) film(w *abuse.Writer) error {
	for from, size := uint32(0), uint32(1); from < size; {
		if err := p.order(ipc.KindSeal, ipc.Seal{Session: p.opened.Session, From: from}); err != nil {
			return err
		}
		part := <-p.sealed
		if part.Size == 0 {
			return errors.New("the frames of a session were not kept")
		}
		if err := w.Film(part.Part); err != nil {
			return err
		}
		from, size = from+uint32(len(part.Part)), part.Size
	}
	return nil
}
