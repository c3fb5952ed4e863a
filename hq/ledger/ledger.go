// Package ledger keeps what kiosks have recorded, and believes of it what each kiosk's own signature covers.
//
// A kiosk's records come as wire.Records, through carriers that may drop, repeat, reorder, change and invent. A record is taken into the ledger when a
// checkpoint by the kiosk's audit key covers it, in headquarters' own Merkle tree; until then it is kept apart and shown as not vouched for. Records
// that are in the ledger are on disk before anything is acknowledged.
//
//	DIR/lock                one writer
//	DIR/NAME/N.seg          records that are vouched for: these files only grow, so whoever reads needs no lock
//	DIR/NAME/pending        records that no checkpoint covers yet
//	DIR/NAME/hashes         the Merkle tree, made from the records
//	DIR/NAME/state          newest checkpoints, alarms
//	DIR/NAME/audit.pub      the kiosk's audit key
//
// docs/LEDGER.md says what is proven, what each alarm means, and what a carrier, a kiosk and headquarters can hide.
package ledger

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/sync/wire"
)

var (
	// ErrRefused means that nothing of a message was taken in, and never will be: it need not be kept.
	ErrRefused = errors.New("message refused")
	// ErrUnknown means that no such kiosk was added.
	ErrUnknown = errors.New("kiosk is not known")
	// ErrInUse means that another process writes this ledger.
	ErrInUse = errors.New("ledger is in use: is hq serve running twice?")
	// ErrOtherKey means that the kiosk's records so far are by another audit key.
	ErrOtherKey = errors.New("kiosk has another audit key than before: if it was provisioned anew, move its folder away and keep it")
)

var errClosed = errors.New("ledger is closed")

// Folder is where the ledger stands in headquarters' state.
const Folder = "ledger"

// Kiosk is whose records are kept.
type Kiosk struct {
	ID          [32]byte
	Audit       *ecdsa.PublicKey // signs checkpoints
	Attestation *ecdsa.PublicKey // attests the TPM's clock
}

func (k Kiosk) origin() string { return "lintel/" + wire.Name(k.ID) }

// Options of a ledger. Zero values stand for the defaults.
type Options struct {
	// Silence is how long a kiosk may sign nothing new: its interval, a minute, and half of one for the way; 90 s. docs/LEDGER.md says what that promises.
	Silence time.Duration
	// Gap is how long records may be missing that a kiosk has signed for, or that others follow; 50 s: with the look each second, less than a minute.
	Gap time.Duration
	// Alarm is told of each alarm once, when it is raised and when it ends. It must not block and not call the ledger.
	Alarm func(kiosk [32]byte, a Alarm)
	// Now is the clock; time.Now.
	Now func() time.Time
}

const (
	defaultSilence = 90 * time.Second
	defaultGap     = 50 * time.Second
	// judgeEvery is how often alarms that come by waiting are looked for.
	judgeEvery = time.Second
)

// Ledger is the open ledger. Its methods may be called by several goroutines.
type Ledger struct {
	dir     string
	options Options
	lock    *os.File

	mu      sync.Mutex
	kiosks  map[[32]byte]*kiosk
	opening map[[32]byte]chan struct{} // closed when it has been tried
	held    atomic.Int64               // bytes in memory that nobody vouches for, of all kiosks
	tune    func(*folder)              // for tests
}

// Open opens or makes the ledger in dir for writing.
func Open(dir string, o Options) (*Ledger, error) {
	if o.Silence == 0 {
		o.Silence = defaultSilence
	}
	if o.Gap == 0 {
		o.Gap = defaultGap
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	err := os.MkdirAll(dir, 0o700)
	var lock *os.File
	if err == nil {
		lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err == nil {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrInUse
		}
		if err != nil {
			lock.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return &Ledger{dir: dir, options: o, lock: lock, kiosks: map[[32]byte]*kiosk{}, opening: map[[32]byte]chan struct{}{}}, nil
}

// Add has the ledger take in a kiosk's records, and miss it when it is silent. Adding it twice changes nothing.
func (l *Ledger) Add(k Kiosk) error {
	if there := l.settled(k.ID); l.kiosks == nil || there != nil {
		closed := l.kiosks == nil
		l.mu.Unlock()
		if closed {
			return errClosed
		}
		return nil
	}
	tried := make(chan struct{})
	l.opening[k.ID] = tried
	l.mu.Unlock()
	// A kiosk of many records takes a while, in which the others are heard.
	opened, err := openKiosk(filepath.Join(l.dir, wire.Name(k.ID)), k, &l.options, &l.held, l.tune)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.opening, k.ID)
	close(tried)
	switch {
	case err != nil:
		return fmt.Errorf("add kiosk %s to the ledger: %w", wire.Name(k.ID), err)
	case l.kiosks == nil:
		return errors.Join(errClosed, opened.close())
	}
	l.kiosks[k.ID] = opened
	return nil
}

// settled locks l and returns the kiosk, or nil, once nobody is opening it any more: who opens it has read what another would write meanwhile.
func (l *Ledger) settled(id [32]byte) *kiosk {
	l.mu.Lock()
	for tried := l.opening[id]; tried != nil; tried = l.opening[id] {
		l.mu.Unlock()
		<-tried
		l.mu.Lock()
	}
	return l.kiosks[id]
}

func (l *Ledger) kiosk(id [32]byte) (*kiosk, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.kiosks[id]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknown, wire.Name(id))
}

// Ingest takes in a message of the kiosk. What it returns is what headquarters has durably and under the kiosk's own signature, for the server to sign;
// nil: nothing yet. After ErrRefused the message is to be thrown away, after any other error it must come again.
func (l *Ledger) Ingest(id [32]byte, m wire.Records) (*wire.Acknowledge, error) {
	k, err := l.kiosk(id)
	if err != nil {
		return nil, fmt.Errorf("take in records: %w", err)
	}
	ack, err := k.ingest(m, l.options.Now())
	if err != nil {
		return ack, fmt.Errorf("take in records of kiosk %s: %w", wire.Name(id), err)
	}
	return ack, nil
}

// Run looks for kiosks that are silent or whose records are missing, until ctx ends.
func (l *Ledger) Run(ctx context.Context) error {
	t := time.NewTicker(judgeEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			l.Judge()
		}
	}
}

// Judge looks once.
func (l *Ledger) Judge() {
	l.mu.Lock()
	all := maps.Clone(l.kiosks)
	l.mu.Unlock()
	for _, k := range all {
		k.judge(l.options.Now())
	}
}

// Close ends the ledger. Nothing is lost without it.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, k := range l.kiosks {
		err = errors.Join(err, k.close())
	}
	l.kiosks = nil
	return errors.Join(err, l.lock.Close())
}
