package vault

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access"
)

// memoryRoot is a TPM in memory, with hooks for what may go wrong.
type memoryRoot struct {
	key    [32]byte
	n      uint64
	dead   error // every command fails
	refuse error // Raise fails
	lost   error // Raise works, its answer is lost
}

func newRoot() *memoryRoot { return &memoryRoot{key: [32]byte{1, 2, 3}, n: 41} }

func (r *memoryRoot) Unseal() ([32]byte, error) { return r.key, r.dead }
func (r *memoryRoot) Counter() (uint64, error)  { return r.n, r.dead }
func (r *memoryRoot) Raise() (uint64, error) {
	if err := errors.Join(r.dead, r.refuse); err != nil {
		return 0, err
	}
	r.n++
	return r.n, r.lost
}

var device = [32]byte{0xde, 0xc1}

func sealedOptions(r Root) Options { return Options{Root: r, Device: device, Adopt: true} }

func reopen(o Options) Options {
	o.Adopt = false
	return o
}

func content(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// written puts bytes into a vault file of their own.
func written(t testing.TB, b []byte) string {
	t.Helper()
	file := path(t)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func refusedWith(t *testing.T, what string, file string, o Options, want error) {
	t.Helper()
	before := content(t, file)
	v, err := Open(file, o)
	if err == nil {
		v.Close()
	}
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if !bytes.Equal(before, content(t, file)) {
		t.Errorf("%s: refused, yet changed", what)
	}
}

// sameTurned compares what a sealed vault returns with what was put into it.
func sameTurned(v *Vault, got, put Person) bool {
	if got.ID != put.ID || got.State != put.State || got.Generation != put.Generation || got.Until != put.Until || len(got.References) != len(put.References) {
		return false
	}
	for i, r := range put.References {
		var x, y [dim]float32
		r.Template.Copy(x[:])
		got.References[i].Template.Copy(y[:])
		if v.Transform(x[:]) != nil || cosine(x[:], y[:]) < 1-1e-5 || got.References[i].Quality != r.Quality || got.References[i].Bundle != r.Bundle {
			return false
		}
	}
	return true
}

func TestSealedLife(t *testing.T) {
	root, file := newRoot(), path(t)
	o := sealedOptions(root)
	v := mustOpen(t, file, o)
	a, b := someone(t, 1, 2), someone(t, 2, MaxReferences)
	b.References[3].Bundle, b.References[7].Bundle = another, another
	mustPut(t, v, b)
	mustPut(t, v, a)
	if n, err := v.Boot(); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	for _, err := range []error{
		v.SetLockout("front", Lockout{Boot: 1, Failures: []time.Duration{5}, Locked: true}), v.SetPolicy([]byte("policy 7")), v.SetLockdown(true),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := v.SubjectKey()
	if err != nil || key == [32]byte{} {
		t.Fatal("no subject key", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}

	v = mustOpen(t, file, reopen(o))
	if v.Count() != 2 || !v.Locked() {
		t.Fatalf("%d people, locked %v", v.Count(), v.Locked())
	}
	found := 0
	if err := v.All(bundle, func(p Person) error {
		found++
		want := a
		if p.ID == b.ID {
			want = b
			want.References = slices.DeleteFunc(slices.Clone(b.References), func(r Reference) bool { return r.Bundle != bundle })
			if p.Foreign != 2 {
				t.Errorf("%d foreign", p.Foreign)
			}
		}
		if !sameTurned(v, p, want) {
			t.Errorf("%v came back otherwise", p.ID)
		}
		return nil
	}); err != nil || found != 2 {
		t.Fatalf("%d people, %v", found, err)
	}
	if p, err := v.Get(b.ID, another); err != nil || len(p.References) != 2 || p.Foreign != MaxReferences-2 {
		t.Fatalf("of another bundle: %d, %v", len(p.References), err)
	}
	if l, err := v.Lockout("front"); err != nil || l.Boot != 1 || len(l.Failures) != 1 || !l.Locked {
		t.Errorf("lockout %+v, %v", l, err)
	}
	if p, err := v.Policy(); err != nil || string(p) != "policy 7" {
		t.Errorf("policy %q, %v", p, err)
	}
	if on, err := v.Lockdown(); err != nil || !on {
		t.Errorf("lockdown %v, %v", on, err)
	}
	if err := v.SetLockdown(false); err != nil {
		t.Error(err)
	}
	if on, err := v.Lockdown(); err != nil || on {
		t.Errorf("lockdown %v, %v", on, err)
	}
	if again, err := v.SubjectKey(); err != nil || again != key {
		t.Errorf("another subject key, %v", err)
	}
	if n, err := v.Boot(); err != nil || n != 2 {
		t.Errorf("boot %d, %v", n, err)
	}

	// Get and Put do not turn twice.
	p, err := v.Get(a.ID, bundle)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, v, p)
	if p, err := v.Get(a.ID, bundle); err != nil || !sameTurned(v, p, a) {
		t.Errorf("after a round trip: %v", err)
	}
	if err := v.Suspend(a.ID); err != nil {
		t.Error(err)
	}
	if p, err := v.Get(a.ID, bundle); err != nil || p.State != Suspended || len(p.References) != 2 {
		t.Errorf("suspended: %v, %v", p.State, err)
	}
	if err := v.Resume(a.ID); err != nil {
		t.Error(err)
	}
	if err := v.Revoke(a.ID, 0); err != nil {
		t.Error(err)
	}
	if err := v.Resume(a.ID); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the revoked were resumed: %v", err)
	}
	if err := v.Suspend(access.PersonID{9}); !errors.Is(err, ErrUnknown) {
		t.Errorf("stranger: %v", err)
	}
	if p, err := v.Get(a.ID, bundle); err != nil || p.State != Revoked || len(p.References) != 2 {
		t.Errorf("revoked: %v, %v", p.State, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		if s := fmt.Sprintf(verb, v); s != "vault(redacted)" {
			t.Errorf("a vault prints as %q", s)
		}
	}
}

// A receipt for what is gone, whatever came first.
//
// Control: S7
func TestSealedGenerations(t *testing.T) {
	root := newRoot()
	v := mustOpen(t, path(t), sealedOptions(root))
	at := func(g uint64) Person {
		p := someone(t, 1, 1)
		p.Generation = g
		return p
	}
	id := at(1).ID
	subject, err := v.SubjectKey()
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		do         func() (Receipt, error)
		want       error
		generation uint64 // of the receipt
	}{
		{func() (Receipt, error) { return v.Erase(id, 0) }, ErrUnknown, 0},
		{func() (Receipt, error) { return v.Erase(id, 3) }, ErrUnknown, 3}, // arrives before the person does
		{func() (Receipt, error) { return Receipt{}, v.Put(at(3)) }, ErrSuperseded, 0},
		{func() (Receipt, error) { return Receipt{}, v.Put(at(5)) }, nil, 0},
		{func() (Receipt, error) { return Receipt{}, v.Put(at(4)) }, ErrSuperseded, 0},
		{func() (Receipt, error) { return v.Erase(id, 2) }, nil, 5},
		{func() (Receipt, error) { return Receipt{}, v.Put(at(5)) }, ErrSuperseded, 0},
		{func() (Receipt, error) { return v.Erase(id, 0) }, ErrUnknown, 5},
		{func() (Receipt, error) { return Receipt{}, v.Put(at(6)) }, nil, 0},
	} {
		before := root.n
		r, err := step.do()
		if !errors.Is(err, step.want) || r.Generation != step.generation {
			t.Fatalf("step %d: %+v, %v, want %v", i, r, err, step.want)
		}
		if step.generation == 0 {
			continue
		}
		if r.Counter != root.n || r.Counter != before+1 || r.Person != pseudonym(&subject, id) {
			t.Errorf("step %d: receipt of counter %d, it was %d and is %d", i, r.Counter, before, root.n)
		}
	}
	if v.Count() != 1 {
		t.Errorf("%d people", v.Count())
	}
}

// Nothing of a sealed file is readable, and a plain one that was adopted leaves nothing behind.
//
// Control: A30
func TestNothingIsReadable(t *testing.T) {
	file := path(t)
	v := mustOpen(t, file, Options{})
	var secrets [][]byte
	r := rand.New(rand.NewPCG(5, 6))
	for n := range 30 {
		tpl, err := NewTemplate(direction(r))
		if err != nil {
			t.Fatal(err)
		}
		p := Person{ID: access.PersonID{1, 2, 3, 4, byte(n), 6, 7, 8, 9}, State: Active, Generation: 1, References: []Reference{{Template: tpl, Bundle: bundle}}}
		mustPut(t, v, p)
		raw, err := tpl.encode()
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, p.ID[:], raw[:8], raw[1024:1032], raw[2040:])
	}
	subject, err := v.SubjectKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.SetLockout("the front door", Lockout{}), v.Delete(access.PersonID{1, 2, 3, 4, 0, 6, 7, 8, 9}, 0)); err != nil {
		t.Fatal(err)
	}
	v.Close()
	secrets = append(secrets, subject[:], []byte("the front door"), bundle[:])
	before := content(t, file)
	for _, s := range secrets[4:] {
		if !bytes.Contains(before, s) {
			t.Fatalf("the plain file lacks %x: nothing is tested", s)
		}
	}
	root := newRoot()
	v = mustOpen(t, file, sealedOptions(root))
	if v.Count() != 29 {
		t.Fatalf("%d people", v.Count())
	}
	if g, err := v.Tombstone(access.PersonID{1, 2, 3, 4, 0, 6, 7, 8, 9}); err != nil || g != 1 {
		t.Errorf("tombstone %d, %v", g, err)
	}
	if err := v.All(bundle, func(p Person) error {
		for _, ref := range p.References {
			b, err := ref.Template.appendTurned(nil, v.sealed.q)
			if err != nil {
				return err
			}
			secrets = append(secrets, b[:8], b[2040:])
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	v.Close()
	after := content(t, file)
	for _, s := range append(secrets, root.key[:]) {
		if bytes.Contains(after, s) {
			t.Errorf("the sealed file holds %x", s)
		}
	}
	refusedWith(t, "without a root", file, Options{}, ErrSealed)
}

// Whoever is deleted leaves nothing that opens: not in free pages, not after a cut between commit and scrub.
//
// Control: P13
func TestErasedContentIsGone(t *testing.T) {
	root, file := newRoot(), path(t)
	v := mustOpen(t, file, sealedOptions(root))
	for n := range 20 {
		mustPut(t, v, someone(t, n+1, 3))
	}
	gone := someone(t, 7, 3)
	// What the file holds of the person, as an attacker copied it before.
	name := v.sealed.name(bucketPerson, gone.ID[:])
	var wrapped, record, set []byte
	if err := v.db.View(func(tx *bbolt.Tx) error {
		wrapped = bytes.Clone(tx.Bucket([]byte(bucketKey)).Get(name))
		record = bytes.Clone(tx.Bucket([]byte(bucketPerson)).Get(name))
		set = bytes.Clone(tx.Bucket([]byte(bucketReference)).Get((&sealedBook{seal: v.sealed.seal}).setName(gone.ID, bundle)))
		return nil
	}); err != nil || len(wrapped) != 32+overhead || len(set) != 3*templateBytes+overhead {
		t.Fatal(len(wrapped), len(set), err)
	}
	if !bytes.Contains(content(t, file), wrapped) {
		t.Fatal("the wrapped key is not in the file: nothing is tested")
	}
	var cut []byte // the file as a power cut right after the commit leaves it
	v.sealed.cut = func(point string) {
		if point == "after commit" {
			cut = content(t, file)
		}
	}
	if _, err := v.Erase(gone.ID, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(cut, wrapped) {
		t.Error("bbolt's free pages did not hold the wrapped key: the scrub is not needed, or the test is wrong")
	}
	left := func(what string, v *Vault, raw []byte) {
		t.Helper()
		for part, b := range map[string][]byte{"wrapped key": wrapped, "record": record, "first of the templates": set[:64], "last of them": set[len(set)-64:]} {
			if bytes.Contains(raw, b) {
				t.Errorf("%s: the file still holds the %s", what, part)
			}
		}
		// Nothing that is left opens what the attacker copied: neither any key of the vault nor any content key that is still there.
		tried := 0
		if err := v.db.View(func(tx *bbolt.Tx) error {
			b := &sealedBook{tx: tx, seal: v.sealed.seal, head: &v.sealed.head}
			keys := []aead{v.sealed.value, v.sealed.wrap}
			if err := b.records(func(_ sealedPerson, content aead) error { keys = append(keys, content); return nil }); err != nil {
				return err
			}
			for _, k := range keys {
				for bucket, sealed := range map[string][]byte{bucketPerson: record, bucketReference: set} {
					for _, model := range [][32]byte{{}, bundle} {
						at := name
						if bucket == bucketReference {
							at = b.setName(gone.ID, bundle)
						}
						if _, err := k.Open(nil, nil, sealed, v.sealed.associated(bucket, at, model)); err == nil {
							t.Errorf("%s: a remaining key opens the deleted %s", what, bucket)
						}
						tried++
					}
				}
			}
			return nil
		}); err != nil || tried < 80 {
			t.Errorf("%s: %d tries, %v", what, tried, err)
		}
	}
	left("after Erase", v, content(t, file))

	cutFile := written(t, cut)
	root.n-- // as it was when the power went
	w := mustOpen(t, cutFile, reopen(sealedOptions(root)))
	left("cut before the scrub", w, content(t, cutFile))
	if w.Count() != 19 {
		t.Errorf("%d people", w.Count())
	}
}

// Readers and writers together: pages are scrubbed and templates turned under nobody's hands.
//
// Control: P3
func TestTogether(t *testing.T) {
	v := mustOpen(t, path(t), sealedOptions(newRoot()))
	for n := range 10 {
		mustPut(t, v, someone(t, n+1, 2))
	}
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			for range 20 {
				if err := v.All(bundle, func(p Person) error { return v.db.View(func(*bbolt.Tx) error { return nil }) }); err != nil {
					t.Error(err)
				}
				if err := errors.Join(v.Transform(vector(1)), v.Settle()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range 10 {
		if err := v.Delete(someone(t, n+1, 0).ID, 0); err != nil {
			t.Error(err)
		}
		mustPut(t, v, someone(t, n+100, 2))
	}
	if err := v.Rekey(); err != nil {
		t.Error(err)
	}
	work.Wait()
	if v.Count() != 10 {
		t.Errorf("%d people", v.Count())
	}
}
