package fleet

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/broker"
	"github.com/lintel-access/lintel/sync/wire"
)

// double is a kiosk that does with the stream what a kiosk must.
type double struct {
	t           *testing.T
	h           *house
	id          [32]byte
	name        string
	tls         *ecdsa.PrivateKey
	exchange    *ecdh.PrivateKey
	number      uint32
	record      Kiosk
	certificate wire.Certificate
	down        chan []byte
	up          func([]byte)

	mu      sync.Mutex
	seq     uint64
	head    [32]byte
	orders  map[[32]byte]int // orders that arrived, how often
	order   [][32]byte       // in this order
	when    map[[32]byte]time.Time
	empty   int // commands that carried nothing
	times   int
	trust   uint64
	asks    []wire.Ask
	renewed int
	acks    []wire.Acknowledge
	refused []error
}

// introduce makes a kiosk known.
func (h *house) introduce(door string) *double {
	h.t.Helper()
	k := newDouble(h.t, h)
	if err := k.enter(door); err != nil {
		h.t.Fatal(err)
	}
	return k
}

// newDouble is a kiosk that nobody knows yet.
func newDouble(t *testing.T, h *house) *double {
	t.Helper()
	k := &double{t: h.t, h: h, tls: key(h.t), number: 1, orders: map[[32]byte]int{}, when: map[[32]byte]time.Time{}, trust: h.server.Trust.Version}
	attestation, err := spki(&key(h.t).PublicKey)
	if err != nil {
		h.t.Fatal(err)
	}
	k.id = wire.KioskID(wire.DeviceID(attestation), attestation)
	k.name = wire.Name(k.id)
	public, err := spki(&k.tls.PublicKey)
	if err != nil {
		h.t.Fatal(err)
	}
	k.record = Kiosk{ID: k.id, Attestation: attestation, Release: attestation, Audit: attestation, TLS: public, Exchange: Exchange{Number: 1, Key: k.newExchange()}}
	return k
}

func (k *double) enter(door string) (err error) {
	k.certificate, err = k.h.fleet.admit(k.t.Context(), k.record, door, "")
	return err
}

func (k *double) newExchange() []byte {
	k.t.Helper()
	e := key(k.t)
	public, err := spki(&e.PublicKey)
	if err != nil {
		k.t.Fatal(err)
	}
	if k.exchange, err = e.ECDH(); err != nil {
		k.t.Fatal(err)
	}
	return public
}

// listen has the kiosk live in the air.
func (k *double) listen() {
	k.h.air.mu.Lock()
	k.down = make(chan []byte, 4096)
	k.h.air.down[k.name] = k.down
	k.h.air.mu.Unlock()
	k.up = func(data []byte) {
		k.h.air.up <- broker.Message{Kiosk: k.name, Data: data, Ack: func() error { return nil }}
	}
	done := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		for {
			select {
			case e := <-k.down:
				k.take(e)
			case <-ctx.Done():
				return
			}
		}
	}()
	k.t.Cleanup(func() { stop(); <-done })
}

func (k *double) say(body wire.Body) {
	data, err := wire.Report(body)
	if err != nil {
		k.t.Error(err)
		return
	}
	k.up(data)
}

func (k *double) greet() {
	k.mu.Lock()
	g := wire.Greeting{Seq: k.seq, Head: k.head, Trust: k.trust, Exchange: k.number, Boot: 1, Door: "front"}
	k.mu.Unlock()
	rand.Read(g.Nonce[:])
	k.say(g)
}

// take does what a kiosk does with an envelope of headquarters.
func (k *double) take(envelope []byte) {
	claim, err := wire.Peek(envelope)
	if err == nil {
		k.mu.Lock()
		err = k.open(claim.Kind, envelope)
		k.mu.Unlock()
	}
	if err != nil {
		k.mu.Lock()
		k.refused = append(k.refused, err)
		k.mu.Unlock()
	} else if claim.Kind == wire.KindCommand {
		k.greet()
	}
}

func (k *double) open(kind wire.Kind, envelope []byte) error {
	server := &k.h.server.Key.PublicKey
	switch kind {
	case wire.KindTrust:
		t, err := authority.OpenTrust(envelope, k.h.server.Root)
		k.trust = max(k.trust, t.Version)
		return err
	case wire.KindTime:
		k.times++
		_, err := wire.Open[wire.Time](envelope, server, k.id)
		return err
	case wire.KindAsk:
		a, err := wire.Open[wire.Ask](envelope, server, k.id)
		k.asks = append(k.asks, a)
		return err
	case wire.KindAcknowledge:
		a, err := wire.Open[wire.Acknowledge](envelope, server, k.id)
		k.acks = append(k.acks, a)
		return err
	case wire.KindCertificate:
		k.renewed++
		_, err := wire.Open[wire.Certificate](envelope, server, k.id)
		return err
	case wire.KindRelease, wire.KindBegin:
		k.order = append(k.order, sha256.Sum256(envelope))
		return nil
	case wire.KindCommand:
		c, err := wire.Open[wire.Command](envelope, server, k.id)
		if err != nil || c.Seq <= k.seq {
			return err
		}
		if c.Seq != k.seq+1 || c.Previous != k.head {
			return errors.New("a gap")
		}
		orders := c.Orders
		if c.Exchange != 0 {
			if c.Exchange != k.number {
				return errors.New("sealed to a key that is gone")
			}
			plain, err := wire.Sealing{Kiosk: k.id, Kind: wire.KindCommand, Seq: c.Seq, Exchange: c.Exchange}.Open(k.exchange, c.Sealed)
			if err != nil {
				return err
			}
			if orders, err = wire.ParseOrders(plain); err != nil {
				return err
			}
			if wire.ContentOf(orders) != c.Content {
				return errors.New("another content than the chain names")
			}
		}
		if len(orders) == 0 {
			k.empty++
		}
		for _, o := range orders {
			ref := sha256.Sum256(o)
			k.orders[ref]++
			k.order = append(k.order, ref)
			k.when[ref] = time.Now()
		}
		k.seq, k.head = c.Seq, c.Link(k.id)
		return nil
	}
	return errors.New("what is that?")
}

// until waits for something to be true of the kiosk.
func (k *double) until(what string, ok func() bool) {
	k.t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		k.mu.Lock()
		is := ok()
		k.mu.Unlock()
		if is {
			return
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.t.Fatalf("%s: never; it stands at %d, refused %v", what, k.seq, k.refused)
}
