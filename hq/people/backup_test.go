package people

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/sync/wire"
)

// slowly is a file that a backup is written to, during which others change the vault.
type slowly struct {
	bytes.Buffer
	meanwhile func()
}

func (s *slowly) Write(b []byte) (int, error) {
	if s.meanwhile != nil && s.Len() > len(backupHeading)+24 { // some of people.db is written
		s.meanwhile()
		s.meanwhile = nil
	}
	return s.Buffer.Write(b)
}

// elsewhere is a folder with the keys of a vault, and its master key; people.db is lost.
func (b *bench) elsewhere(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	keys, err := os.ReadFile(filepath.Join(b.dir, keysFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keysFile), keys, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// People are enrolled and deleted while a backup is written: the copy is whole, of before them, and opens.
func TestBackupOfALivingVault(t *testing.T) {
	b := start(t)
	for n := range 20 {
		b.enrol(t, request(fmt.Sprint("before ", n), fmt.Sprint(n)))
	}
	deleted := b.enrol(t, request("forgotten", "77"))
	others := mustOpen(t, b.dir, b.master) // as another process
	done := make(chan struct{})
	file := &slowly{meanwhile: func() {
		go func() {
			defer close(done)
			for n := range 10 {
				if _, err := others.Enrol(t.Context(), request(fmt.Sprint("meanwhile ", n), fmt.Sprint(100+n)), b.ann, faces{}, rules()); err != nil {
					t.Error(err)
				}
			}
			if err := others.Delete(deleted.Person, b.root); err != nil {
				t.Error(err)
			}
		}()
		select {
		case <-done:
		case <-time.After(500 * time.Millisecond):
		}
	}}
	b.People.Hurry()
	if err := b.People.Backup(file); err != nil {
		t.Fatal(err)
	}
	<-done
	dir := b.elsewhere(t)
	if err := Restore(dir, b.master, bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(dir, dbFile), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bbolt.Tx) (err error) {
		for e := range tx.Check() {
			err = errors.Join(err, e)
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Errorf("the copy is torn: %v", err)
	}
	restored := mustOpen(t, dir, b.master)
	all, _, err := restored.List()
	if err != nil || len(all) != 20 {
		t.Errorf("%d people, %v: want the 20 of before, and nobody who was deleted since", len(all), err)
	}
}

func TestBackupsThatAreNone(t *testing.T) {
	b, other := start(t), start(t)
	b.enrol(t, request("one", "1"))
	var file bytes.Buffer
	if err := b.People.Backup(&file); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":             func([]byte) []byte { return nil },
		"cut":               func(d []byte) []byte { return d[:len(d)-1] },
		"cut in the middle": func(d []byte) []byte { return d[:len(d)/2] },
		"another byte":      func(d []byte) []byte { d[len(d)/3] ^= 1; return d },
		"bytes after":       func(d []byte) []byte { return append(d, 0) },
		"something else":    func(d []byte) []byte { d[0] = 'L'; return d },
		"a long length":     func(d []byte) []byte { d[len(backupHeading)+16] = 0xff; return d },
	} {
		dir := b.elsewhere(t)
		if err := CheckBackup(dir, b.master, bytes.NewReader(spoil(bytes.Clone(whole)))); !errors.Is(err, ErrBackup) {
			t.Errorf("%s, before anything is changed: %v", name, err)
		}
		if err := Restore(dir, b.master, bytes.NewReader(spoil(bytes.Clone(whole)))); !errors.Is(err, ErrBackup) {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
			t.Errorf("%s: %d files are left, %v", name, len(list), err)
		}
	}
	if err := CheckBackup(b.elsewhere(t), b.master, bytes.NewReader(whole)); err != nil {
		t.Errorf("a whole one beside its keys: %v", err)
	}
	if err := CheckBackup(other.elsewhere(t), b.master, bytes.NewReader(whole)); !errors.Is(err, ErrKeys) {
		t.Errorf("beside another vault's keys, before anything is changed: %v", err)
	}
	if err := Restore(b.elsewhere(t), other.master, bytes.NewReader(whole)); !errors.Is(err, ErrBackup) {
		t.Errorf("under another master key: %v", err)
	}
	if err := Restore(other.elsewhere(t), b.master, bytes.NewReader(whole)); !errors.Is(err, ErrKeys) {
		t.Errorf("beside another vault's keys: %v", err)
	}
	if err := Restore(t.TempDir(), b.master, bytes.NewReader(whole)); !errors.Is(err, ErrKeys) {
		t.Errorf("without keys: %v", err)
	}
	if err := Restore(b.dir, b.master, bytes.NewReader(whole)); !errors.Is(err, ErrThere) {
		t.Errorf("over people that are there: %v", err)
	}
	if err := Restore(filepath.Join(b.dir, dbFile), b.master, bytes.NewReader(whole)); err == nil || errors.Is(err, ErrThere) {
		t.Errorf("where nobody can look: %v", err)
	}
}

// A deletion that is younger than the backup is given again by the id, and by the signed order that somebody kept: a kiosk that was offline hears of it.
//
// Control: P13
func TestDeletedAgainAfterARestore(t *testing.T) {
	b := start(t)
	free, stopped := b.enrol(t, request("one", "1")), b.enrol(t, request("two", "2"))
	if err := b.SetState(stopped.Person, Suspended, b.root); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := b.People.Backup(&file); err != nil {
		t.Fatal(err)
	}
	later := b.enrol(t, request("three", "3"))
	made, err := b.DraftDeletion(free.Person)
	if err != nil {
		t.Fatal(err)
	}
	kept := b.signed(t, made, b.ann)
	if _, err := b.Hand(kept, b.trust, rules()); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(stopped.Person, b.root); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(b.dir, dbFile)); err != nil {
		t.Fatal(err)
	}
	if err := Restore(b.dir, b.master, bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	b.People = mustOpen(t, b.dir, b.master)
	if got := b.assigned(t, lab); len(got) != 0 {
		t.Fatalf("kiosks are told %+v: the backup is older than the deletions", got)
	}
	for range 2 { // once, however often it is handed in
		if h, err := b.Hand(kept, b.trust, rules()); err != nil || !h.Stranger || h.Person != free.Person {
			t.Errorf("a deletion that was kept: %+v, %v", h, err)
		}
	}
	if err := b.Delete(stopped.Person, b.ann); err == nil || !strings.Contains(err.Error(), "only an administrator") {
		t.Errorf("an enroller had somebody forgotten whom an administrator has suspended: %v", err)
	}
	for _, err := range []error{b.Delete(stopped.Person, b.root), b.Delete(later.Person, b.ann)} {
		if err != nil {
			t.Errorf("by the id alone: %v", err)
		}
	}
	got := b.assigned(t, lab)
	if len(got) != 3 || got[0].Order != sha256.Sum256(kept.Envelopes[0]) {
		t.Fatalf("kiosks are told %+v", got)
	}
	if all, err := b.Entries(); err != nil || len(all) != 6 { // two enrolments, a suspension, three deletions
		t.Errorf("%d orders are in the queue, %v, want 6", len(all), err)
	}
	for i, want := range []Enrolled{free, stopped, later} {
		if got[i].Kind != wire.KindDeletion || got[i].Person != want.Person || got[i].Generation < 1 {
			t.Errorf("kiosks are told %+v, want that %v is deleted", got[i], want.Person)
		}
		if _, gone, _, err := b.Content(got[i].Order); gone || err != nil {
			t.Errorf("the deletion itself is gone: %v", err)
		}
	}
}
