package fleet

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

func lockdown(version uint64, on bool) wire.Lockdown {
	return wire.Lockdown{Version: version, On: on, Issued: 1}
}

func submit(t *testing.T, h *house, name string, envelope []byte) (ref [32]byte) {
	t.Helper()
	if err := h.fleet.Submit(t.Context(), name, envelope); err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(envelope)
}

// A clock of the future would make a lockdown that nobody ends before that time, and an older word one that no kiosk heeds.
func TestVersionsOfStateAreBounded(t *testing.T) {
	h := newHouse(t, false)
	k := known(t, h, "front")
	now := time.Now()
	future := h.sign(wire.Fleet(), lockdown(uint64(now.Add(ahead+time.Hour).UnixMilli()), true))
	if err := h.fleet.Submit(t.Context(), "", future); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("a version of the future: %v", err)
	}
	standing := h.sign(wire.Fleet(), wire.Standing{Person: [16]byte{1}, Generation: 1, Serial: 1<<64 - 1, State: 1, Issued: 1})
	if err := h.fleet.Submit(t.Context(), "", standing); err == nil {
		t.Error("a last word about a person was taken")
	}
	near := h.sign(wire.Fleet(), lockdown(uint64(now.Add(ahead-time.Minute).UnixMilli()), true))
	submit(t, h, "", near)
	submit(t, h, "", near) // to say the same twice is no error
	for _, to := range []string{"", k.name} {
		audience := wire.Fleet()
		if to != "" {
			audience = k.id
		}
		older := h.sign(audience, lockdown(uint64(now.UnixMilli()), false))
		if err := h.fleet.Submit(t.Context(), to, older); !errors.Is(err, errOlder) {
			t.Errorf("an older version, for %q: %v", to, err)
		}
	}
}

// A kiosk that takes another's place is shut as that one was, or does not take it; and gets nothing that was signed for the other alone.
func TestOwnLockdownIsNotLostInReplacement(t *testing.T) {
	h := newHouse(t, false)
	old, next := known(t, h, "front"), known(t, h, "spare")
	everybody := submit(t, h, "", h.sign(wire.Fleet(), wire.Disable{Version: 1, On: false, Issued: 1}))
	person := submit(t, h, "", h.sign(wire.Fleet(), wire.Standing{Person: [16]byte{1}, Generation: 1, Serial: 1, State: 1, Issued: 1}))
	own := submit(t, h, old.name, h.sign(old.id, lockdown(5, true)))
	if err := h.fleet.Replace(t.Context(), old.name, next.name); err == nil || !strings.Contains(err.Error(), "hq lockdown on -kiosk "+next.name) {
		t.Fatalf("replaced, and its lockdown is lost: %v", err)
	}
	if o := overview(t, h, old.name); o.State != Active {
		t.Fatalf("it is %v", o.State)
	}
	its := submit(t, h, next.name, h.sign(next.id, lockdown(6, true)))
	if err := h.fleet.Replace(t.Context(), old.name, next.name); err != nil {
		t.Fatal(err)
	}
	next.until("what is for all, and its own", func() bool { return next.orders[everybody] > 1 && next.orders[person] > 0 && next.orders[its] == 1 })
	if next.orders[own] != 0 {
		t.Error("it was given what was signed for another")
	}
	if o := overview(t, h, old.name); o.State != Replaced {
		t.Errorf("the old one is %v", o.State)
	}
}

// What a kiosk alone was told is in force for it after it was adopted.
func TestAdoptedKioskKeepsItsOwnLockdown(t *testing.T) {
	h, ledger := newSignedHouse(t)
	k := known(t, h, "front")
	own := submit(t, h, k.name, h.sign(k.id, lockdown(5, true)))
	k.until("the lockdown", func() bool { return k.orders[own] == 1 })
	h.strand(k, ledger, 40)
	if err := h.fleet.Adopt(t.Context(), k.name); err != nil {
		t.Fatal(err)
	}
	k.until("its lockdown again", func() bool { return k.orders[own] == 2 })
}

// brittle fails at the nth write, and from then on, as if the power went; with late the write is made all the same.
type brittle struct {
	Store
	left int
	late bool
}

func (b *brittle) Put(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	if b.left--; b.left >= 0 {
		return b.Store.Put(ctx, key, data, revision)
	}
	if b.late {
		if _, err := b.Store.Put(ctx, key, data, revision); err != nil {
			return 0, err
		}
	}
	return 0, store.ErrNotStored
}

// Wherever hq kiosk add is cut short, a kiosk that is known after it has been told of the lockdown.
func TestAddedKioskIsToldOfLockdownWhereverItIsCutShort(t *testing.T) {
	for _, late := range []bool{false, true} {
		for cut := range 4 {
			h := newHouse(t, false)
			ref := submit(t, h, "", h.sign(wire.Fleet(), lockdown(1, true)))
			whole := h.fleet.store
			k := newDouble(t, h)
			h.fleet.store = &brittle{whole, cut, late}
			err := k.enter("front")
			if (err == nil) != (cut >= 2) {
				t.Fatalf("cut after %d writes: %v", cut, err)
			}
			h.fleet.store = whole
			if o, _ := h.fleet.List(t.Context()); err != nil && len(o) != 0 {
				t.Errorf("cut after %d writes, and listed: %+v", cut, o)
			}
			h.restart()
			o, err := h.fleet.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(o) == 1 && o[0].Head == 0 {
				t.Errorf("cut after %d writes (late: %v) it is known, and was not told", cut, late)
			}
			if err := k.enter("front"); err != nil {
				t.Fatal(err)
			}
			k.listen()
			k.greet()
			k.until("the lockdown", func() bool { return k.orders[ref] > 0 })
		}
	}
}

// A write that got no answer, and was made, does not stand in the way of the next.
func TestUnansweredWriteBarsNothing(t *testing.T) {
	h := newHouse(t, false)
	k := h.introduce("front")
	whole := h.fleet.store
	h.fleet.store = &brittle{whole, 0, true}
	if err := h.fleet.Quarantine(t.Context(), k.name, "why"); !errors.Is(err, store.ErrNotStored) {
		t.Fatal(err)
	}
	h.fleet.store = whole
	if err := h.fleet.Quarantine(t.Context(), k.name, "why"); err != nil {
		t.Error(err)
	}
	if err := h.fleet.Lift(t.Context(), k.name); err != nil {
		t.Error(err)
	}
}

// A kiosk that was away while an operator locked the doors, opened them again, and lost the role, is not locked by what nobody's word could end any more: it is
// given what is in force, and the rest of the stream. Where that operator's key was stolen, their word outnumbers nobody's.
func TestOutnumberedLockdownReachesNobodyLate(t *testing.T) {
	for what, want := range map[string]struct {
		removed func(*wire.Trust) error
		late    int // words that were outnumbered, and come all the same
	}{
		"her role ended":     {authority.End("Ada", time.Now().Add(time.Second)), 0},
		"her key was stolen": {authority.Dismiss("Ada"), 1},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHouse(t, false)
			bob := key(t)
			h.change(func(o *authority.Offline) error {
				return o.Change(time.Now(), authority.Admit(wire.RoleAdministrator, "Bob", &bob.PublicKey, time.Now(), time.Hour))
			})
			away := h.introduce("front")
			bobs, err := wire.Sign(bob, wire.Fleet(), lockdown(1, true))
			if err != nil {
				t.Fatal(err)
			}
			on := submit(t, h, "", bobs)
			between := h.enrolment(1)
			appendAll(t, h, away, between)
			off := submit(t, h, "", h.sign(wire.Fleet(), lockdown(2, false)))
			if err := h.fleet.Append(t.Context(), away.name, [][32]byte{on}); err != nil { // whoever hands it on again
				t.Fatal(err)
			}
			if o := overview(t, h, away.name); o.Head != 3 {
				t.Errorf("what is outnumbered was appended again: %d commands", o.Head)
			}
			h.change(func(o *authority.Offline) error { return o.Change(time.Now(), want.removed) })
			away.listen()
			away.greet()
			again := 1 - want.late // its end comes once more, in case that was in no stream yet
			away.until("the end of the stream", func() bool { return away.seq == 3+uint64(again) })
			if away.orders[on] != want.late || away.orders[between] != 1 || away.orders[off] != 1+again || away.empty != again {
				t.Errorf("locked %d times, %d and %d times what else there is, %d commands without content", away.orders[on], away.orders[between], away.orders[off], away.empty)
			}
		})
	}
}

// A kiosk's own word and the one for all outnumber each other by their versions, whichever came last.
func TestOwnWordIsOutnumberedByTheOneForAll(t *testing.T) {
	h := newHouse(t, false)
	away := h.introduce("front")
	own := submit(t, h, away.name, h.sign(away.id, wire.Disable{Version: 3, On: true, Issued: 1}))
	all := submit(t, h, "", h.sign(wire.Fleet(), wire.Disable{Version: 4, Issued: 1}))
	its := submit(t, h, away.name, h.sign(away.id, lockdown(5, true)))
	away.listen()
	away.greet()
	away.until("the end of the stream", func() bool { return away.seq == 4 })
	if away.orders[own] != 0 || away.orders[all] != 2 || away.orders[its] != 1 {
		t.Errorf("given %d, %d, %d", away.orders[own], away.orders[all], away.orders[its])
	}
}

// Headquarters ends between keeping a later lockdown and putting it into a kiosk's stream: the kiosk, which is given the earlier one no more, is given that.
func TestLaterLockdownThatIsInNoStream(t *testing.T) {
	h := newHouse(t, false)
	away := h.introduce("front")
	first := submit(t, h, "", h.sign(wire.Fleet(), lockdown(1, true)))
	full := func(key string) error {
		if strings.HasPrefix(key, "stream.") {
			return store.ErrNotStored
		}
		return nil
	}
	h.disk.fails.Store(&full)
	later := h.sign(wire.Fleet(), lockdown(2, true))
	if err := h.fleet.Submit(t.Context(), "", later); err == nil {
		t.Fatal("submitted to a stream that takes nothing")
	}
	h.disk.fails.Store(nil)
	h.restart()
	away.listen()
	for range 2 {
		away.greet()
		away.until("the lockdown in force", func() bool { return away.seq == 2 && away.orders[sha256.Sum256(later)] == 1 })
	}
	if away.orders[first] != 0 {
		t.Error("it is given the earlier one, too")
	}
}
