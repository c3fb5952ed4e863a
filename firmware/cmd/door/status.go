package main

import (
	"slices"
	"time"

	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/ipc"
)

func (k *kiosk) outbox() ipc.Outbox {
	if k.audit == nil {
		return ipc.Outbox{}
	}
	// The cursor first: it never passes the head.
	cursor := k.audit.Cursor()
	return ipc.Outbox{Records: k.audit.Head(), Cursor: cursor}
}

// view is how the kiosk stands with headquarters at a moment, as the newest greeting says it.
func (h *headquarters) view(at time.Duration) (a ipc.Afar) {
	if h == nil {
		return a
	}
	h.carrier.Lock()
	a = ipc.Afar{Known: true, Online: h.online, Since: h.since, Seq: h.said}
	h.carrier.Unlock()
	if t, ok := h.door.clock.trusted(); ok {
		a.Trusted = t.Add(at - frames.Now()).UnixMilli()
	}
	return a
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
		Walkup: w.State, Sighting: w.Sighting, Decisions: w.Outcomes, Enrolling: w.Enrolling, Pending: w.Pending, Eye: w.Eye, Link: k.linked.Load(),
		People: uint32(k.gallery.Len()), Records: out.Records, Cursor: out.Cursor, Policy: k.inForce().hash,
	}
	s.Closed, s.Tested = k.closed != "", w.Gauged
	s.Afar = k.hq.view(s.Stamp)
	if k.trail != nil {
		s.Waiting = k.trail.Waiting()
	}
	// What matters most comes first: there is no room for everything.
	first := k.reasons[:min(len(k.reasons), 1)]
	var now []string
	if !w.Eye && !s.Closed {
		now = append(now, "eye is not connected: nobody can be recognised")
	}
	if door.Testing {
		now = append(now, "the wiring is being tested: nobody is recognised until that ends")
	}
	if k.disabled.Load() && !s.Closed {
		now = append(now, "headquarters has nobody recognised at this door")
	}
	if k.audit == nil {
		now = append(now, "nothing is recorded: no audit log could be opened")
	} else if have, want := k.audit.Reserve(); have < want || k.lost.Load() > 0 || k.test.found.State(health.Storage) == health.Impaired {
		now = append(now, "storage is low: the audit log's reserve is not whole")
	}
	if k.broken.Load() {
		now = append(now, "the audit log cannot be written: nobody is granted")
	}
	s.Degraded = slices.Concat(first, now, k.test.sentences(s.Closed), k.trouble.sentences(), k.reasons[len(first):], w.Degraded)
	s.Degraded = s.Degraded[:min(len(s.Degraded), maxDegraded)]
	for i, d := range s.Degraded {
		s.Degraded[i] = clip(d, maxSentence)
	}
	return s
}
