package portal

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/access"
)

// Entry is one thing that happened at the door.
type Entry struct {
	Stamp   time.Duration // CLOCK_MONOTONIC; of the edge, where one was the cause
	Event   access.Event
	State   access.DoorState // after it
	Session access.SessionID // the walk-up whose release it belongs to; zero for none
	Lost    uint64           // of EventEventsLost: how many
	Detail  string           // short and plain, never from outside
}

// Recorder writes entries to the audit log. It may block on a disk: the door does not wait for it. An error means that the entry
// is not durable; it is counted and reported by a later EventEventsLost.
type Recorder interface {
	Record(ctx context.Context, e Entry) error
}

const (
	// journalSize is how many entries wait for the disk: a minute of a door that opens and closes every second.
	journalSize = 256
	// journalOrdinary of them may be ordinary: a rattling contact must not displace an alarm.
	journalOrdinary = journalSize * 3 / 4
)

// journal stands between the door, which never waits, and the recorder, which may.
type journal struct {
	to      Recorder
	now     func() time.Duration
	waiting chan Entry
	lost    atomic.Uint64
}

func newJournal(to Recorder, now func() time.Duration) *journal {
	return &journal{to: to, now: now, waiting: make(chan Entry, journalSize)}
}

// add never blocks.
func (j *journal) add(e Entry) {
	if len(j.waiting) >= journalOrdinary && e.Event.Severity() < access.Warning {
		j.lost.Add(1)
		return
	}
	select {
	case j.waiting <- e:
	default:
		j.lost.Add(1)
	}
}

// run writes what waits, until stop is closed and nothing waits any more, or ctx ends.
func (j *journal) run(ctx context.Context, stop <-chan struct{}) {
	for {
		select {
		case e := <-j.waiting:
			j.write(ctx, e)
			continue
		case <-ctx.Done():
			return
		case <-stop:
		}
		select {
		case e := <-j.waiting:
			j.write(ctx, e)
		default:
			return
		}
	}
}

func (j *journal) write(ctx context.Context, e Entry) {
	if j.to.Record(ctx, e) != nil {
		j.lost.Add(1)
		return
	}
	if n := j.lost.Swap(0); n > 0 {
		if j.to.Record(ctx, Entry{Stamp: j.now(), Event: access.EventEventsLost, State: e.State, Lost: n}) != nil {
			j.lost.Add(n)
		}
	}
}
