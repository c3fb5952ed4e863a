package vault

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access"
)

// The counter rises for what a step changes. Orders that come again, or too late, cost none, however grave they are: whoever may only repeat them cannot
// wear the TPM out.
//
// Control: A22
func TestRepeatedOrdersWearNoCounter(t *testing.T) {
	root := newRoot()
	v := mustOpen(t, path(t), sealedOptions(root))
	first, second := someone(t, 1, 1).ID, someone(t, 2, 1).ID
	apply := func(rises uint64, orders ...Order) {
		t.Helper()
		before := root.n
		if _, err := v.Apply(Step{Orders: orders, Items: map[Item][]byte{Stream: {1}}}, nil); err != nil || root.n != before+rises {
			t.Errorf("%+v: the counter rose by %d, want %d; %v", orders, root.n-before, rises, err)
		}
	}
	apply(0, generation(t, 1, 1), generation(t, 2, 1))
	apply(1, Stand{first, 1, 1, Suspended}, Forget{second, 1, false})
	apply(1, Stand{first, 1, 2, Active})
	for range 5 {
		apply(0, Stand{first, 1, 1, Suspended}, Stand{first, 1, 2, Active}, Forget{second, 1, false}, generation(t, 2, 1))
	}
	apply(1, Stand{first, 1, 3, Revoked})
	apply(0, Stand{first, 1, 3, Revoked})
	apply(1, Stand{second, 2, 1, Suspended}, Forget{second, 1, false}) // one of the two is new
}

// An exchange key that was replaced is nowhere in the file, as soon as the change is acknowledged.
//
// Control: S13
func TestReplacedExchangeKeyIsGone(t *testing.T) {
	file := path(t)
	v := mustOpen(t, file, sealedOptions(newRoot()))
	var sealed []byte
	for i := range byte(4) {
		if err := v.SetItem(Exchange, bytes.Repeat([]byte{i}, 900)); err != nil {
			t.Fatal(err)
		}
		if sealed != nil && bytes.Contains(content(t, file), sealed) {
			t.Fatalf("key %d is still in the file", i)
		}
		err := v.db.View(func(tx *bbolt.Tx) error {
			sealed = bytes.Clone(tx.Bucket([]byte(bucketMeta)).Get(v.sealed.name(bucketMeta, []byte(Exchange))))[:64]
			return nil
		})
		if err != nil || !bytes.Contains(content(t, file), sealed) {
			t.Fatalf("key %d is not in the file: %v", i, err)
		}
	}
}

// Nobody is stored in the vault of a kiosk that was decommissioned, by whichever way they come.
func TestRetiredVaultTakesNobody(t *testing.T) {
	v := mustOpen(t, path(t), sealedOptions(newRoot()))
	if err := v.SetItem(Retired, []byte{1}); err != nil {
		t.Fatal(err)
	}
	if err := v.Put(someone(t, 1, 1)); !errors.Is(err, ErrRetired) {
		t.Errorf("put: %v", err)
	}
	done, err := v.Apply(Step{Orders: []Order{generation(t, 2, 1), Forget{someone(t, 3, 1).ID, 1, false}}}, nil)
	if err != nil || !errors.Is(done[0].Err, ErrRetired) || done[1].Err != nil {
		t.Errorf("enrolled: %+v, %v", done, err)
	}
	if v.Count() != 0 {
		t.Errorf("%d people", v.Count())
	}
}

// Room in memory is what is left after the orders before: whoever replaces references needs room for those that they have more, whoever is forgotten makes
// some, and whoever is not stored takes none.
func TestRoomInMemory(t *testing.T) {
	v := mustOpen(t, path(t), sealedOptions(newRoot()))
	with := func(n, references int, g uint64) Enrol {
		p := someone(t, n, references)
		p.Generation = g
		return Enrol{p}
	}
	foreign := with(6, 2, 1)
	for i := range foreign.Person.References {
		foreign.Person.References[i].Bundle = [32]byte{9, 9}
	}
	step := Step{Bundle: bundle, Room: 4, Orders: []Order{
		with(1, 3, 1),                // 1 left
		with(2, 2, 1),                // no room
		with(1, 3, 2),                // as many as before
		with(1, 3, 2), with(1, 3, 1), // nothing to do; superseded
		with(3, 1, 1), // 0 left
		foreign,       // not in memory
		Forget{access.PersonID{0, 3, 15: 1}, 1, false}, // 1 left
		with(1, 4, 3),                                                                // one more: 0 left
		with(4, 1, 1),                                                                // no room
		with(1, 1, 4),                                                                // 3 left
		with(5, 4, 1), with(5, 3, 1), Forget{access.PersonID{0, 9, 15: 1}, 1, false}, // too many; 0 left
	}}
	done, err := v.Apply(step, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, ErrFull, nil, nil, ErrSuperseded, nil, nil, nil, nil, ErrFull, nil, ErrFull, nil, nil} {
		if !errors.Is(done[i].Err, want) {
			t.Errorf("order %d: %v, want %v", i, done[i].Err, want)
		}
	}
	if v.Count() != 3 {
		t.Errorf("%d people", v.Count())
	}
}

// A probe is turned while a change waits for the disk or the TPM.
func TestTransformWaitsForNoChange(t *testing.T) {
	v := mustOpen(t, path(t), sealedOptions(newRoot()))
	turned := make(chan error, 1)
	v.sealed.cut = func(point string) {
		if point != "after commit" {
			return
		}
		go func() { turned <- v.Transform(vector(1)) }()
		select {
		case err := <-turned:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("a probe waits for the counter")
		}
	}
	if err := v.SetLockdown(true); err != nil {
		t.Fatal(err)
	}
}
