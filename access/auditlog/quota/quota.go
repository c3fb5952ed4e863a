// Package quota keeps a flood of one kind of record from filling the audit log: past its quota a record is folded into a count, and
// the count becomes one record later. It is pure: the time is the record's own stamp, and what shall be written is returned.
//
// A folded record is not durable. What a power cut can take is the counts of one window, never the first records of a flood and
// never a vital kind.
package quota

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
)

// Limits of each foldable kind, within one window. Zero values stand for the defaults.
type Limits struct {
	Window time.Duration // 10 minutes
	PerKey int           // records of the same kind, verdict, reason and person: 10
	// PerKind bounds all keys of a kind together: 30. An honest door has fewer: a walk-up takes some 3 s and a failed one is followed
	// by a pause.
	PerKind int
}

const (
	defaultWindow  = 10 * time.Minute
	defaultPerKey  = 10
	defaultPerKind = 30

	// maxKeys bounds what a kind counts apart; those that come later in a window are counted together, without their person.
	maxKeys = 8
)

// Foldable reports whether records of this kind may be folded: those that whoever stands at the door can cause as often as they
// like. All others are vital: grants, what the door did, REX, alarms, lockouts, enrolment, changes, everything about the program
// itself, and every kind that is added later.
func Foldable(e access.Event) bool {
	switch e {
	case access.EventWalkupDenied, access.EventWalkupRetry, access.EventWalkupUncertain, access.EventWalkupLeft,
		access.EventPresentationRefused, access.EventLampAnswerWrong, access.EventBundleNotMade:
		return true
	}
	return false
}

// Coalescer holds the counts. The zero Coalescer has the default limits. It is not safe for several goroutines.
type Coalescer struct {
	Limits Limits
	kinds  []*kind // few, so a list; it keeps the order in which they came
}

type kind struct {
	event   access.Event
	begun   time.Duration // of the window: the stamp of its first record
	boot    uint64        // in whose clock the stamps are
	written int
	keys    []*counter
}

type key struct {
	verdict access.Verdict
	reason  access.Reason
	subject [16]byte
}

type counter struct {
	key
	written, folded int
	first           time.Duration // stamp of the first folded record
	last            access.Record // the last folded one
}

// Take takes a record on its way to the log and returns what is to be written now, in order: the record itself or nothing, and
// before it the counts of a window that has ended.
func (c *Coalescer) Take(r access.Record) []access.Record {
	if !Foldable(r.Event) {
		return []access.Record{r}
	}
	k := c.kind(r)
	var out []access.Record
	if r.Boot != k.boot || r.Stamp-k.begun >= c.window() || r.Stamp < k.begun {
		out = k.flush()
		k.begun, k.boot = r.Stamp, r.Boot
	}
	if k.take(r, cmp.Or(c.Limits.PerKey, defaultPerKey), cmp.Or(c.Limits.PerKind, defaultPerKind)) {
		out = append(out, r)
	}
	return out
}

// Due returns the counts of the windows that have ended by now, which is CLOCK_MONOTONIC as in a record's stamp. A timer calls it, so
// that a flood that stops is told of.
func (c *Coalescer) Due(now time.Duration) []access.Record {
	var out []access.Record
	for _, k := range c.kinds {
		if now-k.begun >= c.window() {
			out = append(out, k.flush()...)
		}
	}
	return out
}

// Flush returns all counts; the program is about to stop.
func (c *Coalescer) Flush() []access.Record {
	var out []access.Record
	for _, k := range c.kinds {
		out = append(out, k.flush()...)
	}
	return out
}

func (c *Coalescer) window() time.Duration { return cmp.Or(c.Limits.Window, defaultWindow) }

func (c *Coalescer) kind(r access.Record) *kind {
	i := slices.IndexFunc(c.kinds, func(k *kind) bool { return k.event == r.Event })
	if i >= 0 {
		return c.kinds[i]
	}
	k := &kind{event: r.Event, begun: r.Stamp, boot: r.Boot}
	c.kinds = append(c.kinds, k)
	return k
}

// take counts a record and reports whether it is to be written.
func (k *kind) take(r access.Record, perKey, perKind int) bool {
	n := k.counter(key{r.Verdict, r.Reason, r.Subject})
	if n.written < perKey && k.written < perKind {
		n.written++
		k.written++
		return true
	}
	if n.folded++; n.folded == 1 {
		n.first = r.Stamp
	}
	n.last = r
	n.last.Subject = n.subject // zero where people are counted together
	return false
}

func (k *kind) counter(id key) *counter {
	if len(k.keys) >= maxKeys && !slices.ContainsFunc(k.keys, func(n *counter) bool { return n.key == id }) {
		id = key{verdict: id.verdict}
	}
	i := slices.IndexFunc(k.keys, func(n *counter) bool { return n.key == id })
	if i >= 0 {
		return k.keys[i]
	}
	n := &counter{key: id}
	k.keys = append(k.keys, n) // beyond maxKeys by one for each verdict at most
	return n
}

// flush ends the window: one record for each key that folded any. A single one is written as it came.
func (k *kind) flush() []access.Record {
	var out []access.Record
	for _, n := range k.keys {
		switch {
		case n.folded == 1 && n.subject == n.last.Subject && n.reason == n.last.Reason:
			out = append(out, n.last)
		case n.folded > 0:
			r := n.last
			// The record is of many: what belongs to the last one alone would mislead.
			r.Reason, r.Session, r.Evidence = n.reason, access.SessionID{}, [32]byte{}
			r.Detail = fmt.Sprintf("%d more of the same within %v", n.folded, (r.Stamp - n.first).Round(time.Second))
			out = append(out, r)
		}
	}
	k.keys, k.written = nil, 0
	return out
}
