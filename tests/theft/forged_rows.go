package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lintel-access/lintel/access/vault"
)

// forgedRows change the vault's file, or put another in its place.
func (t *theft) forgedRows() []row {
	v := t.victim
	// changed starts the kiosk after its vault's file was worked on.
	changed := func(work func(file string) error) func() (string, error) {
		return func() (string, error) {
			k, err := t.stage(v.moments[theEnd], v.moments[theEnd])
			if err == nil {
				err = work(k.file())
			}
			if err != nil {
				return "", err
			}
			return opened(k, k.start(v.image))
		}
	}
	return []row{
		{"5.1", "everybody's records of before, under today's head", vault.ErrSpliced, changed(func(file string) error {
			return splice(file, v.vaultAt(atAnchor), "", "person", "key", "reference", "tombstone", "lockout")
		})},
		{"5.2", "only what the revocation changed, taken back", vault.ErrSpliced, changed(func(file string) error {
			return splice(file, v.vaultAt(atAnchor), v.vaultAt(atRevocation), "person", "key", "reference", "tombstone")
		})},
		{"5.3", "only what the deletion changed, taken back", vault.ErrSpliced, changed(func(file string) error {
			return splice(file, v.vaultAt(atRevocation), v.vaultAt(atDeletion), "person", "key", "reference", "tombstone")
		})},
		{"5.4", "the lockdown's record removed", vault.ErrSpliced, changed(func(file string) error {
			return splice(file, v.vaultAt(atSuspension), v.vaultAt(atLockdown), "meta")
		})},
		{"5.5", "the lockout's record removed", vault.ErrSpliced, changed(func(file string) error {
			return splice(file, v.vaultAt(atPolicy), v.vaultAt(atLockout), "lockout")
		})},
		{"5.6", "today's records under the head of before", vault.ErrRolledBack, changed(func(file string) error {
			return exchangeHead(file, v.vaultAt(atAnchor))
		})},
		{"5.7", "two people's records exchanged for each other", vault.ErrSpliced, changed(exchangeTwo)},
		{"5.8", "vault removed", vault.ErrNotSealed, changed(os.Remove)},
		{"5.9", "a plain vault with the thief's person in its place", vault.ErrNotSealed, changed(func(file string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return makeVault(file, vault.Options{})
		})},
		{"5.10", "a vault with the thief's person, sealed under the thief's own key, in its place", vault.ErrOtherTPM, changed(func(file string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return makeVault(file, vault.Options{Root: &software{key: [32]byte{7}, counter: 1000}, Device: v.id.Device, Adopt: true})
		})},
		{"5.11", "the vault of the thief's own kiosk in its place", vault.ErrOtherTPM, changed(func(file string) error {
			return copyFile(file, t.thief.vaultAt("begun"))
		})},
		{"5.12", "vault cut off in the middle", vault.ErrForeign, changed(func(file string) error {
			used, err := usedBytes(file)
			if err != nil {
				return err
			}
			return os.Truncate(file, used/2)
		})},
	}
}

// usedBytes is how much of a vault's file holds pages in use; bbolt makes the file longer than that in steps.
func usedBytes(file string) (n int64, err error) {
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error { n = tx.Size(); return nil })
	return n, err
}

func (v *victim) vaultAt(name string) string {
	return filepath.Join(v.moments[name].disk(), "vault.db")
}

// software is a thief's TPM: it holds whatever key and number the thief likes.
type software struct {
	key     [32]byte
	counter uint64
}

func (s *software) Unseal() ([32]byte, error) { return s.key, nil }
func (s *software) Counter() (uint64, error)  { return s.counter, nil }
func (s *software) Raise() (uint64, error)    { s.counter++; return s.counter, nil }

// makeVault makes a vault with one person of the thief's choice.
func makeVault(file string, o vault.Options) error {
	own, err := vault.Open(file, o)
	if err != nil {
		return err
	}
	return errors.Join(put(own, newPerson(), [32]byte{1}, 1), own.Close())
}

// edit opens a vault's file with bbolt's own API, to write.
func edit(file string, f func(*bbolt.Tx) error) error {
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	return errors.Join(db.Update(f), db.Close())
}

var errSame = errors.New("the splice changed nothing")

// splice puts records of an earlier file into a later one, bucket by bucket: all of them, or with after only those that were changed between the
// earlier file and that one. The head stays.
func splice(file, earlier, after string, buckets ...string) error {
	then, err := contents(earlier)
	if err != nil {
		return err
	}
	var next map[string]map[string][]byte
	if after != "" {
		if next, err = contents(after); err != nil {
			return err
		}
	}
	changed := 0
	err = edit(file, func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			b := tx.Bucket([]byte(name))
			now, err := bucket(b)
			if err != nil {
				return err
			}
			for key := range union(now, then[name]) {
				old, was := then[name][key]
				if key == "head" || bytes.Equal(old, now[key]) || next != nil && bytes.Equal(old, next[name][key]) {
					continue
				}
				changed++
				if !was {
					err = b.Delete([]byte(key))
				} else {
					err = b.Put([]byte(key), old)
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && changed == 0 {
		err = errSame
	}
	return err
}

func union(a, b map[string][]byte) map[string]bool {
	all := map[string]bool{}
	for key := range a {
		all[key] = true
	}
	for key := range b {
		all[key] = true
	}
	return all
}

func contents(file string) (all map[string]map[string][]byte, err error) {
	all = map[string]map[string][]byte{}
	err = look(file, func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) (err error) {
			all[string(name)], err = bucket(b)
			return err
		})
	})
	return all, err
}

func bucket(b *bbolt.Bucket) (map[string][]byte, error) {
	all := map[string][]byte{}
	return all, b.ForEach(func(key, value []byte) error {
		all[string(key)] = bytes.Clone(value)
		return nil
	})
}

func exchangeHead(file, earlier string) error {
	then, err := contents(earlier)
	if err != nil {
		return err
	}
	return edit(file, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("head"), then["meta"]["head"]) })
}

// exchangeTwo puts two people's records and content keys in each other's places.
func exchangeTwo(file string) error {
	return edit(file, func(tx *bbolt.Tx) error {
		for _, name := range []string{"person", "key"} {
			b := tx.Bucket([]byte(name))
			c := b.Cursor()
			one, first := c.First()
			two, second := c.Next()
			if two == nil {
				return errSame
			}
			one, first, two, second = bytes.Clone(one), bytes.Clone(first), bytes.Clone(two), bytes.Clone(second)
			if err := errors.Join(b.Put(one, second), b.Put(two, first)); err != nil {
				return err
			}
		}
		return nil
	})
}
