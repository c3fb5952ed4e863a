//go:build !kiosk

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/hq/authority"
)

// impostor is a client that says it is a kiosk: with the certificate and the TPM of another kiosk, as whoever has taken that one over has them, and with a
// certificate that a stolen issuing key made. It must not become the kiosk, nor end its session; under its own name the first is let in.
func (s *site) impostor() error {
	keys, err := authority.LoadServer(s.dir(), time.Now())
	if err != nil {
		return err
	}
	stolen, err := keys.Broker().Client(s.kiosks[0].name, time.Now()) // the name is right, the key is not the TPM's
	if err != nil {
		return err
	}
	victim, taken := s.kiosks[0], s.kiosks[1]
	if err := s.await(time.Minute, victim.door+" is connected", func() error { return s.agreed([]*kiosk{victim}) }); err != nil {
		return err
	}
	session := victim.net.standing()
	taken.rest()
	err = taken.withRoot(func(r *root.Root) error {
		own, err := genuine(r, taken.state())
		if err != nil {
			return err
		}
		if err := s.keptOut(victim.name, own, keys.Pool(), fmt.Sprintf(`kiosk \"%s\" calls itself \"%s\"`, taken.name, victim.name)); err != nil {
			return fmt.Errorf("with another kiosk's certificate: %w", err)
		}
		if err := s.keptOut(victim.name, stolen, keys.Pool(), "certificate is for another key than the kiosk's"); err != nil {
			return fmt.Errorf("with a certificate for another key: %w", err)
		}
		if err := s.greets(taken.name, own, keys.Pool()); err != nil { // or the refusals prove nothing
			return fmt.Errorf("under its own name: %w", err)
		}
		return nil
	})
	if err = errors.Join(err, taken.start()); err != nil {
		return err
	}
	if !maps.Equal(session, victim.net.standing()) {
		return fmt.Errorf("%s was disconnected", victim.door)
	}
	return nil
}

// keptOut wants a client to be turned away, and hq serve to say why.
func (s *site) keptOut(name string, c tls.Certificate, pool *x509.CertPool, why string) error {
	s.serve.said.clear()
	if s.greets(name, c, pool) == nil {
		return errors.New("it was let in")
	}
	return s.await(5*time.Second, fmt.Sprintf("hq serve says %q", why), func() error {
		if !s.serve.said.has(why) {
			return errors.New(s.serve.said.last(3))
		}
		return nil
	})
}

// greets has a client connect to headquarters' broker under a name. nil: it was let in.
func (s *site) greets(name string, c tls.Certificate, pool *x509.CertPool) error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", s.listen, &tls.Config{Certificates: []tls.Certificate{c}, RootCAs: pool, ServerName: host})
	if err != nil {
		return err
	}
	defer conn.Close()
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion, p.ClientIdentifier, p.CleanSession, p.Keepalive = "MQTT", 4, name, true, 30
	if err := errors.Join(conn.SetDeadline(time.Now().Add(5*time.Second)), p.Write(conn)); err != nil {
		return err
	}
	answer, err := packets.ReadPacket(conn)
	if err != nil {
		return err
	}
	if a, ok := answer.(*packets.ConnackPacket); !ok || a.ReturnCode != packets.Accepted {
		return fmt.Errorf("it was answered with %v", answer)
	}
	return nil
}

// genuine is a kiosk's own certificate, with its own key in its TPM.
func genuine(r *root.Root, state string) (c tls.Certificate, err error) {
	place, found, err := root.ReadHeadquarters(state)
	if err == nil && !found {
		err = errors.New("the kiosk knows no headquarters")
	}
	if err != nil {
		return c, err
	}
	public, err := r.TLSPublic()
	return tls.Certificate{Certificate: place.Certificate, PrivateKey: tlsKey{r, public}}, err
}

// tlsKey is a kiosk's TLS key, which signs whole messages and no digests.
type tlsKey struct {
	root   *root.Root
	public *ecdsa.PublicKey
}

func (k tlsKey) Public() crypto.PublicKey { return k.public }

func (k tlsKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("digests are not signed")
}

func (k tlsKey) SignMessage(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	return k.root.SignTLS(message)
}
