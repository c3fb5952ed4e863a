package fleet

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/sync/link"
	"github.com/lintel-access/lintel/sync/wire"
)

// linked is a kiosk behind its real link: it believes what the fleet root and headquarters have signed, and nobody else.
type linked struct {
	*double
	root    *ecdsa.PublicKey
	carrier *link.Carrier

	mu     sync.Mutex
	trust  wire.Trust
	chain  [][]byte
	online int // times that it came online
	times  int
	why    string
	failed error
}

func newLinked(t *testing.T, h *house) *linked {
	t.Helper()
	k := &linked{double: h.introduce("front"), root: h.server.Root, trust: h.server.Trust}
	k.chain = k.certificate.Chain
	k.carrier = link.New(k, t.Logf)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.carrier.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-done })
	return k
}

func (k *linked) Station(context.Context) (link.Station, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return link.Station{Broker: k.h.broker.Address(), Server: "127.0.0.1", Name: k.name, Certificate: k.chain, Authorities: k.trust.Authorities, Key: k.tls}, nil
}

func (k *linked) Deliver(_ context.Context, envelope []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.take(envelope); err != nil {
		k.failed = errors.Join(k.failed, err)
	}
	return nil
}

func (k *linked) Dropped(context.Context, link.Drops) error { return nil }

func (k *linked) take(envelope []byte) error {
	claim, err := wire.Peek(envelope)
	if err != nil {
		return err
	}
	if claim.Kind == wire.KindTrust {
		t, err := authority.OpenTrust(envelope, k.root)
		if err == nil && t.Version > k.trust.Version {
			k.trust = t
		}
		return err
	}
	g, err := k.trust.Grant(claim.Key, claim.Kind, time.Now().Unix())
	if err != nil {
		return err
	}
	server, err := wire.ParseKey(g.Key)
	if err != nil {
		return err
	}
	switch claim.Kind {
	case wire.KindTime:
		_, err = wire.Open[wire.Time](envelope, server, k.id)
		k.times++
	case wire.KindCertificate:
		var c wire.Certificate
		if c, err = wire.Open[wire.Certificate](envelope, server, k.id); err == nil {
			k.chain = c.Chain
		}
	}
	return err
}

func (k *linked) Online(_ context.Context, on bool, why string) error {
	k.mu.Lock()
	k.why = why
	if on {
		k.online++
	}
	k.mu.Unlock()
	if on {
		k.greet()
	}
	return nil
}

func (k *linked) greet() {
	k.mu.Lock()
	g := wire.Greeting{Trust: k.trust.Version, Exchange: 1, Boot: 1, Door: "front"}
	k.mu.Unlock()
	rand.Read(g.Nonce[:])
	data, err := wire.Report(g)
	if err != nil {
		panic(err) // a greeting can be encoded
	}
	k.carrier.Report(data)
}

func (*linked) Outbox(context.Context) (records, cursor uint64, err error) { return 0, 0, nil }

func (*linked) Fetch(_ context.Context, from uint64) ([]byte, uint64, error) { return nil, from, nil }

func (k *linked) until(what string, ok func() bool) {
	k.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		k.mu.Lock()
		is := ok()
		k.mu.Unlock()
		if is {
			return
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.t.Fatalf("%s: never; it was online %d times, says %q, failed %v", what, k.online, k.why, k.failed)
}

// again has the kiosk connect anew, and be told the time.
func (k *linked) again() {
	k.t.Helper()
	k.mu.Lock()
	online, times := k.online, k.times
	k.mu.Unlock()
	k.h.broker.Kick(k.name)
	k.until("online again, and told the time", func() bool { return k.online > online && k.times > times })
}

// change has the safe change something, and headquarters take it up.
func (h *house) change(do func(*authority.Offline) error) {
	h.t.Helper()
	o, err := authority.OpenOffline(h.dir, h.safe)
	if err == nil {
		err = do(o)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.load()
	if err := h.fleet.Serve(h.t.Context(), h.server); err != nil {
		h.t.Fatal(err)
	}
}

// Headquarters' authority, its issuing key and its server's key are replaced, one after the other, under a kiosk that is connected by its real link over
// the real broker: it never needs a hand. What the old ones vouched for is worth nothing in the end.
//
// Control: A21
func TestEveryKeyOfHeadquartersIsReplaced(t *testing.T) {
	h := newHouse(t, true)
	k := newLinked(t, h)
	k.until("online, and told the time", func() bool { return k.online == 1 && k.times == 1 })
	first := k.chain

	h.change(func(o *authority.Offline) error { return o.AddAuthority(time.Now()) })
	k.until("a trust with both", func() bool { return len(k.trust.Authorities) == 2 })
	h.skip(renewAgain)
	k.greet()
	k.until("a certificate of the second", func() bool { return issuedBy(t, k.chain, h.server.Kiosks()) })
	k.again() // at a broker that still shows the first's, with a certificate of the second's
	h.change(func(o *authority.Offline) error { return o.DropAuthority(time.Now()) })
	k.until("a trust with the second alone", func() bool { return len(k.trust.Authorities) == 1 })
	k.again()

	h.change(func(o *authority.Offline) error { return o.RenewServer(time.Now()) })
	k.again() // what is signed by the new key is believed, for the trust came before it
	k.mu.Lock()
	if k.failed != nil {
		t.Errorf("it refused %v", k.failed)
	}
	k.mu.Unlock()

	c := tls.Client(dialed(t, h.broker.Address()), &tls.Config{MinVersion: tls.VersionTLS13, ServerName: "127.0.0.1", RootCAs: h.server.Pool(),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: first, PrivateKey: k.tls}, nil
		}})
	defer c.Close()
	err := c.Handshake()
	if err == nil {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "unknown certificate authority") {
		t.Errorf("a certificate of the first authority: %v", err)
	}
}

func issuedBy(t *testing.T, chain [][]byte, i authority.Issuer) bool {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(leaf.AuthorityKeyId) == string(i.Issuing.SubjectKeyId)
}

func dialed(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
