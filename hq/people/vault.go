package people

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/lintel-access/lintel/access"
)

// The files of a vault, in one folder of mode 0700.
const (
	dbFile   = "people.db"
	keysFile = "people.keys"
)

// The buckets of people.db.
const (
	bucketMeta     = "meta"
	bucketPerson   = "person"   // name → slot ‖ Person
	bucketPending  = "pending"  // order → slot ‖ pending: waits for a second operator
	bucketProofing = "proofing" // name → slot ‖ the proofing record, as it was given
	bucketDraft    = "draft"    // hash of what is to be signed → slot ‖ drafted: an enrolment that nobody has signed yet
	bucketOrder    = "order"    // SHA-256 of the envelope → slot ‖ envelope; one byte where it was destroyed
	bucketQueue    = "queue"    // number → Entry: what hq serve hands on
	bucketJournal  = "journal"  // row → person: what bulk enrolments have done
	bucketDying    = "dying"    // name → slot: a deletion that has begun
)

// Keys of meta.
const (
	metaSchema     = "schema"
	metaID         = "id"
	metaCheck      = "check"      // sealed: tells a wrong master key
	metaSlots      = "slots"      // in use
	metaChange     = "change"     // rises with every change
	metaPrivileged = "privileged" // sealed: groups that need a second operator
)

const (
	schema    = "lintel people 1"
	noSlot    = ^uint32(0) // sealed under the value key
	goneOrder = 1          // byte: the length of an order that was destroyed
	lockWait  = 20 * time.Second
	briefly   = 500 * time.Millisecond // ten tries: bbolt makes one each 50 ms
)

var (
	// ErrMaster means that the master key is another one than that of the vault.
	ErrMaster = errors.New("the master key is not the one of this vault")
	// ErrUnknown means that nobody, or no order, is known under that name.
	ErrUnknown = errors.New("no person is called so")
	// ErrPhotographs means that a person is not enrolled at a kiosk, so that nobody begins anything there.
	ErrPhotographs = errors.New("this person is enrolled from photographs, and not at a kiosk")
	// ErrSpace means that headquarters' disk is full. Nothing was changed.
	ErrSpace = errors.New("the disk is full: make room; nothing was changed")
	// ErrInUse means that another program holds the vault for too long.
	ErrInUse = errors.New("the vault is in use: another hq holds it")
)

// People is the vault. Its methods may be called by several goroutines, and several processes may have it open.
type People struct {
	dir         string
	id          [16]byte
	wrap, value cipher.AEAD
	index       []byte
	now         func() time.Time
	mu          sync.Mutex
	roll        *roll        // what is known in memory; nil until it is asked for
	hurried     bool         // others wait: see Hurry
	interrupt   func(string) // tests end the process here
}

// Create makes an empty vault in a folder, which is made if it is absent.
func Create(dir string, m Master) error {
	if err := create(dir, m); err != nil {
		return fmt.Errorf("create vault of people: %w", err)
	}
	return nil
}

func create(dir string, m Master) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, dbFile)); err == nil {
		return fmt.Errorf("there is one in %q already", dir)
	}
	p, err := derive(dir, m)
	if err != nil {
		return err
	}
	rand.Read(p.id[:])
	if err := createKeys(filepath.Join(dir, keysFile), p.id); err != nil {
		return err
	}
	// Beside its place, and moved there whole: a crash leaves nothing that looks like a damaged vault.
	temporary := filepath.Join(dir, dbFile+".new")
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(temporary, 0o600, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range []string{bucketMeta, bucketPerson, bucketPending, bucketProofing, bucketDraft, bucketOrder, bucketQueue, bucketJournal, bucketDying} {
			if _, err := tx.CreateBucket([]byte(b)); err != nil {
				return err
			}
		}
		meta := tx.Bucket([]byte(bucketMeta))
		return errors.Join(
			meta.Put([]byte(metaSchema), []byte(schema)),
			meta.Put([]byte(metaID), p.id[:]),
			meta.Put([]byte(metaCheck), p.value.Seal(nil, nil, []byte(schema), p.associated(bucketMeta, []byte(metaCheck), noSlot))),
		)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(temporary, filepath.Join(dir, dbFile)), syncFolder(dir))
}

// Open opens the vault that Create made, with the same master key, and finishes deletions that were interrupted.
func Open(dir string, m Master) (*People, error) {
	p, err := derive(dir, m)
	if err == nil {
		err = p.check()
	}
	if err == nil {
		err = p.Finish()
	}
	if err != nil {
		return nil, fmt.Errorf("open vault of people in %q: %w", dir, err)
	}
	return p, nil
}

// Hurry has what reads give up after a moment with ErrInUse, where it would wait 20 seconds for another hq: for who has others waiting, and will come
// again. It is said before anything else.
func (p *People) Hurry() { p.hurried = true }

func derive(dir string, m Master) (*People, error) {
	if m.key == [32]byte{} {
		return nil, errors.New("no master key")
	}
	p := &People{dir: dir, now: time.Now, interrupt: func(string) {}}
	var err error
	for name, use := range map[string]func([]byte) error{
		"wrap":  func(k []byte) (err error) { p.wrap, err = newAEAD(k); return err },
		"value": func(k []byte) (err error) { p.value, err = newAEAD(k); return err },
		"index": func(k []byte) error { p.index = append([]byte(nil), k...); return nil },
	} {
		k, derr := hkdf.Key(sha256.New, m.key[:], nil, schema+" "+name, 32)
		if derr == nil {
			derr = use(k)
		}
		clear(k)
		err = errors.Join(err, derr)
	}
	return p, err
}

// newAEAD draws its nonces at random and puts them in front. The busiest key, value, seals a few records an enrolment: far from 2^32.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// check reads who the vault is and whether the master key is its own.
func (p *People) check() error {
	info, err := os.Stat(filepath.Join(p.dir, dbFile))
	if err != nil {
		return fmt.Errorf("%w; hq people init makes one", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %v: chmod 600", dbFile, info.Mode().Perm())
	}
	return p.open(true, func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(bucketMeta))
		if meta == nil || string(meta.Get([]byte(metaSchema))) != schema || len(meta.Get([]byte(metaID))) != len(p.id) {
			return fmt.Errorf("%s is no vault of people, or of another version", dbFile)
		}
		copy(p.id[:], meta.Get([]byte(metaID)))
		if _, err := p.value.Open(nil, nil, meta.Get([]byte(metaCheck)), p.associated(bucketMeta, []byte(metaCheck), noSlot)); err != nil {
			return ErrMaster
		}
		return nil
	})
}

// open runs one transaction on the file, and holds its lock no longer than that.
func (p *People) open(read bool, f func(*bbolt.Tx) error) error {
	wait := lockWait
	if read && p.hurried {
		wait = briefly
	}
	return p.locked(read, wait, f)
}

func (p *People) locked(read bool, wait time.Duration, f func(*bbolt.Tx) error) error {
	db, err := bbolt.Open(filepath.Join(p.dir, dbFile), 0o600, &bbolt.Options{Timeout: wait, ReadOnly: read})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return ErrInUse
	}
	if err != nil {
		return err
	}
	if read {
		err = db.View(f)
	} else {
		err = db.Update(f)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w (%w)", ErrSpace, err)
	}
	return errors.Join(err, db.Close())
}

// view reads. What it gives to f is good until f returns.
func (p *People) view(f func(*txn) error) error {
	return p.open(true, func(tx *bbolt.Tx) error {
		return p.with(tx, f)
	})
}

// update changes the vault: all that f does, durably, or nothing of it. Keys that f wrote for a change that came to nothing are written over by the next.
func (p *People) update(f func(*txn) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var t *txn
	err := p.open(false, func(tx *bbolt.Tx) error {
		return p.with(tx, func(with *txn) error {
			t = with
			if err := f(t); err != nil {
				return err
			}
			return t.count(metaChange)
		})
	})
	if err != nil {
		return err
	}
	t.p.roll.follow(t.changed)
	return nil
}

func (p *People) with(tx *bbolt.Tx, f func(*txn) error) error {
	k, err := openKeys(filepath.Join(p.dir, keysFile), p.id, p.wrap)
	if err != nil {
		return err
	}
	return errors.Join(f(&txn{Tx: tx, p: p, keys: k}), k.close())
}

// txn is one transaction.
type txn struct {
	*bbolt.Tx
	p       *People
	keys    *keys
	changed []member // what the memory must learn when the transaction has been committed
}

func (t *txn) bucket(name string) *bbolt.Bucket { return t.Bucket([]byte(name)) }

// number reads a counter of meta.
func (t *txn) number(key string) uint64 {
	if b := t.bucket(bucketMeta).Get([]byte(key)); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// count raises a counter of meta.
func (t *txn) count(key string) error {
	return t.bucket(bucketMeta).Put([]byte(key), binary.BigEndian.AppendUint64(nil, t.number(key)+1))
}

// claim takes the next free slot for a person, with a new content key.
func (t *txn) claim(id access.PersonID) (n uint32, s slot, err error) {
	n = uint32(t.number(metaSlots))
	if n == noSlot {
		return 0, s, errors.New("the vault is full") // after four billion people
	}
	s = slot{person: id}
	rand.Read(s.key[:])
	if err := t.keys.write(n, s); err != nil {
		return 0, s, err
	}
	return n, s, t.count(metaSlots)
}

// put seals a value under the key of a slot, or under the value key (noSlot).
func (t *txn) put(bucket string, key []byte, n uint32, s slot, plain []byte) error {
	aead, err := t.p.aead(n, s)
	if err != nil {
		return err
	}
	sealed := aead.Seal(binary.BigEndian.AppendUint32(nil, n), nil, plain, t.p.associated(bucket, key, n))
	return t.bucket(bucket).Put(key, sealed)
}

// errDestroyed means that what is asked for was a person's who has been deleted.
var errDestroyed = fmt.Errorf("%w: deleted", ErrUnknown)

// get opens what put sealed. It returns the slot that the value hangs on.
func (t *txn) get(bucket string, key []byte) (plain []byte, n uint32, s slot, err error) {
	b := t.bucket(bucket).Get(key)
	if b == nil {
		return nil, 0, s, ErrUnknown
	}
	return t.unseal(bucket, key, b)
}

// errShut means that a record does not open, and never will.
var errShut = errors.New("does not open")

func (t *txn) unseal(bucket string, key, b []byte) (plain []byte, n uint32, s slot, err error) {
	if len(b) == goneOrder {
		return nil, 0, s, errDestroyed
	}
	if len(b) < 4 {
		return nil, 0, s, fmt.Errorf("%s holds a record that is cut off", bucket)
	}
	n = binary.BigEndian.Uint32(b)
	if n != noSlot {
		if s, err = t.keys.read(n); err != nil {
			return nil, n, s, err
		}
		if s.destroyed() {
			return nil, n, s, errDestroyed
		}
	}
	aead, err := t.p.aead(n, s)
	if err == nil {
		plain, err = aead.Open(nil, nil, b[4:], t.p.associated(bucket, key, n))
	}
	if err != nil {
		return nil, n, s, fmt.Errorf("a record of %s %w: %s and %s are not of one time, or damaged", bucket, errShut, dbFile, keysFile)
	}
	return plain, n, s, nil
}

func (p *People) aead(n uint32, s slot) (cipher.AEAD, error) {
	if n == noSlot {
		return p.value, nil
	}
	return newAEAD(s.key[:])
}

// associated is what a value is bound to: it opens in no other place and no other vault.
func (p *People) associated(bucket string, key []byte, n uint32) []byte {
	b := append([]byte(schema), p.id[:]...)
	b = append(append(b, byte(len(bucket))), bucket...)
	return append(binary.BigEndian.AppendUint32(b, n), key...)
}

// name is what a thing is called in the file, where its own name must not stand.
func (p *People) name(kind string, of []byte) []byte {
	h := hmac.New(sha256.New, p.index)
	h.Write([]byte{byte(len(kind))})
	h.Write([]byte(kind))
	h.Write(of)
	return h.Sum(nil)
}

func (p *People) personName(id access.PersonID) []byte { return p.name(bucketPerson, id[:]) }

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
