package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/sync/wire"
)

// hear deals with one message of a kiosk.
func (f *Fleet) hear(ctx context.Context, d *desk, m broker.Message) {
	data := m.Data
	d.mu.Lock()
	d.stored = m.Stored
	barred := d.kiosk.State != Active && d.kiosk.State != Quarantined // a broker that is not ours may let it in
	d.mu.Unlock()
	if barred {
		return
	}
	kind, err := wire.Reported(data)
	if err == nil {
		switch kind {
		case wire.KindGreeting:
			err = heard(ctx, d, data, f.greet)
		case wire.KindRecords:
			err = heard(ctx, d, data, f.records)
		case wire.KindExchange:
			err = heard(ctx, d, data, f.exchange)
		case wire.KindChallenge:
			err = heard(ctx, d, data, f.challenge)
		case wire.KindRefusal:
			err = heard(ctx, d, data, f.refusal)
		default:
			err = fmt.Errorf("%w: a %v", errGarbage, kind)
		}
	} else {
		err = fmt.Errorf("%w: %w", errGarbage, err)
	}
	switch {
	case errors.Is(err, errGarbage):
		d.mu.Lock()
		f.alarm(ctx, d, Garbage, fmt.Sprintf("%q", err))
		d.mu.Unlock()
	case err != nil && d.failed.may(f.config.Now()):
		f.config.Log.Warn("kiosk not served", "kiosk", d.name, "what", kind.String(), "error", err)
	}
}

// errGarbage means that no kiosk in order says so.
var errGarbage = errors.New("no message of a kiosk")

func heard[T wire.Body](ctx context.Context, d *desk, data []byte, do func(context.Context, *desk, T) error) error {
	body, err := wire.Read[T](data)
	if err != nil {
		return fmt.Errorf("%w: %w", errGarbage, err)
	}
	return do(ctx, d, body)
}

// say signs something for a kiosk and sends it. It is called with the desk's lock held.
func (f *Fleet) say(ctx context.Context, d *desk, body wire.Body) error {
	envelope, err := wire.Sign(f.server.Load().Key, d.kiosk.ID, body)
	if err != nil {
		return err
	}
	return f.config.Uplink.Send(ctx, d.name, envelope)
}

// greet answers a greeting: what time it is and how far the stream has come, and then what the kiosk lacks.
func (f *Fleet) greet(ctx context.Context, d *desk, g wire.Greeting) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := f.config.Now()
	said := now
	if !d.stored.IsZero() && d.stored.Before(f.begun) { // to a headquarters before this one, and the kiosk may be gone
		said = d.stored
	}
	if !d.isOnline(now) {
		d.online = said
	}
	d.claimed, d.greeted = g, said
	if d.kiosk.State == Active {
		if same, err := f.believe(ctx, d, g, now); err != nil || !same {
			return err
		}
		if err := f.confirm(ctx, d, now); err != nil {
			return err
		}
	}
	progress := g.Seq > d.greeting.Seq || g.Boot != d.greeting.Boot
	d.greeting = g
	if progress || d.sent < g.Seq {
		d.tries = 0
	}
	if err := f.remember(ctx, d, now); err != nil {
		return err
	}
	if d.kiosk.State != Active {
		return nil
	}
	head, err := f.newest(ctx, d)
	if err != nil {
		return err
	}
	answer, err := f.timely(ctx, now, g, d.kiosk.ID, head)
	if err != nil {
		return err
	}
	if s := f.server.Load(); g.Trust < s.Trust.Version { // before anything that an older one may not know the signer of
		if err := f.config.Uplink.Send(ctx, d.name, s.Envelope); err != nil {
			return err
		}
	}
	if err := f.say(ctx, d, answer); err != nil {
		return err
	}
	if d.sent <= g.Seq || now.Sub(d.sentAt) > resend { // what was sent has arrived, or not
		d.sent, d.tries = g.Seq, 0
	}
	err = errors.Join(f.renew(ctx, d, now), f.askKey(ctx, d, now))
	f.pump(ctx, d)
	return err
}

// believe reports whether a greeting agrees with what headquarters gave. Nobody has signed it: one that does not agree is an alarm, gets the time and moves
// nothing. The kiosk is quarantined when its records, which it has signed, say the same.
func (f *Fleet) believe(ctx context.Context, d *desk, g wire.Greeting, now time.Time) (bool, error) {
	head, err := f.newest(ctx, d)
	if err != nil {
		return false, err
	}
	same, err := f.agrees(ctx, d, g.Seq, g.Head, head)
	if err != nil || same {
		return same, err
	}
	seq, link, err := f.applied(d)
	if err != nil {
		return false, err
	}
	if same, err = f.agrees(ctx, d, seq, link, head); err != nil {
		return false, err
	}
	if !same {
		why := fmt.Sprintf("stands at command %d, which headquarters never gave it: either headquarters was restored from an old backup, or somebody else has commanded this kiosk", seq)
		f.alarm(ctx, d, Fork, why)
		return false, f.shift(ctx, d, Quarantined, why)
	}
	f.alarm(ctx, d, Fork, fmt.Sprintf("is said to stand at command %d, which headquarters never gave it; its records say %d: the broker lies, or its records are on their way", g.Seq, seq))
	answer, err := f.timely(ctx, now, g, d.kiosk.ID, head)
	if err != nil {
		return false, err
	}
	return false, f.say(ctx, d, answer)
}

// applied is where a kiosk stands by its records.
func (f *Fleet) applied(d *desk) (seq uint64, link [32]byte, err error) {
	if f.config.Ledger == nil {
		return 0, link, nil
	}
	return f.config.Ledger.Applied(d.kiosk.ID)
}

// agrees reports whether headquarters gave the kiosk this command.
func (f *Fleet) agrees(ctx context.Context, d *desk, seq uint64, link [32]byte, head entry) (bool, error) {
	switch {
	case seq == 0:
		return true, nil
	case seq > head.Seq:
		return false, nil
	case seq == head.Seq:
		return link == head.link(d.kiosk.ID), nil
	}
	e, err := f.entry(ctx, d, seq)
	if isNone(err) { // before what was adopted
		return false, nil
	}
	return err == nil && link == e.link(d.kiosk.ID), err
}

// timely is the answer to a nonce. A clock that goes back, over a restart as well, or that is older than the Trust gives none: a kiosk without an answer
// is only stale.
func (f *Fleet) timely(ctx context.Context, now time.Time, g wire.Greeting, kiosk [32]byte, head entry) (wire.Time, error) {
	const tolerance = 2 * time.Second // of several goroutines that answer at the same time
	if err := authority.CheckClock(now); err != nil {
		return wire.Time{}, err
	}
	ms := now.UnixMilli()
	last := f.signed.Load()
	if ms < last-tolerance.Milliseconds() || now.Unix() < f.server.Load().Trust.Issued-int64(time.Hour/time.Second) {
		return wire.Time{}, fmt.Errorf("the clock of this machine went back to %s: no kiosk is told the time. If it was wrong before, and is right now, hq serve -clock-mended goes on", now.UTC().Format(time.RFC3339))
	}
	if err := f.keepClock(ctx, ms); err != nil {
		return wire.Time{}, err
	}
	f.signed.Store(max(last, ms))
	t := wire.Time{Nonce: g.Nonce, Now: ms, Seq: head.Seq, Trust: f.server.Load().Trust.Version}
	if head.Seq > 0 {
		t.Head = head.link(kiosk)
	}
	return t, nil
}

// remember stores what a kiosk stands at when that has changed, at most once a second: a kiosk that changes with every word costs no more.
func (f *Fleet) remember(ctx context.Context, d *desk, now time.Time) error {
	g := d.greeting
	was := d.kiosk.Known
	is := Standing{Seen: was.Seen, Seq: g.Seq, Trust: g.Trust, Policy: g.Policy, Boot: g.Boot, Bundle: g.Bundle, Door: g.Door}
	if since := now.Sub(d.noted); since < time.Second || is == was && now.Unix()-was.Seen < int64(time.Hour/time.Second) {
		return nil
	}
	d.noted = now
	is.Seen = d.greeted.Unix()
	d.kiosk.Known = is
	return f.save(ctx, d)
}

const (
	renewAgain  = time.Hour           // a kiosk that has not shown its new certificate gets another
	renewUnseen = 7 * 24 * time.Hour  // where the broker does not show certificates
	exchangeAge = 92 * 24 * time.Hour // a quarter: then the kiosk is asked for a new key
	askAgain    = time.Minute
)

// renew sends a kiosk its next certificate in time, and when another authority is to vouch for it.
func (f *Fleet) renew(ctx context.Context, d *desk, now time.Time) error {
	server := f.server.Load()
	issued := now.Sub(time.Unix(d.kiosk.Issued, 0))
	if c := d.presented; c == nil && issued < renewUnseen || issued < renewAgain {
		return nil
	} else if c != nil && now.Before(c.NotAfter.Add(-authority.RenewBefore)) && string(c.AuthorityKeyId) == string(server.Kiosks().Issuing.SubjectKeyId) {
		return nil
	}
	public, err := wire.ParseKey(d.kiosk.TLS)
	if err != nil {
		return err
	}
	c, err := server.Kiosks().Kiosk(d.name, public, now)
	if err != nil {
		return err
	}
	d.kiosk.Issued = now.Unix()
	if err := f.save(ctx, d); err != nil {
		return err
	}
	return f.say(ctx, d, c)
}

// askKey has a kiosk show a newer key for sealed content, or make one.
func (f *Fleet) askKey(ctx context.Context, d *desk, now time.Time) error {
	have := d.kiosk.Exchange
	old := now.Sub(time.Unix(have.Since, 0)) > exchangeAge
	if d.greeting.Exchange == have.Number && !old || now.Sub(d.asked) < askAgain {
		return nil
	}
	d.asked = now
	ask := wire.Ask{For: wire.KindExchange}
	if old && d.greeting.Exchange == have.Number {
		ask.After = have.Number
	}
	rand.Read(ask.Request[:]) // never fails
	return f.say(ctx, d, ask)
}

// exchange takes a newer key of a kiosk, if its TPM attests it. An older one is never taken back.
func (f *Fleet) exchange(ctx context.Context, d *desk, e wire.Exchange) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.Number <= d.kiosk.Exchange.Number {
		return nil
	}
	key, err := f.config.Exchange(d.kiosk.ID, d.kiosk.Attestation, d.kiosk.Release, e)
	if err != nil {
		f.alarm(ctx, d, Key, "sent an exchange key that its TPM does not attest: nothing is sealed to it")
		return err
	}
	d.kiosk.Exchange = Exchange{Number: e.Number, Key: key, Since: f.config.Now().Unix()}
	if err := f.save(ctx, d); err != nil {
		return err
	}
	d.greeting.Exchange = max(d.greeting.Exchange, e.Number)
	d.sent = d.greeting.Seq // what was sealed to the old key is lost
	f.pump(ctx, d)
	return nil
}

// records hands records to the ledger, and its word for them back to the kiosk.
func (f *Fleet) records(ctx context.Context, d *desk, r wire.Records) error {
	if f.config.Ledger == nil {
		return nil
	}
	ack, err := f.config.Ledger.Ingest(d.kiosk.ID, r) // the id of a kiosk never changes
	if err != nil || ack == nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return f.say(ctx, d, *ack)
}

// refusal tells whoever waits for it why a kiosk refuses what it was handed.
func (f *Fleet) refusal(_ context.Context, d *desk, r wire.Refusal) error {
	if d.logged.may(f.config.Now()) {
		f.config.Log.Warn("kiosk refuses", "kiosk", d.name, "what", r.What.String(), "why", fmt.Sprintf("%q", r.Why))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if answer, ok := d.answers[r.Hash]; ok {
		delete(d.answers, r.Hash)
		answer <- r.Why
	}
	return nil
}
