package main

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/roster"
	"github.com/lintel-access/lintel/sync/wire"
)

// centre is a headquarters of these tests, with a kiosk on a software TPM and the link between them.
type centre struct {
	t      *testing.T
	state  string
	socket string // of the TPM
	image  root.Measurements
	owner  tpm.Secrets
	now    int64 // Unix seconds
	keys   map[string]*ecdsa.PrivateKey
	ca     *x509.Certificate
	bundle [32]byte
	id     [32]byte
	door   string       // as configure tells it
	bend   func(*kiosk) // before it is furnished, unless nil

	*running
	link *ipc.Client

	before  []byte // the newest command
	seq     uint64
	mu      sync.Mutex
	reports [][]byte // that nobody has waited for
	told    [][]byte // all reports
	came    chan struct{}
}

func newCentre(t *testing.T) *centre {
	t.Helper()
	calibration, err := model.DefaultCalibration()
	if err != nil {
		t.Fatal(err)
	}
	c := &centre{
		t: t, state: stateFolder(t), image: root.Measurements{{1}, {2}, {3}, {4}}, now: time.Now().Unix(), keys: map[string]*ecdsa.PrivateKey{},
		bundle: calibration.Bundle, came: make(chan struct{}, 1),
	}
	for _, name := range []string{"root", "server", "enroller", "administrator", "releaser", "stranger", "ca"} {
		if c.keys[name], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &c.keys["ca"].PublicKey, c.keys["ca"])
	if err == nil {
		c.ca, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.owner = tpm.NewSecrets()
	c.socket, c.keys["release"] = chipOf(t, c.state, c.image, c.owner)
	id, err := root.Load(c.state)
	if err != nil {
		t.Fatal(err)
	}
	c.id = id.Kiosk()
	return c
}

// configure writes what `door headquarters` writes, under the root of that name.
func (c *centre) configure(by string) {
	c.t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(&c.keys[by].PublicKey)
	if err == nil {
		err = root.WriteHeadquarters(c.state, root.Headquarters{
			Root: spki, Broker: "hq.example:8883", Server: "hq.example", Trust: c.sign(by, wire.Fleet(), c.trust(1)), Certificate: [][]byte{c.ca.Raw}, Door: c.door,
		})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *centre) trust(version uint64) wire.Trust {
	t := wire.Trust{Version: version, Issued: c.now, Authorities: [][]byte{c.ca.Raw}}
	for role, name := range []string{1: "server", 2: "enroller", 3: "administrator", 4: "releaser"} {
		if name == "" {
			continue
		}
		spki, err := x509.MarshalPKIXPublicKey(&c.keys[name].PublicKey)
		if err != nil {
			c.t.Fatal(err)
		}
		t.Grants = append(t.Grants, wire.Grant{Role: wire.Role(role), Key: spki, Name: name, From: c.now - 1000, Until: c.now + 100_000})
	}
	return t
}

func (c *centre) sign(by string, audience [32]byte, body wire.Body) []byte {
	c.t.Helper()
	data, err := wire.Sign(c.keys[by], audience, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return data
}

// start starts the kiosk, and link.
func (c *centre) start() {
	c.t.Helper()
	b, g := groundAgain(c.t, c.socket, c.state, c.image)
	bend := c.bend
	if bend == nil {
		bend = func(*kiosk) {}
	}
	c.running = standUnder(c.t, b, g, bend, c.t.Logf)
	conn, err := ipc.DialWithin(c.t.Context(), 5*time.Second, filepath.Join(c.run, ipc.Link.Socket()), ipc.Link, os.Geteuid())
	if err != nil {
		c.t.Fatal(err)
	}
	c.link = ipc.NewClient(conn, func(m ipc.Message) {
		var r ipc.Report
		if m.Kind == ipc.KindReport && ipc.Decode(m, &r) == nil {
			c.mu.Lock()
			c.reports, c.told = append(c.reports, r.Data), append(c.told, r.Data)
			c.mu.Unlock()
			select {
			case c.came <- struct{}{}:
			default:
			}
		}
	})
	go c.link.Run(c.t.Context())
}

func (c *centre) call(kind ipc.Kind, body, answer any) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	return c.link.Call(ctx, kind, body, answer)
}

// bring has link bring an envelope.
func (c *centre) bring(data []byte) error {
	return c.call(ipc.KindEnvelope, ipc.Envelope{Data: data}, nil)
}

// report waits for the next report of a kind, newer ones included.
func report[T wire.Body](c *centre) T {
	c.t.Helper()
	var want T
	for end := time.After(10 * time.Second); ; {
		c.mu.Lock()
		for i := len(c.reports) - 1; i >= 0; i-- {
			if kind, err := wire.Reported(c.reports[i]); err == nil && kind == want.Kind() {
				got, err := wire.Read[T](c.reports[i])
				if err != nil {
					c.t.Fatal(err)
				}
				c.reports = nil
				c.mu.Unlock()
				return got
			}
		}
		c.mu.Unlock()
		select {
		case <-c.came:
		case <-end:
			c.t.Fatalf("no %v came", want.Kind())
		}
	}
}

// greeting has the kiosk greet.
func (c *centre) greeting() wire.Greeting {
	c.t.Helper()
	c.mu.Lock()
	c.reports = nil
	c.mu.Unlock()
	if err := c.call(ipc.KindOnline, ipc.Online{On: true}, nil); err != nil {
		c.t.Fatal(err)
	}
	return report[wire.Greeting](c)
}

// answer tells the time, which ends a greeting.
func (c *centre) answer(g wire.Greeting, at int64) error {
	return c.bring(c.sign("server", c.id, c.time(g, at)))
}

func (c *centre) time(g wire.Greeting, at int64) wire.Time {
	return wire.Time{Nonce: g.Nonce, Now: at * 1000, Seq: g.Seq, Head: g.Head, Trust: g.Trust}
}

// chain makes the next command of these orders, sealed to the kiosk's key of a number; 0: in the clear.
func (c *centre) chain(exchange uint32, orders ...[]byte) []byte {
	c.t.Helper()
	body := wire.Command{Seq: c.seq + 1, Content: wire.ContentOf(orders), Orders: orders}
	if c.before != nil {
		b, err := wire.Open[wire.Command](c.before, &c.keys["server"].PublicKey, c.id)
		if err != nil {
			c.t.Fatal(err)
		}
		body.Previous = b.Link(c.id)
	}
	if exchange != 0 {
		plain, err := wire.Orders(orders)
		if err != nil {
			c.t.Fatal(err)
		}
		var blob []byte
		for _, k := range c.exchangeKeys() {
			if k.Number == exchange {
				blob = k.Blob
			}
		}
		to := c.exchangePublic(exchange, blob)
		body.Orders, body.Exchange = nil, exchange
		if body.Sealed, err = (wire.Sealing{Kiosk: c.id, Kind: wire.KindCommand, Seq: body.Seq, Exchange: exchange}).Seal(to, plain); err != nil {
			c.t.Fatal(err)
		}
	}
	return c.sign("server", c.id, body)
}

// exchangeKeys are those that the kiosk has.
func (c *centre) exchangeKeys() []exchangeKey {
	c.hq.mu.Lock()
	defer c.hq.mu.Unlock()
	return slices.Clone(c.hq.keys)
}

// stands is how far the kiosk's stream has come.
func (c *centre) stands() roster.State {
	c.hq.mu.Lock()
	defer c.hq.mu.Unlock()
	return c.hq.roster.State()
}

// give brings the next command, which must be applied.
func (c *centre) give(exchange uint32, orders ...[]byte) {
	c.t.Helper()
	command := c.chain(exchange, orders...)
	if err := c.bring(command); err != nil {
		c.t.Fatal(err)
	}
	c.before, c.seq = command, c.seq+1
}

// enrolment is somebody with a reference along each axis.
func (c *centre) enrolment(person access.PersonID, generation uint64, axes ...int) []byte {
	var refs [][]byte
	for _, axis := range axes {
		ref := make([]byte, wire.ReferenceBytes)
		for i, x := range direction(axis) {
			binary.LittleEndian.PutUint32(ref[4*i:], math.Float32bits(x))
		}
		refs = append(refs, ref)
	}
	return c.sign("enroller", wire.Fleet(), wire.Enrolment{
		Person: person, Generation: generation, Bundle: c.bundle, References: refs, Until: c.now + 90_000, Groups: []string{"staff"},
		Consent: "C-1", Proofing: [32]byte{1}, Issued: c.now,
	})
}

func (c *centre) admin(body wire.Body) []byte { return c.sign("administrator", c.id, body) }

// find is who is found by a probe.
func (c *centre) find(axis int) access.Candidate {
	c.t.Helper()
	found, err := c.gallery.Search(direction(axis), c.bundle)
	if err != nil {
		c.t.Fatal(err)
	}
	if !(found.Score > 0.99) {
		return access.Candidate{}
	}
	return found
}

// count is how often an event is among the newest records.
func (c *centre) count(e access.Event) (n int) {
	c.t.Helper()
	records, err := tail(c.audit, tailRecords)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range records {
		if r.Event == e {
			n++
		}
	}
	return n
}

func (c *centre) wantCount(e access.Event, want int) {
	c.t.Helper()
	if got := c.count(e); got != want {
		c.t.Errorf("%q is on record %d times, want %d", e, got, want)
	}
}

func bent(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)-1]++
	return data
}

// fork is another command in the place of one, by the same server.
func (c *centre) fork(command []byte) []byte {
	c.t.Helper()
	b, err := wire.Open[wire.Command](command, &c.keys["server"].PublicKey, c.id)
	if err != nil {
		c.t.Fatal(err)
	}
	b.Previous[0]++
	return c.sign("server", c.id, b)
}

// exchangePublic is the public half of an exchange key, as headquarters learns it.
func (c *centre) exchangePublic(number uint32, blob []byte) *ecdh.PublicKey {
	c.t.Helper()
	e, err := c.root.CertifyExchange(number, blob)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.verified(e)
}

// verified checks an exchange key as headquarters does.
func (c *centre) verified(e wire.Exchange) *ecdh.PublicKey {
	c.t.Helper()
	id := c.root.Identity()
	attestation, err := wire.ParseKey(id.Attestation)
	if err != nil {
		c.t.Fatal(err)
	}
	release, err := wire.ParseKey(id.Release)
	if err != nil {
		c.t.Fatal(err)
	}
	nonce := wire.CertifyNonce(c.id, wire.ExchangeKey, e.Number)
	key, err := tpm.VerifyKey(attestation, nonce[:], tpm.Exchange, e.Blob, tpm.Authority{Release: release, Board: id.Device[:]}, tpm.Attestation{Body: e.Attestation, Signature: e.Signature})
	if err != nil {
		c.t.Fatal(err)
	}
	to, err := key.ECDH()
	if err != nil {
		c.t.Fatal(err)
	}
	return to
}
