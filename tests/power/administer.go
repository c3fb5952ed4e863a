package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
)

const door = "front door"

// administer makes one change in the vault that is no attempt; n is 46 to 89.
func (w *worker) administer(n int, id access.PersonID) error {
	switch {
	case n < 56:
		return w.enrol(id)
	case n < 60:
		return w.end("revoke", id, access.EventRevoked)
	case n < 65:
		return w.end("erase", id, access.EventRevoked)
	case n < 69:
		return w.end("suspend", id, access.EventRevoked)
	case n < 72:
		return w.end("resume", id, access.EventEnrolled)
	case n < 76:
		on := w.rng.IntN(2) == 0
		return w.do(func() error { return w.vault.SetLockdown(on) }, "lockdown %t", on)
	case n < 79:
		return w.lock()
	case n < 81:
		value := fmt.Sprint(w.rng.Uint32())
		return w.do(func() error { return w.vault.SetPolicy([]byte(value)) }, "policy %s", value)
	case n < 82:
		return w.do(w.vault.Rekey, "rekey")
	case n < 84:
		return w.sweep()
	default:
		return w.do(w.vault.Settle, "settle")
	}
}

// do is tell for what has no result.
func (w *worker) do(do func() error, format string, args ...any) error {
	return w.tell(func() (any, error) { return "", do() }, format, args...)
}

func (w *worker) enrol(id access.PersonID) error {
	generation, err := w.vault.Tombstone(id)
	if err != nil {
		return err
	}
	before, err := w.vault.Get(id, bundle())
	if err != nil && !errors.Is(err, vault.ErrUnknown) {
		return err
	}
	generation = max(generation, before.Generation) + 1
	t, err := vault.NewTemplate(reference(id, generation))
	if err != nil {
		return err
	}
	p := vault.Person{ID: id, State: vault.Active, Generation: generation, References: []vault.Reference{{Template: t, Bundle: bundle(), Created: w.boot}}}
	return errors.Join(
		w.do(func() error { return w.vault.Put(p) }, "put %s %d", id, generation),
		w.append(access.EventEnrolled, id),
	)
}

// end changes how somebody stands, if somebody is there, and records it.
func (w *worker) end(how string, id access.PersonID, e access.Event) error {
	change := map[string]func() error{
		"revoke":  func() error { return w.vault.Revoke(id, 0) },
		"erase":   func() error { return w.vault.Delete(id, 0) },
		"suspend": func() error { return w.vault.Suspend(id) },
		"resume":  func() error { return w.vault.Resume(id) },
	}
	p, err := w.vault.Get(id, bundle())
	if errors.Is(err, vault.ErrUnknown) || err == nil && p.State == vault.Revoked && how != "erase" {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(w.do(change[how], "%s %s", how, id), w.append(e, id))
}

// refuse remembers one more failure at the door, as each denied attempt does: no counter rises for it.
func (w *worker) refuse() error {
	l, err := w.vault.Lockout(door)
	if err != nil {
		return err
	}
	if len(l.Failures) == 5 {
		l.Failures = nil
	}
	return w.setLockout(len(l.Failures)+1, l.Locked)
}

// lock enters or leaves a lockout.
func (w *worker) lock() error {
	l, err := w.vault.Lockout(door)
	if err != nil {
		return err
	}
	return w.setLockout(len(l.Failures), !l.Locked)
}

func (w *worker) setLockout(failures int, locked bool) error {
	l := vault.Lockout{Boot: w.boot, Locked: locked}
	for i := range failures {
		l.Failures = append(l.Failures, time.Duration(i)*time.Second)
	}
	return w.do(func() error { return w.vault.SetLockout(door, l) }, "lockout %d %t", failures, locked)
}

// sweep removes what has been kept for a day, the shortest that retention may be.
func (w *worker) sweep() error {
	const day = 24 * time.Hour
	return w.tell(func() (any, error) {
		done, err := w.vault.Sweep(vault.Retention{Revoked: day, Expired: day, Suspended: day, Lockout: day})
		words := []string{fmt.Sprint(done.Lockouts)}
		for _, id := range done.People {
			words = append(words, id.String())
		}
		return strings.Join(words, " "), err
	}, "sweep")
}
