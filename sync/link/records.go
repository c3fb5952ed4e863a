package link

import (
	"context"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/lintel-access/lintel/sync/wire"
)

// progress says which records are to be sent next. It knows two numbers: how far headquarters says that it has them, and how far they were sent. That
// the broker has taken a message moves neither.
type progress struct {
	cursor uint64        // records that headquarters has
	sent   uint64        // records that were sent, in this session
	since  time.Time     // the cursor moved, or what it waits for was sent
	wait   time.Duration // until what lies behind the cursor is sent again; 0: nobody has looked yet
	trying bool          // it was sent again, and the cursor has not moved since
}

// longest bounds how long is waited before records are sent again: a headquarters that is down for a day finds a hundred copies of one message.
const longest = 15 * time.Minute

// begin is for a new session: what the one before had on the way may be lost.
func (p *progress) begin(now time.Time) { p.sent, p.since = p.cursor, now }

// look takes what the door says.
func (p *progress) look(records, cursor uint64, now time.Time, acknowledge time.Duration) {
	switch {
	case p.wait == 0 || cursor < p.cursor || p.sent > records: // the first look, or another log than before
		*p = progress{cursor: cursor, sent: cursor, since: now, wait: acknowledge}
	case cursor > p.cursor:
		p.sent = max(p.sent, cursor)
		if p.trying { // sending again has helped: then more than that one message was lost
			p.sent = cursor
		}
		p.cursor, p.since, p.wait, p.trying = cursor, now, acknowledge, false
	}
}

// next says from where on to send. While headquarters is silent only the one message that it waits for is sent again, and each time later; what is new
// is sent all the same.
func (p *progress) next(records uint64, now time.Time) (from uint64, any bool) {
	if p.sent > p.cursor && now.Sub(p.since) >= p.wait {
		p.since, p.wait, p.trying = now, min(2*p.wait, longest), true
		return p.cursor, true
	}
	return p.sent, p.sent < records
}

// carried notes that records up to next were sent.
func (p *progress) carried(next uint64, now time.Time) {
	if p.sent == p.cursor {
		p.since = now
	}
	p.sent = max(p.sent, next)
}

// window bounds the messages with records that the broker has not confirmed: 0.6 MB, which keeps a line of 100 ms and 40 Mbit/s busy.
const window = 4

// flight is a message on its way to the broker.
type flight struct {
	token mqtt.Token
	began time.Time
}

// wait waits until the broker says that it has the message. That is believed for one purpose: to send the next one.
func (f flight) wait(ctx context.Context, p pace) error {
	late := time.NewTimer(p.confirm - time.Since(f.began))
	defer late.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-late.C:
		return problem(nil, "the broker does not confirm what it is sent: its disk may be full")
	case <-f.token.Done():
		if err := f.token.Error(); err != nil {
			return broken(err, "while it was sent something")
		}
		return nil
	}
}

// records sends what the log holds and headquarters has not, in order, and goes on as it grows.
func (s *session) records(ctx context.Context) error {
	way := &s.carrier.way
	way.begin(time.Now())
	tick := time.NewTicker(s.carrier.pace.pulse)
	defer tick.Stop()
	var flying []flight
	for {
		records, cursor, err := s.carrier.door.Outbox(ctx)
		if err == nil {
			way.look(records, cursor, time.Now(), s.carrier.pace.acknowledge)
		} else if err := lost(ctx, err); err != nil {
			return err
		}
		for pulse := false; !pulse && err == nil; {
			from, any := way.next(records, time.Now())
			if !any {
				break
			}
			if len(flying) == window {
				if err := flying[0].wait(ctx, s.carrier.pace); err != nil {
					return err
				}
				flying = flying[1:]
			}
			if err := s.fetches.wait(ctx); err != nil {
				return err
			}
			report, next, err := s.carrier.door.Fetch(ctx, from)
			if err := lost(ctx, err); err != nil {
				return err
			}
			if err != nil || len(report) == 0 || len(report) > wire.MaxMessage || next <= from {
				break // not now: the next pulse asks again
			}
			flying = append(flying, flight{s.publish(report), time.Now()})
			way.carried(next, time.Now())
			select {
			case <-tick.C:
				pulse = true // the cursor may have moved
			default:
			}
		}
		for len(flying) > 0 && finished(flying[0].token) || len(flying) > 0 && time.Since(flying[0].began) > s.carrier.pace.confirm {
			if err := flying[0].wait(ctx, s.carrier.pace); err != nil {
				return err
			}
			flying = flying[1:]
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func finished(t mqtt.Token) bool {
	select {
	case <-t.Done():
		return true
	default:
		return false
	}
}
