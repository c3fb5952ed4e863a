//go:build !kiosk

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// message is what passes a broker.
type message struct {
	topic   string
	payload []byte
}

// broker is somebody else's broker that does with messages what we tell it: an MQTT 3.1.1 server behind the certificate that hq certificate made, of
// which headquarters and the kiosks are clients. It keeps nothing for anybody.
type broker struct {
	addr     string
	listener net.Listener
	work     sync.WaitGroup

	mu       sync.Mutex
	sessions map[string]*session // by client id
	bend     func(message) []message
	heard    []message // everything that was ever published, oldest first
}

type session struct {
	conn    net.Conn
	filters []string
	out     chan packets.ControlPacket
	gone    chan struct{}
	id      uint16
}

// credentials are what hq certificate writes.
func (s *site) credentials() (dir string, err error) {
	dir = s.file("broker")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	_, err = s.at("certificate", host, "-out", dir)
	return dir, err
}

// between starts a broker that hands everything on, until told otherwise.
func (s *site) between() (*broker, error) {
	dir, err := s.credentials()
	if err != nil {
		return nil, err
	}
	config, err := brokerTLS(dir)
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", host+":0", config)
	if err != nil {
		return nil, err
	}
	b := &broker{addr: l.Addr().String(), listener: l, sessions: map[string]*session{}}
	b.work.Go(b.accept)
	return b, nil
}

// post leads everybody to the broker that does what we tell it, and waits until all are there.
func (s *site) post() (*broker, error) {
	if s.middle == nil {
		b, err := s.between()
		if err != nil {
			return nil, err
		}
		s.middle, s.closes = b, append(s.closes, b.close)
	}
	s.middle.twist(nil)
	if w := through(s.middle.addr); !slices.Equal(s.way.flags, w.flags) {
		if err := s.use(w); err != nil {
			return nil, err
		}
	}
	return s.middle, s.settle()
}

func brokerTLS(dir string) (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "broker.crt"), filepath.Join(dir, "broker.key"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(dir, "authority.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("authority.crt has no certificate")
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, nil
}

func (b *broker) close() {
	b.listener.Close()
	b.mu.Lock()
	for _, s := range b.sessions {
		s.conn.Close()
	}
	b.mu.Unlock()
	b.work.Wait()
}

func (b *broker) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.work.Go(func() { b.serve(conn) })
	}
}

// serve is one client's session.
func (b *broker) serve(conn net.Conn) {
	defer conn.Close()
	first, err := packets.ReadPacket(conn)
	hello, ok := first.(*packets.ConnectPacket)
	if err != nil || !ok {
		return
	}
	s := &session{conn: conn, out: make(chan packets.ControlPacket, 4096), gone: make(chan struct{})}
	b.work.Go(s.write)
	defer close(s.gone)
	s.say(packets.NewControlPacket(packets.Connack))
	b.mu.Lock()
	if old := b.sessions[hello.ClientIdentifier]; old != nil {
		old.conn.Close()
	}
	b.sessions[hello.ClientIdentifier] = s
	b.mu.Unlock()
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			break
		}
		b.answer(s, p)
	}
	b.mu.Lock()
	if b.sessions[hello.ClientIdentifier] == s {
		delete(b.sessions, hello.ClientIdentifier)
	}
	b.mu.Unlock()
}

func (b *broker) answer(s *session, p packets.ControlPacket) {
	switch p := p.(type) {
	case *packets.SubscribePacket:
		b.mu.Lock()
		s.filters = append(s.filters, p.Topics...)
		b.mu.Unlock()
		ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
		ack.MessageID = p.MessageID
		for range p.Topics {
			ack.ReturnCodes = append(ack.ReturnCodes, 1)
		}
		s.say(ack)
	case *packets.PublishPacket:
		if p.Qos > 0 {
			ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ack.MessageID = p.MessageID
			s.say(ack)
		}
		b.publish(message{p.TopicName, p.Payload})
	case *packets.PingreqPacket:
		s.say(packets.NewControlPacket(packets.Pingresp))
	}
}

// publish takes what a client says and hands on what the broker makes of it.
func (b *broker) publish(m message) {
	b.mu.Lock()
	bend := b.bend
	b.heard = append(b.heard, m)
	b.mu.Unlock()
	all := []message{m}
	if bend != nil {
		all = bend(m)
	}
	for _, m := range all {
		b.deliver(m)
	}
}

// deliver gives a message to whoever has subscribed to its topic, whoever said it.
func (b *broker) deliver(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		for _, f := range s.filters {
			if !matches(f, m.topic) {
				continue
			}
			s.id = max(1, s.id+1)
			p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
			p.TopicName, p.Payload, p.Qos, p.MessageID = m.topic, m.payload, 1, s.id
			s.say(p)
			break
		}
	}
}

// twist has the broker do this with each message from now on; nil: hand it on.
func (b *broker) twist(bend func(message) []message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bend = bend
}

// passed are all messages so far, oldest first.
func (b *broker) passed() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heard[:len(b.heard):len(b.heard)]
}

// say queues a packet; a client that reads nothing for so long loses it, as with any broker.
func (s *session) say(p packets.ControlPacket) {
	select {
	case s.out <- p:
	default:
	}
}

func (s *session) write() {
	for {
		select {
		case <-s.gone:
			return
		case p := <-s.out:
			if p.Write(s.conn) != nil {
				s.conn.Close()
				return
			}
		}
	}
}

// matches says whether a topic is one of a filter with "+" in it.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if len(f) != len(t) {
		return false
	}
	for i := range f {
		if f[i] != "+" && f[i] != t[i] {
			return false
		}
	}
	return true
}

// mosquitto starts the real one, set as docs/HQ.md says.
func (s *site) mosquitto() (*keeper, string, error) {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			return nil, "", fmt.Errorf("%w: make deps installs it", err)
		}
	}
	dir, err := s.credentials()
	if err != nil {
		return nil, "", err
	}
	address, err := free()
	if err != nil {
		return nil, "", err
	}
	_, port, _ := net.SplitHostPort(address)
	conf, acl := s.file("mosquitto.conf"), s.file("acl")
	text := fmt.Sprintf("listener %s %s\ncafile %s/authority.crt\ncertfile %[3]s/broker.crt\nkeyfile %[3]s/broker.key\nrequire_certificate true\ntls_version tlsv1.3\n"+
		"use_identity_as_username true\nuse_username_as_clientid true\nacl_file %s\nretain_available false\nmax_packet_size 200000\npersistence false\nlog_type error\n",
		port, host, dir, acl)
	if os.Getuid() == 0 {
		text += "user root\n" // the folder is for its owner alone
	}
	rules := "user headquarters\ntopic read lintel/v1/+/up/msg\ntopic write lintel/v1/+/down/cmd\npattern write lintel/v1/%u/up/msg\npattern read lintel/v1/%u/down/cmd\n"
	if err := errors.Join(os.WriteFile(conf, []byte(text), 0o600), os.WriteFile(acl, []byte(rules), 0o600)); err != nil {
		return nil, "", err
	}
	k := keep(func() *exec.Cmd { return exec.Command(path, "-c", conf) })
	err = s.await(10*time.Second, "mosquitto listens", func() error {
		if !reachable(address) {
			return errors.New(k.said.last(3))
		}
		return nil
	})
	return k, address, err
}
