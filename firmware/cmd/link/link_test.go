package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/lintel-access/lintel/firmware/confine"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/sync/link"
	"github.com/lintel-access/lintel/sync/wire"
	"github.com/lintel-access/lintel/tests/broker"
)

// The test binary runs itself as link: confinement cannot be taken back.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-run" {
		main()
		return
	}
	os.Exit(m.Run())
}

const kioskName = "00112233445566778899aabbccddeeff"

// host is a door of which link sees the socket.
type host struct {
	dir string

	mu      sync.Mutex
	conn    *ipc.Conn
	station *ipc.Stationed // nil: it does not know the question
	refuses bool
	key     broker.Leaf
	online  []ipc.Online
	brought [][]byte
	dropped []ipc.Dropped
	asked   map[ipc.Kind]int
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{dir: filepath.Join(t.TempDir(), "run"), asked: make(map[ipc.Kind]int)}
	l, err := ipc.Listen(filepath.Join(h.dir, ipc.Link.Socket()), ipc.Link, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept(ctx)
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conn = conn
			h.mu.Unlock()
			work.Go(func() {
				defer conn.Close()
				for {
					m, err := conn.Recv(ctx)
					if err != nil {
						return
					}
					err = h.answer(conn, m)
					if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
						return // link was ended meanwhile
					}
					if err != nil {
						t.Errorf("answer %v: %v", m.Kind, err)
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		work.Wait()
		l.Close()
	})
	return h
}

func (h *host) answer(conn *ipc.Conn, m ipc.Message) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[m.Kind]++
	switch m.Kind {
	case ipc.KindOutboxHead:
		return conn.Send(ipc.KindOutbox, m.ID, ipc.Outbox{Records: 3})
	case ipc.KindStation:
		switch {
		case h.refuses:
			return conn.Refuse(m.ID, "no headquarters")
		case h.station != nil:
			return conn.Send(ipc.KindStationed, m.ID, *h.station)
		}
	case ipc.KindSignTLS:
		var s ipc.SignTLS
		if err := ipc.Decode(m, &s); err != nil {
			return err
		}
		sum := sha256.Sum256(s.Message)
		signature, err := h.key.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			return err
		}
		return conn.Send(ipc.KindSignature, m.ID, ipc.Signature{Signature: signature})
	case ipc.KindOnline:
		var o ipc.Online
		if err := ipc.Decode(m, &o); err != nil {
			return err
		}
		h.online = append(h.online, o)
	case ipc.KindDropped:
		var d ipc.Dropped
		if err := ipc.Decode(m, &d); err != nil {
			return err
		}
		h.dropped = append(h.dropped, d)
	case ipc.KindEnvelope:
		var e ipc.Envelope
		if err := ipc.Decode(m, &e); err != nil {
			return err
		}
		h.brought = append(h.brought, e.Data)
		if string(e.Data) == "forged" {
			return conn.Refuse(m.ID, "it is forged")
		}
		return conn.Send(ipc.KindOK, m.ID, nil)
	case ipc.KindFetch:
		var f ipc.Fetch
		if err := ipc.Decode(m, &f); err != nil {
			return err
		}
		report, err := wire.Report(wire.Records{From: f.From, Records: [][]byte{{1}, {2}, {3}}[f.From:]})
		if err != nil {
			return err
		}
		return conn.Send(ipc.KindFetched, m.ID, ipc.Fetched{Report: report, Next: 3})
	}
	return nil
}

// see looks at the host under its lock.
func (h *host) see(f func() bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return f()
}

// child is link as a process.
type child struct {
	cmd   *exec.Cmd
	ended chan error

	mu   sync.Mutex
	said bytes.Buffer
}

func (c *child) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.Write(b)
}

func (c *child) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.String()
}

func startLink(t *testing.T, h *host) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0], "-run", h.dir), ended: make(chan error, 1)}
	c.cmd.Stderr = c
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- c.cmd.Wait() }()
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("link said:\n%s", c.text())
		}
	})
	return c
}

func (c *child) ends(t *testing.T, within time.Duration, want string) {
	t.Helper()
	select {
	case <-c.ended:
		if !strings.Contains(c.text(), want) {
			t.Errorf("it said %q, want %q", c.text(), want)
		}
	case <-time.After(within):
		t.Errorf("it does not end within %v", within)
	}
}

func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not within %v: %s", within, what)
}

// Without a headquarters link has no network, whether door says so, refuses the question or does not know it; it ends by itself when there is one.
func TestNoHeadquarters(t *testing.T) {
	for name, h := range map[string]func(*host){
		"none":           func(h *host) { h.station = &ipc.Stationed{} },
		"refused":        func(h *host) { h.refuses = true },
		"an older door":  func(*host) {},
		"none, then one": func(h *host) { h.station = &ipc.Stationed{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			door := newHost(t)
			h(door)
			c := startLink(t, door)
			eventually(t, 10*time.Second, "the outbox is asked for", func() bool { return door.see(func() bool { return door.asked[ipc.KindOutboxHead] >= 2 }) })
			if !strings.Contains(c.text(), "ready, door names no headquarters, no network") {
				t.Errorf("it says %q", c.text())
			}
			if door.see(func() bool { return len(door.online) > 0 || door.asked[ipc.KindFetch] > 0 }) {
				t.Error("it speaks of a headquarters")
			}
			if name == "none, then one" {
				door.see(func() bool {
					door.station = &ipc.Stationed{Broker: "127.0.0.1:1", Name: kioskName}
					return true
				})
				c.ends(t, look+5*time.Second, errAnew.Error())
				return
			}
			c.cmd.Process.Signal(syscall.SIGTERM)
			c.ends(t, 5*time.Second, "")
		})
	}
}

// The whole way, confined: a handshake that door signs, an envelope down, records and a report up.
func TestCarriesConfined(t *testing.T) {
	for name, host := range map[string]string{"by address": "127.0.0.1", "by name": "localhost"} {
		t.Run(name, func(t *testing.T) { carriesConfined(t, host) })
	}
}

func carriesConfined(t *testing.T, host string) {
	a := broker.NewAuthority(t)
	addr := broker.NATS(t, a)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	at := net.JoinHostPort(host, port)
	conf := &tls.Config{RootCAs: a.Pool(), ServerName: broker.Server, Certificates: []tls.Certificate{a.Issue(t, "headquarters", nil).TLS()}}
	o := mqtt.NewClientOptions().SetClientID("headquarters").SetTLSConfig(conf)
	o.Servers = []*url.URL{{Scheme: "tls", Host: addr}}
	hq, heard := mqtt.NewClient(o), make(chan []byte, 100)
	if token := hq.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer hq.Disconnect(100)
	hq.Subscribe(wire.Up(kioskName), 1, func(_ mqtt.Client, m mqtt.Message) { heard <- m.Payload() }).WaitTimeout(5 * time.Second)

	h := newHost(t)
	h.key = a.Issue(t, kioskName, nil)
	h.station = &ipc.Stationed{Broker: at, Server: broker.Server, Name: kioskName, Certificate: [][]byte{h.key.Cert.Raw}, Authorities: [][]byte{a.Cert.Raw}}
	c := startLink(t, h)
	eventually(t, 15*time.Second, "online", func() bool { return h.see(func() bool { return len(h.online) == 1 && h.online[0].On }) })
	if !strings.Contains(c.text(), fmt.Sprintf("ready, headquarters at %q, ", at)) {
		t.Errorf("it says %q", c.text())
	}
	hq.Publish(wire.Down(kioskName), 1, false, "")
	eventually(t, 5*time.Second, "door is told of an empty message", func() bool {
		return h.see(func() bool { return len(h.dropped) == 1 && h.dropped[0] == ipc.Dropped{Empty: 1} })
	})
	hq.Publish(wire.Down(kioskName), 1, false, "forged")
	hq.Publish(wire.Down(kioskName), 1, false, make([]byte, wire.MaxMessage))
	eventually(t, 5*time.Second, "envelopes are brought", func() bool {
		return h.see(func() bool {
			return len(h.brought) == 2 && string(h.brought[0]) == "forged" && len(h.brought[1]) == wire.MaxMessage
		})
	})
	if !h.see(func() bool { return h.conn.Send(ipc.KindReport, 0, ipc.Report{Data: []byte("report")}) == nil }) {
		t.Fatal("link does not take a report")
	}
	var reports, records bool
	for end := time.After(5 * time.Second); !reports || !records; {
		select {
		case m := <-heard:
			r, err := wire.Read[wire.Records](m)
			reports = reports || string(m) == "report"
			records = records || err == nil && len(r.Records) == 3
		case <-end:
			t.Fatalf("headquarters heard the report: %v, the records: %v", reports, records)
		}
	}

	h.see(func() bool { return h.conn.Close() == nil }) // door itself ends
	c.ends(t, 5*time.Second, "link:")
}

func TestReach(t *testing.T) {
	for broker, want := range map[string]confine.Reach{
		"":                   {},
		"hq.example:8883":    {Port: 8883, Names: true},
		"192.0.2.7:8883":     {Port: 8883},
		"[2001:db8::7]:443":  {Port: 443},
		"[fe80::7%eth0]:443": {Port: 443},
		"hq.example":         {},
		":8883":              {},
		"hq.example:0":       {},
		"hq.example:65536":   {},
		"hq.example:mqtt":    {},
		"2001:db8::7:8883":   {},
	} {
		if got := reach(broker); got != want {
			t.Errorf("%q reaches %+v, want %+v", broker, got, want)
		}
	}
}

// A broker that moves to another port, or becomes a name, is out of reach for this process.
func TestMovedOutOfReach(t *testing.T) {
	h := newHost(t)
	conn, err := ipc.Dial(t.Context(), filepath.Join(h.dir, ipc.Link.Socket()), ipc.Link, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	d := &door{client: ipc.NewClient(conn, func(ipc.Message) {}), reach: confine.Reach{Port: 8883}}
	go d.client.Run(t.Context())
	for _, tt := range []struct {
		broker string
		anew   bool
	}{{"192.0.2.1:8883", false}, {"192.0.2.2:8883", false}, {"192.0.2.1:8884", true}, {"hq.example:8883", true}, {"", false}} {
		h.see(func() bool {
			h.station = &ipc.Stationed{Broker: tt.broker, Name: kioskName}
			return true
		})
		s, err := d.Station(t.Context())
		if (err != nil) != tt.anew || !tt.anew && s.Broker != tt.broker {
			t.Errorf("%q: %+v, %v", tt.broker, s, err)
		}
	}
	h.see(func() bool { h.refuses = true; return true })
	if _, err := d.Station(t.Context()); !errors.Is(err, link.ErrRefused) {
		t.Errorf("refused: %v", err)
	}
}
