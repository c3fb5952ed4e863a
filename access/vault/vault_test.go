package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

var (
	bundle  = [32]byte{0: 1, 31: 1}
	another = [32]byte{2}
)

func path(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "vault.db")
}

func mustOpen(t testing.TB, path string, o Options) *Vault {
	t.Helper()
	v, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// vector is of length 1 and different for each n.
func vector(n int) []float32 {
	c := make([]float32, access.ProbeSize)
	a := float64(n)
	c[n%511], c[n%511+1] = float32(math.Cos(a)), float32(math.Sin(a))
	return c
}

func template(t testing.TB, n int) Template {
	t.Helper()
	tpl, err := NewTemplate(vector(n))
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

func someone(t testing.TB, n int, references int) Person {
	p := Person{ID: access.PersonID{byte(n >> 8), byte(n), 15: 1}, State: Active, Generation: 1}
	for i := range references {
		p.References = append(p.References, Reference{template(t, n+i), bundle, 3, 0.5})
	}
	return p
}

func mustPut(t testing.TB, v *Vault, p Person) {
	t.Helper()
	if err := v.Put(p); err != nil {
		t.Fatal(err)
	}
}

// same compares templates by their numbers.
func same(a, b Person) bool {
	if a.ID != b.ID || a.State != b.State || a.Generation != b.Generation || a.Foreign != b.Foreign || len(a.References) != len(b.References) {
		return false
	}
	for i, r := range a.References {
		q := b.References[i]
		var x, y [access.ProbeSize]float32
		if r.Template.Copy(x[:]) != len(x) || q.Template.Copy(y[:]) != len(y) || x != y || r.Bundle != q.Bundle || r.Created != q.Created || r.Quality != q.Quality {
			return false
		}
	}
	return true
}

func TestGolden(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer(" ", "", "\n", "").Replace(string(doc))
	lockout, err := wire.Marshal(Lockout{Boot: 3, Failures: []time.Duration{time.Second, 2 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	unit := make([]float32, access.ProbeSize)
	unit[0] = 1
	tpl, err := NewTemplate(unit)
	if err != nil {
		t.Fatal(err)
	}
	ones := [32]byte(bytes.Repeat([]byte{1}, 32))
	person, err := encodePerson(Person{State: Active, Generation: 2, References: []Reference{{tpl, ones, 3, 0.5}}})
	if err != nil {
		t.Fatal(err)
	}
	head, tail := person[:20], person[len(person)-41:]
	for what, b := range map[string][]byte{"lockout": lockout, "person's head": head, "person's tail": tail} {
		if !strings.Contains(plain, hex.EncodeToString(b)) {
			t.Errorf("%s: FORMAT.md lacks %x", what, b)
		}
	}
	if len(person) != len(head)+4*access.ProbeSize-8+len(tail) || len(bytes.Trim(person[20:len(person)-41], "\x00")) != 0 {
		t.Errorf("person has %d bytes", len(person))
	}
}

func TestLife(t *testing.T) {
	file := path(t)
	v := mustOpen(t, file, Options{})
	a, b := someone(t, 1, 2), someone(t, 2, MaxReferences)
	b.References[3].Bundle = another
	mustPut(t, v, b)
	mustPut(t, v, a)
	v.Close()

	v = mustOpen(t, file, Options{})
	if v.Count() != 2 {
		t.Fatalf("%d people", v.Count())
	}
	wantB := b
	wantB.References, wantB.Foreign = slices.Delete(slices.Clone(b.References), 3, 4), 1
	var all []Person
	if err := v.All(bundle, func(p Person) error { all = append(all, p); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || !same(all[0], a) || !same(all[1], wantB) {
		t.Fatalf("got %v", all)
	}
	if p, err := v.Get(b.ID, another); err != nil || len(p.References) != 1 || p.Foreign != MaxReferences-1 {
		t.Fatalf("of another bundle: %d and %d foreign, %v", len(p.References), p.Foreign, err)
	}
	if p, err := v.Get(b.ID, [32]byte{}); err != nil || len(p.References) != 0 {
		t.Fatalf("of no bundle: %d, %v", len(p.References), err)
	}
	stop := errors.New("stop")
	if err := v.All(bundle, func(Person) error { return stop }); err != stop {
		t.Fatalf("All went on: %v", err)
	}
	if _, err := v.Get(access.PersonID{9}, bundle); !errors.Is(err, ErrUnknown) {
		t.Fatalf("stranger: %v", err)
	}

	if err := v.Revoke(a.ID, 0); err != nil {
		t.Fatal(err)
	}
	if p, err := v.Get(a.ID, bundle); err != nil || p.State != Revoked || len(p.References) != 2 {
		t.Fatalf("revoked: %v, %v", p.State, err)
	}
	if err := v.Delete(b.ID, 0); err != nil || v.Count() != 1 {
		t.Fatalf("delete: %v, %d people", err, v.Count())
	}
	if _, err := v.Get(b.ID, bundle); !errors.Is(err, ErrUnknown) {
		t.Fatalf("deleted: %v", err)
	}
	for _, f := range []func(access.PersonID, uint64) error{v.Revoke, v.Delete} {
		if err := f(access.PersonID{9}, 0); !errors.Is(err, ErrUnknown) {
			t.Fatalf("stranger: %v", err)
		}
		if err := f(access.PersonID{}, 5); err == nil {
			t.Fatal("the zero id has a tombstone")
		}
	}
}

// Delete beats add whatever comes first; a higher generation is a lawful new enrolment.
//
// Control: S7
func TestGenerations(t *testing.T) {
	v := mustOpen(t, path(t), Options{})
	at := func(g uint64) Person {
		p := someone(t, 1, 1)
		p.Generation = g
		return p
	}
	id := at(1).ID
	for i, step := range []struct {
		do   func() error
		want error
	}{
		{func() error { return v.Delete(id, 3) }, ErrUnknown}, // arrives before the person does
		{func() error { return v.Put(at(2)) }, ErrSuperseded},
		{func() error { return v.Put(at(3)) }, ErrSuperseded},
		{func() error { return v.Put(at(5)) }, nil},
		{func() error { return v.Put(at(5)) }, nil}, // again: more references
		{func() error { return v.Put(at(4)) }, ErrSuperseded},
		{func() error { return v.Revoke(id, 0) }, nil},
		{func() error { return v.Put(at(5)) }, ErrSuperseded}, // a replay does not end the revocation
		{func() error { return v.Put(at(6)) }, nil},
		{func() error { return v.Delete(id, 2) }, nil}, // a late order of an old generation ends the stored one all the same
		{func() error { return v.Put(at(6)) }, ErrSuperseded},
		{func() error { return v.Delete(id, 0) }, ErrUnknown},
		{func() error { return v.Put(at(7)) }, nil},
	} {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Fatalf("step %d: %v, want %v", i, err, step.want)
		}
	}
	if g, err := v.Tombstone(id); err != nil || g != 6 {
		t.Fatalf("tombstone %d, %v", g, err)
	}
}

func TestRefusedPeople(t *testing.T) {
	v := mustOpen(t, path(t), Options{MaxPeople: 2})
	mustPut(t, v, someone(t, 1, 1))
	mustPut(t, v, someone(t, 2, 0))
	if err := v.Put(someone(t, 3, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("third of two: %v", err)
	}
	mustPut(t, v, someone(t, 1, 3)) // not one more
	for name, bend := range map[string]func(*Person){
		"zero id":           func(p *Person) { p.ID = access.PersonID{} },
		"unknown state":     func(p *Person) { p.State = 3 },
		"generation 0":      func(p *Person) { p.Generation = 0 },
		"17 references":     func(p *Person) { p.References = someone(t, 1, MaxReferences+1).References },
		"empty template":    func(p *Person) { p.References[0].Template = Template{} },
		"wiped template":    func(p *Person) { p.References[0].Template.Wipe(); p.References[0].Quality = 2 },
		"quality above 1":   func(p *Person) { p.References[0].Quality = 1.5 },
		"quality not there": func(p *Person) { p.References[0].Quality = float32(math.NaN()) },
	} {
		p := someone(t, 1, 1)
		bend(&p)
		if err := v.Put(p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, c := range map[string][]float32{"511": vector(1)[:511], "513": append(vector(1), 0), "zero": make([]float32, 512), "NaN": append(vector(1)[:511], float32(math.NaN())), "none": nil} {
		if _, err := NewTemplate(c); err == nil {
			t.Errorf("template of %s accepted", name)
		}
	}
	if v.Count() != 2 {
		t.Errorf("%d people", v.Count())
	}
}

func TestBoot(t *testing.T) {
	file := path(t)
	for want := uint64(1); want < 5; want++ {
		v := mustOpen(t, file, Options{})
		if n, err := v.Boot(); err != nil || n != want {
			t.Fatalf("boot %d, want %d, %v", n, want, err)
		}
		v.Close()
	}
}

func TestLockout(t *testing.T) {
	file := path(t)
	v := mustOpen(t, file, Options{})
	if l, err := v.Lockout("front"); err != nil || l.Boot != 0 || l.Failures != nil {
		t.Fatalf("%+v, %v", l, err)
	}
	want := Lockout{Boot: 7, Failures: make([]time.Duration, MaxFailures)}
	if err := v.SetLockout("front", want); err != nil {
		t.Fatal(err)
	}
	v.Close()
	v = mustOpen(t, file, Options{})
	if l, err := v.Lockout("front"); err != nil || l.Boot != 7 || len(l.Failures) != MaxFailures {
		t.Fatalf("%+v, %v", l, err)
	}
	for name, l := range map[string]Lockout{
		"too many":     {Boot: 1, Failures: make([]time.Duration, MaxFailures+1)},
		"out of order": {Boot: 1, Failures: []time.Duration{2, 1}},
		"negative":     {Boot: 1, Failures: []time.Duration{-1}},
	} {
		if v.SetLockout("front", l) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if v.SetLockout("", want) == nil || v.SetLockout(strings.Repeat("x", maxDoor+1), want) == nil {
		t.Error("door without a name")
	}
}

func FuzzPerson(f *testing.F) {
	good, err := encodePerson(Person{State: Active, Generation: 1, References: []Reference{{template(f, 1), bundle, 1, 1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte{0xa3, 1, 1, 2, 2, 3, 0x80})
	f.Fuzz(func(t *testing.T, value []byte) {
		p, err := decodePerson(make([]byte, 16), value, bundle)
		if err != nil || p.Foreign > 0 {
			return
		}
		if again, err := encodePerson(p); err != nil || !bytes.Equal(again, value) {
			t.Fatalf("came back as %x, %v", again, err)
		}
	})
}

// The pseudonyms of yesterday's records must be those of tomorrow's.
func TestSubjectKey(t *testing.T) {
	file := path(t)
	v := mustOpen(t, file, Options{})
	first, err := v.SubjectKey()
	if err != nil || first == [32]byte{} {
		t.Fatalf("first key: %v", err)
	}
	v.Close()
	v = mustOpen(t, file, Options{})
	if again, err := v.SubjectKey(); err != nil || again != first {
		t.Fatalf("another key after reopening: %v", err)
	}
	if other, err := mustOpen(t, path(t), Options{}).SubjectKey(); err != nil || other == first {
		t.Fatalf("two kiosks share a key: %v", err)
	}
}
