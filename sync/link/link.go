// Package link keeps a kiosk's session with the MQTT broker of its headquarters (docs/WIRE.md, Transport). It carries what it cannot read: envelopes
// down to the door, reports and audit records up. It keeps nothing: the audit log is the queue, and the door says how far headquarters has it.
//
//	Station ─► dial ─► TLS 1.3 ─► CONNECT ─► SUBSCRIBE ─► Online ─► carry ──lost──► Online(false, why) ─► wait ─┐
//	   ▲                 └──────────────┴─── refused ────────────────────────────────────────────────────────► │
//	   └─────────────────────────────────────────────────────────────────────────────────────────────────────┘
package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Door is the kiosk behind the link. What it says is believed; what it is brought, it judges. An error that wraps ErrRefused concerns that one call;
// every other one means that the door is gone, and ends Run.
type Door interface {
	// Station says where headquarters is. It is asked before each try, and while a session lasts now and then.
	Station(context.Context) (Station, error)
	// Deliver brings a message of headquarters, which nobody has opened. It is called for one message after the other, and may bring one twice.
	Deliver(ctx context.Context, envelope []byte) error
	// Online tells whether headquarters is reached, and if not, why, in one sentence of at most MaxWhy bytes.
	Online(ctx context.Context, on bool, why string) error
	// Dropped tells what came from headquarters' side and was not delivered, since it was told last.
	Dropped(context.Context, Drops) error
	Log
}

// Log is the audit log, the queue of what headquarters is told.
type Log interface {
	// Outbox says how many records there are, and how many of them headquarters has acknowledged.
	Outbox(context.Context) (records, cursor uint64, err error)
	// Fetch encodes records from a sequence on, at most wire.MaxMessage bytes, and says the sequence behind them. An empty report: there are none yet.
	Fetch(ctx context.Context, from uint64) (report []byte, next uint64, err error)
}

// ErrRefused is wrapped by what a Door will not do, or not now.
var ErrRefused = errors.New("refused by the door")

// ErrNoStation ends Run: there is no headquarters any more.
var ErrNoStation = errors.New("no headquarters is configured")

// MaxWhy bounds the sentence of Door.Online, bytes.
const MaxWhy = 200

// pace is how long things may take. A test has less patience.
type pace struct {
	first, most time.Duration // bounds of the wait before the next try
	steady      time.Duration // a session of this length was one: the next wait begins small
	connect     time.Duration // for each of dial, handshake, CONNACK and SUBACK
	probe       time.Duration // of silence, after which the broker is asked for a sign of life
	answer      time.Duration // for that sign; and for the network to take 16 KiB
	confirm     time.Duration // for the broker to say that it has a message
	pulse       time.Duration // how often the log is asked whether it has grown
	acknowledge time.Duration // for headquarters to say that it has records, before they are sent again
	restation   time.Duration // how often a running session looks for another station
	account     time.Duration // between two times that the door is told what was dropped
}

// patience finds a dead socket in little more than probe + answer, 8 s. In that time a live one must take the largest message: an uplink of some
// 200 kbit/s.
var patience = pace{
	first: time.Second, most: time.Minute, steady: 30 * time.Second, connect: 10 * time.Second, probe: 3 * time.Second, answer: 5 * time.Second,
	confirm: 30 * time.Second, pulse: time.Second, acknowledge: 30 * time.Second, restation: time.Minute, account: time.Minute,
}

// Carrier carries between a door and its headquarters. Use New.
type Carrier struct {
	door Door
	say  func(format string, args ...any)
	pace pace
	way  progress
	said string // the reason that was told last, since the last session

	dropped dropped

	mu      sync.Mutex
	reports chan []byte // of the session; nil: there is none
}

// New makes a carrier for door. say takes lines for whoever looks after the kiosk.
func New(door Door, say func(format string, args ...any)) *Carrier {
	return &Carrier{door: door, say: say, pace: patience, dropped: dropped{say: say}}
}

// maxReports bounds the reports that wait to be sent; the door makes one a minute, and a few when it is asked.
const maxReports = 8

// Report sends what the door has to say besides records. It never waits: without a session, or when too much waits already, the report is dropped, for
// all of them are about now. It may be called at any time.
func (c *Carrier) Report(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reports == nil {
		return
	}
	select {
	case c.reports <- data:
	default:
		c.say("a report is dropped: %d wait already", maxReports)
	}
}

// Run carries until ctx ends or the door is gone, and returns why. It leaves no goroutine behind. Call it once.
func (c *Carrier) Run(ctx context.Context) error {
	for ceiling := c.pace.first; ; ceiling = min(2*ceiling, c.pace.most) {
		began := time.Now()
		err := c.session(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_ = c.account(ctx) // whatever ended the session; no sooner than its pace allows, and what is untold when Run returns is lost. A door that is gone shows below
		var gone doorGone
		if errors.Is(err, ErrNoStation) || errors.As(err, &gone) {
			return err
		}
		if time.Since(began) >= c.pace.steady {
			ceiling = c.pace.first
		}
		// Over the whole of the time: kiosks that lost their broker together must not come back together.
		wait := rand.N(ceiling) + 1
		why := sentence(err)
		if why != c.said {
			c.said = why
			c.say("headquarters is not reached: %v", err)
		}
		if err := lost(ctx, c.door.Online(ctx, false, why)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// doorGone is an error of the door that is no refusal.
type doorGone struct{ error }

func (d doorGone) Unwrap() error { return d.error }

// lost sorts an error of the door: a refusal is nil here.
func lost(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, ErrRefused):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return doorGone{err}
}
