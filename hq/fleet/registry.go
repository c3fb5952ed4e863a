package fleet

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

const maxDoor = 64 // bytes, as in a greeting

// save stores a kiosk's record. It is called with the desk's lock held.
func (f *Fleet) save(ctx context.Context, d *desk) error {
	data, err := wire.Marshal(d.kiosk)
	if err != nil {
		return err
	}
	key := store.Kiosk + d.name
	revision, err := f.store.Put(ctx, key, data, d.revision)
	if errors.Is(err, store.ErrConflict) { // nobody else writes here: an earlier write that got no answer was made all the same
		v, failed := f.store.Get(ctx, key)
		if failed != nil && !isNone(failed) {
			return failed
		}
		revision, err = f.store.Put(ctx, key, data, v.Revision)
	}
	if err != nil {
		return fmt.Errorf("keep kiosk %q: %w", d.name, err)
	}
	d.revision = revision
	return nil
}

// Introduce makes a kiosk known by its introduction, has it told what is in force, and returns its first certificate. An introduction of a kiosk that
// is known and active gives a new certificate and changes nothing else, but the name of its door as long as it has not said that it has one; one whose kiosk
// was removed or replaced brings it back, and none gives another door to a kiosk that has said which it has. A kiosk that was
// provisioned anew is another one: it is taken once the one that had its TPM is removed, or when replaces names that one, whose place it takes as by
// Replace.
func (f *Fleet) Introduce(ctx context.Context, i wire.Introduction, door, replaces string) (wire.Certificate, error) {
	proven, err := authority.Introduce(i)
	if err != nil {
		return wire.Certificate{}, err
	}
	k := Kiosk{ID: proven.ID, Attestation: i.Attestation, Release: i.Release, Exchange: Exchange{Number: i.Exchange.Number}}
	for at, key := range map[*[]byte]*ecdsa.PublicKey{&k.Audit: proven.Audit, &k.TLS: proven.TLS, &k.Exchange.Key: proven.Exchange} {
		if *at, err = spki(key); err != nil {
			return wire.Certificate{}, err
		}
	}
	c, err := f.admit(ctx, k, door, replaces)
	if err == nil && replaces != "" {
		err = f.Replace(ctx, replaces, k.Name())
	}
	return c, err
}

// before is the kiosk in service that has the same TPM, if there is another one.
func (f *Fleet) before(k Kiosk) (name string) {
	for _, d := range f.all() {
		d.mu.Lock()
		if o := d.kiosk; o.ID != k.ID && string(o.Attestation) == string(k.Attestation) && (o.State == Active || o.State == Quarantined) {
			name = d.name
		}
		d.mu.Unlock()
	}
	return name
}

// inherits refuses another door than that of the kiosk whose place is taken, if one's is: the new one would be told one door, and listed at the other.
func (f *Fleet) inherits(replaces, door string) error {
	if replaces == "" {
		return nil
	}
	has, err := f.Door(replaces)
	if err == nil && door != has {
		err = fmt.Errorf("kiosk %s has door %q, which goes to the one in its place: say -door %[2]s; for another door, remove that one first", replaces, has)
	}
	return err
}

// admit makes a kiosk with these keys known.
func (f *Fleet) admit(ctx context.Context, k Kiosk, door, replaces string) (wire.Certificate, error) {
	if len(door) == 0 || len(door) > maxDoor || strings.ContainsFunc(door, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return wire.Certificate{}, fmt.Errorf("%q is no name of a door: 1 to %d bytes of text", door, maxDoor)
	}
	if old := f.before(k); old != "" && old != replaces {
		return wire.Certificate{}, fmt.Errorf("this is the TPM of kiosk %s, which was provisioned anew: say -replaces %s, or remove that one first", old, old)
	}
	now := f.config.Now()
	name := k.Name()
	if replaces == name { // before anything is changed
		return wire.Certificate{}, errSame
	}
	if err := f.inherits(replaces, door); err != nil {
		return wire.Certificate{}, err
	}
	f.mu.Lock()
	d := f.desks[name]
	if d == nil {
		d = &desk{name: name}
		f.desks[name] = d // from here on an order for all comes to it, too
	}
	f.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.desks[name] = d; d.kiosk.State == 0 {
			delete(f.desks, name)
		}
	}()
	if d.kiosk.State == 0 {
		d.kiosk = k
		d.kiosk.Introduced, d.kiosk.Exchange.Since = now.Unix(), now.Unix()
	} else if string(d.kiosk.TLS) != string(k.TLS) {
		return wire.Certificate{}, errors.New("this kiosk was introduced with another TLS key")
	}
	if err := d.kiosk.keeps(door); err != nil {
		return wire.Certificate{}, err
	}
	public, err := wire.ParseKey(d.kiosk.TLS)
	if err != nil {
		return wire.Certificate{}, err
	}
	c, err := f.server.Load().Kiosks().Kiosk(name, public, now)
	if err != nil {
		return wire.Certificate{}, err
	}
	before := d.kiosk
	fresh := before.State != Active && before.State != Quarantined
	d.kiosk.Door, d.kiosk.Issued = door, now.Unix()
	if fresh {
		d.kiosk.State, d.kiosk.Why = Active, ""
	}
	if err := f.enter(ctx, d, fresh); err != nil {
		if fresh {
			f.part(d)
		}
		d.kiosk = before
		return wire.Certificate{}, err
	}
	return c, nil
}

// enter keeps a kiosk, with what is in force in its stream before: one that is kept has been told of every lockdown, wherever this was cut short.
func (f *Fleet) enter(ctx context.Context, d *desk, fresh bool) error {
	if err := f.meet(d.kiosk); err != nil {
		return err
	}
	if !fresh {
		return f.save(ctx, d)
	}
	refs, err := f.standing(ctx, d.name)
	if err == nil {
		err = f.extend(ctx, d, refs)
	}
	if err == nil {
		err = f.save(ctx, d)
	}
	if err == nil {
		f.Nudge()
	}
	return err
}

// shift changes what a kiosk is. It is called with the desk's lock held.
func (f *Fleet) shift(ctx context.Context, d *desk, s State, why string) error {
	was, because := d.kiosk.State, d.kiosk.Why
	d.kiosk.State, d.kiosk.Why = s, why
	if err := f.save(ctx, d); err != nil {
		d.kiosk.State, d.kiosk.Why = was, because
		return err
	}
	f.config.Log.Info("kiosk is "+s.String(), "kiosk", d.name, "door", d.kiosk.Door, "why", why)
	if s == Active || s == Quarantined {
		return nil
	}
	f.bar(d)
	return nil
}

// Quarantine has headquarters tell a kiosk nothing more, until Lift.
func (f *Fleet) Quarantine(ctx context.Context, name, why string) error {
	return f.become(ctx, name, Quarantined, why, Active, Quarantined)
}

// Remove bars a kiosk. What it holds it keeps: a decommission is an administrator's order, and comes before.
func (f *Fleet) Remove(ctx context.Context, name, why string) error {
	return f.become(ctx, name, Removed, why, Active, Quarantined, Replaced)
}

// Lift ends a quarantine and the alarms of a kiosk; of one that was removed or replaced, its alarms alone. Where the kiosk stands at a command that
// headquarters never gave, it is quarantined again at its next greeting: see Adopt. Records that cannot be opened are tried again, and lifted is nothing while
// that fails. An active kiosk that has not been heard since headquarters was restored counts as heard where it says that it stands; ErrUnheard, when that cannot
// be: all else is done.
func (f *Fleet) Lift(ctx context.Context, name string) error {
	d, err := f.at(name)
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	var unheard error
	if d.kiosk.State == Active || d.kiosk.State == Quarantined {
		if _, damaged := d.alarms[Damage]; damaged {
			if err := f.meet(d.kiosk); err != nil {
				return fmt.Errorf("lift alarms of kiosk %q: %w", name, err)
			}
		}
		if d.kiosk.State == Active {
			if unheard = f.unconfirmed(ctx, d); unheard != nil && !errors.Is(unheard, ErrUnheard) {
				return unheard
			}
		}
		if err := f.shift(ctx, d, Active, ""); err != nil {
			return err
		}
	}
	if _, lost := d.alarms[Lost]; lost { // what was lost may be back, or what is new may stand where it was
		if err := f.handAll(ctx, d); err != nil {
			return err
		}
	}
	if err := f.lift(ctx, d, slices.Collect(maps.Keys(d.alarms))...); err != nil || unheard == nil {
		return err
	}
	return fmt.Errorf("alarms of kiosk %q are lifted, and that is all: %w", name, unheard)
}

// Adopt has headquarters carry on from the command at which a quarantined kiosk stands by its own records, although it never gave it: after headquarters
// was restored from a backup. Everything that is in force is handed on to the kiosk again; what it knows already it takes for done.
func (f *Fleet) Adopt(ctx context.Context, name string) error {
	d, err := f.at(name)
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	if err := f.adopt(ctx, d); err != nil {
		return fmt.Errorf("adopt where kiosk %q stands: %w", name, err)
	}
	f.Nudge()
	return nil
}

func (f *Fleet) adopt(ctx context.Context, d *desk) error {
	seq, link, err := f.applied(d)
	if err != nil {
		return err
	}
	if d.kiosk.State != Quarantined {
		return fmt.Errorf("it is %v, and not quarantined", d.kiosk.State)
	}
	if !d.isOnline(f.config.Now()) {
		return ErrOffline
	}
	head, err := f.newest(ctx, d)
	if err != nil {
		return err
	}
	if g := d.claimed; g.Seq != seq || g.Head != link {
		return fmt.Errorf("%w: wait a minute for them, or look at the broker", d.disputed(seq))
	}
	if err := f.stand(ctx, d, seq, link, head); err != nil {
		return err
	}
	d.greeting = d.claimed
	d.sent, d.kiosk.Queue = seq, 0
	refs, err := f.standing(ctx, d.name)
	if err == nil {
		err = f.stood(ctx, d)
	}
	if err == nil {
		err = f.extend(ctx, d, refs)
	}
	if err == nil {
		err = f.shift(ctx, d, Active, "")
	}
	if err != nil {
		return err
	}
	f.pump(ctx, d)
	return f.lift(ctx, d, Fork, Lost) // what this has judged: people are handed on anew, too
}

// farthest is how many commands a kiosk that is adopted may stand ahead of its stream: no headquarters gives as many between two backups.
const farthest = 1 << 20

// stand makes the command at which a kiosk stands the newest of its stream. Where it is there from an adoption that was cut short, that one goes on.
func (f *Fleet) stand(ctx context.Context, d *desk, seq uint64, link [32]byte, head entry) error {
	if seq <= head.Seq {
		e, err := f.entry(ctx, d, seq)
		if err == nil && e.Adopted == link && link != [32]byte{} {
			return nil
		}
		if err != nil && !isNone(err) {
			return err
		}
		if same, err := f.agrees(ctx, d, seq, link, head); err != nil {
			return err
		} else if same {
			return fmt.Errorf("it stands at command %d, where headquarters knows it: there is nothing to adopt, hq kiosk lift ends its quarantine", seq)
		}
		return fmt.Errorf("it stands at command %d, and headquarters has given other ones up to %d since: provision it anew", seq, head.Seq)
	}
	if seq-head.Seq > farthest {
		return fmt.Errorf("it stands at command %d, and headquarters knows %d: none has ever given that many. Provision it anew", seq, head.Seq)
	}
	e := entry{Seq: seq, Adopted: link}
	data, err := wire.Marshal(e)
	if err == nil {
		_, err = f.store.Put(ctx, entryKey(d.name, seq), data, 0)
	}
	if err != nil {
		d.head = nil // it may stand there all the same
		return err
	}
	d.head = &e
	return nil
}

func (f *Fleet) become(ctx context.Context, name string, s State, why string, from ...State) error {
	d, err := f.at(name)
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	if !slices.Contains(from, d.kiosk.State) {
		return fmt.Errorf("kiosk %q cannot be made %v: it is %v", name, s, d.kiosk.State)
	}
	return f.shift(ctx, d, s, why)
}

var errSame = errors.New("replace kiosk: it is the same one")

// Replace gives the door of one kiosk to another: the new one gets every order for all that the old one was given in the clear, and the people whom that
// door needs now, which may be fewer than the old one was ever given. The old one is barred. What was signed for the old one alone would be refused by the
// new one: while the old one is locked down or disabled by such an order, and the new one is not, nothing happens.
func (f *Fleet) Replace(ctx context.Context, old, next string) error {
	if old == next {
		return errSame
	}
	if err := f.covers(ctx, old, next); err != nil {
		return fmt.Errorf("replace kiosk: %w", err)
	}
	d, err := f.at(old)
	if err != nil {
		return err
	}
	head, err := f.newest(ctx, d)
	door := d.kiosk.Door
	d.mu.Unlock()
	if err != nil {
		return err
	}
	n, err := f.at(next)
	if err != nil {
		return err
	}
	err = n.kiosk.keeps(door)
	n.mu.Unlock()
	if err != nil {
		return fmt.Errorf("replace kiosk: %w", err)
	}
	seen, err := f.own(ctx, old)
	if err != nil {
		return err
	}
	var refs [][32]byte
	for seq := uint64(0); seq < head.Seq; {
		e, err := f.behind(ctx, d, seq)
		if err != nil {
			return err
		}
		seq = e.Seq
		for _, ref := range e.Orders {
			if _, here := f.clear.Load(ref); here && !seen[ref] {
				seen[ref], refs = true, append(refs, ref)
			}
		}
	}
	if err := f.Append(ctx, next, refs); err != nil {
		return err
	}
	if n, err = f.at(next); err != nil {
		return err
	}
	n.kiosk.Door = door
	err = f.handAll(ctx, n)
	n.mu.Unlock()
	if err != nil {
		return err
	}
	return f.become(ctx, old, Replaced, "replaced by "+next, Active, Quarantined)
}

// ErrTrust means that a Trust was not taken over: it is older than what kiosks were told of, or this cannot be stored.
var ErrTrust = errors.New("trust is not taken over")

// Serve takes a newer Trust over, and has every kiosk that is connected told. The others hear of it when they greet.
func (f *Fleet) Serve(ctx context.Context, s *authority.Server) error {
	if err := f.newestTrust(ctx, s.Trust.Version); err != nil {
		return fmt.Errorf("%w: %w", ErrTrust, err)
	}
	f.server.Store(s)
	var failed []error
	for _, d := range f.all() {
		d.mu.Lock()
		if d.kiosk.State == Active && d.isOnline(f.config.Now()) && d.greeting.Trust < s.Trust.Version {
			failed = append(failed, f.config.Uplink.Send(ctx, d.name, s.Envelope))
		}
		d.mu.Unlock()
	}
	return errors.Join(failed...)
}
