package vault

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/lintel-access/lintel/access"
)

// Control: C13
func TestRekey(t *testing.T) {
	root, file := newRoot(), path(t)
	v := mustOpen(t, file, sealedOptions(root))
	r := rand.New(rand.NewPCG(7, 8))
	plain := map[access.PersonID][]float32{}
	for n := range 40 {
		x := direction(r)
		tpl, err := NewTemplate(x)
		if err != nil {
			t.Fatal(err)
		}
		p := Person{ID: access.PersonID{byte(n + 1)}, State: Active, Generation: 1, References: []Reference{{Template: tpl, Bundle: bundle}, {Template: tpl, Bundle: another}}}
		mustPut(t, v, p)
		plain[p.ID] = x
	}
	if err := v.Suspend(access.PersonID{5}); err != nil {
		t.Fatal(err)
	}
	collect := func() map[access.PersonID][]float32 {
		all := map[access.PersonID][]float32{}
		for _, of := range [][32]byte{bundle, another} {
			if err := v.All(of, func(p Person) error {
				all[p.ID] = make([]float32, dim)
				p.References[0].Template.Copy(all[p.ID])
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	before := collect()
	held, err := v.Get(access.PersonID{1}, bundle)
	if err != nil {
		t.Fatal(err)
	}
	root.refuse = errors.New("busy")
	if err := v.Rekey(); !errors.Is(err, ErrUnacknowledged) {
		t.Errorf("with a dead counter: %v", err)
	}
	root.refuse = nil
	for range 3 {
		if err := v.Rekey(); err != nil {
			t.Fatal(err)
		}
	}
	v.Close()
	v = mustOpen(t, file, reopen(sealedOptions(root)))
	after := collect()
	worst := 0.0
	for id, x := range plain {
		if c := cosine(before[id], after[id]); c > 0.4 {
			t.Errorf("%v kept its template: cosine %g", id, c)
		}
		for range 20 {
			probe := near(r, x, 1)
			want := cosine(probe, x)
			if err := v.Transform(probe); err != nil {
				t.Fatal(err)
			}
			worst = max(worst, max(want-cosine(probe, after[id]), cosine(probe, after[id])-want))
		}
	}
	t.Logf("re-keyed 4 times: scores differ by at most %.1e", worst)
	if worst > 1e-5 || len(after) != 40 {
		t.Errorf("scores differ by %g among %d people", worst, len(after))
	}
	if p, err := v.Get(access.PersonID{5}, bundle); err != nil || p.State != Suspended {
		t.Errorf("suspension: %v, %v", p.State, err)
	}
	if err := v.Put(held); err == nil {
		t.Error("a template of before the re-keying was stored")
	}
}
