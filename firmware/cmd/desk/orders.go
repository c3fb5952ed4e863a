//go:build !kiosk

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
)

// orderWithin bounds one order, below the 10 s after which the page's server gives up an answer. It runs to its end even if the browser
// leaves: what door has done is to be remembered here.
const orderWithin = 8 * time.Second

// order has door change what becomes of a person, and remembers it: suspend, resume, revoke or delete. What is so already is left alone.
func (b *bench) order(ctx context.Context, verb, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), orderWithin)
	defer cancel()
	b.ordering.Lock()
	defer b.ordering.Unlock()
	b.mu.Lock()
	e, known := b.register.entry(name)
	enrolling := b.enrolling
	b.mu.Unlock()
	switch {
	case enrolling:
		return errors.New("wait until everybody is enrolled")
	case !known && verb == "delete":
		return nil
	case !known:
		return fmt.Errorf("%q is not enrolled", name)
	}
	id, was := e.person(), e.standing()
	switch {
	case verb == "suspend" && was != access.Suspended:
		return b.change(ctx, e, access.Suspended, ipc.KindSuspend, ipc.Suspend{Person: id})
	case verb == "resume" && was != access.Permitted:
		return b.change(ctx, e, access.Permitted, ipc.KindResume, ipc.Resume{Person: id})
	case verb == "revoke" && was != access.Revoked:
		return b.change(ctx, e, access.Revoked, ipc.KindRevoke, ipc.Revoke{Person: id})
	case verb == "delete":
		return b.delete(ctx, e)
	}
	return nil
}

// change has door set a standing.
func (b *bench) change(ctx context.Context, e entry, to access.Standing, kind ipc.Kind, req any) error {
	if err := b.call(ctx, kind, req, nil); err != nil {
		return err
	}
	return b.remember(func(r *register) error { return r.put(e.Name, e.person(), to) })
}

// delete has door forget a person, and believes it only with a receipt that holds.
func (b *bench) delete(ctx context.Context, e entry) error {
	var answer ipc.Deleted
	if err := b.call(ctx, ipc.KindDelete, ipc.Delete{Person: e.person()}, &answer); err != nil {
		return err
	}
	receipt, path, err := b.options.keepDeletion(e.person(), answer, time.Now())
	if err != nil {
		// Door lets them in no more, but nothing proves that they are gone: they stay listed, so that it can be asked again.
		return errors.Join(fmt.Errorf("%s is deleted, but that is not proved: %w", e.Name, err),
			b.remember(func(r *register) error { return r.put(e.Name, e.person(), access.Revoked) }))
	}
	b.tell(fmt.Sprintf("%s is deleted; the receipt is proved, counter %d, kept in %s.", e.Name, receipt.Counter, path))
	return b.remember(func(r *register) error { return r.remove(e.Name) })
}

// confirm gives door an operator's word about who of two people stands there. Door forgets the question after seconds, and says so.
func (b *bench) confirm(ctx context.Context, name string) error {
	b.mu.Lock()
	p := b.status.Pending
	id := p.First
	if b.register.name(id) != name {
		id = p.Second
	}
	known := name != "" && b.register.name(id) == name
	b.mu.Unlock()
	if !known {
		return fmt.Errorf("door does not ask about %q, or no longer", name)
	}
	return b.call(ctx, ipc.KindConfirm, ipc.Confirm{Session: p.Session, Person: id}, nil)
}

// review hands door a review that lifts the flag of a face. On a desk whoever looks is the release role, too.
func (b *bench) review(ctx context.Context, recurrence string) error {
	what, err := access.ParseCorrelationID(recurrence)
	if err != nil {
		return err
	}
	release, err := releaseKey(b.options.offline())
	if err != nil {
		return err
	}
	id, err := root.Load(b.options.disk())
	if err != nil {
		return err
	}
	order, err := root.SignReview(release, id, what)
	if err != nil {
		return err
	}
	return b.call(ctx, ipc.KindReview, ipc.Review{Order: order}, nil)
}

// rekey has door turn all references to another secret transform.
func (b *bench) rekey(ctx context.Context) error {
	if err := b.call(ctx, ipc.KindRekey, nil, nil); err != nil {
		return err
	}
	b.tell("All templates are re-keyed. Nobody is enrolled anew, and a copy of the old ones compares with nothing any more.")
	return nil
}

// remember changes the register and shows it.
func (b *bench) remember(change func(*register) error) (err error) {
	b.touch(func() { err = change(b.register) })
	return err
}

// looksLike is what is said to whoever enrols somebody who could be taken for somebody else.
func (b *bench) looksLike(name string, other access.PersonID) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	alike := b.register.name(other)
	if alike == "" {
		alike = "somebody who is enrolled" // by another desk
	}
	return fmt.Sprintf("%s looks like %s: the door may ask one of them for assistance.", name, alike)
}
