package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// Records of an older copy in a file of today, a plain file in the place of a sealed one, and other wrong files and roots.
//
// Control: P3
func TestWrongFilesAndRoots(t *testing.T) {
	root, file := newRoot(), path(t)
	o := sealedOptions(root)
	v := mustOpen(t, file, o)
	a, b := someone(t, 1, 1), someone(t, 2, 1)
	mustPut(t, v, a)
	mustPut(t, v, b)
	name := map[string][]byte{}
	nameB := v.sealed.name(bucketPerson, b.ID[:])
	for _, bucket := range []string{bucketPerson, bucketKey} {
		name[bucket] = v.sealed.name(bucket, a.ID[:])
	}
	name[bucketReference] = (&sealedBook{seal: v.sealed.seal}).setName(a.ID, bundle)
	old := map[string][]byte{}
	read := func(bucket string) (value []byte) {
		if err := v.db.View(func(tx *bbolt.Tx) error {
			value = bytes.Clone(tx.Bucket([]byte(bucket)).Get(name[bucket]))
			return nil
		}); err != nil || value == nil {
			t.Fatal("no record", err)
		}
		return value
	}
	for bucket := range name {
		old[bucket] = read(bucket)
	}
	if err := v.Revoke(a.ID, 0); err != nil {
		t.Fatal(err)
	}
	v.Close()
	o = reopen(o)
	today := content(t, file)

	splice := func(what string, f func(*bbolt.Tx) error) {
		t.Helper()
		file := written(t, today)
		bend(t, file, f)
		refusedWith(t, what, file, o, ErrSpliced)
	}
	splice("the record of before the revocation", func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketPerson)).Put(name[bucketPerson], old[bucketPerson])
	})
	splice("without the tombstone", func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketTombstone)).Delete(name[bucketPerson]) })
	splice("another's templates", func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketReference)).Put(name[bucketReference], tx.Bucket([]byte(bucketKey)).Get(nameB))
	})
	splice("another's record", func(tx *bbolt.Tx) error {
		people := tx.Bucket([]byte(bucketPerson))
		return people.Put(nameB, bytes.Clone(people.Get(name[bucketPerson])))
	})
	splice("a person more", func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketPerson)).Put(bytes.Repeat([]byte{3}, 32), old[bucketPerson])
	})
	splice("a person less", func(tx *bbolt.Tx) error {
		for bucket, n := range name {
			if err := tx.Bucket([]byte(bucket)).Delete(n); err != nil {
				return err
			}
		}
		return nil
	})
	splice("a short record", func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketLockout)).Put([]byte("x"), []byte{1}) })
	{
		file := written(t, today)
		bend(t, file, func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketMeta)).Delete([]byte(keyHead)) })
		refusedWith(t, "without its head", file, o, ErrOtherTPM)
	}

	other := o
	other.Device[5]++
	refusedWith(t, "another device", file, other, ErrOtherTPM)
	other.Device = [32]byte{}
	if _, err := Open(file, other); err == nil || !strings.Contains(err.Error(), "Options.Device") {
		t.Errorf("no device: %v", err)
	}
	stranger := newRoot()
	stranger.key[9]++
	other.Device, other.Root = device, stranger
	refusedWith(t, "another key", file, other, ErrOtherTPM)
	cleared := newRoot()
	cleared.n = root.n - 2
	other.Root = cleared
	refusedWith(t, "a counter that is behind", file, other, ErrOtherTPM)
	cleared.n = root.n + 1
	refusedWith(t, "a counter that is ahead", file, other, ErrRolledBack)
	dead := newRoot()
	dead.dead = errors.New("TPM_RC_POLICY_FAIL")
	other.Root = dead
	refusedWith(t, "a root that refuses", file, other, ErrRoot)
	refusedWith(t, "no root", file, Options{}, ErrSealed)

	plain := path(t)
	mustOpen(t, plain, Options{}).Close()
	refusedWith(t, "a plain file", plain, o, ErrNotSealed)
	if _, err := Open(path(t), o); !errors.Is(err, ErrNotSealed) {
		t.Errorf("an absent file: %v", err)
	}
	if _, err := Open(file, o); err != nil {
		t.Errorf("the right file with the right root: %v", err)
	}
	for _, err := range []error{ErrSealed, ErrNotSealed, ErrRolledBack, ErrOtherTPM, ErrRoot, ErrSpliced, ErrUnacknowledged, ErrForeign, ErrNewer, ErrInUse, ErrFull} {
		if !strings.Contains(err.Error(), ":") {
			t.Errorf("%q does not say what to do", err)
		}
	}
}

// Whatever bit has flipped: the vault opens whole, or it is refused and stays as it is. It never panics. With its newest meta page
// damaged bbolt returns to the transaction before; that one enrolled somebody, which raises nothing.
func TestSealedFlipped(t *testing.T) {
	root, file := newRoot(), path(t)
	v := mustOpen(t, file, sealedOptions(root))
	for n := range 8 {
		mustPut(t, v, someone(t, n+1, 2))
	}
	v.Close()
	whole := content(t, file)
	used := len(bytes.TrimRight(whole, "\x00"))
	opened, stayed := 0, 0
	for at := 0; at < used; at += 1031 {
		bent := bytes.Clone(whole)
		bent[at] ^= 1 << (at % 8)
		bentFile := filepath.Join(filepath.Dir(file), "bent")
		if err := os.WriteFile(bentFile, bent, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := Open(bentFile, reopen(sealedOptions(root)))
		if err != nil {
			stayed++
			if !errors.Is(err, ErrForeign) && !errors.Is(err, ErrSpliced) && !errors.Is(err, ErrOtherTPM) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrRolledBack) {
				t.Errorf("bit in byte %d: %v", at, err)
			}
			if !bytes.Equal(bent, content(t, bentFile)) {
				t.Errorf("bit in byte %d: refused, yet changed", at)
			}
			continue
		}
		opened++
		if err := w.All(bundle, func(Person) error { return nil }); err != nil || w.Count() != 8 && !(w.Count() == 7 && at < 2*4096) {
			t.Errorf("bit in byte %d: %d people, %v", at, w.Count(), err)
		}
		w.Close()
	}
	if opened == 0 || stayed < 20 {
		t.Errorf("%d opened, %d refused: nothing was tested", opened, stayed)
	}
}
