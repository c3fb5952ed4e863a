package broker

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/lintel-access/lintel/sync/wire"
)

// liar is somebody else's broker that says what no broker says, something else at each connection, and at last behaves. It counts its connections.
func (h *house) liar(lies [][]byte, message []byte) (address string, connections *atomic.Int32) {
	h.t.Helper()
	c := h.tls()
	c.ClientAuth, c.MinVersion = tls.RequireAndVerifyClientCert, tls.VersionTLS13
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		h.t.Fatal(err)
	}
	connections = new(atomic.Int32)
	done := make(chan struct{})
	h.t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n := int(connections.Add(1))
			serveLies(conn, n, lies, message)
			conn.Close()
		}
	}()
	return l.Addr().String(), connections
}

func serveLies(conn net.Conn, n int, lies [][]byte, message []byte) {
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *packets.ConnectPacket:
			packets.NewControlPacket(packets.Connack).Write(conn)
			if n <= len(lies) {
				conn.Write(lies[n-1])
			}
		case *packets.SubscribePacket:
			if n <= len(lies) {
				io.Copy(io.Discard, conn) // until it is left
				return
			}
			a := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			a.MessageID, a.ReturnCodes = p.MessageID, []byte{1}
			a.Write(conn)
			m := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
			m.TopicName, m.Payload = wire.Up(name(1)), message
			m.Write(conn)
		}
	}
}

// The library would panic, or take a quarter of a gigabyte, at what a hostile broker says: headquarters leaves it and comes again.
func TestHostileBrokerEndsNothing(t *testing.T) {
	h := newHouse(t)
	suback := []byte{0x90, 6, 0, 1, 1, 1, 1, 1}
	huge := append([]byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 5}, "lintel"...)
	address, connections := h.liar([][]byte{suback, {0x50, 0xff, 0xff, 0xff, 0x7f}, huge[:4]}, []byte("heard"))
	r := h.dial(address)
	defer r.Close()
	if m := receiveWithin(t, r, 60*time.Second); m.Kiosk != name(1) || !bytes.Equal(m.Data, []byte("heard")) {
		t.Errorf("got %q of %q", m.Data, m.Kiosk)
	}
	if n := connections.Load(); n < 3 {
		t.Errorf("%d connections: it stayed with a liar", n)
	}
}
