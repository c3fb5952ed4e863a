// Package vault keeps the references of the enrolled, the boot counter and the lockouts, in one bbolt file. FORMAT.md is the layout.
//
// In this part of the product the values are plain; part 2 seals them behind the same methods.
package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	// ErrInUse means that another process has the vault open.
	ErrInUse = errors.New("vault is in use: is the program running twice?")
	// ErrForeign means that the file is no vault, or a damaged one. It was not changed.
	ErrForeign = errors.New("file is not a whole vault")
	// ErrNewer means that a later program wrote the file. It was not changed.
	ErrNewer = errors.New("vault was written by a newer program")
	// ErrFull means that the vault holds as many people as it may.
	ErrFull = errors.New("vault is full")
	// ErrUnknown means that nobody is enrolled under the id.
	ErrUnknown = errors.New("person is unknown")
	// ErrSuperseded means that a person of this or a later generation was deleted, revoked or enrolled already.
	ErrSuperseded = errors.New("generation is superseded")
)

// Options of a vault. Zero values stand for the defaults.
type Options struct {
	MaxPeople int           // 10,000
	Wait      time.Duration // for another process to close the file; 1 s
}

const (
	defaultPeople = 10_000
	defaultWait   = time.Second

	magic  = "lintel vault"
	schema = 1

	leastSize = 2 * 4096 // bbolt's two meta pages
)

// The buckets and the keys of meta.
const (
	bucketMeta      = "meta"
	bucketPerson    = "person"
	bucketTombstone = "tombstone"
	bucketLockout   = "lockout"

	keyMagic  = "magic"
	keySchema = "schema"
	keyBoot   = "boot"
)

// Vault is the open vault. Its methods may be called by several goroutines.
type Vault struct {
	db  *bbolt.DB
	max int

	mu     sync.Mutex // held across each change, so that people agrees with the file
	people int
}

// migration carries a vault from one schema version to the next, in the transaction that also raises the number.
type migration func(*bbolt.Tx) error

// Open opens the vault at path, which it makes when absent: a file of mode 0600 in a folder of mode 0700. Wider modes are refused.
// A file that is not a whole vault of this or an earlier version is an error and stays as it is.
func Open(path string, o Options) (*Vault, error) {
	v, err := open(path, o, schema, nil)
	if err != nil {
		return nil, fmt.Errorf("open vault %q: %w", path, err)
	}
	return v, nil
}

// open takes the version to reach and the steps to it: steps[i] leads from schema i+1 to i+2.
func open(path string, o Options, want uint32, steps []migration) (*Vault, error) {
	if o.MaxPeople == 0 {
		o.MaxPeople = defaultPeople
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if err := checkModes(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path, o.Wait); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	found, err := inspect(path, o.Wait)
	if err != nil {
		return nil, err
	}
	if found > want {
		return nil, fmt.Errorf("%w: schema %d, this one knows %d", ErrNewer, found, want)
	}
	v := &Vault{max: o.MaxPeople}
	if err := guarded(func() error { return v.load(path, o.Wait, found, want, steps) }); err != nil {
		return nil, err
	}
	return v, nil
}

// load opens the file for writing and brings it to the wanted schema.
func (v *Vault) load(path string, wait time.Duration, found, want uint32, steps []migration) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: wait})
	if err != nil {
		return named(err)
	}
	v.db = db
	read := func(tx *bbolt.Tx) error {
		v.people = tx.Bucket([]byte(bucketPerson)).Stats().KeyN
		return nil
	}
	if found == want {
		err = db.View(read)
	} else {
		err = db.Update(func(tx *bbolt.Tx) error {
			for s := found; s < want; s++ {
				if err := steps[s-1](tx); err != nil {
					return fmt.Errorf("migrate from schema %d: %w", s, err)
				}
			}
			meta := tx.Bucket([]byte(bucketMeta))
			return errors.Join(meta.Put([]byte(keySchema), binary.BigEndian.AppendUint32(nil, want)), read(tx))
		})
	}
	if err != nil {
		db.Close()
	}
	return err
}

// guarded makes the panics and memory faults of bbolt ErrForeign: it believes its pages, and runs into the wall at a damaged one.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%w: its pages are damaged", ErrForeign)
		}
	}()
	return f()
}

// checkModes refuses a file or folder that others may enter.
func checkModes(path string) error {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("look at its folder: %v", err) // hides fs.ErrNotExist: Open makes the file, never the folder
	}
	if dir.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("its folder has mode %v, want 0700", dir.Mode().Perm())
	}
	file, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !file.Mode().IsRegular() || file.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("it has mode %v, want a regular file of mode 0600", file.Mode())
	}
	return nil
}

// create makes an empty vault beside path and moves it there whole, so that a crash leaves nothing that looks like a damaged vault.
func create(path string, wait time.Duration) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(temporary, 0o600, &bbolt.Options{Timeout: wait})
	if err != nil {
		return named(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{bucketPerson, bucketTombstone, bucketLockout} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucket([]byte(bucketMeta))
		if err != nil {
			return err
		}
		return errors.Join(
			meta.Put([]byte(keyMagic), []byte(magic)),
			meta.Put([]byte(keySchema), binary.BigEndian.AppendUint32(nil, schema)),
		)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// Link, not rename: it fails if another process has made one in the meantime.
	if err := os.Link(temporary, path); err != nil {
		return err
	}
	if err := os.Remove(temporary); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// inspect walks the file read-only, before anything can be written, and returns its schema.
func inspect(path string, wait time.Duration) (found uint32, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if info.Size() < leastSize {
		return 0, fmt.Errorf("%w: %d bytes", ErrForeign, info.Size()) // bbolt would make a new one of an empty file
	}
	err = guarded(func() error {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: wait, ReadOnly: true})
		if err != nil {
			return named(err)
		}
		defer db.Close()
		return db.View(func(tx *bbolt.Tx) error {
			// The file may end before its last page; reading there would be a fault.
			if info.Size() < tx.Size() {
				return fmt.Errorf("%w: %d bytes, its pages need %d", ErrForeign, info.Size(), tx.Size())
			}
			if found, err = identify(tx); err != nil {
				return err
			}
			if found != schema {
				return nil // only a migration knows how to read its records
			}
			return walk(tx)
		})
	})
	return found, err
}

func identify(tx *bbolt.Tx) (uint32, error) {
	meta := tx.Bucket([]byte(bucketMeta))
	if meta == nil || string(meta.Get([]byte(keyMagic))) != magic {
		return 0, fmt.Errorf("%w: it belongs to another program", ErrForeign)
	}
	version := meta.Get([]byte(keySchema))
	if len(version) != 4 || binary.BigEndian.Uint32(version) == 0 {
		return 0, fmt.Errorf("%w: it has no schema", ErrForeign)
	}
	for _, name := range []string{bucketPerson, bucketTombstone, bucketLockout} {
		if tx.Bucket([]byte(name)) == nil {
			return 0, fmt.Errorf("%w: bucket %q is missing", ErrForeign, name)
		}
	}
	return binary.BigEndian.Uint32(version), nil
}

// named gives bbolt's errors the names that callers know.
func named(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return err
}
