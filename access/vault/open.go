// Package vault keeps the references of the enrolled, the boot counter and the lockouts, in one bbolt file. FORMAT.md is the layout.
//
// With a Root the vault is sealed: what is on the disk is nothing without the root's secret, and an older copy is refused by the
// root's counter. Without one it is plain. A sealed vault never opens as a plain one.
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
	ErrInUse = errors.New("vault is in use: stop the other instance of the program")
	// ErrForeign means that the file is no vault, or a damaged one. It was not changed.
	ErrForeign = errors.New("file is not a whole vault: check the disk, move the file away, provision the kiosk again and let headquarters send its people")
	// ErrNewer means that a later program wrote the file. It was not changed.
	ErrNewer = errors.New("vault was written by a newer program: install that version again")
	// ErrFull means that the vault holds as many people as it may.
	ErrFull = errors.New("vault is full: delete people or give the kiosk a larger limit")
	// ErrUnknown means that nobody is enrolled under the id.
	ErrUnknown = errors.New("person is unknown")
	// ErrSuperseded means that a person of this or a later generation was deleted, revoked or enrolled already.
	ErrSuperseded = errors.New("generation is superseded")
	// ErrRetired means that the kiosk was decommissioned: its vault takes nobody any more.
	ErrRetired = errors.New("kiosk is decommissioned")
)

// Options of a vault. Zero values stand for the defaults.
type Options struct {
	MaxPeople int           // 10,000
	Wait      time.Duration // for another process to close the file; 1 s

	Root   Root     // seals the vault; nil leaves it plain
	Device [32]byte // id of the kiosk, from provisioning; required with a Root
	// Adopt lets Root take over a file that is absent or plain. It is for provisioning, once: on a kiosk that has been sealed, such a
	// file is somebody else's.
	Adopt bool
	// Budget is how often a day the counter may rise before ordinary changes wait up to 60 s for it; 64. Restricting ones never wait.
	Budget uint32
	// Now is a clock that never goes back, from any zero: CLOCK_MONOTONIC. nil is Go's.
	Now func() time.Duration
	// Trusted is the wall clock, and false while nobody vouches for it. nil never does.
	Trusted func() (time.Time, bool)
}

const (
	defaultPeople = 10_000
	defaultWait   = time.Second

	magic  = "lintel vault"
	schema = 1 // of a plain vault

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

	mu     sync.RWMutex // held for reading by each view, else alone: no page is scrubbed that somebody reads
	people int
	closed bool
	sealed *sealing // nil in a plain vault

	remembering    sync.Mutex         // taken after mu
	lockouts       map[string]Lockout // that were asked for
	lockoutChanges uint64

	turning sync.RWMutex // held alone while the transform changes or goes; taken after mu. A probe waits for it, and for neither disk nor TPM
}

// Open opens the vault at path, which it makes when absent: a file of mode 0600 in a folder of mode 0700. Wider modes are refused.
// A file that is not a whole vault of this or an earlier version is an error and stays as it is, and so does one that is sealed by
// another Root, or older than the Root's counter.
func Open(path string, o Options) (*Vault, error) {
	v, err := open(path, o)
	if err != nil {
		return nil, fmt.Errorf("open vault %q: %w", path, err)
	}
	return v, nil
}

func open(path string, o Options) (*Vault, error) {
	o = o.withDefaults()
	if err := checkModes(path); errors.Is(err, fs.ErrNotExist) {
		if o.Root != nil && !o.Adopt {
			return nil, ErrNotSealed
		}
		if err := create(path, o.Wait); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	var s *sealing
	if o.Root != nil {
		var err error
		if s, err = newSealing(o); err != nil {
			return nil, err
		}
	}
	v := &Vault{max: o.MaxPeople, sealed: s}
	found, err := inspect(path, o.Wait, s)
	if err == nil && s != nil && found == schema && !o.Adopt {
		err = ErrNotSealed
	}
	if err == nil {
		err = guarded(func() error { return v.load(path, o.Wait, found) })
	}
	if err != nil {
		if v.db != nil {
			v.db.Close()
		}
		if s != nil {
			s.wipe()
		}
		return nil, err
	}
	return v, nil
}

func (o Options) withDefaults() Options {
	if o.MaxPeople == 0 {
		o.MaxPeople = defaultPeople
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.Budget == 0 {
		o.Budget = defaultBudget
	}
	if o.Now == nil {
		start := time.Now()
		o.Now = func() time.Duration { return time.Since(start) }
	}
	if o.Trusted == nil {
		o.Trusted = func() (time.Time, bool) { return time.Time{}, false }
	}
	return o
}

// load opens the file for writing. A sealed vault makes up for a raise that a power cut prevented, and for a scrub.
func (v *Vault) load(path string, wait time.Duration, found uint32) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: wait})
	if err != nil {
		return named(err)
	}
	v.db = db
	if s := v.sealed; s != nil {
		if found == schema {
			err = s.adopt(db)
		} else {
			err = s.rotate()
		}
		if err == nil {
			s.unsure = true // what was read before the file was locked for writing
			err = s.complete()
		}
		if err == nil {
			err = scrub(db)
		}
		if err != nil {
			return err
		}
		s.head.Age += startCost
	}
	return db.View(func(tx *bbolt.Tx) error {
		v.people = tx.Bucket([]byte(bucketPerson)).Stats().KeyN
		return nil
	})
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
func inspect(path string, wait time.Duration, s *sealing) (found uint32, err error) {
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
			switch found {
			case schema:
				return walk(tx)
			case schemaSealed:
				if s == nil {
					return ErrSealed
				}
				if err := inspectPages(tx, path); err != nil {
					return err
				}
				return s.inspect(tx)
			}
			return fmt.Errorf("%w: schema %d, this one knows %d", ErrNewer, found, schemaSealed)
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
	buckets := []string{bucketPerson, bucketTombstone, bucketLockout}
	if binary.BigEndian.Uint32(version) == schemaSealed {
		buckets = sealedBuckets()
	}
	for _, name := range buckets {
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
