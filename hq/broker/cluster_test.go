package broker

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/lintel-access/lintel/sync/wire"
)

// cluster is three NATS servers that know each other, as a house may have them: not ours, and with no word of ours in their settings but MQTT's.
func (h *house) cluster() (list []*server.Server, addresses []string) {
	h.t.Helper()
	var routes []*url.URL
	var ports []int
	var options []*server.Options
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			h.t.Fatal(err)
		}
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		l.Close()
	}
	dir := h.t.TempDir()
	for n, port := range ports {
		o := &server.Options{ServerName: fmt.Sprint("n", n), Host: "127.0.0.1", Port: -1, NoSigs: true, JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(n)),
			Cluster: server.ClusterOpts{Name: "house", Host: "127.0.0.1", Port: port}, Routes: routes,
			MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: -1, TLSConfig: demanding(h.tls()), TLSTimeout: 10, AckWait: 2 * time.Second}}
		s, err := server.NewServer(o)
		if err != nil {
			h.t.Fatal(err)
		}
		s.Start()
		h.t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		if !s.ReadyForConnections(20 * time.Second) {
			h.t.Fatal("a server of the cluster does not start")
		}
		list, options = append(list, s), append(options, o)
	}
	for range 400 {
		for _, s := range list {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == 3 {
				for _, o := range options { // the server has written the port that it took
					addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", o.MQTT.Port))
				}
				return list, addresses
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	h.t.Fatal("the cluster finds no leader")
	return nil, nil
}

// The fleet has outgrown one machine: a cluster carries, and goes on when the server dies that headquarters is connected to.
func TestClusterCarries(t *testing.T) {
	h := newHouse(t)
	list, addresses := h.cluster()
	r := h.dial(strings.Join([]string{addresses[0], addresses[1]}, ","))
	t.Cleanup(func() { r.Close() })
	conforms(t, h, func() string { return addresses[2] }, r, func() Uplink { // kiosks are at another server than headquarters
		r.Close()
		r = h.dial(strings.Join([]string{addresses[0], addresses[1]}, ","))
		return r
	})
	kiosk, down := h.kiosk(addresses[2], name(3))
	again := make(chan []byte, 64)
	heard := func(_ mqtt.Client, m mqtt.Message) { again <- m.Payload() }
	list[0].Shutdown()
	// Until the others have agreed on who leads, nothing is confirmed; a kiosk whose session ended meanwhile comes back.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		err := wait(kiosk.Publish("lintel/v1/"+name(3)+"/up/msg", 1, false, []byte("still here")))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		if !kiosk.IsConnectionOpen() && wait(kiosk.Connect()) == nil {
			_ = wait(kiosk.Subscribe(wire.Down(name(3)), 1, heard)) // or the next turn does
		}
	}
	if m := receiveWithin(t, r, 60*time.Second); m.Kiosk != name(3) || string(m.Data) != "still here" {
		t.Errorf("got %q of %q", m.Data, m.Kiosk)
	}
	for range 60 {
		if err := r.Send(t.Context(), name(3), []byte("so are we")); err == nil {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	var got []byte
	select {
	case got = <-down:
	case got = <-again:
	case <-time.After(20 * time.Second):
		t.Fatal("the kiosk got nothing")
	}
	if string(got) != "so are we" {
		t.Errorf("the kiosk got %q", got)
	}
}
