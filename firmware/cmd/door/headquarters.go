package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

const (
	greetEvery = time.Minute
	greetedFor = 30 * time.Second // a nonce is good for
	maxGreeted = 8                // nonces that wait for their answer
)

var (
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
	enrol  chan wire.Supervised

	reached, lost, refused, odd, asked comings // bounds of records

	carrier sync.Mutex
	conn    *ipc.Conn // link's; nil while there is none
	online  bool

	mu         sync.Mutex // one message after the other
	place      root.Headquarters
	roster     roster.Roster
	retired    bool
	keys       []exchangeKey
	made       time.Duration // CLOCK_MONOTONIC, when the newest key was made
	greetings  []greeting
	challenges []challenge
	owed       []string // what the record of a command says that is applied, and not final
	noted      []byte   // the checkpoint that headquarters was told last
}

// greeting is a nonce that waits for headquarters' time.
type greeting struct {
	nonce [16]byte
	seq   uint64 // the stream's, when it was sent
	at    time.Duration
}

// consult takes up the headquarters that the kiosk was given, if it was given any. What cannot be believed leaves the kiosk without one.
func (k *kiosk) consult() {
	if k.store == nil || k.root == nil || k.notary == nil || k.closed != "" && !k.retired {
		return // what it orders could not be carried out, and would be lost
	}
	place, found, err := root.ReadHeadquarters(k.state)
	if !found && err == nil {
		return
	}
	var h *headquarters
	if err == nil {
		h, err = k.adopt(place)
	}
	if err != nil {
		k.note(access.EventHeadquartersForeign, err.Error())
		k.trouble.set("headquarters", err)
		return
	}
	k.hq = h
}

var errForeign = errors.New("what the disk says about headquarters is not of the fleet root that this kiosk has adopted")

// adopt has the vault remember the first fleet root: whoever writes to the disk later can put no other in its place.
func (k *kiosk) adopt(place root.Headquarters) (*headquarters, error) {
	calibration, err := model.DefaultCalibration()
	if err != nil {
		return nil, err
	}
	h := &headquarters{
		door: k, bundle: calibration.Bundle, place: place, retired: k.retired, wake: make(chan struct{}, 1), enrol: make(chan wire.Supervised, 1), made: frames.Now() - exchangeLeast,
	}
	key, err := wire.ParseKey(place.Root)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(place.Root)
	known, err := k.store.Item(vault.Fleet)
	if err != nil {
		return nil, err
	}
	if known == nil {
		k.note(access.EventHeadquartersAdopted, fmt.Sprintf("%x", sum))
		err = k.store.SetItem(vault.Fleet, sum[:])
	} else if !bytes.Equal(known, sum[:]) {
		err = errForeign
	}
	if err == nil {
		err = h.restore(key)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// restore takes up what the vault keeps.
func (h *headquarters) restore(key *ecdsa.PublicKey) error {
	k := h.door
	var s roster.State
	kept, err := k.store.Item(vault.Stream)
	if err == nil && kept != nil {
		err = wire.Unmarshal(kept, &s)
	}
	if err == nil {
		h.roster, err = roster.Open(k.root.Identity().Device, key, s)
	}
	if err == nil {
		err = h.restoreKeys()
	}
	if err != nil {
		return err
	}
	h.owedAtStart()
	if next, err := h.roster.Renew(h.place.Trust, 0); err == nil { // the file's may be newer, after a repair
		return h.trust(next)
	}
	return nil
}

// trust puts another trust document in force, durably first.
func (h *headquarters) trust(next roster.Roster) error {
	kept, err := wire.Marshal(next.State())
	if err == nil {
		_, err = h.door.store.Apply(vault.Step{Items: map[vault.Item][]byte{vault.Stream: kept}, Restricts: true}, nil)
	}
	if late, failed := stored(err); failed != nil {
		return failed
	} else if late != nil {
		h.door.degrade("vault", late)
	}
	h.roster = next
	h.door.note(access.EventTrustChanged, fmt.Sprintf("version %d", next.Trust().Version))
	return nil
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
		if more != "" {
			detail += "; " + more
		}
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
		Broker: h.place.Broker, Server: h.place.Server, Name: wire.Name(h.door.root.Identity().Device),
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
	h.online = o.On
	h.carrier.Unlock()
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
	for {
		select {
		case <-ctx.Done():
			return
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
	}
}

// greet says where the kiosk stands, with a nonce of its own.
func (h *headquarters) greet() {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, k := h.roster.State(), h.door
	g := greeting{seq: s.Seq, at: frames.Now()}
	rand.Read(g.nonce[:])
	h.greetings = append(h.greetings[max(0, len(h.greetings)+1-maxGreeted):], g)
	out := k.outbox()
	h.say(wire.Greeting{
		Nonce: g.nonce, Seq: s.Seq, Head: s.Head(), Trust: h.roster.Trust().Version, Policy: s.Policy, Exchange: h.keys[len(h.keys)-1].Number,
		Records: out.Records, Cursor: out.Cursor, Boot: k.boot, Door: k.policy.Door, Bundle: h.bundle,
	})
}

// greeted takes a nonce: it is good once, and not for long.
func (h *headquarters) greeted(nonce [16]byte) (seq uint64, ok bool) {
	for i, g := range h.greetings {
		if g.nonce == nonce {
			h.greetings = append(h.greetings[:i:i], h.greetings[i+1:]...)
			return g.seq, frames.Now()-g.at <= greetedFor
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
	}
	return roster.ErrKind
}

// told hears headquarters' answer to a greeting.
func (h *headquarters) told(data []byte) error {
	t, _, err := h.roster.Answer(data, h.now(), h.greeted)
	if t.Now == 0 {
		return err
	}
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
		h.note(&h.odd, access.EventStreamGap, "")
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

// phrase says an error in words of our own: what came from outside has no place in a record.
func phrase(err error) string {
	for _, known := range []error{
		wire.ErrForged, wire.ErrMisdirected, roster.ErrGap, roster.ErrFork, roster.ErrOlder, roster.ErrLockout, roster.ErrNonce, roster.ErrKind,
		errPast, errRetired, errUnfit, errForeignRoot, errNoExchange, errNoChallenge, vault.ErrUnacknowledged,
	} {
		if errors.Is(err, known) {
			return clip(known.Error(), 160)
		}
	}
	return "it cannot be read, or whoever signed it may not"
}
