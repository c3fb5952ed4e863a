package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

// entry is one link of a kiosk's stream of state. It names orders and does not hold them.
type entry struct {
	Seq      uint64     `cbor:"1,keyasint"`
	Previous [32]byte   `cbor:"2,keyasint"`
	Content  [32]byte   `cbor:"3,keyasint"`
	Orders   [][32]byte `cbor:"4,keyasint"` // SHA-256 of their envelopes
	Sealed   bool       `cbor:"5,keyasint"` // one of them is biometric
	Adopted  [32]byte   `cbor:"6,keyasint"` // the link of a command of which nothing else is known; zero: it is an entry like all
}

func (e entry) link(kiosk [32]byte) [32]byte {
	if e.Adopted != [32]byte{} {
		return e.Adopted
	}
	return wire.Command{Seq: e.Seq, Previous: e.Previous, Content: e.Content}.Link(kiosk)
}

func entryKey(name string, seq uint64) string { return fmt.Sprintf("stream.%s.%016x", name, seq) }

const (
	// budget is how many bytes of orders go into one command, sealed or not, with what encodes them.
	budget = wire.MaxSealed - 2<<10
	// around is what the encoding puts around each order, bytes.
	around = 8
	// window is how many commands are on their way to one kiosk at a time: 1.2 MB at most.
	window = 8
	// resend is how long a kiosk has to say that it stands at what it was sent, before it is sent again; twice as long each time.
	resend = 2 * time.Second
	// attempts are made between two greetings.
	attempts = 4
)

// Append puts orders into the stream of a kiosk, durably, and sends them at once to one that is connected. Each order must be at hand. Several commands
// may come of it, and it may be repeated: a kiosk that knows an order already does nothing.
func (f *Fleet) Append(ctx context.Context, name string, orders [][32]byte) error {
	d, err := f.at(name)
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	if err := f.extend(ctx, d, orders); err != nil {
		return fmt.Errorf("append to stream of kiosk %q: %w", name, err)
	}
	f.pump(ctx, d)
	return nil
}

// extend is Append with the desk's lock held.
func (f *Fleet) extend(ctx context.Context, d *desk, orders [][32]byte) error {
	if d.kiosk.State != Active && d.kiosk.State != Quarantined {
		return fmt.Errorf("%w: %v", ErrNotActive, d.kiosk.State)
	}
	var e entry
	var envelopes [][]byte
	size := 0
	flush := func() error {
		if len(envelopes) == 0 {
			return nil
		}
		e.Content = wire.ContentOf(envelopes)
		err := f.link(ctx, d, e)
		e, envelopes, size = entry{}, nil, 0
		return err
	}
	for _, ref := range orders {
		envelope, gone, biometric, _, err := f.had(ctx, d, ref)
		if err != nil {
			return err
		}
		if gone {
			continue // it was withdrawn before anybody was told
		}
		if claim, err := wire.Peek(envelope); err == nil && claim.Kind == wire.KindPolicy {
			if err := f.narrow(ctx, d, ref); err != nil {
				return err
			}
		}
		if size+len(envelope)+around > budget || len(envelopes) == wire.MaxOrders {
			if err := flush(); err != nil {
				return err
			}
		}
		envelopes, size = append(envelopes, envelope), size+len(envelope)+around
		e.Orders, e.Sealed = append(e.Orders, ref), e.Sealed || biometric
	}
	return flush()
}

// link makes an entry the newest of the stream. Whoever writes at the same time, one entry stands at each number.
func (f *Fleet) link(ctx context.Context, d *desk, e entry) error {
	for tried := uint64(0); ; tried = e.Seq {
		head, err := f.newest(ctx, d)
		if err != nil {
			return err
		}
		if e.Seq = head.Seq + 1; e.Seq > 1 {
			e.Previous = head.link(d.kiosk.ID)
		}
		data, err := wire.Marshal(e)
		if err != nil {
			return err
		}
		_, err = f.store.Put(ctx, entryKey(d.name, e.Seq), data, 0)
		if errors.Is(err, store.ErrConflict) && e.Seq != tried { // else the newest is not the highest, which no other look will mend
			d.head = nil
			continue
		}
		if err != nil {
			d.head = nil // it may stand there all the same
			return err
		}
		d.head = &e
		return nil
	}
}

// newest is the head of the stream; Seq 0: there is none.
func (f *Fleet) newest(ctx context.Context, d *desk) (entry, error) {
	if d.head != nil {
		return *d.head, nil
	}
	v, err := f.store.Last(ctx, "stream."+d.name)
	if err != nil && !isNone(err) {
		return entry{}, err
	}
	var e entry
	if err == nil {
		if err := wire.Unmarshal(v.Data, &e); err != nil {
			return entry{}, fmt.Errorf("read %q: %w", v.Key, err)
		}
	}
	d.head = &e
	return e, nil
}

func (f *Fleet) entry(ctx context.Context, d *desk, seq uint64) (e entry, err error) {
	v, err := f.store.Get(ctx, entryKey(d.name, seq))
	if err != nil {
		return e, err
	}
	err = wire.Unmarshal(v.Data, &e)
	if err == nil && e.Seq != seq {
		err = fmt.Errorf("entry %d stands at %d", e.Seq, seq)
	}
	return e, err
}

// pump sends the commands that follow what the kiosk stands at, as far as the window goes. It is called with the desk's lock held.
func (f *Fleet) pump(ctx context.Context, d *desk) {
	now := f.config.Now()
	was := d.busy
	d.busy = false
	if d.kiosk.State != Active || !d.isOnline(now) {
		return
	}
	head, err := f.newest(ctx, d)
	if err != nil {
		f.config.Log.Error("stream cannot be read", "kiosk", d.name, "error", err)
		return
	}
	from := max(d.sent, d.greeting.Seq) + 1
	if d.sent > d.greeting.Seq && d.tries < attempts && now.Sub(d.sentAt) > resend<<d.tries {
		from = d.greeting.Seq + 1
		d.tries++
	}
	for seq := from; seq <= head.Seq && seq <= d.greeting.Seq+window; seq++ {
		if err := f.give(ctx, d, seq); err != nil {
			if !was {
				f.config.Log.Warn("command not sent", "kiosk", d.name, "seq", seq, "error", err)
			}
			d.busy = errors.Is(err, ErrBusy)
			return
		}
		d.sent, d.sentAt = seq, now
	}
}

// give builds one command and sends it.
func (f *Fleet) give(ctx context.Context, d *desk, seq uint64) error {
	e, err := f.entry(ctx, d, seq)
	if err != nil {
		return err
	}
	c, err := f.command(ctx, d, e)
	if err != nil {
		return err
	}
	envelope, err := wire.Sign(f.server.Load().Key, d.kiosk.ID, c)
	if err != nil {
		return err
	}
	return f.config.Uplink.Send(ctx, d.name, envelope)
}

// command builds the command of an entry from what its orders say now. When one of them has been destroyed the command carries none, since it could not
// be what the chain names any more; the others are appended anew, and so is what has outnumbered one: it may be in force and in no stream yet, where Submit
// was cut short.
func (f *Fleet) command(ctx context.Context, d *desk, e entry) (wire.Command, error) {
	if e.Adopted != [32]byte{} {
		return wire.Command{}, errors.New("headquarters has adopted this command from the kiosk, and cannot give it")
	}
	c := wire.Command{Seq: e.Seq, Previous: e.Previous, Content: e.Content}
	var orders [][]byte
	var left, instead [][32]byte
	defer func() {
		if e.Sealed {
			for _, o := range orders {
				clear(o)
			}
		}
	}()
	for _, ref := range e.Orders {
		envelope, gone, _, later, err := f.had(ctx, d, ref)
		if err != nil {
			return c, err
		}
		if !gone {
			orders, left = append(orders, envelope), append(left, ref)
		}
		if later != nil && !slices.Contains(instead, *later) {
			instead = append(instead, *later)
		}
	}
	if len(left) < len(e.Orders) {
		return c, f.mend(ctx, d, e, append(left, instead...))
	}
	if !e.Sealed {
		c.Orders = orders
		return c, c.Validate()
	}
	key, err := f.sealTo(d)
	if err != nil {
		return c, err
	}
	plain, err := wire.Orders(orders)
	if err != nil {
		return c, err
	}
	defer clear(plain)
	c.Exchange = d.kiosk.Exchange.Number
	c.Sealed, err = wire.Sealing{Kiosk: d.kiosk.ID, Kind: wire.KindCommand, Seq: e.Seq, Exchange: c.Exchange}.Seal(key, plain)
	return c, err
}

// mend appends, once, what is left of an entry. Who was enrolled in it may be suspended or let go of since: people come by the queue, as things are now,
// which is gone through once for all the entries that stood when it was begun.
func (f *Fleet) mend(ctx context.Context, d *desk, e entry, left [][32]byte) error {
	if len(left) == 0 {
		return nil
	}
	key := fmt.Sprintf("mended.%s.%016x", d.name, e.Seq)
	if _, err := f.store.Get(ctx, key); err == nil || !isNone(err) {
		return err
	}
	here := slices.DeleteFunc(slices.Clone(left), func(ref [32]byte) bool { _, is := f.clear.Load(ref); return !is })
	if len(here) < len(left) && e.Seq > d.all {
		if err := f.handAll(ctx, d); err != nil {
			return err
		}
	}
	if err := f.extend(ctx, d, here); err != nil {
		return err
	}
	_, err := f.store.Put(ctx, key, nil, 0) // after it: to append twice does no harm, never does
	return err
}
