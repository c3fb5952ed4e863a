package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

// Need says which orders about people a kiosk must be given.
type Need struct {
	Kiosk  [32]byte
	Groups []string // whose members its door lets in at some time
	// Anew looks a second time at what was looked at for Had, the groups of then: only who is needed since is handed on, and no deletion.
	Anew bool
	Had  []string
}

// handed is for which groups a kiosk has been given what came so far.
type handed struct {
	Groups []string `cbor:"1,keyasint"`
}

func handedKey(name string) string { return "handed." + name }

// anew is how far a kiosk whose door lets in other groups than before has been given those whom it lacks.
type anew struct {
	groups []string
	next   uint64
}

// atOnce is how many places of the queue are looked at before others have their turn at the kiosk.
const atOnce = 500

// follow gives one kiosk what it lacks of the queue. How far it came is kept after the orders are: to append twice does no harm, never does.
func (f *Fleet) follow(ctx context.Context, d *desk) error {
	for more := true; more; {
		var err error
		f.enforcing.RLock() // before the desk's
		d.mu.Lock()
		if d.kiosk.State != Active && d.kiosk.State != Quarantined || d.restored > 0 {
			more = false
		} else if more, err = f.followSome(ctx, d); err == nil {
			f.pump(ctx, d)
		}
		d.mu.Unlock()
		f.enforcing.RUnlock()
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// handAll has a kiosk given everybody whom it needs once more. It is called with the desk's lock held.
func (f *Fleet) handAll(ctx context.Context, d *desk) error {
	head, err := f.newest(ctx, d)
	if err != nil {
		return err
	}
	d.kiosk.Queue = 0
	f.Nudge()
	if err := f.save(ctx, d); err != nil {
		return err
	}
	d.all = head.Seq
	return nil
}

// loadRestored learns which kiosks headquarters has not heard since it was restored from a backup. Nobody is handed on to them: a stream that has grown past
// where the kiosk stands could not be adopted any more.
func (f *Fleet) loadRestored(ctx context.Context) error {
	marks, err := f.store.List(ctx, strings.TrimSuffix(store.Restored, "."))
	for _, v := range marks {
		if d := f.desks[strings.TrimPrefix(v.Key, store.Restored)]; d != nil {
			d.restored = v.Revision
		}
	}
	return err
}

// confirm is called with a greeting that agrees with what headquarters gave. After a restore the kiosk counts as heard once its signed records say the same:
// whoever is on the way can write a greeting, or repeat an old one. The errors are the store's.
func (f *Fleet) confirm(ctx context.Context, d *desk, now time.Time) error {
	if d.restored == 0 {
		return nil
	}
	seq, link, err := f.applied(d)
	if g := d.claimed; f.config.Ledger != nil && err == nil && (seq != g.Seq || seq > 0 && link != g.Head) {
		err = d.disputed(seq)
	}
	if err == nil {
		return f.stood(ctx, d)
	}
	if d.failed.may(now) {
		f.config.Log.Warn("headquarters was restored: no person is handed on to this kiosk before its records say where it stands", "kiosk", d.name, "error", err)
	}
	return nil
}

// ErrUnheard means that where a kiosk stands is not known since headquarters was restored, and that a person's word does not make it known either.
var ErrUnheard = errors.New("headquarters was restored and has not heard since where this kiosk stands: no person is handed on to it")

// disputed says that a kiosk is said to stand elsewhere than its signed records say.
func (d *desk) disputed(seq uint64) error {
	return fmt.Errorf("it is said to stand at command %d, and its signed records say %d", d.claimed.Seq, seq)
}

// unconfirmed is called when a person takes a kiosk's word for where it stands: its records may be lost with the ledger, and say less than it does. Nobody's
// word is taken for less than they say: then, and where there is no word of it, the error is ErrUnheard.
func (f *Fleet) unconfirmed(ctx context.Context, d *desk) error {
	if d.restored == 0 {
		return nil
	}
	seq, _, err := f.applied(d)
	g := d.claimed
	switch {
	case err != nil:
	case !d.isOnline(f.config.Now()):
		err = ErrOffline
	case seq > g.Seq:
		err = d.disputed(seq)
	case g.Seq != d.greeting.Seq || g.Head != d.greeting.Head:
		err = fmt.Errorf("it is said to stand at command %d, which headquarters does not know", g.Seq)
	default:
		return f.stood(ctx, d)
	}
	return fmt.Errorf("%w: %w", ErrUnheard, err)
}

// stood is called when it is known where a kiosk stands in its stream. It is called with the desk's lock held.
func (f *Fleet) stood(ctx context.Context, d *desk) error {
	if d.restored == 0 {
		return nil
	}
	err := f.store.Delete(ctx, store.Restored+d.name, d.restored)
	if errors.Is(err, store.ErrConflict) { // an earlier one that got no answer was made all the same
		if _, failed := f.store.Get(ctx, store.Restored+d.name); isNone(failed) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	d.restored = 0
	f.Nudge()
	return nil
}

// followSome reports whether there may be more. Who is no longer needed is nothing to say: the kiosk lets them go by the policy itself.
func (f *Fleet) followSome(ctx context.Context, d *desk) (more bool, err error) {
	if err := f.readHanded(ctx, d); err != nil {
		return false, err
	}
	groups := f.policy.Load().admits(d.kiosk.Door)
	if !slices.Equal(groups, d.handed.Groups) {
		return f.handAnew(ctx, d, groups)
	}
	orders, next, err := f.config.People.After(Need{Kiosk: d.kiosk.ID, Groups: groups}, d.kiosk.Queue, atOnce)
	if err != nil || next == d.kiosk.Queue {
		return false, err
	}
	if err := f.extend(ctx, d, orders); err != nil {
		return false, err
	}
	d.kiosk.Queue = next
	return true, f.save(ctx, d)
}

// handAnew gives a kiosk some of those whom its door begins to let in, among the people whose orders came before.
func (f *Fleet) handAnew(ctx context.Context, d *desk, groups []string) (more bool, err error) {
	if !slices.Equal(d.anew.groups, groups) {
		d.anew = anew{groups: groups}
	}
	if left := d.kiosk.Queue - min(d.anew.next, d.kiosk.Queue); left > 0 {
		need := Need{Kiosk: d.kiosk.ID, Groups: groups, Anew: true, Had: d.handed.Groups}
		orders, next, err := f.config.People.After(need, d.anew.next, int(min(left, atOnce)))
		if err != nil {
			return false, err
		}
		if err := f.extend(ctx, d, orders); err != nil {
			return false, err
		}
		if next > d.anew.next { // else the queue is shorter than it was
			d.anew.next = next
			return true, nil
		}
	}
	return true, f.keepHanded(ctx, d, groups)
}

// narrow is called before a policy is put into a kiosk's stream: the kiosk will let go of all those whom it does not let in, also when another one follows
// at once. It is called with the desk's lock held.
func (f *Fleet) narrow(ctx context.Context, d *desk, policy [32]byte) error {
	if err := f.readHanded(ctx, d); err != nil {
		return err
	}
	p, err := f.readPolicy(ctx, policy)
	if err != nil {
		return err
	}
	admits := p.admits(d.kiosk.Door)
	left := slices.DeleteFunc(slices.Clone(d.handed.Groups), func(g string) bool { return !slices.Contains(admits, g) })
	d.anew = anew{}
	if len(left) == len(d.handed.Groups) {
		return nil
	}
	return f.keepHanded(ctx, d, left)
}

func (f *Fleet) keepHanded(ctx context.Context, d *desk, groups []string) error {
	data, err := wire.Marshal(handed{groups})
	if err != nil {
		return err
	}
	revision, err := f.store.Put(ctx, handedKey(d.name), data, d.handedRevision)
	if err != nil {
		d.handed = nil // it may stand there all the same
		return fmt.Errorf("keep whom kiosk %q was given: %w", d.name, err)
	}
	d.handed, d.handedRevision, d.anew = &handed{groups}, revision, anew{}
	return nil
}

// readHanded reads what was kept, once.
func (f *Fleet) readHanded(ctx context.Context, d *desk) error {
	if d.handed != nil {
		return nil
	}
	var h handed
	v, err := f.store.Get(ctx, handedKey(d.name))
	if err != nil && !isNone(err) {
		return err
	}
	if err == nil {
		if err := wire.Unmarshal(v.Data, &h); err != nil {
			return fmt.Errorf("read %q: %w", v.Key, err)
		}
	}
	d.handed, d.handedRevision = &h, v.Revision
	return nil
}
