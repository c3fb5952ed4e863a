package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
)

const (
	origin = "kiosk.test/power"
	people = 12 // ids that come and go
	pipe   = 3  // file descriptor on which a child says what it does
)

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

// budget is small, so that many changes wait for the counter as they do on a day with many of them.
const budget = 4

// openVault opens the sealed vault, and takes over an absent one as door does: only while the TPM has sealed none.
func openVault(dir string, c chip, now func() time.Duration) (*vault.Vault, error) {
	folder := filepath.Join(dir, "vault")
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	fresh, err := c.Fresh()
	if err != nil {
		return nil, err
	}
	return vault.Open(vaultFile(dir), vault.Options{Root: c, Device: device(), Adopt: fresh, Budget: budget, Now: now})
}

func vaultFile(dir string) string { return filepath.Join(dir, "vault", "vault.db") }

// merkle is how door has the log hashed, signed and anchored.
func merkle(c chip) *auditlog.Merkle {
	return &auditlog.Merkle{
		Origin: origin, Key: c.AuditKey(), Anchor: c, Counter: c.AuditCounter,
		Attest: func(ctx context.Context, top [32]byte) ([32]byte, error) {
			_, sum, err := c.AttestTime(ctx, top)
			return sum, err
		},
	}
}

// openLog opens a log with small segments, so that many begin and expire.
func openLog(dir string, c chip) (*auditlog.Log, auditlog.Recovery, error) {
	return auditlog.Open(filepath.Join(dir, "audit"), auditlog.Options{SegmentBytes: 17 << 10, Reserve: 2, MaxSegments: 1000, Merkle: merkle(c)})
}

// teller writes one line a write: on a pipe such a line is whole or not there.
type teller struct {
	mu   sync.Mutex
	pipe io.Writer
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

// say tells what is no operation of its own.
func (t *teller) say(format string, args ...any) error {
	_, err := fmt.Fprintf(t.pipe, format+"\n", args...)
	return err
}

// worker is a child at work.
type worker struct {
	teller *teller
	chip   chip
	vault  *vault.Vault
	log    *auditlog.Log
	boot   uint64
	rng    *rand.Rand
	clock  time.Duration // of the vault: it runs ahead of the world, so that days pass

	relay func(on bool) error // of the door; nil: it has none
}

// work does operations in dir, as many as said or until it is killed. chipDir is where a TPM was started; empty: there is a double.
func work(dir, chipDir string, seed uint64, operations int) error {
	w := &worker{teller: &teller{pipe: os.NewFile(pipe, "pipe")}, rng: rand.New(rand.NewPCG(seed, 1))}
	if chipDir == "" {
		c, err := newDouble(kept{counter: born}, w.teller.say)
		if err != nil {
			return err
		}
		w.chip = c
	} else {
		c, err := openChip(chipDir)
		if err != nil {
			return err
		}
		defer c.Close()
		w.chip = c
	}
	return w.live(dir, operations)
}

// live opens vault and log in dir and works.
func (w *worker) live(dir string, operations int) error {
	if err := w.start(dir); err != nil {
		return err
	}
	return w.goOn(operations)
}

// goOn does so many operations, and closes vault and log; 0: until it is killed.
func (w *worker) goOn(operations int) error {
	for i := 0; i < operations || operations == 0; i++ {
		w.clock += time.Duration(w.rng.Int64N(int64(30 * time.Minute)))
		if err := w.operate(); err != nil {
			return err
		}
	}
	return errors.Join(w.log.Close(), w.vault.Close())
}

func (w *worker) start(dir string) error {
	err := w.do(func() (err error) {
		if w.vault, err = openVault(dir, w.chip, func() time.Duration { return w.clock }); err != nil {
			return err
		}
		w.log, _, err = openLog(dir, w.chip)
		return err
	}, "open")
	if err == nil {
		err = w.tell(func() (_ any, err error) {
			w.boot, err = w.vault.Boot()
			return w.boot, err
		}, "boot")
	}
	if err != nil {
		return err
	}
	return w.append(access.EventBooted, access.PersonID{})
}

// operate does one thing of a day, in a mix that makes all of them often enough.
func (w *worker) operate() error {
	id := personID(w.rng.IntN(people))
	switch n := w.rng.IntN(100); {
	case n < 30:
		return w.grant(id)
	case n < 40:
		return errors.Join(w.append(access.EventWalkupDenied, access.PersonID{}), w.refuse())
	case n < 46:
		return w.crowd()
	case n < 90:
		return w.administer(n, id)
	case n < 92:
		return w.checkpoint("checkpoint", w.log.Checkpoint)
	case n < 94:
		return w.anchor()
	case n < 97:
		return w.acknowledge()
	default:
		return w.expire()
	}
}

// grant lets somebody in: the door is released when it is durable why.
func (w *worker) grant(id access.PersonID) error {
	if err := w.append(access.EventWalkupGranted, id); err != nil {
		return err
	}
	if w.relay != nil {
		if err := w.relay(true); err != nil {
			return err
		}
	}
	err := errors.Join(w.append(access.EventDoorReleased, id), w.append(access.EventDoorOpened, id))
	if w.relay != nil {
		err = errors.Join(err, w.relay(false))
	}
	return err
}

func (w *worker) append(e access.Event, id access.PersonID) error {
	data, err := record(w.rng, e, w.boot, id)
	if err != nil {
		return err
	}
	return w.appendBytes(e, data)
}

func (w *worker) appendBytes(e access.Event, data []byte) error {
	class := auditlog.Vital
	if e == access.EventWalkupDenied {
		class = auditlog.Ordinary
	}
	return w.tell(func() (any, error) { return w.log.Append(class, data) }, "record %x", sha256.Sum256(data))
}

// crowd appends from several sides at once, so that records share an fdatasync, while a checkpoint is made and anchored.
func (w *worker) crowd() error {
	var all sync.WaitGroup
	errs := make([]error, 7)
	all.Go(func() { errs[6] = w.anchor() })
	for i := range errs[:6] {
		data, err := record(w.rng, access.EventExitRequested, w.boot, access.PersonID{})
		if err != nil {
			return err
		}
		all.Go(func() { errs[i] = w.appendBytes(access.EventExitRequested, data) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// anchor does what door does hourly and on security events.
func (w *worker) anchor() error {
	if _, err := w.chip.RaiseAudit(); err != nil {
		return err
	}
	return w.checkpoint("anchor", w.log.Anchor)
}

func (w *worker) checkpoint(kind string, sign func(context.Context) ([]byte, error)) error {
	return w.tell(func() (any, error) {
		signed, err := sign(context.Background())
		return base64.StdEncoding.EncodeToString(signed), err
	}, "%s", kind)
}

// tell does something, said before, and acknowledges it.
func (w *worker) tell(do func() (result any, err error), format string, args ...any) error {
	ok, err := w.teller.begin(format, args...)
	if err != nil {
		return err
	}
	result, err := do()
	if err != nil {
		return err
	}
	return ok(result)
}

func (w *worker) acknowledge() error {
	at := w.log.Cursor()
	at += uint64(w.rng.Int64N(int64(w.log.Head()-at) + 1))
	return w.tell(func() (any, error) { return at, w.log.Acknowledge(at) }, "cursor %d", at)
}

// expire lets go what can go: all but the last twenty acknowledged records.
func (w *worker) expire() error {
	return w.tell(func() (any, error) {
		return w.log.Expire(func(last auditlog.Entry) bool { return last.Seq+20 < w.log.Cursor() })
	}, "expire")
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
