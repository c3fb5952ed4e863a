package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/portal"
	"github.com/lintel-access/lintel/sync/wire"
)

// Append makes a record of a walk-up durable.
func (k *kiosk) Append(r access.Record) error { return k.fold.take(r) }

// class keeps whoever stands at the door, or sends it messages, from the reserve, however grave what they did: they can do it as often as they like, and
// what it costs is room for the grants and alarms of others. Headquarters' server and whoever carries its messages are no better.
func class(e access.Event) auditlog.Class {
	switch e {
	case access.EventWalkupDenied, access.EventWalkupRetry, access.EventWalkupUncertain, access.EventWalkupLeft,
		access.EventPresentationRefused, access.EventLampAnswerWrong, access.EventRecurrenceFlagged, access.EventBundleMade, access.EventBundleDropped, access.EventBundleNotMade,
		access.EventEnvelopeRefused, access.EventStreamGap, access.EventRemoteReleaseAsked, access.EventRemoteReleaseRefused, access.EventOrderRefused,
		access.EventPolicyRefused, access.EventCertificateChanged, access.EventHeadquartersReached, access.EventHeadquartersLost:
		return auditlog.Ordinary
	}
	return auditlog.Vital
}

// append makes a record durable. An ordinary one that finds no room is lost, and counted.
func (k *kiosk) append(class auditlog.Class, r access.Record) error {
	err := k.put(class, r)
	if class == auditlog.Ordinary && errors.Is(err, auditlog.ErrFull) && k.lost.Add(1) == 1 {
		k.note(access.EventStorageLow, "refused walk-ups are not recorded until there is room")
	}
	return err
}

// put is append for whoever keeps what finds no room, and tries again.
func (k *kiosk) put(class auditlog.Class, r access.Record) error {
	data, err := wire.Marshal(r)
	if err == nil && k.audit == nil {
		err = errNoLog
	}
	var index uint64
	if err == nil {
		index, err = k.audit.Append(class, data)
	}
	switch {
	case err == nil:
		k.evidence.recorded(r, index)
		k.broken.Store(false)
		k.notary.noticed(r.Event)
	case class == auditlog.Ordinary && errors.Is(err, auditlog.ErrFull): // the rest is for vital ones
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

var errNoLog = errors.New("there is no audit log")

// recorder writes what the portal saw. It may use the reserve: the door's own history is never displaced by presentations.
type recorder kiosk

func (r *recorder) Record(ctx context.Context, e portal.Entry) error {
	k := (*kiosk)(r)
	k.test.saw(e)
	k.pin.saw(e)
	select {
	case <-k.whole:
	case <-ctx.Done():
		return ctx.Err()
	}
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
	wall, clock := k.wall()
	return access.Record{
		Version: access.RecordVersion, Event: e, Boot: k.boot, Stamp: frames.Now(), Clock: clock,
		Wall: wall.Unix(), Door: k.policy.Door, Policy: k.inForce().hash,
	}
}

// clip cuts a text to so many bytes, and not through a letter: half of one would make the message refuse to be sent.
func clip(s string, most int) string { return strings.ToValidUTF8(s[:min(len(s), most)], "") }
