package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/portal"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

// kiosk is all that door holds, wired together.
type kiosk struct {
	policy   access.Policy
	hash     [32]byte // of the policy
	boot     uint64
	store    *vault.Vault
	audit    *auditlog.Log
	gallery  *walkup.People
	portal   *portal.Portal
	walkup   *walkup.Walkup
	degraded []string // since the start
	linked   atomic.Bool
	broken   atomic.Bool   // a vital record could not be written
	lost     atomic.Uint64 // ordinary records that found no room since the last one that did
	locking  sync.Mutex    // held while a lockdown changes

	eyes, links, strangers comings

	mu   sync.Mutex
	wake chan struct{} // closed and replaced at every change
}

func assemble(b board.Board, store *vault.Vault, log *auditlog.Log, lines portal.Lines) (*kiosk, error) {
	k := &kiosk{policy: access.DefaultPolicy(), store: store, audit: log, wake: make(chan struct{})}
	if err := k.policy.Validate(); err != nil {
		return nil, err
	}
	encoded, err := wire.Marshal(k.policy)
	if err != nil {
		return nil, err
	}
	k.hash = sha256.Sum256(encoded)
	if k.boot, err = store.Boot(); err != nil {
		return nil, err
	}
	calibration, err := model.DefaultCalibration()
	if err != nil {
		return nil, err
	}
	shelf := &shelf{vault: store, boot: k.boot}
	if shelf.key, err = store.SubjectKey(); err != nil {
		return nil, err
	}
	failures, err := shelf.failures(k.policy.Door, frames.Now())
	if err != nil {
		return nil, err
	}
	if k.gallery, err = walkup.NewPeople(shelf, calibration.Bundle, b.Gallery.References); err != nil {
		return nil, err
	}
	lockdown, err := store.Lockdown()
	if err != nil {
		return nil, err
	}
	if k.portal, err = portal.New(portal.Config{
		Board: b, Lines: lines, Recorder: (*recorder)(k), Times: k.policy.Times, Lockdown: lockdown, Now: frames.Now, Changed: k.changed,
	}); err != nil {
		return nil, err
	}
	k.walkup, err = walkup.New(walkup.Config{
		Policy: k.policy, PolicyHash: k.hash, Boot: k.boot, Lamp: lamp{lines}, Door: k.portal, Log: k, Gallery: k.gallery,
		Threshold: func(bundle [32]byte) (float32, bool) {
			if bundle != calibration.Bundle {
				return 0, false
			}
			t, err := calibration.Threshold(k.policy.FalseMatchRate)
			return t, err == nil
		},
		Failures: failures, SaveFailures: func(f []time.Duration) error { return shelf.saveFailures(k.policy.Door, f) },
		Show: k.portal.Show, Now: frames.Now, Wall: time.Now, Changed: k.changed,
	})
	return k, err
}

// run works until ctx or one of the parts ends. The end of the portal is the end of door: the supervisor starts it anew, relay first.
func (k *kiosk) run(ctx context.Context, s *server) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The portal ends last: REX and fire work as long as door does.
	portalCtx, stopPortal := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPortal()
	portalEnded := make(chan error, 1)
	go func() {
		err := k.portal.Run(portalCtx)
		cancel(fmt.Errorf("portal: %w", err))
		portalEnded <- err
	}()
	var work sync.WaitGroup
	work.Go(func() { cancel(fmt.Errorf("walk-up: %w", k.walkup.Run(ctx))) })
	work.Go(func() { cancel(fmt.Errorf("sockets: %w", s.serve(ctx))) })
	<-ctx.Done()
	work.Wait()
	stopPortal()
	<-portalEnded
	return context.Cause(ctx)
}

// Append makes a record of a walk-up durable.
func (k *kiosk) Append(r access.Record) error { return k.append(class(r.Event), r) }

// class keeps whoever stands at the door from the reserve, however grave what they did: they can do it as often as they like, and
// what it costs is room for the grants and alarms of others.
func class(e access.Event) auditlog.Class {
	switch e {
	case access.EventWalkupDenied, access.EventWalkupRetry, access.EventWalkupUncertain, access.EventWalkupLeft,
		access.EventPresentationRefused, access.EventLampAnswerWrong:
		return auditlog.Ordinary
	}
	return auditlog.Vital
}

func (k *kiosk) append(class auditlog.Class, r access.Record) error {
	data, err := wire.Marshal(r)
	if err == nil {
		_, err = k.audit.Append(class, data)
	}
	switch {
	case err == nil:
		k.broken.Store(false)
	case class == auditlog.Ordinary && errors.Is(err, auditlog.ErrFull):
		if k.lost.Add(1) == 1 {
			k.note(access.EventStorageLow, "refused walk-ups are not recorded until there is room")
		}
	case !k.broken.Swap(true):
		fmt.Fprintf(os.Stderr, "audit record could not be written: %v\n", err)
	}
	if class == auditlog.Ordinary && err == nil {
		if n := k.lost.Swap(0); n > 0 {
			k.note(access.EventEventsLost, fmt.Sprintf("%d refused walk-ups were not recorded", n))
		}
	}
	k.changed()
	return err
}

// recorder writes what the portal saw. It may use the reserve: the door's own history is never displaced by presentations.
type recorder kiosk

func (r *recorder) Record(_ context.Context, e portal.Entry) error {
	k := (*kiosk)(r)
	rec := k.blank(e.Event)
	rec.Stamp, rec.Session, rec.Detail = e.Stamp, e.Session, e.Detail
	if e.Lost > 0 {
		rec.Detail = fmt.Sprintf("%d entries", e.Lost)
	}
	return k.append(auditlog.Vital, rec)
}

// note records something about the program itself. Nothing opens on it, and the log says itself when it cannot write.
func (k *kiosk) note(e access.Event, detail string) {
	r := k.blank(e)
	r.Detail = clip(detail, access.MaxDetail)
	_ = k.append(auditlog.Vital, r)
}

func (k *kiosk) blank(e access.Event) access.Record {
	return access.Record{
		Version: access.RecordVersion, Event: e, Boot: k.boot, Stamp: frames.Now(), Clock: access.ClockUntrusted,
		Wall: time.Now().Unix(), Door: k.policy.Door, Policy: k.hash,
	}
}

// clip cuts a text to so many bytes, and not through a letter: half of one would make the message refuse to be sent.
func clip(s string, most int) string { return strings.ToValidUTF8(s[:min(len(s), most)], "") }

// booted records the start, what the last one left open and what the audit log had to mend.
func (k *kiosk) booted(r auditlog.Recovery) {
	k.note(access.EventBooted, "")
	if err := k.settle(); err != nil {
		k.degraded = append(k.degraded, err.Error())
	}
	if r.Torn > 0 {
		k.note(access.EventAuditRepaired, fmt.Sprintf("%d bytes of an unfinished write cut off", r.Torn))
	}
	for _, d := range r.Damage {
		k.note(access.EventAuditRepaired, d.Error())
		k.degraded = append(k.degraded, d.Error())
	}
	for _, n := range r.Notes {
		k.note(access.EventAuditRepaired, n)
		k.degraded = append(k.degraded, "audit log: "+n)
	}
}

// revoke ends a permission, durably before it is said to have ended.
func (k *kiosk) revoke(id access.PersonID) error {
	if err := k.gallery.Revoke(id); err != nil {
		return err
	}
	r := k.blank(access.EventRevoked)
	r.Subject = k.gallery.Subject(id)
	if err := k.append(auditlog.Vital, r); err != nil {
		return fmt.Errorf("the permission has ended, but the audit log does not say so: %w", err)
	}
	return nil
}

// lockdown sets or lifts the lockdown. It is kept over every restart: the door is shut before that is written, and opened after it,
// so that whatever fails in between fails shut.
func (k *kiosk) lockdown(ctx context.Context, on bool) error {
	k.locking.Lock()
	defer k.locking.Unlock()
	if !on {
		if err := k.store.SetLockdown(false); err != nil {
			return err
		}
		return k.portal.Lockdown(ctx, false)
	}
	if err := k.portal.Lockdown(ctx, true); err != nil {
		return err
	}
	if err := k.store.SetLockdown(true); err != nil {
		return fmt.Errorf("the door is locked down, but not beyond a restart: %w", err)
	}
	return nil
}

func (k *kiosk) outbox() ipc.Outbox {
	// The cursor first: it never passes the head.
	cursor := k.audit.Cursor()
	return ipc.Outbox{Records: k.audit.Head(), Cursor: cursor}
}

// changed wakes whoever watches. It never blocks.
func (k *kiosk) changed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.wake)
	k.wake = make(chan struct{})
}

// watch returns a channel that is closed at the next change.
func (k *kiosk) watch() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wake
}

// Bounds of a status: firmware/ipc refuses to send more.
const (
	maxDegraded = 24  // degraded modes
	maxSentence = 200 // bytes of one
)

func (k *kiosk) status() ipc.Status {
	door, w, out := k.portal.View(), k.walkup.View(), k.outbox()
	s := ipc.Status{
		Stamp: frames.Now(), Door: door.Point.State, Tamper: door.Point.Tamper, Lockdown: door.Point.Lockdown, Indication: door.Indication,
		Walkup: w.State, Sighting: w.Sighting, Decisions: w.Outcomes, Enrolling: w.Enrolling, Eye: w.Eye, Link: k.linked.Load(),
		People: uint32(k.gallery.Len()), Records: out.Records, Cursor: out.Cursor, Policy: k.hash,
	}
	s.Degraded = append(append(s.Degraded, k.degraded...), w.Degraded...)
	if !w.Eye {
		s.Degraded = append(s.Degraded, "eye is not connected: nobody can be recognised")
	}
	if have, want := k.audit.Reserve(); have < want || k.lost.Load() > 0 {
		s.Degraded = append(s.Degraded, "storage is low: the audit log's reserve is not whole")
	}
	if k.broken.Load() {
		s.Degraded = append(s.Degraded, "the audit log cannot be written: nobody is granted")
	}
	s.Degraded = s.Degraded[:min(len(s.Degraded), maxDegraded)]
	for i, d := range s.Degraded {
		s.Degraded[i] = clip(d, maxSentence)
	}
	return s
}
