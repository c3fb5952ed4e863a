package guard

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/lintel-access/lintel/sync/wire"
)

const kiosk = "000102030405060708090a0b0c0d0e0f"

// reading is a line that reads what is given and has nothing to send.
func reading(t testing.TB, data []byte) *Line {
	near, far := net.Pipe()
	l := &Line{Conn: far, tcp: far, quit: make(chan struct{}), ended: make(chan struct{})}
	l.in = bufio.NewReader(bytes.NewReader(data))
	t.Cleanup(func() { near.Close() })
	return l
}

func frame(kind byte, n int) []byte {
	h := []byte{kind}
	for ; n >= 0x80; n >>= 7 {
		h = append(h, byte(n)|0x80)
	}
	return append(h, byte(n))
}

func message(n int) []byte {
	topic := wire.Down(kiosk)
	b := frame(0x32, 2+len(topic)+2+n)
	b = append(append(b, 0, byte(len(topic))), topic...)
	return append(append(b, 0, 7), make([]byte, n)...)
}

func TestWhatPasses(t *testing.T) {
	tests := map[string]struct {
		in   []byte
		pass bool
	}{
		"CONNACK":                   {[]byte{0x20, 2, 0, 0}, true},
		"PUBACK":                    {[]byte{0x40, 2, 0, 1}, true},
		"SUBACK":                    {[]byte{0x90, 3, 0, 1, 1}, true},
		"PINGRESP":                  {[]byte{0xd0, 0}, true},
		"PUBLISH":                   {message(5), true},
		"largest PUBLISH":           {message(wire.MaxMessage), true},
		"SUBACK with two answers":   {[]byte{0x90, 4, 0, 1, 1, 1}, false},
		"long CONNACK":              {[]byte{0x20, 3, 0, 0, 0}, false},
		"PUBACK with flags":         {[]byte{0x42, 2, 0, 1}, false},
		"quality of service 2":      {frame(0x34, 40), false},
		"quality of service 3":      {frame(0x36, 40), false},
		"PUBREC":                    {[]byte{0x50, 2, 0, 1}, false},
		"CONNECT":                   {frame(0x10, 12), false},
		"UNSUBACK":                  {[]byte{0xb0, 2, 0, 1}, false},
		"reserved":                  {[]byte{0x00, 0}, false},
		"length of five bytes":      {[]byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}, false},
		"PUBACK that claims 256 MB": {[]byte{0x40, 0xff, 0xff, 0xff, 0x7f}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := io.ReadAll(reading(t, tt.in))
			if tt.pass && (err != nil || !bytes.Equal(got, tt.in)) {
				t.Errorf("%d bytes became %d: %v", len(tt.in), len(got), err)
			}
			if !tt.pass && (err == nil || !strings.Contains(err.Error(), ErrProtocol.Error())) {
				t.Errorf("passed as %x, %v", got, err)
			}
		})
	}
}

// A message that is too long passes as its beginning, which shows that it was too long, and the packet behind it passes whole.
func TestLongMessageIsCut(t *testing.T) {
	for _, size := range []int{wire.MaxMessage + 1, wire.MaxMessage + 1000, 20 << 20} {
		l := reading(t, append(message(size), 0xd0, 0))
		p, err := packets.ReadPacket(l)
		if err != nil {
			t.Fatal(err)
		}
		m := p.(*packets.PublishPacket)
		if n := len(m.Payload); n <= wire.MaxMessage || n > maxPublish || m.TopicName != wire.Down(kiosk) || m.MessageID != 7 {
			t.Errorf("%d bytes came as %d on %q, id %d", size, n, m.TopicName, m.MessageID)
		}
		if p, err := packets.ReadPacket(l); err != nil || p.(*packets.PingrespPacket) == nil {
			t.Errorf("behind %d bytes: %v, %v", size, p, err)
		}
	}
}

// Whatever a broker says, the library is given packets that it can read, or an end; none is longer than it may be.
func FuzzLine(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x90, 3, 0, 1, 1})
	f.Add(message(10))
	f.Add(append(message(300), 0xd0, 0))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 200})
	f.Fuzz(func(t *testing.T, data []byte) {
		l := reading(t, data)
		for {
			p, err := packets.ReadPacket(l)
			if err != nil {
				return
			}
			switch p := p.(type) {
			case *packets.PublishPacket:
				if len(p.Payload) > maxPublish || p.Qos > 1 {
					t.Fatalf("%d bytes, quality of service %d", len(p.Payload), p.Qos)
				}
			case *packets.SubackPacket:
				if len(p.ReturnCodes) != 1 {
					t.Fatalf("%d answers", len(p.ReturnCodes))
				}
			case *packets.ConnackPacket, *packets.PubackPacket, *packets.PingrespPacket:
			default:
				t.Fatalf("%T passed", p)
			}
		}
	})
}

// prompter is a broker that answers each ping before whoever sent it knows that it was sent, and says nothing else.
type prompter struct {
	net.Conn
	answers *io.PipeWriter
	pings   atomic.Int32
}

func (p *prompter) Write(b []byte) (int, error) {
	if bytes.Equal(b, pingreq[:]) {
		p.pings.Add(1)
		if _, err := p.answers.Write([]byte{0xd0, 0}); err != nil {
			return 0, err
		}
		time.Sleep(20 * time.Millisecond) // it is read meanwhile
	}
	return len(b), nil
}

// An answer that is quicker than the news that the question was sent is an answer.
func TestQuickAnswerIsHeard(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	r, w := io.Pipe()
	p := &prompter{Conn: reader{far, r}, answers: w}
	l := New(p, far, Limits{Probe: 100 * time.Millisecond, Answer: 300 * time.Millisecond, Queue: 8})
	go io.Copy(io.Discard, l)
	ctx, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer stop()
	if err := l.Watch(ctx); !errors.Is(err, context.DeadlineExceeded) || p.pings.Load() < 3 {
		t.Errorf("%v after %d pings, each of which was answered", err, p.pings.Load())
	}
	w.Close()
	l.Close()
	<-l.Ended()
}

// reader is a connection from which something else is read.
type reader struct {
	net.Conn
	from io.Reader
}

func (r reader) Read(b []byte) (int, error) { return r.from.Read(b) }
