package vault

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

const noon = 1_790_000_000 // some trusted Unix second

func TestClock(t *testing.T) {
	hour := time.Hour
	type move struct {
		powered time.Duration
		wall    int64
	}
	for name, c := range map[string]struct {
		moves           []move
		age, trustedAge time.Duration
		trusted         int64
		until           int64
		granted         time.Duration
		ended           bool
	}{
		"no lease never ends":                 {moves: []move{{9000 * hour, 0}}, age: 9000 * hour},
		"never trusted, 71 h":                 {moves: []move{{71 * hour, 0}}, age: 71 * hour, until: noon},
		"never trusted, 72 h":                 {moves: []move{{40 * hour, 0}, {32 * hour, 0}}, age: 72 * hour, until: noon, ended: true},
		"never trusted, granted an hour ago":  {moves: []move{{200 * hour, 0}}, age: 200 * hour, until: noon, granted: 199 * hour},
		"trusted, before its end":             {moves: []move{{hour, noon}}, age: hour, trustedAge: hour, trusted: noon, until: noon + 1},
		"trusted, at its end":                 {moves: []move{{hour, noon}}, age: hour, trustedAge: hour, trusted: noon, until: noon, ended: true},
		"ends by powered hours after trust":   {moves: []move{{hour, noon}, {2 * hour, 0}}, age: 3 * hour, trustedAge: hour, trusted: noon, until: noon + 7200, ended: true},
		"not yet by powered hours":            {moves: []move{{hour, noon}, {2 * hour, 0}}, age: 3 * hour, trustedAge: hour, trusted: noon, until: noon + 7201},
		"72 h after trust, whatever its end":  {moves: []move{{hour, noon}, {72 * hour, 0}}, age: 73 * hour, trustedAge: hour, trusted: noon, until: noon + 1e7, ended: true},
		"trust comes back: it lives again":    {moves: []move{{hour, noon}, {80 * hour, 0}, {0, noon + 300*3600}}, age: 301 * hour, trustedAge: 301 * hour, trusted: noon + 300*3600, until: noon + 1e7},
		"hours that were off show by trust":   {moves: []move{{hour, noon}, {0, noon + 36000}}, age: 11 * hour, trustedAge: 11 * hour, trusted: noon + 36000, until: noon + 35000, ended: true},
		"trusted time does not go back":       {moves: []move{{hour, noon}, {hour, noon - 86400}}, age: 2 * hour, trustedAge: hour, trusted: noon, until: noon + 3600, ended: true},
		"nor does the powered clock":          {moves: []move{{hour, 0}, {-hour, 0}}, age: hour, until: noon},
		"a wall clock from the end of time":   {moves: []move{{hour, noon}, {0, 1 << 62}}, age: hour + (1<<62)/time.Second*time.Second, trustedAge: hour + (1<<62)/time.Second*time.Second, trusted: 1 << 62, until: noon, ended: true},
		"powered hours outrun a trusted time": {moves: []move{{hour, noon}, {5 * hour, noon + 60}}, age: 6 * hour, trustedAge: 6 * hour, trusted: noon + 60, until: noon + 61},
	} {
		var h head
		for _, m := range c.moves {
			h.advance(m.powered, m.wall)
		}
		if h.Age != c.age || h.TrustedAge != c.trustedAge || h.Trusted != c.trusted {
			t.Errorf("%s: age %v, trusted %d at %v", name, h.Age, h.Trusted, h.TrustedAge)
		}
		if h.ended(c.until, c.granted) != c.ended {
			t.Errorf("%s: ended %v", name, !c.ended)
		}
	}
}

// Pulling the plug lengthens no lease: 72 powered hours are 72 in whatever pieces, and each start costs what may not have been written.
//
// Control: S7
func TestLeaseOverRestarts(t *testing.T) {
	for _, piece := range []time.Duration{time.Minute, 6 * time.Hour, 24 * time.Hour} {
		root, file := newRoot(), path(t)
		o := sealedOptions(root)
		o.Budget = 1
		p := someone(t, 1, 1)
		p.Until = noon
		powered := time.Duration(0)
		state, starts := Active, 0
		for ; state == Active && starts < 1000; starts++ {
			clock := &stopped{time.Duration(starts) * time.Hour} // each start has its own zero
			o.Now = clock.now
			v, err := Open(file, o)
			if err != nil {
				t.Fatal(err)
			}
			if starts == 0 {
				mustPut(t, v, p)
			}
			if _, err := v.Boot(); err != nil {
				t.Fatal(err)
			}
			for ran := time.Duration(0); ran < piece && state == Active; ran += time.Minute {
				clock.at += time.Minute
				powered += time.Minute
				if err := v.Settle(); err != nil {
					t.Fatal(err)
				}
				if ran%(10*time.Minute) == 0 {
					got, err := v.Get(p.ID, bundle)
					if err != nil {
						t.Fatal(err)
					}
					state = got.State
				}
			}
			// The plug: no Close, so nothing more is written; the file's lock alone is given up.
			v.db.Close()
			v.sealed.q.release()
			if piece == time.Minute && starts == 9 {
				break // the other pieces show the end
			}
		}
		if piece == time.Minute {
			v := mustOpen(t, file, o)
			if age := v.sealed.head.Age; age < 10*startCost {
				t.Errorf("10 starts of a minute made the vault %v old, want %v and more", age, 10*startCost)
			}
			continue
		}
		if state != Expired || powered > maxUntrusted+10*time.Minute || powered < maxUntrusted-3*time.Hour {
			t.Errorf("in pieces of %v: %v after %v in %d starts", piece, state, powered, starts)
		}
	}
}

// States tells who may do what at this moment, in either kind of vault; a lease that has ended shows without anybody writing it down.
func TestStates(t *testing.T) {
	id := func(n int) access.PersonID { return someone(t, n, 0).ID }
	clock := &stopped{}
	o := sealedOptions(newRoot())
	o.Now = clock.now
	sealed, err := Open(path(t), o)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Open(path(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*Vault{sealed, plain} {
		defer v.Close()
		for i := range 4 {
			p := someone(t, i+1, 1)
			if i == 3 && v == sealed {
				p.Until = noon
			}
			mustPut(t, v, p)
		}
		if err := errors.Join(v.Suspend(id(2)), v.Revoke(id(3), 0)); err != nil {
			t.Fatal(err)
		}
	}
	clock.at += maxUntrusted
	for v, fourth := range map[*Vault]State{sealed: Expired, plain: Active} {
		want := map[access.PersonID]State{id(1): Active, id(2): Suspended, id(3): Revoked, id(4): fourth}
		got := map[access.PersonID]State{}
		if err := v.States(func(p access.PersonID, s State) error { got[p] = s; return nil }); err != nil || !maps.Equal(got, want) {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
	}
}

// Control: A34
func TestRetention(t *testing.T) {
	var r Retention
	for c, days := range map[Class]time.Duration{ClassRevoked: 30, ClassExpired: 7, ClassSuspended: 180, ClassLockout: 7} {
		if r.Due(c, days*day-1) || !r.Due(c, days*day) {
			t.Errorf("class %d is not kept for %d days", c, days)
		}
	}
	if !r.Due(Class(99), 0) {
		t.Error("what has no class is kept")
	}
	for _, bad := range []Retention{{Revoked: 401 * day}, {Expired: time.Hour}, {Suspended: -1}, {Lockout: 1 << 62}} {
		if bad.Validate() == nil {
			t.Errorf("%+v accepted", bad)
		}
	}

	root, file, clock := newRoot(), path(t), &stopped{}
	wall := int64(0)
	o := sealedOptions(root)
	o.Now, o.Trusted = clock.now, func() (time.Time, bool) { return time.Unix(wall, 0), wall != 0 }
	v := mustOpen(t, file, o)
	at := func(n int) access.PersonID { return someone(t, n, 0).ID }
	for n := 1; n <= 5; n++ {
		p := someone(t, n, 1)
		if n >= 4 {
			p.Until = noon + 86400
		}
		mustPut(t, v, p)
	}
	if err := errors.Join(v.Revoke(at(1), 0), v.Suspend(at(2)), v.SetLockout("front", Lockout{Boot: 1}), v.SetLockout("back", Lockout{Boot: 1, Locked: true})); err != nil {
		t.Fatal(err)
	}
	sweep := func(want ...int) Swept {
		t.Helper()
		n := root.n
		s, err := v.Sweep(Retention{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[access.PersonID]bool{}
		for _, id := range s.People {
			got[id] = true
		}
		if len(got) != len(want) || len(s.Receipts) != len(want) || root.n != n+uint64(len(want)) {
			t.Errorf("swept %v, %d receipts, counter rose by %d, want %v", s.People, len(s.Receipts), root.n-n, want)
		}
		for _, n := range want {
			if !got[at(n)] {
				t.Errorf("%v was not swept", at(n))
			}
			if _, err := v.Get(at(n), bundle); !errors.Is(err, ErrUnknown) {
				t.Errorf("%v is still there: %v", at(n), err)
			}
			if g, err := v.Tombstone(at(n)); err != nil || g != 1 {
				t.Errorf("%v has tombstone %d, %v", at(n), g, err)
			}
		}
		return s
	}
	sweep()
	clock.at = 8 * day
	if s := sweep(); s.Lockouts != 1 {
		t.Errorf("%d lockouts swept", s.Lockouts)
	}
	if l, err := v.Lockout("back"); err != nil || !l.Locked {
		t.Errorf("a lockout in force was swept: %v", err)
	}
	if p, err := v.Get(at(4), bundle); err != nil || p.State != Expired {
		t.Errorf("a lease without trusted time for 8 days: %v, %v", p.State, err)
	}
	wall = noon // headquarters is heard: the lease lives, and ends a day later
	sweep()
	if p, err := v.Get(at(4), bundle); err != nil || p.State != Active {
		t.Errorf("with trusted time: %v, %v", p.State, err)
	}
	wall += 86400
	clock.at += day
	if p, err := v.Get(at(4), bundle); err != nil || p.State != Expired {
		t.Errorf("at its end: %v, %v", p.State, err)
	}
	sweep()
	wall += 7 * 86400
	clock.at += 7 * day
	sweep(4, 5)
	wall += 20 * 86400
	clock.at += 20 * day
	sweep(1)
	wall += 200 * 86400
	sweep(2)
	if v.Count() != 1 {
		t.Errorf("%d people are left", v.Count())
	}
	if _, err := mustOpen(t, path(t), Options{}).Sweep(r); !errors.Is(err, ErrNotSealed) {
		t.Errorf("a plain vault: %v", err)
	}
	if err := mustOpen(t, path(t), Options{}).Put(Person{ID: at(1), State: Active, Generation: 1, Until: noon}); !errors.Is(err, ErrNotSealed) {
		t.Errorf("a lease in a plain vault: %v", err)
	}
}
