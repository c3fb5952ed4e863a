package people

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

func TestStates(t *testing.T) {
	b := start(t)
	e := b.enrol(t, request("one", "1"))
	if err := b.SetState(e.Person, Suspended, b.ann); err == nil {
		t.Error("an enroller suspended somebody")
	}
	last := uint64(time.Now().Add(-time.Minute).UnixMilli()) // an older people.db may have forgotten lower ones
	for _, s := range []State{Suspended, Active, Revoked} {
		if err := b.SetState(e.Person, s, b.root); err != nil {
			t.Fatal(err)
		}
		if s != Active && b.Delete(e.Person, b.ann) == nil {
			t.Errorf("%v: an enroller had somebody forgotten whom an administrator has stopped", s)
		}
		if r := request("one", "1"); s != Active {
			r.Again = e.Person
			if _, err := b.Enrol(t.Context(), r, b.ann, faces{}, rules()); err == nil || !strings.Contains(err.Error(), s.String()) {
				t.Errorf("an enroller gave back what an administrator took: %v", err)
			}
		}
		got := b.assigned(t, lab)
		if (len(got) == 1) != (s == Revoked) || got[0].Kind != wire.KindStanding || got[0].State != s { // and the enrolment behind it
			t.Fatalf("%v: %+v", s, got)
		}
		envelope, _, _, err := b.Content(got[0].Order)
		if err != nil {
			t.Fatal(err)
		}
		o, err := wire.Open[wire.Standing](envelope, b.root.key.Public().(*ecdsa.PublicKey), wire.Fleet())
		if err != nil || o.Serial <= last || o.State != uint8(s) {
			t.Errorf("%+v, %v", o, err)
		}
		last = o.Serial
	}
	if err := b.SetState(e.Person, Active, b.root); err == nil {
		t.Error("who was revoked was resumed")
	}
	if err := b.Delete(e.Person, b.root); err != nil {
		t.Errorf("an administrator cannot have them forgotten: %v", err)
	}
	if err := b.SetState([16]byte{1}, Revoked, b.root); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// Who is enrolled again keeps the id with a higher generation; the one before is deleted everywhere, also where the new one does not go.
//
// Control: S7
func TestAgain(t *testing.T) {
	b := start(t)
	e := b.enrol(t, request("one", "1"))
	r := request("one", "1 0.9 3")
	r.Groups, r.Again = []string{"office"}, e.Person
	wrong := r
	wrong.Photos = [][]byte{[]byte("2")}
	if _, err := b.Enrol(t.Context(), wrong, b.ann, faces{}, rules()); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("another face under the id: %v", err)
	}
	next := b.enrol(t, r)
	if next.Person != e.Person {
		t.Fatalf("%+v", next)
	}
	before, office := b.assigned(t, lab), b.assigned(t, Kiosk{ID: [32]byte{2}, Groups: []string{"office"}})
	if len(before) != 1 || before[0].Kind != wire.KindDeletion || before[0].Generation != 1 {
		t.Errorf("where the person was: %+v", before)
	}
	if len(office) != 2 || office[0].Kind != wire.KindDeletion || office[1].Order != next.Order || office[1].Generation != 2 {
		t.Errorf("where the person is: %+v", office)
	}
	if _, gone, _, err := b.Content(e.Order); !gone || err != nil {
		t.Errorf("the earlier references are still handed on: %v", err)
	}
	// One that waits changes nothing yet.
	if err := b.SetPrivileged([]string{"vault"}); err != nil {
		t.Fatal(err)
	}
	r.Groups = []string{"vault"}
	waits := b.enrol(t, r)
	if got := b.assigned(t, Kiosk{ID: [32]byte{3}, Groups: []string{"vault"}}); len(got) != 1 || got[0].Kind != wire.KindDeletion || got[0].Generation != 1 {
		t.Errorf("handed on before it was approved: %+v", got)
	}
	if got := b.assigned(t, Kiosk{ID: [32]byte{2}, Groups: []string{"office"}}); len(got) != 2 {
		t.Errorf("taken away before it was approved: %+v", got)
	}
	if _, err := b.Enrol(t.Context(), r, b.ann, faces{}, rules()); err == nil {
		t.Error("two enrolments of one person wait")
	}
	if err := b.reject(waits.Order, b.bob); err != nil {
		t.Fatal(err)
	}
	if got := b.assigned(t, Kiosk{ID: [32]byte{2}, Groups: []string{"office"}}); len(got) != 2 {
		t.Errorf("who waited to be enrolled again is gone: %+v", got)
	}
	waits = b.enrol(t, r)
	if err := b.Approve(waits.Order, b.bob); err != nil {
		t.Fatal(err)
	}
	if got := b.assigned(t, Kiosk{ID: [32]byte{3}, Groups: []string{"vault"}}); len(got) != 3 || got[2].Generation != 4 || got[1].Generation != 3 {
		t.Errorf("after approval: %+v", got)
	}
}

// After a deletion every copy of people.db, of whatever age, is worthless: the key that it hangs on is overwritten in its place.
//
// Control: P13
func TestDeletionReachesBackups(t *testing.T) {
	b := start(t)
	e := b.enrol(t, request("Secret Name", "1"))
	other := b.enrol(t, request("other", "2"))
	backup, err := os.ReadFile(filepath.Join(b.dir, dbFile))
	if err != nil {
		t.Fatal(err)
	}
	keysBefore, err := os.ReadFile(filepath.Join(b.dir, keysFile))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(backup, []byte("Secret Name")) || bytes.Contains(backup, e.Person[:]) {
		t.Error("the file names people")
	}
	if err := b.Delete(e.Person, b.ann); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(b.dir, keysFile))
	if err != nil || len(after) != len(keysBefore) || bytes.Contains(after, keysBefore[offset(0):offset(0)+slotSealed]) {
		t.Fatalf("the slot was not overwritten in its place: %v", err)
	}
	if _, gone, _, err := b.Content(e.Order); !gone || err != nil {
		t.Errorf("gone %v, %v", gone, err)
	}
	got := b.assigned(t, lab)
	if len(got) != 2 || got[0].Order != other.Order || got[1].Kind != wire.KindDeletion {
		t.Fatalf("%+v", got)
	}
	envelope, _, _, err := b.Content(got[1].Order)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := wire.Open[wire.Deletion](envelope, &b.annKey.PublicKey, wire.Fleet()); err != nil || o.Person != e.Person || o.Generation < uint64(time.Now().Add(-time.Hour).Unix()) {
		t.Errorf("%+v, %v", o, err)
	}

	if err := os.WriteFile(filepath.Join(b.dir, dbFile), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	restored := mustOpen(t, b.dir, b.master)
	all, _, err := restored.List()
	if err != nil || len(all) != 1 || all[0].ID != other.Person {
		t.Fatalf("the backup brought back %v, %v", all, err)
	}
	if _, gone, _, err := restored.Content(e.Order); !gone || err != nil {
		t.Errorf("gone %v, %v", gone, err)
	}
}
