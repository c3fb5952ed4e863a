package walkup

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

// denials waits until n walk-ups were denied and returns the newest of them.
func (b *bench) denials(n int) access.Reason {
	b.t.Helper()
	var newest access.Reason
	b.stand(5, access.HintNone, func() bool {
		found := 0
		for _, o := range b.w.View().Outcomes {
			if o.Verdict == access.Denied {
				if found++; found == 1 {
					newest = o.Reason
				}
			}
		}
		return found >= n
	})
	return newest
}

// noted are the records of an event.
func (b *bench) noted(e access.Event) (list []access.Record) {
	b.locked(func() {
		for _, r := range b.records {
			if r.Event == e {
				list = append(list, r)
			}
		}
	})
	return list
}

// about wants one record of an event, of a walk-up and about the person {1}.
func (b *bench) about(e access.Event) {
	b.t.Helper()
	list := b.noted(e)
	if len(list) != 1 {
		b.t.Fatalf("%d records of %q, want 1", len(list), e)
	}
	if r := list[0]; r.Subject != (*benchGallery)(b).Subject(access.PersonID{1}, r.Wall) || r.Session.Number == 0 {
		b.t.Errorf("record %+v does not name the person and the session", r)
	}
}

// Who is identified and refused again and again is locked out, whatever they are permitted afterwards, and being
// locked out prolongs nothing.
//
// Control: A25
// Control: B20
func TestPersonIsLockedOut(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.PersonLimit = 2 })
	b.enrolled(0, access.Suspended)
	if r := b.denials(1); r != access.ReasonSuspended {
		t.Fatalf("denied because of %v", r)
	}
	if len(b.noted(access.EventPersonLockedOut)) != 0 {
		t.Error("locked out after one refusal of two")
	}
	b.denials(2)
	b.stand(5, access.HintNone, func() bool { return len(b.noted(access.EventPersonLockedOut)) > 0 })
	b.enrolled(0, access.Permitted)
	if r := b.denials(4); r != access.ReasonLockedOut {
		t.Errorf("denied because of %v, want the lockout", r)
	}
	b.about(access.EventPersonLockedOut)
	b.locked(func() {
		if kept := b.refusals[access.PersonID{1}]; len(kept.at) != 2 || !kept.locked || b.released != 0 {
			t.Errorf("%d refusals kept, locked %v, released %d times", len(kept.at), kept.locked, b.released)
		}
	})
	// Nobody else is held by it.
	b.enrolled(7, access.Permitted)
	b.locked(func() { b.person = 7 })
	b.stand(6, access.HintNone, func() bool { n := 0; b.locked(func() { n = b.released }); return n == 1 })
}

// A lockout ends by itself, and its end is recorded once.
func TestServedLockoutIsForgotten(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.PersonLimit, p.PersonLock = 2, time.Minute })
	b.enrolled(0, access.Permitted)
	b.locked(func() {
		b.refusals[access.PersonID{1}] = refusals{[]time.Duration{now() - 3*time.Minute, now() - 2*time.Minute}, true}
	})
	if o := b.decided(5); o.Verdict != access.Granted {
		t.Fatalf("outcome %+v, want granted", o)
	}
	b.stand(5, access.HintNone, func() bool { return len(b.noted(access.EventPersonLockoutEnded)) > 0 })
	b.about(access.EventPersonLockoutEnded)
	b.locked(func() {
		if kept := b.refusals[access.PersonID{1}]; len(kept.at) != 0 || kept.locked {
			t.Errorf("kept %+v after the lockout was served", kept)
		}
	})
}

// What does not lie in the person is not charged to them, and what is nobody's to nobody.
//
// Control: A25
func TestWhatChargesNobody(t *testing.T) {
	for name, set := range map[string]func(*bench){
		"lockdown":     func(b *bench) { b.door.Lockdown = true },
		"tamper":       func(b *bench) { b.door.Tamper = true },
		"not recorded": func(b *bench) { b.logErr = errors.New("no space left") },
		"stranger":     func(b *bench) { b.person = 3 },
		"screen":       func(b *bench) { b.deaf = true },
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			b.enrolled(0, access.Permitted)
			b.locked(func() { set(b) })
			b.denials(1)
			b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Cooldown })
			b.locked(func() {
				if len(b.refusals) != 0 {
					t.Errorf("charged %v", b.refusals)
				}
			})
		})
	}
}

// A kiosk that cannot read what it remembers of a person admits nobody, and does not say that it locked anybody out.
func TestUnreadableLockoutDenies(t *testing.T) {
	b := start(t, nil)
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.shelfErr = errors.New("input/output error") })
	if r := b.denials(1); r != access.ReasonNotReady {
		t.Errorf("denied because of %v", r)
	}
	b.locked(func() {
		if b.released != 0 {
			t.Error("the door was released")
		}
	})
}

// A refusal that cannot be kept is said so once, and locks nobody out.
func TestRefusalThatCannotBeKept(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.PersonLimit = 1 })
	b.enrolled(0, access.Revoked)
	b.w.cfg.SavePersonFailures = func(access.PersonID, []time.Duration, bool) error { return errors.New("no space left") }
	b.denials(2)
	b.stand(5, access.HintNone, func() bool { return b.w.View().State == access.Cooldown })
	if n, m := len(b.noted(access.EventStorageLow)), len(b.noted(access.EventPersonLockedOut)); n != 1 || m != 0 {
		t.Errorf("%d records that storage is low, want 1; %d lockouts that nobody remembers", n, m)
	}
}

// The door's limit is entered and left once, and the store hears of both.
//
// Control: C18
func TestDoorLimitIsEnteredAndLeft(t *testing.T) {
	b := start(t, func(p *access.Policy) { p.FailureLimit = 2 })
	b.enrolled(0, access.Permitted)
	b.locked(func() { b.person = 3 })
	b.denials(3)
	b.stand(5, access.HintNone, func() bool { n := 0; b.locked(func() { n = len(b.limited) }); return n >= 3 })
	b.locked(func() {
		if want := []bool{false, true, true}; !slices.Equal(b.limited[:3], want) {
			t.Errorf("limited %v, want %v", b.limited[:3], want)
		}
	})
	if n := len(b.noted(access.EventFailuresLimited)); n != 1 {
		t.Errorf("%d records that failures are limited", n)
	}

	b = start(t, func(p *access.Policy) { p.FailureLimit, p.FailureWindow = 1, time.Minute }, now()-2*time.Minute)
	b.enrolled(0, access.Permitted)
	b.decided(5)
	b.stand(6, access.HintNone, func() bool { n := 0; b.locked(func() { n = b.released }); return n == 2 })
	b.locked(func() {
		if !slices.Equal(b.limited, []bool{false}) || len(b.saved) != 0 {
			t.Errorf("limited %v with %d failures, want it lifted once", b.limited, len(b.saved))
		}
	})
	if n := len(b.noted(access.EventDoorLimitLifted)); n != 1 {
		t.Errorf("%d records that the limit was lifted", n)
	}
}
