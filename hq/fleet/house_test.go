package fleet

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/hq/store"
	"github.com/lintel-access/lintel/sync/wire"
)

// air is an uplink in memory.
type air struct {
	up   chan broker.Message
	mu   sync.Mutex
	down map[string]chan []byte // of kiosks that listen
	mute map[string]bool        // what is sent to them is lost
}

func newAir() *air {
	return &air{up: make(chan broker.Message, 4096), down: map[string]chan []byte{}, mute: map[string]bool{}}
}

func (a *air) Receive(ctx context.Context) (broker.Message, error) {
	select {
	case m := <-a.up:
		return m, nil
	case <-ctx.Done():
		return broker.Message{}, ctx.Err()
	}
}

func (a *air) Send(_ context.Context, name string, envelope []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.down[name]; c != nil && !a.mute[name] {
		select {
		case c <- envelope:
		default: // it does not listen
		}
	}
	return nil
}

func (a *air) silence(name string, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mute[name] = on
}

// shelf is biometric content in memory.
type shelf struct {
	mu     sync.Mutex
	held   map[[32]byte][]byte
	queue  [][32]byte
	groups map[[32]byte]string // of orders in the queue
	needs  []Need              // that were asked for
	busy   bool
}

func (s *shelf) put(envelope []byte) [32]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref := sha256.Sum256(envelope)
	s.held[ref] = envelope
	return ref
}

func (s *shelf) destroy(ref [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[ref] = nil
}

func (s *shelf) Content(ref [32]byte) ([]byte, bool, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return nil, false, false, fmt.Errorf("read: %w", ErrBusy)
	}
	e, known := s.held[ref]
	if !known {
		return nil, false, false, fmt.Errorf("nothing is known of it: %w", fs.ErrNotExist)
	}
	return append([]byte(nil), e...), e == nil, true, nil
}

// After gives every kiosk three orders of the queue at a time; those that are in no group, whatever it needs.
func (s *shelf) After(need Need, n uint64, most int) (wanted [][32]byte, next uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return nil, n, fmt.Errorf("read: %w", ErrBusy)
	}
	s.needs = append(s.needs, need)
	orders := s.queue[min(n, uint64(len(s.queue))):]
	orders = orders[:min(3, most, len(orders))]
	for _, o := range orders {
		group, grouped := s.groups[o]
		if !grouped && !need.Anew || grouped && slices.Contains(need.Groups, group) && !(need.Anew && slices.Contains(need.Had, group)) {
			wanted = append(wanted, o)
		}
	}
	return wanted, n + uint64(len(orders)), nil
}

// disk is a store that fails to write when it is told to.
type disk struct {
	Store
	fails atomic.Pointer[func(key string) error] // nil: nothing does
}

func (d *disk) Put(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	if fails := d.fails.Load(); fails != nil {
		if err := (*fails)(key); err != nil {
			return 0, err
		}
	}
	return d.Store.Put(ctx, key, data, revision)
}

// house is headquarters with its state on a disk.
type house struct {
	t        *testing.T
	dir      string
	safe     string
	server   *authority.Server
	live     atomic.Pointer[authority.Server] // the same, for the broker
	operator *ecdsa.PrivateKey                // enroller, administrator and releaser
	broker   *broker.Embedded
	uplink   broker.Uplink
	air      *air
	shelf    *shelf
	disk     disk
	ledger   Ledger
	fleet    *Fleet
	mu       sync.Mutex
	kicked   []string // since headquarters was started
	clock    func() time.Time
	later    atomic.Int64 // nanoseconds
	mended   bool         // its clock
	stop     func()
}

// newHouse starts headquarters; its kiosks are reached through the air, or with over through the broker.
func newHouse(t *testing.T, over bool) *house {
	t.Helper()
	base := t.TempDir()
	h := &house{t: t, dir: filepath.Join(base, "hq"), safe: filepath.Join(base, "safe"), air: newAir(), shelf: &shelf{held: map[[32]byte][]byte{}, groups: map[[32]byte]string{}}, clock: time.Now}
	if err := authority.Create(h.dir, h.safe, time.Now()); err != nil {
		t.Fatal(err)
	}
	h.operator = key(t)
	o, err := authority.OpenOffline(h.dir, h.safe)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []wire.Role{wire.RoleEnroller, wire.RoleAdministrator, wire.RoleReleaser} {
		if err := o.Change(time.Now(), authority.Admit(r, "Ada", &h.operator.PublicKey, time.Now(), time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	h.load()
	h.start(over)
	t.Cleanup(func() { h.stop() })
	return h
}

func (h *house) load() {
	h.t.Helper()
	var err error
	if h.server, err = authority.LoadServer(h.dir, time.Now()); err != nil {
		h.t.Fatal(err)
	}
	h.live.Store(h.server)
}

// shows is the broker's side of a handshake, by the Trust of that moment.
func (h *house) shows(*tls.ClientHelloInfo) (*tls.Config, error) {
	s := h.live.Load()
	c, err := s.Broker().Server([]string{"127.0.0.1"}, time.Now())
	return &tls.Config{Certificates: []tls.Certificate{c}, ClientCAs: s.Pool()}, err
}

func (h *house) start(over bool) {
	h.t.Helper()
	log := slog.New(slog.DiscardHandler)
	b, err := broker.Start(h.t.Context(), broker.Config{Dir: filepath.Join(h.dir, "state"), Listen: "127.0.0.1:0", Log: log,
		TLS:   &tls.Config{GetConfigForClient: h.shows},
		Admit: func(name string, c *x509.Certificate) error { return h.fleet.Admit(name, c) }})
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := store.Open(h.t.Context(), b.JetStream())
	if err != nil {
		h.t.Fatal(err)
	}
	h.broker, h.uplink = b, h.air
	if over {
		h.uplink = b
	}
	h.disk.Store = s
	h.kicked = nil
	kick := func(name string) { h.mu.Lock(); h.kicked = append(h.kicked, name); h.mu.Unlock(); b.Kick(name) }
	h.fleet, err = Open(h.t.Context(), Config{Store: &h.disk, Uplink: h.uplink, Server: h.server, People: h.shelf, Ledger: h.ledger, Kick: kick, Log: log,
		Exchange: func(_ [32]byte, attestation, _ []byte, e wire.Exchange) ([]byte, error) {
			if string(e.Attestation) != "attested" {
				return nil, errors.New("not attested")
			}
			return e.Blob, nil
		},
		ClockMended: h.mended,
		Now:         func() time.Time { return h.clock().Add(time.Duration(h.later.Load())) }})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.fleet.Run(ctx) }()
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("fleet ended with %v", err)
		}
		b.Close()
		h.stop = func() {}
	}
}

// skip has headquarters' clock go on.
func (h *house) skip(d time.Duration) { h.later.Add(int64(d)) }

// restart ends headquarters and starts it again.
func (h *house) restart() {
	h.t.Helper()
	h.stop()
	h.start(h.uplink != broker.Uplink(h.air))
}

// enrolment is a biometric order of the operator.
func (h *house) enrolment(n byte) [32]byte {
	h.t.Helper()
	e := wire.Enrolment{Person: [16]byte{n, 1}, Generation: 1, Bundle: [32]byte{1}, References: [][]byte{make([]byte, wire.ReferenceBytes), make([]byte, wire.ReferenceBytes), make([]byte, wire.ReferenceBytes)},
		Until: time.Now().Add(time.Hour).Unix(), Consent: "contract", Proofing: [32]byte{2}, Issued: time.Now().Unix()}
	return h.shelf.put(h.sign(wire.Fleet(), e))
}

func (h *house) sign(audience [32]byte, body wire.Body) []byte {
	h.t.Helper()
	data, err := wire.Sign(h.operator, audience, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return data
}
