package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/sync/wire"
)

// cluster is NATS servers of a house, set up as hq cluster says and in nothing else: 127.0.0.1 to 127.0.0.3.
type cluster struct {
	h       *house
	key     ClusterKey
	hosts   []string
	files   []string // settings
	servers []*server.Server
	ports   map[int]int // by the port of the settings
}

func (h *house) cluster(n int) *cluster {
	h.t.Helper()
	c := &cluster{h: h, key: NewClusterKey(), servers: make([]*server.Server, n), ports: map[int]int{}}
	for i := range n {
		c.hosts = append(c.hosts, fmt.Sprintf("127.0.0.%d", i+1))
	}
	var taken []net.Listener
	for _, p := range []int{PortNATS, PortMQTT, PortRoute} {
		l, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			h.t.Fatal(err)
		}
		c.ports[p] = l.Addr().(*net.TCPAddr).Port
		taken = append(taken, l)
	}
	for _, l := range taken {
		l.Close()
	}
	const at = "/srv/lintel-broker"
	settings, err := Settings(c.key, c.hosts, at)
	if err != nil {
		h.t.Fatal(err)
	}
	for i, text := range settings {
		dir := h.t.TempDir()
		certificate, err := h.server.Broker().Peer([]string{c.hosts[i]}, time.Now())
		if err != nil {
			h.t.Fatal(err)
		}
		if err := h.server.SaveBroker(dir, certificate); err != nil {
			h.t.Fatal(err)
		}
		text = strings.NewReplacer(at, dir, "0.0.0.0", c.hosts[i]).Replace(text)
		for from, to := range c.ports {
			text = strings.ReplaceAll(text, ":"+strconv.Itoa(from)+`"`, ":"+strconv.Itoa(to)+`"`)
		}
		file := filepath.Join(dir, "nats.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			h.t.Fatal(err)
		}
		c.files = append(c.files, file)
	}
	for i := range n {
		c.start(i)
	}
	c.leader()
	return c
}

func (c *cluster) start(i int) {
	c.h.t.Helper()
	o, err := server.ProcessConfigFile(c.files[i])
	if err != nil {
		c.h.t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		c.h.t.Fatal(err)
	}
	s.Start()
	c.h.t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		c.h.t.Fatal("a server of the cluster does not start")
	}
	c.servers[i] = s
}

// leader waits until the servers have agreed who leads.
func (c *cluster) leader() {
	c.h.t.Helper()
	for range 600 {
		for _, s := range c.servers {
			if len(c.servers) == 1 || s.Running() && s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(c.servers) {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.h.t.Fatal("the cluster finds no leader")
}

func (c *cluster) address(i, port int) string {
	return net.JoinHostPort(c.hosts[i], strconv.Itoa(c.ports[port]))
}

// join is headquarters at the cluster.
func (c *cluster) join(admit func(string, *x509.Certificate) error) *Cluster {
	c.h.t.Helper()
	var list []string
	for i := range c.hosts {
		list = append(list, c.address(i, PortNATS))
	}
	n, err := Join(ClusterConfig{Servers: list, Key: c.key, Admit: admit, Log: quiet(),
		Certificate: func() (tls.Certificate, error) { return c.h.server.Broker().Client("headquarters", time.Now()) }, Roots: c.h.server.Pool})
	if err != nil {
		c.h.t.Fatal(err)
	}
	select {
	case <-n.opened:
	case <-time.After(40 * time.Second):
		n.Close()
		c.h.t.Fatal("headquarters does not get to work with the cluster")
	}
	return n
}

func TestClusterConforms(t *testing.T) {
	h := newHouse(t)
	c := h.cluster(1)
	n := c.join(anybody)
	t.Cleanup(func() { n.Close() })
	conforms(t, h, func() string { return c.address(0, PortMQTT) }, n, func() Uplink {
		n.Close()
		n = c.join(anybody)
		return n
	})
}

// At every server of a cluster a kiosk is itself and nobody else, as at the broker inside hq serve.
//
// Control: A21
func TestClusterKnowsItsKiosks(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	c := h.cluster(3)
	barred := name(66)
	var removed atomic.Bool
	n := c.join(func(kiosk string, _ *x509.Certificate) error {
		if kiosk == barred || removed.Load() && kiosk == name(4) {
			return errors.New("barred")
		}
		return nil
	})
	defer func() { n.Close() }()
	at := func(i int) string { return c.address(i, PortMQTT) }
	evil, downEvil := h.kiosk(at(0), name(1))
	_, victim := h.kiosk(at(1), name(2))
	for what, o := range map[string]*mqtt.ClientOptions{
		"under the name of another":      h.options(at(2), name(2), h.certificate(name(1))),
		"who is barred":                  h.options(at(0), barred, h.certificate(barred)),
		"with a name that is a wildcard": h.options(at(0), "*", h.certificate("*")),
		"as headquarters":                h.options(at(0), "headquarters", h.certificate("headquarters")),
		"of another house":               h.options(at(0), name(3), other.certificate(name(3))).SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{other.certificate(name(3))}, RootCAs: h.server.Pool()}),
		"without a certificate":          h.options(at(0), name(3), tls.Certificate{}).SetTLSConfig(&tls.Config{RootCAs: h.server.Pool()}),
		"with TLS 1.2":                   h.options(at(0), name(3), h.certificate(name(3))).SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{h.certificate(name(3))}, RootCAs: h.server.Pool(), MaxVersion: tls.VersionTLS12}),
	} {
		client := mqtt.NewClient(o)
		if err := wait(client.Connect()); err == nil {
			t.Errorf("a kiosk %s is connected", what)
			client.Disconnect(0)
		}
	}
	for _, topic := range []string{wire.Up(name(2)), wire.Down(name(2)), wire.Down(name(1)), "$JS/API/INFO", "$MQTT/msgs/" + wire.Up(name(2)), "$SYS/REQ/USER/AUTH", "$SYS/REQ/SERVER/PING"} {
		publish(t, evil, topic, []byte("forged")) // the servers acknowledge what they drop
	}
	silent(t, n)
	for _, topic := range []string{wire.Down(name(2)), wire.Up(name(1)), wire.Up("+"), "#", "lintel/v1/+/down/cmd", "$SYS/#", "$MQTT/sub/#", "$JS/#"} {
		token := evil.Subscribe(topic, 1, nil)
		if err := wait(token); err == nil && token.(*mqtt.SubscribeToken).Result()[topic] != refusedQoS {
			t.Errorf("may read %q", topic)
		}
	}
	if err := n.Send(t.Context(), name(2), []byte("secret")); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-victim:
		if string(got) != "secret" {
			t.Errorf("the kiosk got %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("who wanted to be another has ended its session")
	}
	if len(downEvil)+len(victim) != 0 {
		t.Errorf("%d messages at one kiosk, %d at the other", len(downEvil), len(victim))
	}

	// The NATS port and that of the servers among each other are for no kiosk.
	for _, port := range []int{PortNATS, PortRoute} {
		nc, err := nats.Connect("tls://"+c.address(0, port), nats.Secure(&tls.Config{Certificates: []tls.Certificate{h.certificate(name(1))}, RootCAs: h.server.Pool()}),
			nats.TLSHandshakeFirst(), nats.Timeout(5*time.Second))
		if err == nil {
			nc.Close()
			t.Errorf("a kiosk is in at port %d", port)
		}
	}

	// A kiosk that is removed goes, though headquarters has started anew since it came.
	leaves, lost := h.options(at(2), name(4), h.certificate(name(4))), make(chan error, 1)
	client := mqtt.NewClient(leaves.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err }))
	if err := wait(client.Connect()); err != nil {
		t.Fatal(err)
	}
	n.Close()
	late := mqtt.NewClient(h.options(at(1), name(5), h.certificate(name(5))))
	if err := wait(late.Connect()); err == nil {
		t.Error("somebody new is in while headquarters is away")
	}
	n = c.join(n.config.Admit)
	removed.Store(true)
	n.Kick(name(4))
	select {
	case <-lost:
	case <-time.After(15 * time.Second):
		t.Error("a removed kiosk is still connected")
	}
	if err := wait(mqtt.NewClient(h.options(at(2), name(4), h.certificate(name(4)))).Connect()); err == nil {
		t.Error("a removed kiosk is in again")
	}
	back := mqtt.NewClient(h.options(at(1), name(5), h.certificate(name(5))))
	if err := wait(back.Connect()); err != nil {
		t.Errorf("headquarters is back, and nobody new is let in: %v", err)
	}
	back.Disconnect(0)
}

// A server dies that a kiosk and perhaps headquarters are connected to: the kiosk comes in at another, with headquarters' leave, and both hear each other.
func TestClusterOutlivesAServer(t *testing.T) {
	h := newHouse(t)
	c := h.cluster(3)
	n := c.join(anybody)
	defer n.Close()
	h.kiosk(c.address(0, PortMQTT), name(3))
	gone := 0
	for i := range c.hosts { // the one that asks headquarters
		if strings.Contains(n.system.ConnectedUrl(), c.address(i, PortNATS)) {
			gone = i
		}
	}
	c.servers[gone].Shutdown()
	left := c.address((gone+1)%3, PortMQTT)
	again := make(chan []byte, 64)
	certificate := h.certificate(name(3))
	var kiosk mqtt.Client
	said := 0
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody is heard any more")
		}
		if kiosk == nil || !kiosk.IsConnectionOpen() {
			kiosk = mqtt.NewClient(h.options(left, name(3), certificate))
			if wait(kiosk.Connect()) != nil {
				continue
			}
			token := kiosk.Subscribe(wire.Down(name(3)), 1, func(_ mqtt.Client, m mqtt.Message) { again <- m.Payload() })
			if wait(token) != nil || token.(*mqtt.SubscribeToken).Result()[wire.Down(name(3))] != 1 { // refused while the servers find each other
				kiosk.Disconnect(0)
				continue
			}
		}
		said++
		if wait(kiosk.Publish(wire.Up(name(3)), 1, false, fmt.Append(nil, said))) == nil {
			break
		}
	}
	defer kiosk.Disconnect(0)
	for {
		m := receiveWithin(t, n, 60*time.Second)
		_ = m.Ack()
		if m.Kiosk == name(3) && string(m.Data) == fmt.Sprint(said) {
			break
		}
	}
	for range 60 {
		if n.Send(t.Context(), name(3), []byte("so are we")) == nil {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	select {
	case got := <-again:
		if string(got) != "so are we" {
			t.Errorf("the kiosk got %q", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("the kiosk got nothing")
	}

	// Nobody who was ever removed is forgotten while a server may hold one, and one after the other would wait for it.
	const removed = 100
	for i := range removed {
		n.Kick(name(100 + i))
	}
	began := time.Now()
	n.ridAll()
	if took := time.Since(began); took > removed*hearing/5 {
		t.Errorf("a look at %d kiosks takes %v", removed, took)
	}
	for i := range removed {
		if !n.isUnwanted(name(100 + i)) {
			t.Fatalf("kiosk %d is forgotten although one server was not asked", i)
		}
	}
}

func (n *Cluster) isUnwanted(kiosk string) bool {
	n.ridding.Lock()
	defer n.ridding.Unlock()
	_, is := n.unwanted[kiosk]
	return is
}

// Servers are set up anew, with nothing of what they stored, while headquarters runs: it makes what it needs there, and hears kiosks again.
func TestClusterComesBackEmpty(t *testing.T) {
	h := newHouse(t)
	c := h.cluster(1)
	n := c.join(anybody)
	defer n.Close()
	if end, ok := n.Until(); !ok || time.Until(end) < 89*24*time.Hour || time.Until(end) > authority.LeafTerm {
		t.Errorf("the servers' certificates end %v, %v", end, ok)
	}
	heard := make(chan Message, waiting)
	go func() {
		for {
			m, err := n.Receive(t.Context())
			if err != nil {
				return
			}
			_ = m.Ack()
			heard <- m
		}
	}()
	c.servers[0].Shutdown()
	c.servers[0].WaitForShutdown()
	n.Kick(name(9))
	n.ridAll()
	if !n.isUnwanted(name(9)) {
		t.Error("a removed kiosk is forgotten although no server was asked")
	}
	if err := os.RemoveAll(filepath.Join(filepath.Dir(c.files[0]), "data")); err != nil {
		t.Fatal(err)
	}
	c.start(0)
	certificate := h.certificate(name(1))
	var kiosk mqtt.Client
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); {
		if kiosk == nil || !kiosk.IsConnectionOpen() {
			kiosk = mqtt.NewClient(h.options(c.address(0, PortMQTT), name(1), certificate))
			_ = wait(kiosk.Connect())
		}
		_ = wait(kiosk.Publish(wire.Up(name(1)), 1, false, []byte("here I am"))) // what comes before there is a consumer is lost
		select {
		case m := <-heard:
			if m.Kiosk != name(1) || string(m.Data) != "here I am" {
				t.Errorf("heard %q of %q", m.Data, m.Kiosk)
			}
			kiosk.Disconnect(0)
			if s, err := n.js.Stream(t.Context(), messageStream); err != nil || s.CachedInfo().Config.MaxMsgsPerSubject != waiting {
				t.Errorf("kiosks may fill the servers' disks: %v", err) // the listener makes it without a limit
			}
			if n.ridAll(); n.isUnwanted(name(9)) {
				t.Error("the server holds no connection of the removed kiosk, and is asked for ever")
			}
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
	t.Error("headquarters is deaf")
}

// What is begun again is there once: each question of a server has one answer, and messages are read ahead once.
func TestBeginsAgainWithoutRemains(t *testing.T) {
	h := newHouse(t)
	n := h.cluster(1).join(anybody)
	defer n.Close()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	before := n.system.NumSubscriptions()
	if err := n.listening(gone); err == nil || n.system.NumSubscriptions() != before {
		t.Errorf("%d subscriptions became %d, %v", before, n.system.NumSubscriptions(), err)
	}
	old := n.messages
	if err := n.listen(gone); err == nil || n.messages != old {
		t.Errorf("messages are read otherwise after %v", err)
	}
	if err := n.listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Next(jetstream.NextMaxWait(time.Second)); !errors.Is(err, jetstream.ErrMsgIteratorClosed) {
		t.Errorf("the old messages say %v", err)
	}
}
