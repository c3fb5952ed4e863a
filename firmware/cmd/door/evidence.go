package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// evidenceFolder holds the abuse bundles, below the state folder.
const evidenceFolder = "abuse"

const (
	// leastFree is what a bundle leaves of the disk, in bytes: evidence must not keep the audit log from growing.
	leastFree = 64 << 20
	// firstPart is how long eye may take to encrypt the frames, nextPart to send a part of them.
	firstPart = 10 * time.Second
	nextPart  = 2 * time.Second
	// partEvery is the time from part to part: with 15 sightings and 2 pulses a second eye stays below the pace that door allows it (firmware/ipc).
	partEvery   = 15 * time.Millisecond
	expireEvery = time.Hour
	// besides is what a bundle has besides its frames, in bytes, at most.
	besides = 300 << 10
	// maxRefused bounds the refusals that wait for their record: a bundle of 32 MiB takes some 30 s, in which ten people walk up.
	maxRefused = 32
)

// evidence makes abuse bundles of the walk-ups that policy selects, one at a time, after their outcome was shown.
type evidence struct {
	policy access.Evidence
	board  string
	store  *abuse.Store
	to     []age.Recipient
	note   func(access.Event, access.SessionID, string)
	// degrade opens or, with nil, ends a degraded mode.
	degrade func(part string, err error)
	free    func() (uint64, error) // bytes on the disk
	busy    atomic.Bool            // from keep until the bundle is made; who sets it has the one place in cases
	cases   chan selected
	refused chan refusal
	beyond  atomic.Uint32 // refusals for which refused had no room
	parts   chan ipc.Sealed
	hourly  abuse.Hourly // of keep's goroutine

	mu    sync.Mutex
	ask   func(ipc.Seal) error // of the eye that is there; nil: there is none
	asker any                  // whose ask it is

	session access.SessionID // that was recorded last
	index   uint64           // of its record, from 1
}

// selected is a walk-up that becomes a bundle.
type selected struct {
	c     *abuse.Case
	shown time.Duration
}

// refusal is a walk-up that was selected and becomes none.
type refusal struct {
	session access.SessionID
	why     string
}

// newEvidence opens the store. It is nil where the policy selects nothing and no bundle is left of another one.
func newEvidence(p access.Evidence, board, state string, note func(access.Event, access.SessionID, string), degrade func(string, error)) (*evidence, error) {
	dir := filepath.Join(state, evidenceFolder)
	if p.Select == access.SelectNone {
		if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
	}
	e := &evidence{
		policy: p, board: board, note: note, degrade: degrade, cases: make(chan selected, 1), refused: make(chan refusal, maxRefused), parts: make(chan ipc.Sealed, 1),
	}
	var err error
	if p.Select != access.SelectNone {
		if e.to, err = abuse.Recipients(p.Reviewers); err != nil {
			return nil, err
		}
	}
	e.free = func() (uint64, error) {
		var fs unix.Statfs_t
		err := unix.Statfs(dir, &fs)
		return fs.Bavail * uint64(fs.Bsize), err
	}
	e.store, err = abuse.OpenStore(dir)
	return e, err
}

// keepEvidence opens the evidence of a kiosk. It returns what takes the walk-ups that are selected; nil: none are.
func (k *kiosk) keepEvidence(board string) func(*abuse.Case, time.Duration) {
	e, err := newEvidence(k.policy.Evidence, board, k.state, k.noteEvidence, k.degrade)
	if err != nil {
		k.reasons = append(k.reasons, fmt.Sprintf("no evidence is kept for reviewers: %v", err))
		return nil
	}
	if k.evidence = e; e == nil || e.policy.Select == access.SelectNone {
		return nil
	}
	return e.keep
}

// noteEvidence records what became of evidence. Whoever stands at the door causes it, so it may be counted, and keeps off the reserve.
func (k *kiosk) noteEvidence(e access.Event, s access.SessionID, detail string) {
	r := k.blank(e)
	r.Session, r.Detail = s, clip(detail, access.MaxDetail)
	_ = k.fold.take(r)
}

// recorded remembers the record of a presentation, which its bundle names.
func (e *evidence) recorded(r access.Record, index uint64) {
	if e == nil || r.Evidence == [32]byte{} {
		return
	}
	e.mu.Lock()
	e.session, e.index = r.Session, index+1
	e.mu.Unlock()
}

// keep takes a walk-up that was selected. It does not wait: while a bundle is being made another one is not.
func (e *evidence) keep(c *abuse.Case, shown time.Duration) {
	e.mu.Lock()
	if e.session == c.Opened.Session {
		c.Record = e.index
	}
	e.mu.Unlock()
	c.Made.Board = e.board
	why := "another one is being made"
	if e.busy.CompareAndSwap(false, true) {
		if e.hourly.Take(frames.Now()) {
			e.cases <- selected{c, shown}
			return
		}
		e.busy.Store(false)
		why = "too many within an hour"
	}
	c.Wipe()
	select {
	case e.refused <- refusal{c.Opened.Session, why}: // the audit log's disk is for run to wait for
	default:
		e.beyond.Add(1)
	}
}

// tell records a refusal.
func (e *evidence) tell(r refusal) {
	if n := e.beyond.Swap(0); n > 0 {
		r.why = fmt.Sprintf("%s; %d more are not recorded", r.why, n)
	}
	e.note(access.EventBundleNotMade, r.session, r.why)
}

// eyeUp says how the eye that is there is asked for frames.
func (e *evidence) eyeUp(who any, ask func(ipc.Seal) error) {
	if e == nil {
		return
	}
	e.mu.Lock()
	e.ask, e.asker = ask, who
	e.mu.Unlock()
}

// eyeDown says that this eye is gone.
func (e *evidence) eyeDown(who any) {
	if e == nil {
		return
	}
	e.mu.Lock()
	if e.asker == who {
		e.ask, e.asker = nil, nil
	}
	e.mu.Unlock()
}

// took takes a part of what eye encrypted. What nobody waits for is dropped.
func (e *evidence) took(s ipc.Sealed) {
	if e == nil {
		return
	}
	select {
	case e.parts <- s:
	default:
	}
}

// run makes bundles, and removes those that are too old or too many, until ctx ends.
func (e *evidence) run(ctx context.Context) {
	expire := time.NewTicker(expireEvery)
	defer expire.Stop()
	e.expire()
	e.fit("")
	for {
		select {
		case <-ctx.Done():
			return
		case <-expire.C:
			e.expire()
		case r := <-e.refused:
			e.tell(r)
		case s := <-e.cases:
			err := e.bundle(ctx, s)
			if err != nil && ctx.Err() != nil {
				err = errStopped
			}
			if err != nil {
				e.note(access.EventBundleNotMade, s.c.Opened.Session, err.Error())
			}
			s.c.Wipe()
			e.busy.Store(false)
		}
	}
}

var errStopped = errors.New("door was stopped")

// end records what is left undone. Neither run nor keep may be running any more.
func (e *evidence) end() {
	for {
		select {
		case r := <-e.refused:
			e.tell(r)
		case s := <-e.cases:
			s.c.Wipe()
			e.note(access.EventBundleNotMade, s.c.Opened.Session, errStopped.Error())
		default:
			return
		}
	}
}

func (e *evidence) expire() {
	keep := max(e.policy.Keep, 24*time.Hour) // of an earlier policy, if this one keeps nothing
	gone, err := e.store.Expire(time.Now().Add(-keep).Unix())
	e.degrade("evidence that is too old", err)
	if gone > 0 {
		e.note(access.EventBundleExpired, access.SessionID{}, fmt.Sprintf("%d bundles older than %v", gone, keep))
	}
}

// fit removes the oldest bundles until all have the room that policy gives them. The one of the name that stays was made just now.
func (e *evidence) fit(stays string) {
	if e.policy.Select == access.SelectNone {
		return // no policy says how much room there is for what an earlier one left
	}
	dropped, err := e.store.Fit(e.policy.MaxBytes, stays)
	e.degrade("evidence that has no room", err)
	for _, name := range dropped {
		e.note(access.EventBundleDropped, access.SessionID{}, name)
	}
}

// bundle makes one. Without the frames that policy asks for it is made all the same.
func (e *evidence) bundle(ctx context.Context, s selected) error {
	if err := sleep(ctx, s.shown-frames.Now()); err != nil {
		return err
	}
	if free, err := e.free(); err != nil || free < leastFree+besides {
		return errors.Join(err, errors.New("the disk has no room for it"))
	}
	film := "none: the policy keeps no frames"
	if e.policy.Frames {
		err := e.write(ctx, s.c, "see the film of this file", e.fetch)
		if err == nil || !errors.Is(err, errNoFrames) {
			return err
		}
		film = "none, although the policy keeps frames: " + err.Error()
		e.note(access.EventBundleNotMade, s.c.Opened.Session, film)
	}
	return e.write(ctx, s.c, film, nil)
}

// errNoFrames means that eye gave no frames, or not all.
var errNoFrames = errors.New("eye gave no frames")

// write writes and commits a file, with what fetch gives as its film.
func (e *evidence) write(ctx context.Context, c *abuse.Case, exploit string, fetch func(context.Context, access.SessionID, *abuse.Writer) error) (err error) {
	entry, err := e.store.Begin(c.Opened.Session, c.Wall)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, entry.Discard())
		}
	}()
	w, err := abuse.NewWriter(entry)
	if err == nil && fetch != nil {
		err = fetch(ctx, c.Opened.Session, w)
	}
	if err != nil {
		return err
	}
	sum, err := w.Finish(c, exploit, e.to)
	if err != nil {
		return err
	}
	if err := entry.Commit(e.policy.MaxBytes); err != nil {
		return err
	}
	e.note(access.EventBundleMade, c.Opened.Session, fmt.Sprintf("%s, %d bytes, SHA-256 %x", entry.Name, entry.Bytes, sum))
	e.fit(entry.Name)
	return nil
}

// fetch has eye encrypt the frames of a session and takes them part by part.
func (e *evidence) fetch(ctx context.Context, session access.SessionID, w *abuse.Writer) error {
	select {
	case <-e.parts: // of a session that was given up
	default:
	}
	free, err := e.free()
	if err != nil {
		return err
	}
	room := min(e.policy.MaxBytes, free-min(leastFree, free))
	wait := firstPart
	var size uint32
	for from := uint32(0); from == 0 || from < size; wait = nextPart {
		e.mu.Lock()
		ask := e.ask
		e.mu.Unlock()
		if ask == nil {
			return fmt.Errorf("%w: it is gone", errNoFrames)
		}
		if err := ask(ipc.Seal{Session: session, From: from}); err != nil {
			return fmt.Errorf("%w: it is gone", errNoFrames)
		}
		part, err := e.part(ctx, wait)
		switch {
		case err != nil:
			return err
		case part.Session != session || part.From != from || part.Size == 0 || from > 0 && part.Size != size:
			return fmt.Errorf("%w, or others than were asked for", errNoFrames)
		case uint64(part.Size) > room-min(besides, room):
			return fmt.Errorf("%w that have room", errNoFrames) // an eye that lies must not keep the rest from being kept
		case len(part.Part) != int(min(ipc.MaxPart, part.Size-from)):
			return fmt.Errorf("%w in parts that are whole", errNoFrames) // nor by giving them byte by byte
		}
		if err := w.Film(part.Part); err != nil {
			return err
		}
		size, from = part.Size, from+uint32(len(part.Part))
		if err := sleep(ctx, partEvery); err != nil {
			return err
		}
	}
	return nil
}

func (e *evidence) part(ctx context.Context, within time.Duration) (ipc.Sealed, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case p := <-e.parts:
		return p, nil
	case <-timer.C:
		return ipc.Sealed{}, fmt.Errorf("%w within %v", errNoFrames, within)
	case <-ctx.Done():
		return ipc.Sealed{}, ctx.Err()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
