package vault

import (
	"errors"
	"os"
	"testing"

	"github.com/lintel-access/lintel/access"
)

// A deletion whose free pages could not be overwritten is stored and not final, and asking again overwrites them before it is proved.
func TestScrubThatFailsIsMadeUpFor(t *testing.T) {
	root, file := newRoot(), path(t)
	v, err := Open(file, sealedOptions(root))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	mustPut(t, v, someone(t, 1, 2))
	id := someone(t, 1, 0).ID
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	v.sealed.cut = func(point string) {
		if point == "after raise" {
			move(file, file+".away") // the page cache stays open, a scrub opens the file anew
		}
	}
	_, err = v.Erase(id, 0)
	v.sealed.cut = nil
	move(file+".away", file)
	if !errors.Is(err, ErrUnacknowledged) || v.Count() != 0 || !v.sealed.unscrubbed {
		t.Fatalf("deleted, not overwritten: %v, %d people, unscrubbed %v", err, v.Count(), v.sealed.unscrubbed)
	}
	r, err := v.Erase(id, 0)
	if !errors.Is(err, ErrUnknown) || r.Generation == 0 || v.sealed.unscrubbed {
		t.Errorf("asked again: %v, %+v, unscrubbed %v", err, r, v.sealed.unscrubbed)
	}
}

// Something else that raises the counter is told once, and not helped along with every try.
func TestCounterRaisedBySomebodyElse(t *testing.T) {
	root := newRoot()
	v, err := Open(path(t), sealedOptions(root))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	root.n += 5
	for range 3 {
		if err := v.SetLockdown(true); err == nil {
			t.Fatal("acknowledged beside a counter that somebody else raises")
		}
	}
	before := root.n
	for range 5 {
		if err := v.Settle(); !errors.Is(err, ErrRolledBack) {
			t.Errorf("settle: %v", err)
		}
	}
	if root.n != before {
		t.Errorf("the counter was raised %d times more", root.n-before)
	}
}

// Whom a sweep removed while the TPM was silent is named, so that the gallery lets go of them too.
func TestSweepNamesWhomItRemoved(t *testing.T) {
	root := newRoot()
	clock := &stopped{}
	o := sealedOptions(root)
	o.Now = clock.now
	v, err := Open(path(t), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { root.dead = nil; v.Close() }()
	mustPut(t, v, someone(t, 1, 1))
	id := someone(t, 1, 0).ID
	if err := v.Revoke(id, 0); err != nil {
		t.Fatal(err)
	}
	clock.at += keptRevoked
	root.dead = errors.New("no answer")
	done, err := v.Sweep(Retention{})
	if !errors.Is(err, ErrUnacknowledged) || len(done.People) != 1 || done.People[0] != id || len(done.Receipts) != 0 || v.Count() != 0 {
		t.Errorf("swept %v with %d receipts, %d left: %v", []access.PersonID(done.People), len(done.Receipts), v.Count(), err)
	}
}
