package main

import (
	"math/rand/v2"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// record is a record as door writes it: every hash present, as after a whole walk-up, or zero where the event belongs to none.
func record(rng *rand.Rand, e access.Event, boot uint64, id access.PersonID) ([]byte, error) {
	r := access.Record{
		Version: access.RecordVersion, Event: e, Boot: boot, Stamp: time.Duration(rng.Int64N(int64(200 * time.Hour))),
		Clock: access.ClockTrusted, Wall: 1_700_000_000 + rng.Int64N(100_000_000), Door: "front door",
	}
	fill := func(b []byte) {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	fill(r.Policy[:])
	switch e {
	case access.EventWalkupGranted, access.EventWalkupDenied, access.EventWalkupRetry:
		r.Session = access.SessionID{Boot: boot, Number: uint64(rng.Uint32())}
		fill(r.Bundle[:])
		fill(r.Evidence[:])
		r.Reason = access.ReasonUnknown
		if e == access.EventWalkupGranted {
			r.Verdict, r.Reason = access.Granted, access.ReasonAllowed
		}
		if !id.IsZero() {
			fill(r.Subject[:])
		}
	case access.EventDoorReleased, access.EventDoorOpened, access.EventDoorClosed, access.EventDoorRelocked:
		r.Session = access.SessionID{Boot: boot, Number: uint64(rng.Uint32())}
	case access.EventEnrolled, access.EventRevoked:
		fill(r.Subject[:])
	}
	return wire.Marshal(r)
}
