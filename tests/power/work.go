package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
)

const (
	origin = "kiosk.test/power"
	people = 12 // ids that come and go
	pipe   = 3  // file descriptor on which a child says what it does
)

// key is the audit key, the same for all children.
func key() (*ecdsa.PrivateKey, error) {
	d := sha256.Sum256([]byte("audit key of tests/power"))
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
}

// bundle is the model bundle of all references.
func bundle() [32]byte { return sha256.Sum256([]byte("bundle")) }

func personID(i int) (id access.PersonID) {
	id[0], id[15] = 1, byte(i)
	return id
}

// reference is the one reference that a person has in a generation, so that whoever reads it can tell what it must be.
func reference(id access.PersonID, generation uint64) []float32 {
	rng := rand.New(rand.NewPCG(uint64(id[15]), generation))
	v := make([]float32, access.ProbeSize)
	var sum float64
	for i := range v {
		v[i] = float32(rng.NormFloat64())
		sum += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

func openVault(dir string) (*vault.Vault, error) {
	folder := filepath.Join(dir, "vault")
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return vault.Open(filepath.Join(folder, "vault.db"), vault.Options{})
}

// openLog opens a log with small segments, so that many begin and expire.
func openLog(dir string, nv auditlog.Anchor) (*auditlog.Log, auditlog.Recovery, error) {
	k, err := key()
	if err != nil {
		return nil, auditlog.Recovery{}, err
	}
	return auditlog.Open(filepath.Join(dir, "audit"), auditlog.Options{
		SegmentBytes: 17 << 10, Reserve: 2, MaxSegments: 1000,
		Merkle: &auditlog.Merkle{Origin: origin, Key: k, Anchor: nv},
	})
}

// teller writes one line a write: on a pipe such a line is whole or not there.
type teller struct {
	mu   sync.Mutex
	pipe *os.File
	n    int
}

// begin says what is about to be done and returns the line that says that it was acknowledged.
func (t *teller) begin(format string, args ...any) (acknowledge func(result any) error, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	n := t.n
	_, err = fmt.Fprintf(t.pipe, "try %d %s\n", n, fmt.Sprintf(format, args...))
	return func(result any) error {
		_, err := fmt.Fprintf(t.pipe, "ok %d %v\n", n, result)
		return err
	}, err
}

// nv is the TPM's memory as a child has it: what it writes survives because it has been said, in one line.
type nv struct {
	teller *teller
	bytes  []byte
}

func (n *nv) ReadAnchor() ([]byte, error) { return n.bytes, nil }

func (n *nv) WriteAnchor(b []byte) error {
	n.bytes = b
	_, err := fmt.Fprintf(n.teller.pipe, "anchor %x\n", b)
	return err
}

// worker is a child at work.
type worker struct {
	teller *teller
	vault  *vault.Vault
	log    *auditlog.Log
	boot   uint64
	rng    *rand.Rand
}

// work does operations in dir, as many as said or until it is killed.
func work(dir, anchor string, seed uint64, operations int) error {
	held, err := hex.DecodeString(anchor)
	if err != nil {
		return err
	}
	t := &teller{pipe: os.NewFile(pipe, "pipe")}
	w := &worker{teller: t, rng: rand.New(rand.NewPCG(seed, 1))}
	if w.vault, err = openVault(dir); err != nil {
		return err
	}
	if w.log, _, err = openLog(dir, &nv{t, held}); err != nil {
		return err
	}
	if err := w.start(); err != nil {
		return err
	}
	for i := 0; i < operations || operations == 0; i++ {
		if err := w.operate(); err != nil {
			return err
		}
	}
	return errors.Join(w.log.Close(), w.vault.Close())
}

func (w *worker) start() error {
	ok, err := w.teller.begin("boot")
	if err != nil {
		return err
	}
	if w.boot, err = w.vault.Boot(); err != nil {
		return err
	}
	return errors.Join(ok(w.boot), w.append(access.EventBooted, access.PersonID{}))
}

// operate does one thing of a day, in a mix that makes all of them often enough.
func (w *worker) operate() error {
	id := personID(w.rng.IntN(people))
	switch n := w.rng.IntN(100); {
	case n < 45:
		return errors.Join(w.append(access.EventWalkupGranted, id), w.append(access.EventDoorReleased, id), w.append(access.EventDoorOpened, id))
	case n < 60:
		return w.append(access.EventWalkupDenied, access.PersonID{})
	case n < 66:
		return w.crowd()
	case n < 80:
		return w.enrol(id)
	case n < 84:
		return w.remove("revoke", id, w.vault.Revoke)
	case n < 88:
		return w.remove("delete", id, w.vault.Delete)
	case n < 91:
		return w.checkpoint(w.log.Checkpoint)
	case n < 93:
		return w.checkpoint(w.log.Anchor)
	case n < 97:
		return w.acknowledge()
	default:
		return w.expire()
	}
}

func (w *worker) append(e access.Event, id access.PersonID) error {
	data, err := record(w.rng, e, w.boot, id)
	if err != nil {
		return err
	}
	return w.appendBytes(e, data)
}

func (w *worker) appendBytes(e access.Event, data []byte) error {
	ok, err := w.teller.begin("record %x", sha256.Sum256(data))
	if err != nil {
		return err
	}
	class := auditlog.Vital
	if e == access.EventWalkupDenied {
		class = auditlog.Ordinary
	}
	seq, err := w.log.Append(class, data)
	if err != nil {
		return err
	}
	return ok(seq)
}

// crowd appends from several sides at once, so that records share an fdatasync.
func (w *worker) crowd() error {
	var all sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		data, err := record(w.rng, access.EventExitRequested, w.boot, access.PersonID{})
		if err != nil {
			return err
		}
		all.Go(func() { errs[i] = w.appendBytes(access.EventExitRequested, data) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (w *worker) enrol(id access.PersonID) error {
	generation, err := w.vault.Tombstone(id)
	if err != nil {
		return err
	}
	before, err := w.vault.Get(id, bundle())
	if err != nil && !errors.Is(err, vault.ErrUnknown) {
		return err
	}
	generation = max(generation, before.Generation) + 1
	t, err := vault.NewTemplate(reference(id, generation))
	if err != nil {
		return err
	}
	ok, err := w.teller.begin("put %s %d", id, generation)
	if err != nil {
		return err
	}
	p := vault.Person{ID: id, State: vault.Active, Generation: generation, References: []vault.Reference{{Template: t, Bundle: bundle(), Created: w.boot}}}
	if err := w.vault.Put(p); err != nil {
		return err
	}
	return errors.Join(ok(generation), w.append(access.EventEnrolled, id))
}

func (w *worker) remove(how string, id access.PersonID, end func(access.PersonID, uint64) error) error {
	p, err := w.vault.Get(id, bundle())
	if errors.Is(err, vault.ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	ok, err := w.teller.begin("%s %s %d", how, id, p.Generation)
	if err != nil {
		return err
	}
	if err := end(id, 0); err != nil {
		return err
	}
	return errors.Join(ok(p.Generation), w.append(access.EventRevoked, id))
}

func (w *worker) checkpoint(sign func(context.Context) ([]byte, error)) error {
	ok, err := w.teller.begin("checkpoint")
	if err != nil {
		return err
	}
	signed, err := sign(context.Background())
	if err != nil {
		return err
	}
	return ok(base64.StdEncoding.EncodeToString(signed))
}

func (w *worker) acknowledge() error {
	at := w.log.Cursor()
	at += uint64(w.rng.Int64N(int64(w.log.Head()-at) + 1))
	ok, err := w.teller.begin("cursor %d", at)
	if err != nil {
		return err
	}
	if err := w.log.Acknowledge(at); err != nil {
		return err
	}
	return ok(at)
}

// expire lets go what can go: all but the last twenty acknowledged records.
func (w *worker) expire() error {
	ok, err := w.teller.begin("expire")
	if err != nil {
		return err
	}
	n, err := w.log.Expire(func(last auditlog.Entry) bool { return last.Seq+20 < w.log.Cursor() })
	if err != nil {
		return err
	}
	return ok(n)
}

// lines reads what a child says, whole lines only: one that was cut short was never said.
func lines(r *bufio.Reader, each func(string) error) error {
	for {
		s, err := r.ReadString('\n')
		if err != nil {
			return nil
		}
		if err := each(s[:len(s)-1]); err != nil {
			return err
		}
	}
}
