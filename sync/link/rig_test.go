package link

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/lintel-access/lintel/sync/wire"
	"github.com/lintel-access/lintel/tests/broker"
)

// kioskName is what the kiosk of these tests is called.
const kioskName = "00112233445566778899aabbccddeeff"

// hasty is a pace for tests.
var hasty = pace{
	first: 20 * time.Millisecond, most: 100 * time.Millisecond, steady: 10 * time.Second, connect: 3 * time.Second, probe: 300 * time.Millisecond,
	answer: time.Second, confirm: 5 * time.Second, pulse: 20 * time.Millisecond, acknowledge: time.Second, restation: 100 * time.Millisecond, account: 300 * time.Millisecond,
}

// kiosk is a door with a log in memory: record n is the number n, filled up to the size of a real one.
type kiosk struct {
	mu        sync.Mutex
	station   Station
	records   uint64
	cursor    uint64
	batch     uint64 // records in a report
	delivered [][]byte
	refuse    func([]byte) error // what Deliver says
	says      []string           // of Online, "" is online
	fail      error              // of Station
	dropped   []Drops
}

func (k *kiosk) Station(context.Context) (Station, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.station, k.fail
}

func (k *kiosk) Deliver(_ context.Context, envelope []byte) error {
	k.mu.Lock()
	k.delivered = append(k.delivered, slices.Clone(envelope))
	refuse := k.refuse
	k.mu.Unlock()
	if refuse != nil {
		return refuse(envelope)
	}
	return nil
}

func (k *kiosk) Online(_ context.Context, on bool, why string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if on != (why == "") || len(why) > MaxWhy {
		panic("online for a reason, or offline without one, or with one too long: " + why)
	}
	k.says = append(k.says, why)
	return nil
}

func (k *kiosk) Dropped(_ context.Context, n Drops) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropped = append(k.dropped, n)
	return nil
}

// told is all that was dropped, and in how many words.
func (k *kiosk) told() (sum Drops, words int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range k.dropped {
		sum = sum.plus(n)
	}
	return sum, len(k.dropped)
}

func (k *kiosk) Outbox(context.Context) (records, cursor uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.records, k.cursor, nil
}

func (k *kiosk) Fetch(_ context.Context, from uint64) ([]byte, uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := wire.Records{From: from}
	for n := from; n < min(k.records, from+k.batch); n++ {
		r.Records = append(r.Records, binary.BigEndian.AppendUint64(make([]byte, 192), n))
	}
	if len(r.Records) == 0 {
		return nil, from, nil
	}
	data, err := wire.Report(r)
	return data, from + uint64(len(r.Records)), err
}

// change changes the kiosk under its lock.
func (k *kiosk) change(f func(*kiosk)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(k)
}

// last is the newest word of Online, and how many there were.
func (k *kiosk) last() (string, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.says) == 0 {
		return "nothing yet", 0
	}
	return k.says[len(k.says)-1], len(k.says)
}

// whole is a key that signs whole messages and no digests, as the door does.
type whole struct{ crypto.Signer }

func (whole) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("digests are not signed")
}

func (w whole) SignMessage(r io.Reader, m []byte, o crypto.SignerOpts) ([]byte, error) {
	h := o.HashFunc().New()
	h.Write(m)
	return w.Signer.Sign(r, h.Sum(nil), o)
}

// station is that of the kiosk with a certificate of a.
func station(t testing.TB, a *broker.Authority, addr string, change func(*x509.Certificate)) Station {
	leaf := a.Issue(t, kioskName, change)
	return Station{Broker: addr, Server: broker.Server, Name: kioskName, Certificate: [][]byte{leaf.Cert.Raw}, Authorities: [][]byte{a.Cert.Raw}, Key: whole{leaf.Key}}
}

// start runs a carrier in a hurry until the test ends.
func start(t testing.TB, k *kiosk) (c *Carrier, stop func() error) {
	t.Helper()
	c = New(k, t.Logf)
	c.pace = hasty
	return c, run(t, c)
}

func run(t testing.TB, c *Carrier) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Second):
			t.Error("the carrier does not end")
			return nil
		}
	})
	t.Cleanup(func() { stop() })
	return stop
}

// headquarters is a client of the broker that reads what kiosks say.
type headquarters struct {
	client mqtt.Client
	heard  chan []byte
	lossy  bool // its broker loses messages: then a gap is no fault of the kiosk
}

func newHeadquarters(t testing.TB, a *broker.Authority, addr string) *headquarters {
	t.Helper()
	h := &headquarters{heard: make(chan []byte, 4096)}
	conf := &tls.Config{RootCAs: a.Pool(), ServerName: broker.Server, Certificates: []tls.Certificate{a.Issue(t, "headquarters", nil).TLS()}}
	o := mqtt.NewClientOptions().SetClientID("headquarters").SetProtocolVersion(4).SetTLSConfig(conf)
	o.Servers = []*url.URL{{Scheme: "tls", Host: addr}}
	o.SetMaxReconnectInterval(50 * time.Millisecond)
	subscribed := make(chan struct{}, 1)
	o.SetOnConnectHandler(func(c mqtt.Client) {
		token := c.Subscribe(wire.Up(kioskName), 1, func(_ mqtt.Client, m mqtt.Message) { h.heard <- m.Payload() })
		if token.Wait() && token.Error() == nil {
			select {
			case subscribed <- struct{}{}:
			default: // a later connection, which nobody waits for
			}
		}
	})
	h.client = mqtt.NewClient(o)
	if token := h.client.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatalf("headquarters does not reach its broker: %v", token.Error())
	}
	t.Cleanup(func() { h.client.Disconnect(100) })
	select {
	case <-subscribed:
	case <-time.After(10 * time.Second):
		t.Fatal("headquarters' broker does not let it listen")
	}
	return h
}

func (h *headquarters) send(t testing.TB, retained bool, data []byte) {
	t.Helper()
	token := h.client.Publish(wire.Down(kioskName), 1, retained, data)
	if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatalf("headquarters cannot send: %v", token.Error())
	}
}

// eventually waits until something holds.
func eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not within %v: %s", within, what)
}

func (k *kiosk) isOnline() bool {
	why, n := k.last()
	return n > 0 && why == ""
}

// deaf is a listener that takes connections and hands each to f.
func deaf(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	return l.Addr().String()
}
