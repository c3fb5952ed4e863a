package vault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// generation is somebody of these tests as headquarters would send them.
func generation(t testing.TB, n int, g uint64) Enrol {
	t.Helper()
	p := someone(t, n, 1)
	p.Generation, p.Until, p.Groups, p.Extended = g, 1<<40, []string{"day", "night"}, true
	return Enrol{p}
}

// What has been ordered about one person, in every order of arrival and with repetitions, comes to the same where headquarters' order of them is not
// needed: a deletion wins over enrolments of its generation, the highest serial over others, a suspension over an enrolment that comes late.
//
// Control: A22
func TestOrdersInWhateverOrder(t *testing.T) {
	id := someone(t, 1, 1).ID
	for name, c := range map[string]struct {
		orders []Order
		state  State
		stored uint64 // generation; 0: nobody
	}{
		"enrolled and deleted":               {[]Order{generation(t, 1, 1), Forget{id, 1, false}}, 0, 0},
		"deleted and lawfully back":          {[]Order{generation(t, 1, 1), Forget{id, 1, false}, generation(t, 1, 2)}, Active, 2},
		"suspended":                          {[]Order{generation(t, 1, 1), Stand{id, 1, 1, Suspended}}, Suspended, 1},
		"suspended and resumed":              {[]Order{generation(t, 1, 1), Stand{id, 1, 1, Suspended}, Stand{id, 1, 2, Active}}, Active, 1},
		"resumed and suspended":              {[]Order{generation(t, 1, 1), Stand{id, 1, 1, Active}, Stand{id, 1, 2, Suspended}}, Suspended, 1},
		"suspended, then deleted":            {[]Order{generation(t, 1, 1), Stand{id, 1, 1, Suspended}, Forget{id, 1, false}}, 0, 0},
		"back after a suspension":            {[]Order{Stand{id, 1, 1, Suspended}, Forget{id, 1, false}, generation(t, 1, 2)}, Active, 2},
		"a suspension of a later one counts": {[]Order{generation(t, 1, 1), Stand{id, 2, 1, Suspended}, generation(t, 1, 2)}, Suspended, 2},
	} {
		rnd := rand.New(rand.NewPCG(1, 2))
		for try := range 4 {
			v := mustOpen(t, path(t), sealedOptions(newRoot()))
			list := append(slices.Clone(c.orders), c.orders...)
			if try > 0 {
				rnd.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
			}
			for len(list) > 0 { // in steps of one or more
				n := 1 + rnd.IntN(len(list))
				if _, err := v.Apply(Step{Orders: list[:n]}, nil); err != nil {
					t.Fatal(err)
				}
				list = list[n:]
			}
			p, err := v.Get(id, bundle)
			if c.stored == 0 && !errors.Is(err, ErrUnknown) || c.stored != 0 && (err != nil || p.Generation != c.stored || p.State != c.state) {
				t.Errorf("%s, try %d: generation %d, %v, %v; want %d, %v", name, try, p.Generation, p.State, err, c.stored, c.state)
			}
			if want := int(min(c.stored, 1)); v.Count() != want {
				t.Errorf("%s: %d people, want %d", name, v.Count(), want)
			}
			v.Close()
		}
	}
}

// Revoked is final for a generation, in whatever order, and the door goes on to know whom it refuses only when they were stored.
func TestRevokedByOrder(t *testing.T) {
	id := someone(t, 1, 1).ID
	v := mustOpen(t, path(t), sealedOptions(newRoot()))
	apply := func(want error, o Order) {
		t.Helper()
		done, err := v.Apply(Step{Orders: []Order{o}}, nil)
		if err != nil || !errors.Is(done[0].Err, want) {
			t.Errorf("%+v: %v, %v; want %v", o, done, err, want)
		}
	}
	apply(nil, generation(t, 1, 3))
	apply(ErrSuperseded, generation(t, 1, 2))
	apply(ErrSuperseded, Forget{id, 2, false})
	apply(nil, Stand{id, 3, 1, Revoked})
	apply(nil, Stand{id, 3, 1, Revoked})
	apply(ErrSuperseded, Stand{id, 3, 2, Active})
	apply(ErrSuperseded, generation(t, 1, 3))
	if p, err := v.Get(id, bundle); err != nil || p.State != Revoked || len(p.References) != 1 {
		t.Errorf("%v, %v", p.State, err)
	}
	apply(nil, generation(t, 1, 4))
	if p, err := v.Get(id, bundle); err != nil || p.State != Active || !slices.Equal(p.Groups, []string{"day", "night"}) || !p.Extended {
		t.Errorf("%+v, %v", p, err)
	}
	apply(nil, Stand{id, 4, 7, Suspended})
	apply(nil, Stand{id, 4, 7, Suspended}) // headquarters gives it again with the enrolment
	apply(ErrSuperseded, Stand{id, 4, 7, Active})
	apply(nil, Forget{id, 3, true})
	if p, err := v.Get(id, bundle); err != nil || p.Generation != 4 {
		t.Errorf("another generation was let go: %+v, %v", p, err)
	}
	apply(nil, Forget{id, 4, true})
	if _, err := v.Get(id, bundle); !errors.Is(err, ErrUnknown) || v.Count() != 0 {
		t.Errorf("let go, and %v, %d people", err, v.Count())
	}
	apply(nil, generation(t, 1, 4))
	if p, err := v.Get(id, bundle); err != nil || p.State != Suspended {
		t.Errorf("let go and back: %v, %v", p.State, err)
	}
	if err := v.Rekey(); err != nil {
		t.Fatal(err)
	}
	if p, err := v.Get(id, bundle); err != nil || len(p.Groups) != 2 || !p.Extended {
		t.Errorf("after re-keying: %+v, %v", p, err)
	}
}

// A step is one transaction: twenty people and what belongs to them cost one commit, and an enrolment alone raises no counter.
func TestStepIsOneTransaction(t *testing.T) {
	root, file := newRoot(), path(t)
	v := mustOpen(t, file, sealedOptions(root))
	commits := 0
	v.sealed.cut = func(point string) {
		if point == "after commit" {
			commits++
		}
	}
	counter := root.n
	var orders []Order
	for i := range 20 {
		orders = append(orders, generation(t, i+1, 1))
	}
	if _, err := v.Apply(Step{Orders: orders, Items: map[Item][]byte{Stream: {1}}}, nil); err != nil || commits != 1 || root.n != counter || v.Count() != 20 {
		t.Fatalf("%v, %d commits, counter rose by %d, %d people", err, commits, root.n-counter, v.Count())
	}
	// What is called off leaves nothing behind, and each restricting step raises.
	off := errors.New("not recorded")
	on := true
	step := Step{Orders: []Order{Forget{someone(t, 1, 1).ID, 1, false}}, Items: map[Item][]byte{Stream: {2}}, Lockdown: &on}
	if _, err := v.Apply(step, func(done []Outcome) (map[Item][]byte, error) {
		if len(done) != 1 || done[0].Err != nil {
			t.Errorf("asked with %+v", done)
		}
		return map[Item][]byte{Pending: {3}}, off
	}); !errors.Is(err, off) {
		t.Fatalf("%v, want what called it off", err)
	}
	if on, err := v.Lockdown(); err != nil || on {
		t.Errorf("lockdown %t, %v", on, err)
	}
	if s, err := v.Item(Stream); err != nil || len(s) != 1 || s[0] != 1 || v.Count() != 20 {
		t.Errorf("stream %v, %v, %d people", s, err, v.Count())
	}
	for i, s := range []Step{
		{Orders: []Order{Forget{someone(t, 2, 1).ID, 1, false}}}, {Orders: []Order{Stand{someone(t, 3, 1).ID, 1, 1, Suspended}}}, {Lockdown: &on},
		{Items: map[Item][]byte{Disabled: {1}}, Restricts: true},
	} {
		before := root.n
		if _, err := v.Apply(s, nil); err != nil || root.n != before+1 {
			t.Errorf("step %d: %v, counter rose by %d", i, err, root.n-before)
		}
	}
	v.Close()
	v = mustOpen(t, file, reopen(sealedOptions(root)))
	if on, err := v.Lockdown(); err != nil || !on || v.Count() != 19 {
		t.Errorf("after a restart lockdown %t, %v, %d people", on, err, v.Count())
	}
	if d, err := v.Item(Disabled); err != nil || d == nil {
		t.Errorf("after a restart %v, %v", d, err)
	}
	if err := v.SetItem(Disabled, nil); err != nil {
		t.Fatal(err)
	}
	if d, err := v.Item(Disabled); err != nil || d != nil {
		t.Errorf("removed, and there: %v, %v", d, err)
	}
	if _, err := v.Apply(Step{Items: map[Item][]byte{"boot": {1}}}, nil); err == nil {
		t.Error("an item that is none was kept")
	}
}

// An order that cannot be carried out keeps no other from it, and is changed in nothing.
func TestOneBadOrder(t *testing.T) {
	o := sealedOptions(newRoot())
	o.MaxPeople = 2
	v := mustOpen(t, path(t), o)
	empty := generation(t, 4, 1)
	empty.Person.References = append(empty.Person.References, Reference{Bundle: bundle})
	crowd := generation(t, 5, 1)
	crowd.Person.Groups = slices.Repeat([]string{"g"}, MaxGroups+1)
	done, err := v.Apply(Step{Orders: []Order{generation(t, 1, 1), empty, crowd, generation(t, 2, 1), generation(t, 3, 1)}}, nil)
	if err != nil || v.Count() != 2 {
		t.Fatalf("%v, %d people", err, v.Count())
	}
	for i, want := range []bool{true, false, false, true, false} {
		if done[i].Changed != want || (done[i].Err == nil) != want {
			t.Errorf("order %d: %+v, want changed %t", i, done[i], want)
		}
	}
	if !errors.Is(done[4].Err, ErrFull) {
		t.Errorf("one too many: %v", done[4].Err)
	}
	if _, err := v.Apply(Step{Orders: []Order{Forget{}}}, nil); err == nil {
		t.Error("nobody was forgotten")
	}
}

func TestTrustedTimeIsRemembered(t *testing.T) {
	root, file, now := newRoot(), path(t), time.Duration(0)
	o := sealedOptions(root)
	o.Now = func() time.Duration { return now }
	v := mustOpen(t, file, o)
	if at, _ := v.Trusted(); at != 0 {
		t.Fatalf("trusted at %d before anybody vouched", at)
	}
	v.Believe(func() (time.Time, bool) { return time.Unix(1_800_000_000, 0), true })
	if err := v.SetItem(Stream, []byte{1}); err != nil {
		t.Fatal(err)
	}
	v.Close()
	v = mustOpen(t, file, reopen(o))
	now += 25 * time.Hour
	if at, since := v.Trusted(); at != 1_800_000_000 || since < 25*time.Hour || since > 26*time.Hour {
		t.Errorf("trusted at %d, %v ago", at, since)
	}
}

func BenchmarkStepOfTwentyPeople(b *testing.B) {
	v, err := Open(path(b), sealedOptions(newRoot()))
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	g := uint64(0)
	for b.Loop() {
		g++
		var orders []Order
		for i := range 20 {
			orders = append(orders, generation(b, i+1, g))
		}
		if _, err := v.Apply(Step{Orders: orders, Items: map[Item][]byte{Stream: fmt.Append(nil, g)}}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
