package link

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/sync/link/guard"
)

// Station is where headquarters is, and as whom the kiosk comes there.
type Station struct {
	Broker      string        // host:port; empty: there is no headquarters
	Server      string        // the name that the broker's certificate must have
	Name        string        // of the kiosk: MQTT client id, common name of its certificate, part of its topics
	Certificate [][]byte      // DER: the kiosk's own first
	Authorities [][]byte      // DER: that alone may vouch for the broker
	Key         crypto.Signer // of the certificate; a crypto.MessageSigner is given whole messages
}

// same tells whether a session with s is a session with t.
func (s Station) same(t Station) bool {
	return s.Broker == t.Broker && s.Server == t.Server && s.Name == t.Name &&
		slices.EqualFunc(s.Certificate, t.Certificate, bytes.Equal) && slices.EqualFunc(s.Authorities, t.Authorities, bytes.Equal)
}

// identity is what a Station comes to, checked.
type identity struct {
	own   tls.Certificate
	roots *x509.CertPool
	since time.Time // the kiosk's certificate is good from then on: time cannot be before
}

func (s Station) identity() (id identity, err error) {
	if s.Server == "" || s.Name == "" || len(s.Certificate) == 0 {
		return id, problem(nil, "this kiosk has no certificate of headquarters yet")
	}
	leaf, err := x509.ParseCertificate(s.Certificate[0])
	if err != nil {
		return id, problem(err, "this kiosk's certificate cannot be read")
	}
	if leaf.Subject.CommonName != s.Name {
		return id, problem(nil, "this kiosk's certificate is that of %s", quoted(leaf.Subject.CommonName))
	}
	if key, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || s.Key == nil || !key.Equal(s.Key.Public()) {
		return id, problem(nil, "this kiosk's certificate is for another key than it has")
	}
	id.since, id.roots = leaf.NotBefore, x509.NewCertPool()
	id.own = tls.Certificate{Certificate: s.Certificate, PrivateKey: s.Key, Leaf: leaf}
	for _, der := range s.Authorities {
		ca, err := x509.ParseCertificate(der)
		if err != nil || !ca.IsCA {
			return id, problem(err, "what should vouch for headquarters is no authority's certificate")
		}
		id.roots.AddCert(ca)
	}
	if len(s.Authorities) == 0 {
		return id, problem(nil, "nobody is named who may vouch for headquarters")
	}
	return id, nil
}

// config is TLS 1.3 and nothing below it, with both ends known. asked is set when the broker wanted the kiosk's certificate.
func (s Station) config(id identity, asked *atomic.Bool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: s.Server,
		// The library would send none if the broker's list of authorities does not have ours, and the installer would not learn why he is refused.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked.Store(true)
			return &id.own, nil
		},
		// Verified by VerifyConnection instead, always: the library's own check cannot be told a time that depends on the certificate.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return id.verify(s.Server, cs.PeerCertificates, time.Now()) },
	}
}

// verify checks the broker's certificate. A clock that stands before the kiosk's own certificate was issued is wrong, and must not keep the kiosk from the
// one place that can tell it the time: then dates are not asked. What comes through is verified by the door, whoever brought it.
func (id identity) verify(server string, chain []*x509.Certificate, now time.Time) error {
	opts := x509.VerifyOptions{DNSName: server, Roots: id.roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if len(chain) == 0 || server == "" {
		return errors.New("no certificate to verify, or no name")
	}
	if now.Before(id.since) {
		opts.CurrentTime = chain[0].NotBefore
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opts)
	return err
}

// dial opens the way to the broker and proves both ends.
func dial(ctx context.Context, s Station, p pace) (*guard.Line, error) {
	id, err := s.identity()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(s.Broker)
	if err != nil || host == "" || port == "" {
		return nil, problem(err, "%s is no address of a broker, want host:port", quoted(s.Broker))
	}
	d := net.Dialer{Timeout: p.connect, KeepAlive: -1, Resolver: &net.Resolver{PreferGo: true}, ControlContext: tune(p.answer)}
	tcp, err := d.DialContext(ctx, "tcp", s.Broker)
	if err != nil {
		return nil, unreached(err, s.Broker)
	}
	var asked atomic.Bool
	conn := tls.Client(guard.Prompt{Conn: tcp, Within: p.answer}, s.config(id, &asked))
	within, cancel := context.WithTimeout(ctx, p.connect)
	defer cancel()
	err = conn.HandshakeContext(within)
	if err == nil && !asked.Load() {
		err = problem(nil, "the broker does not ask who this kiosk is: it would take anybody")
	}
	if err != nil {
		tcp.Close()
		return nil, unproven(err, s)
	}
	return guard.New(conn, tcp, guard.Limits{Probe: p.probe, Answer: p.answer, Queue: maxQueue}), nil
}

// sendBuffer is asked of the kernel, bytes; it doubles it for its own bookkeeping. What waits there is not yet sent, and a sign of life waits behind it.
const sendBuffer = 32 << 10

// tune has the kernel give up a connection whose data nobody confirms, and keep little of it.
func tune(answer time.Duration) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, _ string, raw syscall.RawConn) error {
		var err error
		ctl := raw.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(answer.Milliseconds())),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer))
		})
		return errors.Join(ctl, err)
	}
}
