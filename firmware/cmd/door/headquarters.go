package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

const (
	greetEvery   = time.Minute
	greetSoonest = time.Second      // between two greetings, however much is repeated to us
	greetedFor   = 30 * time.Second // a nonce is good for
	alarmEvery   = time.Hour        // after the first few of what may use the log's reserve, or has a file written: it takes years to fill
	maxGreeted   = 32               // nonces that wait for their answer: as many as are made while one is good
)

var (
	errAhead   = errors.New("it lies further ahead than this kiosk's own clock allows")
	errPast    = errors.New("it lies before a time that was vouched for")
	errRetired = errors.New("this kiosk is decommissioned")
	errUnfit   = errors.New("it does not fit this kiosk")
)

// headquarters is the kiosk's side of its conversation with headquarters. link carries it and can read none of it that is sealed, nor forge any of it:
// every message is verified here before it is decoded. Without a configured headquarters there is none.
type headquarters struct {
	door   *kiosk
	bundle [32]byte // model bundle of the gallery
	wake   chan struct{}
	enrol  chan wire.Supervised // room for one: busy says whether it may be sent

	session sync.Mutex
	busy    bool // a supervised enrolment runs

	// bounds of records
	reached, lost, refused, unseen, gaps, odd, asked, undone, unfit, idle, certified comings

	carrier sync.Mutex
	conn    *ipc.Conn // link's; nil while there is none
	online  bool
	since   time.Duration // CLOCK_MONOTONIC, when online changed
	said    uint64        // the command that the newest greeting named

	mu         sync.Mutex // one message after the other
	place      root.Headquarters
	roster     roster.Roster
	retired    bool
	keys       []exchangeKey
	attested   wire.Exchange // one of them, as the TPM did; Number 0: none yet
	made       time.Duration // CLOCK_MONOTONIC, when the newest key was made
	named      uint32        // the newest key that a greeting has named which headquarters has answered
	greetings  []greeting
	requests   requests
	challenges []challenge
	owed       debt
	noted      []byte // the checkpoint that headquarters was told last
}

// greeting is a nonce that waits for headquarters' time.
type greeting struct {
	nonce    [16]byte
	seq      uint64 // the stream's, when it was sent
	exchange uint32 // the newest key's number then
	at       time.Duration
}

// attach has link carry what is said, until the returned function is called.
func (h *headquarters) attach(conn *ipc.Conn) (detach func()) {
	if h == nil {
		return func() {}
	}
	h.carrier.Lock()
	defer h.carrier.Unlock()
	h.conn = conn
	return func() {
		h.carrier.Lock()
		mine := h.conn == conn
		was := h.online
		if mine {
			h.conn, h.online = nil, false
			if was {
				h.since = frames.Now()
			}
		}
		h.carrier.Unlock()
		if mine && was {
			h.note(&h.lost, access.EventHeadquartersLost, "link is gone")
		}
	}
}

// say sends a report, if anybody carries it. All reports are about now: one that is lost is made again.
func (h *headquarters) say(body wire.Body) {
	data, err := wire.Report(body)
	h.carrier.Lock()
	conn := h.conn
	h.carrier.Unlock()
	if err == nil && conn != nil {
		_ = conn.Send(ipc.KindReport, 0, ipc.Report{Data: data})
	}
}

// note records what happens at the pace of others.
func (h *headquarters) note(c *comings, e access.Event, detail string) bool {
	more, ok := c.pass(frames.Now())
	if ok {
		r := h.door.blank(e)
		if detail != "" && more != "" {
			detail += "; "
		}
		detail += more
		r.Detail = clip(detail, access.MaxDetail)
		_ = h.door.append(class(e), r)
	}
	return ok
}

// station says where headquarters is.
func (h *headquarters) station() ipc.Stationed {
	if h == nil {
		return ipc.Stationed{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return ipc.Stationed{
		Broker: h.place.Broker, Server: h.place.Server, Name: wire.Name(h.door.root.Identity().Kiosk()),
		Certificate: h.place.Certificate, Authorities: h.roster.Trust().Authorities,
	}
}

// reach hears from link whether headquarters is reached.
func (h *headquarters) reach(o ipc.Online) {
	if h == nil {
		return
	}
	h.carrier.Lock()
	was := h.online
	if h.online = o.On; was != o.On {
		h.since = frames.Now()
	}
	h.carrier.Unlock()
	h.door.changed()
	switch {
	case o.On && !was:
		h.note(&h.reached, access.EventHeadquartersReached, "")
	case !o.On && was:
		h.note(&h.lost, access.EventHeadquartersLost, fmt.Sprintf("%.120q", o.Why))
	}
	if o.On {
		h.greetSoon()
	}
}

func (h *headquarters) greetSoon() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run greets, and sees to what is due, until ctx ends.
func (h *headquarters) run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { h.supervise(ctx) })
	tick := time.NewTicker(greetEvery)
	defer tick.Stop()
	_, trusted := h.door.clock.trusted()
	h.door.aged(&trusted) // at once: whoever pulls the plug gains no minute by it
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.door.notary.made: // what is urgent reaches headquarters, signed for, within seconds
			h.mu.Lock()
			h.point()
			h.mu.Unlock()
			continue
		case <-h.wake:
		case <-tick.C:
			h.door.aged(&trusted)
			h.mu.Lock()
			h.rotate()
			h.settle()
			h.point()
			h.mu.Unlock()
		}
		h.greet()
		select {
		case <-ctx.Done():
			return
		case <-time.After(greetSoonest):
		}
	}
}

// greet says where the kiosk stands, with a nonce of its own.
func (h *headquarters) greet() {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, k := h.roster.State(), h.door
	g := greeting{seq: s.Seq, exchange: h.keys[len(h.keys)-1].Number, at: frames.Now()}
	rand.Read(g.nonce[:])
	h.greetings = append(h.greetings[max(0, len(h.greetings)+1-maxGreeted):], g)
	out := k.outbox()
	h.carrier.Lock()
	h.said = s.Seq
	h.carrier.Unlock()
	h.say(wire.Greeting{
		Nonce: g.nonce, Seq: s.Seq, Head: s.Head(), Trust: h.roster.Trust().Version, Policy: s.Policy, Exchange: g.exchange,
		Records: out.Records, Cursor: out.Cursor, Boot: k.boot, Door: k.policy.Door, Bundle: h.bundle,
	})
}

// greeted takes the nonce of an answer that headquarters has signed: it is good once, and not for long.
func (h *headquarters) greeted(nonce [16]byte) (seq uint64, ok bool) {
	for i, g := range h.greetings {
		if g.nonce == nonce {
			h.greetings = append(h.greetings[:i:i], h.greetings[i+1:]...)
			if ok = frames.Now()-g.at <= greetedFor; ok {
				h.named = max(h.named, g.exchange)
			}
			return g.seq, ok
		}
	}
	return 0, false
}

// now is trusted time in Unix seconds; 0 while there is none.
func (h *headquarters) now() int64 {
	if t, ok := h.door.clock.trusted(); ok {
		return t.Unix()
	}
	return 0
}

// take verifies a message of headquarters and does what it says. An error says that it was refused, and why; then nothing was changed.
func (h *headquarters) take(ctx context.Context, data []byte) error {
	if h == nil {
		return errors.New("there is no headquarters")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if floor, since := h.door.store.Trusted(); floor != 0 {
		h.roster = h.roster.Since(floor, int64(since/time.Second))
	}
	claim, err := wire.Peek(data)
	if err == nil {
		err = h.open(ctx, claim.Kind, data)
	}
	if err != nil {
		h.refuse(claim.Kind, data, err)
	}
	return err
}

func (h *headquarters) open(ctx context.Context, kind wire.Kind, data []byte) error {
	switch kind {
	case wire.KindAcknowledge: // also of a kiosk that is decommissioned: its last records are the proof of that
		return h.acknowledged(data)
	case wire.KindTime:
		return h.told(data)
	}
	if h.retired {
		return errRetired
	}
	switch kind {
	case wire.KindTrust:
		next, err := h.roster.Renew(data, h.now())
		if err == nil {
			err = h.trust(next)
		}
		if errors.Is(err, roster.ErrOlder) && bytes.Equal(data, h.roster.State().Trust) {
			return nil // it came before
		}
		return err
	case wire.KindCommand:
		return h.command(ctx, data)
	case wire.KindCertificate:
		return h.certificate(data)
	case wire.KindAsk:
		return h.ask(data)
	case wire.KindRelease:
		return h.release(ctx, data)
	case wire.KindBegin:
		return h.begin(data)
	}
	return roster.ErrKind
}

// told hears headquarters' answer to a greeting.
func (h *headquarters) told(data []byte) error {
	t, _, err := h.roster.Answer(data, h.now(), h.greeted)
	if t.Now == 0 {
		return err
	}
	has, had := t.Seq, h.roster.State().Seq
	if err != nil { // another stream than the kiosk's
		has = max(has, had+1)
	}
	now := frames.Now()
	h.door.commands.miss(has, had, now)
	h.door.trust.miss(t.Trust, h.roster.Trust().Version, now)
	return errors.Join(err, h.door.tell(time.UnixMilli(t.Now)))
}

// refuse records that a message was refused, and tells headquarters: as a courtesy, and no more often than it is recorded.
func (h *headquarters) refuse(kind wire.Kind, data []byte, err error) {
	why := phrase(err)
	detail := why
	if kind != 0 {
		detail = fmt.Sprintf("%v: %s", kind, why)
	}
	told := false
	switch {
	case errors.Is(err, roster.ErrGap):
		h.note(&h.gaps, access.EventStreamGap, "")
		h.greetSoon()
	case errors.Is(err, roster.ErrFork):
		told = h.note(&h.odd, access.EventStreamForked, detail)
	case errors.Is(err, errForeignRoot):
		told = h.note(&h.odd, access.EventAcknowledgedWrongly, "")
	case kind == wire.KindRelease:
		told = h.note(&h.refused, access.EventRemoteReleaseRefused, why)
	default:
		told = h.note(&h.refused, access.EventEnvelopeRefused, detail)
	}
	if told && kind != 0 {
		h.say(wire.Refusal{What: kind, Hash: sha256.Sum256(data), Why: why})
	}
}

// dropped records what link let fall: it is refused as much as what is refused here.
func (h *headquarters) dropped(d ipc.Dropped) {
	if h == nil {
		return
	}
	var list []string
	for _, c := range []struct {
		n    uint32
		what string
	}{{d.Astray, "for another topic"}, {d.Retained, "retained"}, {d.Empty, "empty"}, {d.Long, "too long"}, {d.Crowded, "while too many waited"}} {
		if c.n > 0 {
			list = append(list, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	h.note(&h.unseen, access.EventEnvelopeRefused, "dropped by link: "+strings.Join(list, ", "))
}

// phrase says an error in words of our own: what came from outside has no place in a record.
func phrase(err error) string {
	for _, known := range []error{
		wire.ErrForged, wire.ErrMisdirected, roster.ErrGap, roster.ErrFork, roster.ErrOlder, roster.ErrLockout, roster.ErrNonce, roster.ErrBounds, roster.ErrKind, roster.ErrTimeless, roster.ErrExpired,
		errPast, errAhead, errRetired, errUnfit, errForeignRoot, errNoExchange, errNoChallenge, errBusy, errPace, vault.ErrUnacknowledged,
	} {
		if errors.Is(err, known) {
			return clip(known.Error(), 160)
		}
	}
	return "it cannot be read, or whoever signed it may not"
}
