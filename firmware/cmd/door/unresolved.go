package main

import (
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/sync/wire"
)

// tailRecords is how far back a start looks for a grant that nothing came of. The door's answer follows its grant within a second;
// no walk-up is so fast that this many records lie between them.
const tailRecords = 256

// settle records every grant of an earlier boot that the door never answered: power or door failed between the record and the relay.
// It is recorded and not replayed; nobody stands there any more.
func (k *kiosk) settle() error {
	if k.audit == nil {
		return nil
	}
	records, err := tail(k.audit, tailRecords)
	for _, r := range unresolved(records) {
		u := k.blank(access.EventGrantUnresolved)
		u.Session, u.Subject = r.Session, r.Subject
		err = errors.Join(err, k.append(auditlog.Vital, u))
	}
	return err
}

// endedInOrder says whether the start before this one ended with an orderly stop; true when there was none.
func (k *kiosk) endedInOrder() bool {
	if k.audit == nil {
		return false
	}
	records, err := tail(k.audit, tailRecords)
	last := uint64(0)
	for i := len(records) - 1; i >= 0; i-- {
		switch r := records[i]; {
		case r.Boot == k.boot: // the portal may have written already
		case last != 0 && r.Boot != last:
			return false
		case r.Event == access.EventShutDown:
			return true // the portal's end comes behind it
		default:
			last = r.Boot
		}
	}
	return err == nil && last == 0
}

// tail reads the last records, those that can be read.
func tail(log *auditlog.Log, most uint64) ([]access.Record, error) {
	head := log.Head()
	var list []access.Record
	for from := head - min(head, most); from < head; {
		entries, err := log.Read(from, int(most))
		var lost auditlog.Damage
		switch {
		case errors.As(err, &lost) && lost.Until > from:
			from = lost.Until // its loss was reported when the log was opened
			continue
		case err != nil:
			return list, fmt.Errorf("look for unresolved grants: %w", err)
		case len(entries) == 0:
			return list, nil
		}
		for _, e := range entries {
			var r access.Record
			if err := wire.Unmarshal(e.Record, &r); err != nil {
				return list, fmt.Errorf("look for unresolved grants: record %d: %w", e.Seq, err)
			}
			list = append(list, r)
		}
		from += uint64(len(entries))
	}
	return list, nil
}

// unresolved are the grants that neither a release nor its refusal follows, nor an earlier note that they are unresolved.
func unresolved(records []access.Record) []access.Record {
	open := map[access.SessionID]int{} // place in list
	var list []access.Record
	for _, r := range records {
		switch r.Event {
		case access.EventWalkupGranted, access.EventRemoteReleaseGranted:
			open[r.Session] = len(list)
			list = append(list, r)
		case access.EventDoorReleased, access.EventReleaseRefused, access.EventGrantUnresolved:
			if i, ok := open[r.Session]; ok {
				list[i] = access.Record{}
				delete(open, r.Session)
			}
		}
	}
	kept := list[:0]
	for _, r := range list {
		if r.Event != access.EventNone {
			kept = append(kept, r)
		}
	}
	return kept
}
