package broker

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/lintel-access/lintel/sync/wire"
)

func TestEmbeddedBrokerConforms(t *testing.T) {
	h, dir := newHouse(t), t.TempDir()
	e := h.embedded(dir, anybody)
	conforms(t, h, func() string { return e.Address() }, e, func() Uplink {
		e.Close()
		e = h.embedded(dir, anybody)
		return e
	})
}

// Control: A21
// Control: S1
func TestOnlyAdmittedKiosksConnect(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	barred := name(66)
	e := h.embedded(t.TempDir(), func(kiosk string, c *x509.Certificate) error {
		if kiosk == barred || c.Subject.CommonName != kiosk {
			return errors.New("barred")
		}
		return nil
	})
	_, stays := h.kiosk(e.Address(), name(1))
	for what, o := range map[string]*mqtt.ClientOptions{
		"under the name of another":          h.options(e.Address(), name(1), h.certificate(name(2))),
		"under no name":                      h.options(e.Address(), "", h.certificate(name(2))),
		"who is barred":                      h.options(e.Address(), barred, h.certificate(barred)),
		"with a name that is a wildcard":     h.options(e.Address(), "*", h.certificate("*")),
		"of another house":                   h.options(e.Address(), name(3), other.certificate(name(3))).SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{other.certificate(name(3))}, RootCAs: h.server.Pool()}),
		"without a certificate":              h.options(e.Address(), name(3), tls.Certificate{}).SetTLSConfig(&tls.Config{RootCAs: h.server.Pool()}),
		"with TLS 1.2":                       h.options(e.Address(), name(3), h.certificate(name(3))).SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{h.certificate(name(3))}, RootCAs: h.server.Pool(), MaxVersion: tls.VersionTLS12}),
		"without TLS":                        h.options(e.Address(), name(3), h.certificate(name(3))),
		"with the certificate of the broker": h.options(e.Address(), "127.0.0.1", h.broker),
	} {
		if what == "without TLS" {
			o.Servers = nil
			o.AddBroker("tcp://" + e.Address())
		}
		c := mqtt.NewClient(o)
		if err := wait(c.Connect()); err == nil {
			t.Errorf("a kiosk %s is connected", what)
			c.Disconnect(0)
		}
	}
	// Whoever tried to be kiosk 1 has not ended its session.
	if err := e.Send(t.Context(), name(1), []byte("still there")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stays:
	case <-time.After(5 * time.Second):
		t.Error("an impostor has ended the session of a kiosk")
	}
}

func TestKioskReachesItsOwnTopicsAlone(t *testing.T) {
	h := newHouse(t)
	e := h.embedded(t.TempDir(), anybody)
	evil, down := h.kiosk(e.Address(), name(1))
	_, victim := h.kiosk(e.Address(), name(2))
	for _, topic := range []string{wire.Up(name(2)), wire.Down(name(2)), wire.Down(name(1)), "$JS/API/INFO", "$MQTT/msgs/" + wire.Up(name(2)), "$SYS/REQ/USER/AUTH", "$KV/hq/x"} {
		publish(t, evil, topic, []byte("forged")) // the broker acknowledges what it drops
	}
	silent(t, e)
	for _, topic := range []string{wire.Down(name(2)), wire.Up(name(1)), wire.Up("+"), "#", "lintel/v1/+/down/cmd", "$SYS/#", "$MQTT/sub/#", "$JS/#"} {
		token := evil.Subscribe(topic, 1, nil)
		if err := wait(token); err == nil && token.(*mqtt.SubscribeToken).Result()[topic] != refusedQoS {
			t.Errorf("may read %q", topic)
		}
	}
	if err := e.Send(t.Context(), name(2), []byte("secret")); err != nil {
		t.Fatal(err)
	}
	<-victim
	if len(down)+len(victim) != 0 {
		t.Errorf("%d messages at one kiosk, %d at the other", len(down), len(victim))
	}
}

func TestNothingIsRetained(t *testing.T) {
	h := newHouse(t)
	e := h.embedded(t.TempDir(), anybody)
	c, _ := h.kiosk(e.Address(), name(1))
	if err := wait(c.Publish(wire.Up(name(1)), 1, true, []byte("kept?"))); err != nil {
		t.Fatal(err)
	}
	receive(t, e)
	c.Publish(wire.Up(name(1)), 2, false, []byte("exactly once?")).WaitTimeout(300 * time.Millisecond) // it is never answered
	for stream, want := range map[string]uint64{"$MQTT_rmsgs": 0, "$MQTT_qos2in": 0} {
		s, err := e.JetStream().Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().State.Msgs; got != want {
			t.Errorf("%s holds %d messages", stream, got)
		}
	}
}

// A kiosk that floods fills its own place and nobody else's.
func TestFloodIsTheFloodersOwnTrouble(t *testing.T) {
	h := newHouse(t)
	e := h.embedded(t.TempDir(), anybody)
	evil, _ := h.kiosk(e.Address(), name(1))
	good, _ := h.kiosk(e.Address(), name(2))
	for i := range waiting + 50 {
		if token := evil.Publish(wire.Up(name(1)), 1, false, []byte(fmt.Sprint(i))); !token.WaitTimeout(300 * time.Millisecond) {
			break
		}
	}
	publish(t, good, wire.Up(name(2)), []byte("heard"))
	seen := 0
	for range waiting + 1 {
		m := receive(t, e)
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
		if m.Kiosk == name(2) {
			break
		}
		seen++
	}
	if seen > waiting {
		t.Errorf("%d messages of a flood were kept, at most %d", seen, waiting)
	}
}

func TestKickedKioskIsGone(t *testing.T) {
	h := newHouse(t)
	e := h.embedded(t.TempDir(), anybody)
	o, lost := h.options(e.Address(), name(1), h.certificate(name(1))), make(chan error, 1)
	c := mqtt.NewClient(o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err }))
	if err := wait(c.Connect()); err != nil {
		t.Fatal(err)
	}
	e.Kick(name(2))
	e.Kick(name(1))
	select {
	case <-lost:
	case <-time.After(5 * time.Second):
		t.Error("it is still connected")
	}
}

// A kiosk is barred while it connects, after it was judged and before its connection could be found: it is not there afterwards.
func TestKioskBarredWhileItConnectsIsNotThere(t *testing.T) {
	h := newHouse(t)
	var e *Embedded
	barred := false
	e = h.embedded(t.TempDir(), func(kiosk string, _ *x509.Certificate) error { // one call at a time
		if barred {
			return errors.New("barred")
		}
		barred = true
		e.Kick(kiosk)
		return nil
	})
	c := mqtt.NewClient(h.options(e.Address(), name(1), h.certificate(name(1))))
	if err := wait(c.Connect()); err == nil {
		t.Error("it is connected")
		c.Disconnect(0)
	}
}

// What the broker says at its start is no warning: somebody would learn to overlook those that are.
func TestBrokerHasNothingToWarnOf(t *testing.T) {
	h := newHouse(t)
	var said bytes.Buffer
	e, err := Start(t.Context(), Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", TLS: h.tls(), Admit: anybody, Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if said.Len() > 0 {
		t.Errorf("it says %s", said.Bytes())
	}
}

func TestAddressThatIsTakenIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := newHouse(t)
	for address, says := range map[string]string{"nonsense": "missing port", "127.0.0.1:x": "no number"} {
		if _, err := Start(t.Context(), Config{Dir: t.TempDir(), Listen: address, TLS: h.tls(), Admit: anybody, Log: quiet()}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if e, err := Start(t.Context(), Config{Dir: t.TempDir(), Listen: l.Addr().String(), TLS: h.tls(), Admit: anybody, Log: quiet()}); err == nil {
		e.Close()
		t.Error("started on an address that is taken")
	}
}
