package vault

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// FORMAT.md, schema 2: keys, names, associated data and what is sealed.
//
// Control: A30
func TestSealedGolden(t *testing.T) {
	doc := strings.NewReplacer(" ", "", "\n", "").Replace(string(content(t, "FORMAT.md")))
	root := &memoryRoot{key: [32]byte(bytes.Repeat([]byte{7}, 32))}
	s, err := newSeal(root, [32]byte(bytes.Repeat([]byte{9}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	marshal := func(v any) []byte {
		b, err := wire.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	id := access.PersonID(bytes.Repeat([]byte{0x11}, 16))
	ones := [32]byte(bytes.Repeat([]byte{1}, 32))
	receipt, err := Receipt{Person: pseudonym(s.subject, id), Generation: 2, Counter: 42}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	name := s.name(bucketPerson, id[:])
	seed := s.seed(1)
	sum := s.summand(bucketPerson, name, bytes.Repeat([]byte{5}, 28))
	for what, b := range map[string][]byte{
		"index key": s.index[:], "subject key": s.subject[:], "seed": seed[:],
		"name of a person": name, "name of a set": (&sealedBook{seal: s}).setName(id, ones), "name of a door": s.name(bucketLockout, []byte("front")),
		"associated data": s.associated(bucketReference, name, ones),
		"head":            marshal(head{Version: 42, Age: time.Second, Turn: 1}),
		"person": marshal(sealedPerson{ID: id, State: Active, Generation: 2, References: []sealedReference{{ones, 3, 0.5}},
			Until: 1790000000, Granted: time.Second, Since: time.Second}),
		"receipt": receipt, "summand": sum[:],
	} {
		if !strings.Contains(doc, hex.EncodeToString(b)) {
			t.Errorf("%s: FORMAT.md lacks %x", what, b)
		}
	}
	if !slices.Equal(s.name(bucketKey, id[:]), name) || !slices.Equal(s.name(bucketTombstone, id[:]), name) || slices.Equal(s.name(bucketLockout, id[:]), name) {
		t.Error("names of persons differ, or meet those of doors")
	}
	var a, b tally
	a.add(sum)
	a.add(tally{0: 0xff, 31: 0xff})
	b = a
	b.subtract(sum)
	if b != (tally{0: 0xff, 31: 0xff}) || a == b {
		t.Error("a tally does not add up")
	}
}

// Keys and templates are gone once the vault is closed.
//
// Control: C30
func TestCloseWipes(t *testing.T) {
	v := mustOpen(t, path(t), sealedOptions(newRoot()))
	p := someone(t, 1, 1)
	mustPut(t, v, p)
	s := v.sealed
	if !s.q.locked {
		t.Fatal("the transform could not be locked: this test needs CAP_IPC_LOCK or `ulimit -l` of 2048 and more")
	}
	got, err := v.Get(p.ID, bundle)
	if err != nil {
		t.Fatal(err)
	}
	tpl := got.References[0].Template
	tpl.Wipe()
	if left := make([]float32, dim); tpl.Copy(left) != dim || slices.ContainsFunc(left, func(x float32) bool { return x != 0 }) {
		t.Error("wiped, yet components are left")
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][32]byte{"index": *s.index, "sum": *s.sum, "subject": *s.subject, "transform": *s.transform} {
		if key != [32]byte{} {
			t.Errorf("the %s key is left", name)
		}
	}
	if s.value != nil || s.wrap != nil || s.q.rows != nil {
		t.Error("keys or transform are left")
	}
	if v.Transform(vector(1)) == nil {
		t.Error("a closed vault transforms probes")
	}
	if _, err := v.SubjectKey(); err == nil {
		t.Error("a closed vault gives its subject key")
	}
	if v.Locked() {
		t.Error("a closed vault reports locked memory")
	}
	if err := v.Put(p); err == nil {
		t.Error("a closed vault stores people")
	}
}

// BenchmarkOpenSealed is the start of door with 10,000 people of five references each; it must stay below 3 s.
func BenchmarkOpenSealed(b *testing.B) {
	root, file := newRoot(), path(b)
	v := mustOpen(b, file, Options{MaxPeople: 10_000})
	const batch = 500
	for first := 0; first < 10_000; first += batch {
		if err := v.db.Update(func(tx *bbolt.Tx) error {
			for n := first; n < first+batch; n++ {
				if err := (plainBook{tx}).put(someone(b, n+1, 5)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	v.Close()
	start := time.Now()
	v = mustOpen(b, file, sealedOptions(root))
	adopted := time.Since(start)
	start = time.Now()
	if _, err := v.Erase(someone(b, 77, 0).ID, 0); err != nil {
		b.Fatal(err)
	}
	erased := time.Since(start)
	v.Close()
	for b.Loop() {
		v, err := Open(file, reopen(sealedOptions(root)))
		if err != nil || v.Count() != 9_999 {
			b.Fatal(v.Count(), err)
		}
		people := 0
		if err := v.All(bundle, func(p Person) error { people += len(p.References); return nil }); err != nil || people != 9_999*5 {
			b.Fatal(people, err)
		}
		v.Close()
	}
	b.ReportMetric(adopted.Seconds(), "s/adoption")
	b.ReportMetric(float64(erased.Milliseconds()), "ms/erasure")
}
