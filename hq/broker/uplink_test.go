package broker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/sync/wire"
)

// house is headquarters' keys, and kiosks with certificates of theirs.
type house struct {
	t      *testing.T
	server *authority.Server
	broker tls.Certificate
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	if err := authority.Create(filepath.Join(dir, "hq"), filepath.Join(dir, "safe"), time.Now()); err != nil {
		t.Fatal(err)
	}
	s, err := authority.LoadServer(filepath.Join(dir, "hq"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Broker().Server([]string{"127.0.0.1", "localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &house{t, s, c}
}

func (h *house) tls() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{h.broker}, ClientCAs: h.server.Pool()}
}

func name(n int) string { return fmt.Sprintf("%032x", n) }

// certificate is a kiosk's, good from now on.
func (h *house) certificate(kiosk string) tls.Certificate {
	h.t.Helper()
	key, err := authority.CreateKey(filepath.Join(h.t.TempDir(), "k"))
	if err != nil {
		h.t.Fatal(err)
	}
	return h.certify(kiosk, key, time.Now())
}

func (h *house) certify(kiosk string, key *ecdsa.PrivateKey, at time.Time) tls.Certificate {
	h.t.Helper()
	c, err := h.server.Kiosks().Kiosk(kiosk, &key.PublicKey, at)
	if err != nil {
		h.t.Fatal(err)
	}
	return tls.Certificate{Certificate: c.Chain, PrivateKey: key}
}

// options are a kiosk's, as sync/link connects.
func (h *house) options(address, client string, c tls.Certificate) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions().AddBroker("ssl://" + address).SetClientID(client).SetProtocolVersion(4).SetCleanSession(true)
	o.SetAutoReconnect(false).SetConnectTimeout(5 * time.Second).SetOrderMatters(true)
	o.SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{c}, RootCAs: h.server.Pool(), MinVersion: tls.VersionTLS13})
	return o
}

// kiosk connects one, which listens.
func (h *house) kiosk(address, client string) (mqtt.Client, <-chan []byte) {
	h.t.Helper()
	down := make(chan []byte, 64)
	c := mqtt.NewClient(h.options(address, client, h.certificate(client)))
	if err := wait(c.Connect()); err != nil {
		h.t.Fatalf("connect %s: %v", client, err)
	}
	h.t.Cleanup(func() { c.Disconnect(0) })
	token := c.Subscribe(wire.Down(client), 1, func(_ mqtt.Client, m mqtt.Message) { down <- m.Payload() })
	if err := wait(token); err != nil || token.(*mqtt.SubscribeToken).Result()[wire.Down(client)] != 1 {
		h.t.Fatalf("subscribe %s: %v", client, err)
	}
	return c, down
}

func wait(t mqtt.Token) error {
	if !t.WaitTimeout(10 * time.Second) {
		return errors.New("no answer")
	}
	return t.Error()
}

func publish(t *testing.T, c mqtt.Client, topic string, data []byte) {
	t.Helper()
	if err := wait(c.Publish(topic, 1, false, data)); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, u Uplink) Message {
	t.Helper()
	return receiveWithin(t, u, 10*time.Second)
}

func receiveWithin(t *testing.T, u Uplink, d time.Duration) Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	m, err := u.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func silent(t *testing.T, u Uplink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if m, err := u.Receive(ctx); err == nil {
		t.Errorf("%d bytes of %q arrived", len(m.Data), m.Kiosk)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (h *house) embedded(dir string, admit func(string, *x509.Certificate) error) *Embedded {
	h.t.Helper()
	e, err := Start(h.t.Context(), Config{Dir: dir, Listen: "127.0.0.1:0", TLS: h.tls(), Admit: admit, Log: quiet()})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(e.Close)
	return e
}

func anybody(string, *x509.Certificate) error { return nil }

// conforms holds an uplink to what headquarters relies on. restart ends it and makes another on the same state.
func conforms(t *testing.T, h *house, address func() string, u Uplink, restart func() Uplink) {
	one, two := name(1), name(2)
	a, downA := h.kiosk(address(), one)
	_, downB := h.kiosk(address(), two)

	large := bytes.Repeat([]byte{7}, wire.MaxMessage)
	for _, body := range [][]byte{[]byte("first"), {}, large} {
		publish(t, a, wire.Up(one), body)
		m := receive(t, u)
		if m.Kiosk != one || !bytes.Equal(m.Data, body) {
			t.Fatalf("got %d bytes of %q, want %d of %q", len(m.Data), m.Kiosk, len(body), one)
		}
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
	}

	for _, body := range [][]byte{[]byte("command"), large} {
		if err := u.Send(t.Context(), one, body); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-downA:
			if !bytes.Equal(got, body) {
				t.Errorf("a kiosk got %d bytes of %d", len(got), len(body))
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a command did not arrive")
		}
	}
	if len(downB) != 0 {
		t.Error("a kiosk got what was for another")
	}
	if err := u.Send(t.Context(), "../"+one, nil); err == nil {
		t.Error("sent to what is no name")
	}
	if err := u.Send(t.Context(), one, append(large, 0)); err == nil {
		t.Error("sent what is too large")
	}
	if err := u.Send(t.Context(), name(99), []byte("nobody")); err != nil {
		t.Errorf("a kiosk that is away is no error: %v", err)
	}

	// What was not acknowledged comes again after headquarters has started anew.
	publish(t, a, wire.Up(one), []byte("twice"))
	first := receive(t, u)
	if _, same := u.(*Embedded); string(first.Data) != "twice" || same == first.Stored.IsZero() || time.Since(first.Stored) > time.Minute && same {
		t.Fatalf("got %q, stored %v", first.Data, first.Stored)
	}
	u = restart()
	if m := receive(t, u); string(m.Data) != "twice" || m.Kiosk != one || !m.Stored.Equal(first.Stored) {
		t.Errorf("got %q of %q, stored %v and then %v", m.Data, m.Kiosk, first.Stored, m.Stored)
	} else if err := m.Ack(); err != nil {
		t.Error(err)
	}
	silent(t, u)
}

func TestNamesOfKiosks(t *testing.T) {
	for s, want := range map[string]bool{
		name(1): true, "": false, "kiosk-7": false, strings.ToUpper(name(0xabc)): false, name(1) + "0": false,
		"+": false, "#": false, strings.Repeat(".", 32): false, strings.Repeat("*", 32): false,
	} {
		if got := ValidName(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	for topic, want := range map[string]string{
		wire.Up(name(1)): name(1), wire.Down(name(1)): "", wire.Up("+"): "", wire.Up(name(1)) + "/more": "", "x" + wire.Up(name(1)): "", "": "",
	} {
		if got, ok := sender(topic); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", topic, got, ok)
		}
	}
}
