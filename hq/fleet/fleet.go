// Package fleet is what headquarters has to do with each of its kiosks: who they are, the stream of commands that each is given, and the answers to
// their greetings.
//
//	operators' orders ─Append─► stream of a kiosk: entry 1 ◄─ entry 2 ◄─ … (who comes second at a number is told so: it never forks)
//	                                 │ at the time of sending: content from where it is kept, sealed to the kiosk's key of that time, signed
//	kiosk ─Greeting (nonce, head)─►  └─► Time (nonce, now, head), and the commands that follow the kiosk's head, a few at a time
//
// Every kiosk counts as hostile. What one says is bounded before it is read, believed only as far as it harms nobody when it is a lie, and costs a
// bounded amount of work; whatever one does, the others go on.
package fleet

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

// Store keeps the fleet's state; *store.Store is one. Its errors are store.ErrNone, store.ErrConflict, store.ErrNotStored.
type Store interface {
	Get(ctx context.Context, key string) (store.Value, error)
	Put(ctx context.Context, key string, data []byte, revision uint64) (uint64, error)
	Delete(ctx context.Context, key string, revision uint64) error
	Last(ctx context.Context, below string) (store.Value, error)
	List(ctx context.Context, below string) ([]store.Value, error)
}

// People is where orders about people are kept, and in which order they were signed.
type People interface {
	// Content returns the order of this hash (SHA-256 of its envelope). gone means that it was destroyed, and never comes back; biometric, that it must
	// be sealed. An error means that it cannot be had now, one that wraps fs.ErrNotExist that it is lost, and one that wraps ErrBusy, here as of After,
	// that it is asked for again after a second. Neither takes long: other kiosks wait. The caller may clear the envelope.
	Content(order [32]byte) (envelope []byte, gone, biometric bool, err error)
	// After returns the orders that a kiosk needs beyond the first n of the queue, of the next most that there are, and how far it has looked: n when
	// there are no more. An error that wraps fs.ErrNotExist means that the queue is shorter than n.
	After(need Need, n uint64, most int) (orders [][32]byte, next uint64, err error)
}

// Ledger takes in what kiosks have recorded.
type Ledger interface {
	// Meet says by which keys a kiosk's records are judged, before any come. It may be said again. An error that wraps ErrDamage is about this kiosk alone.
	Meet(kiosk [32]byte, audit, attestation *ecdsa.PublicKey) error
	// Part says that nobody waits for a kiosk's records any more. It may be said again, and of a kiosk that was never met.
	Part(kiosk [32]byte) error
	// Ingest takes records in, durably, and returns what may be acknowledged, or nil. After an error the kiosk sends them again by itself.
	Ingest(kiosk [32]byte, r wire.Records) (*wire.Acknowledge, error)
	// Applied is the newest command that the kiosk has carried out, by records that it has signed; 0: it has signed for none.
	Applied(kiosk [32]byte) (seq uint64, link [32]byte, err error)
}

// Config is what a Fleet is made of.
type Config struct {
	Store  Store
	Uplink broker.Uplink
	Server *authority.Server
	People People // nil: no order about people is known
	Ledger Ledger // nil: records are left with the kiosks
	// Exchange verifies a kiosk's key for sealed content; nil: authority.Exchange.
	Exchange func(kiosk [32]byte, attestation, release []byte, e wire.Exchange) ([]byte, error)
	// Alarm is told of each alarm when it is raised (on), and again at the start while it stands, and when it is lifted; nil: nobody is. It must not call the fleet.
	Alarm func(kiosk [32]byte, a Alarm, on bool)
	Kick  func(name string) // ends a kiosk's connection; nil: there is no way to
	Now   func() time.Time
	// ClockMended forgets what time kiosks were told: the clock was wrong, and is right now.
	ClockMended bool
	Log         *slog.Logger
}

// Fleet is headquarters' side of all kiosks. Its methods may be called by several goroutines.
type Fleet struct {
	config Config
	begun  time.Time
	store  Store
	server atomic.Pointer[authority.Server]
	policy atomic.Pointer[inForce]
	clear  sync.Map     // hashes of the orders that are kept in the clear, here
	signed atomic.Int64 // Unix ms of the newest Time
	kept   atomic.Int64 // of the newest that the store has
	nudge  chan struct{}

	enforcing sync.RWMutex // held while one policy is kept and handed on: another waits, and so does whoever hands people on; taken before a desk's

	mu    sync.RWMutex
	desks map[string]*desk
}

// Open reads the fleet's state. Run serves it.
func Open(ctx context.Context, c Config) (*Fleet, error) {
	f := &Fleet{config: c, begun: c.Now(), store: c.Store, desks: map[string]*desk{}, nudge: make(chan struct{}, 1)}
	f.server.Store(c.Server)
	if f.config.Exchange == nil {
		f.config.Exchange = func(kiosk [32]byte, attestation, release []byte, e wire.Exchange) ([]byte, error) {
			key, err := authority.Exchange(kiosk, attestation, release, e)
			if err != nil {
				return nil, err
			}
			return spki(key)
		}
	}
	all, err := f.store.List(ctx, strings.TrimSuffix(store.Kiosk, "."))
	if err != nil {
		return nil, fmt.Errorf("open fleet: %w", err)
	}
	for _, v := range all {
		d := &desk{revision: v.Revision}
		if err := wire.Unmarshal(v.Data, &d.kiosk); err != nil {
			return nil, fmt.Errorf("open fleet: read %q: %w", v.Key, err)
		}
		d.name = d.kiosk.Name()
		f.desks[d.name] = d
	}
	if err := f.loadRestored(ctx); err != nil {
		return nil, fmt.Errorf("open fleet: %w", err)
	}
	if err := f.newestTrust(ctx, c.Server.Trust.Version); err != nil {
		return nil, fmt.Errorf("open fleet: %w", err)
	}
	if err := f.loadClock(ctx); err != nil {
		return nil, fmt.Errorf("open fleet: %w", err)
	}
	if err := f.loadClear(ctx); err != nil {
		return nil, fmt.Errorf("open fleet: %w", err)
	}
	if err := f.loadPolicy(ctx); err != nil {
		return nil, fmt.Errorf("open fleet: policy: %w", err)
	}
	if err := f.loadAlarms(ctx); err != nil {
		return nil, fmt.Errorf("open fleet: %w", err)
	}
	for _, d := range f.desks {
		for _, a := range d.alarms { // before those that are raised now, which ring by themselves
			f.ring(d, a, true)
		}
		if err := f.introduceAgain(ctx, d); err != nil {
			return nil, fmt.Errorf("open fleet: %w", err)
		}
	}
	return f, nil
}

// introduceAgain tells the ledger, at the start, whose records it is to wait for, and the broker who is to be gone: it may have been away when that was
// said. One whose records cannot be opened is an alarm; the others are served.
func (f *Fleet) introduceAgain(ctx context.Context, d *desk) error {
	if d.kiosk.State != Active && d.kiosk.State != Quarantined {
		f.bar(d)
		return nil
	}
	err := f.meet(d.kiosk)
	if errors.Is(err, ErrDamage) {
		f.alarm(ctx, d, Damage, fmt.Sprintf("nothing that it records is taken in: %v. Put the newest copy of that folder in its place, keep the damaged one, and say hq kiosk lift", err))
		return nil
	}
	return err
}

// bar has nobody wait for a kiosk any more, and ends its connections.
func (f *Fleet) bar(d *desk) {
	f.part(d)
	if f.config.Kick != nil {
		f.config.Kick(d.name)
	}
}

// part has the ledger wait for a kiosk's records no more, and end the alarms that only they could. Where that fails the next start says it again.
func (f *Fleet) part(d *desk) {
	if f.config.Ledger == nil {
		return
	}
	if err := f.config.Ledger.Part(d.kiosk.ID); err != nil {
		f.config.Log.Error("alarms of a kiosk that is gone may go on being shown", "kiosk", d.name, "error", err)
	}
}

// meet introduces a kiosk to the ledger.
func (f *Fleet) meet(k Kiosk) error {
	if f.config.Ledger == nil {
		return nil
	}
	audit, err := wire.ParseKey(k.Audit)
	if err != nil {
		return err
	}
	attestation, err := wire.ParseKey(k.Attestation)
	if err != nil {
		return err
	}
	return f.config.Ledger.Meet(k.ID, audit, attestation)
}

var (
	// ErrUnknown means that there is no such kiosk.
	ErrUnknown = errors.New("no such kiosk")
	// ErrNotActive means that a kiosk is quarantined, replaced or removed.
	ErrNotActive = errors.New("kiosk is not active")
	// ErrOffline means that a kiosk is not connected, and that what was asked for cannot wait.
	ErrOffline = errors.New("kiosk is not connected")
	// ErrDamage means that what the ledger has of a kiosk is damaged.
	ErrDamage = errors.New("its records cannot be opened")
	// ErrBusy means that another program holds the people.
	ErrBusy = errors.New("people cannot be read now")
)

func isNone(err error) bool { return errors.Is(err, store.ErrNone) }

// at returns the desk of a kiosk, locked.
func (f *Fleet) at(name string) (*desk, error) {
	f.mu.RLock()
	d := f.desks[name]
	f.mu.RUnlock()
	if d == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	d.mu.Lock()
	return d, nil
}

// Admit judges who may connect as the kiosk of that name: it must be known, and the certificate be for the key that its TPM attests. So a stolen issuing
// key lets nobody in as a kiosk that exists.
func (f *Fleet) Admit(name string, certificate *x509.Certificate) error {
	d, err := f.at(name)
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	if d.kiosk.State != Active && d.kiosk.State != Quarantined {
		return fmt.Errorf("%w: %v", ErrNotActive, d.kiosk.State)
	}
	key, err := x509.MarshalPKIXPublicKey(certificate.PublicKey)
	if err != nil || string(key) != string(d.kiosk.TLS) {
		return errors.New("certificate is for another key than the kiosk's")
	}
	d.presented = certificate
	return nil
}

const (
	atWork  = 4        // kiosks whose messages are dealt with at a time; each has its turn
	queued  = 256      // messages of one kiosk that wait for its turn: 65,000 records
	held    = 64 << 20 // bytes of messages that wait in all, 430 of the largest; beyond it each kiosk has one that waits, and no more
	ticking = time.Second
	looking = time.Minute // for new orders about people, besides when Nudge says that there are some
)

// Run deals with what kiosks say until ctx ends or the way to them does.
func (f *Fleet) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	lines, room := map[*desk]chan broker.Message{}, make(chan struct{}, atWork)
	var waiting atomic.Int64 // bytes
	all.Go(func() { f.tick(ctx) })
	all.Go(func() { f.handOn(ctx) })
	for {
		m, err := f.config.Uplink.Receive(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("receive from kiosks: %w", err)
		}
		f.mu.RLock()
		d := f.desks[m.Kiosk]
		f.mu.RUnlock()
		if d == nil {
			f.acknowledge(m)
			continue
		}
		line := lines[d]
		if line == nil {
			line = make(chan broker.Message, queued)
			lines[d] = line
			all.Go(func() { f.serve(ctx, d, line, room, &waiting) })
		}
		if !d.pace.take(f.config.Now()) {
			d.flooded.Store(true)
			f.acknowledge(m)
			continue
		}
		full := len(line) > 0 && waiting.Load()+int64(len(m.Data)) > held
		if !full {
			select {
			case line <- m:
				waiting.Add(int64(len(m.Data)))
			default:
				full = true
			}
		}
		if full { // it says again what is lost; nobody else waits for it here
			if d.logged.may(f.config.Now()) {
				f.config.Log.Warn("message dropped: too many wait", "kiosk", d.name)
			}
			f.acknowledge(m)
		}
	}
}

func (f *Fleet) acknowledge(m broker.Message) {
	if err := m.Ack(); err != nil {
		f.config.Log.Warn("broker takes no acknowledgement", "error", err)
	}
}

// serve deals with one kiosk's messages, each when it is its turn: who waits for room is let in by age. waiting is of the bytes that wait.
func (f *Fleet) serve(ctx context.Context, d *desk, line <-chan broker.Message, room chan struct{}, waiting *atomic.Int64) {
	for {
		select {
		case m := <-line:
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			if d.flooded.Load() {
				d.mu.Lock()
				f.alarm(ctx, d, Flood, fmt.Sprintf("more than %d messages a second: what is too much is dropped", perSecond))
				d.mu.Unlock()
				d.flooded.Store(false)
			}
			f.hear(ctx, d, m)
			<-room
			waiting.Add(-int64(len(m.Data)))
			f.acknowledge(m)
		case <-ctx.Done():
			return
		}
	}
}

// tick sends again what may have been lost on the way.
func (f *Fleet) tick(ctx context.Context) {
	t := time.NewTicker(ticking)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		busy := false // one kiosk finds out for all
		for _, d := range f.all() {
			if !d.mu.TryLock() {
				continue // somebody is at work on it; the others do not wait
			}
			if d.sent > d.greeting.Seq || d.busy && !busy {
				f.pump(ctx, d)
				busy = busy || d.busy
			}
			d.mu.Unlock()
		}
	}
}

func (f *Fleet) all() []*desk {
	f.mu.RLock()
	defer f.mu.RUnlock()
	list := make([]*desk, 0, len(f.desks))
	for _, d := range f.desks {
		list = append(list, d)
	}
	return list
}
