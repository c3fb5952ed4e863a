// Package guard stands between an MQTT library and a broker that nobody believes.
package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// Prompt is a socket whose every write has a deadline. TLS writes records of at most 16 KiB, so a slow network passes and a dead one does not.
type Prompt struct {
	net.Conn
	Within time.Duration
}

// Write writes within the deadline.
func (p Prompt) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.Within)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// Line stands between the MQTT library and TLS, because the library believes its broker: it gives memory to whatever length a packet claims (256 MB),
// panics on a SUBACK with more answers than questions, waits without end for a ping to be written, and takes bytes that trickle for silence.
//
// So only the packets that a broker has to say to us pass, in the size that they have; of a PUBLISH that is too long, the beginning. Writes never wait:
// what is written lies in a short queue, and a goroutine of the line's own sends it.
type Line struct {
	net.Conn // TLS
	tcp      net.Conn
	limits   Limits
	in       *bufio.Reader
	head     []byte // of the packet that is read, what is left of its fixed header
	left     int    // bytes of it to pass on
	skip     int    // bytes of it to drop after those

	began time.Time    // origin of heard: the wall clock is set when headquarters tells the time, and must not matter here
	heard atomic.Int64 // when the broker was last heard, a time.Duration
	queue chan parcel
	close sync.Once
	quit  chan struct{} // closed by Close
	ended chan struct{} // closed when nothing is sent any more and the socket is closed

	mu  sync.Mutex
	err error // why it ended by itself
}

// parcel is a packet to be sent.
type parcel struct {
	data []byte
	sent chan struct{} // closed when it was given to the kernel; may be nil
}

// Limits are what a Line has patience with.
type Limits struct {
	Probe  time.Duration // of silence, after which the broker is asked for a sign of life
	Answer time.Duration // for that sign
	Queue  int           // packets that wait to be sent; one more ends the line
}

// maxPublish bounds what passes of one PUBLISH, bytes: the largest message, one byte that gives away that there was more, topic and packet id.
const maxPublish = wire.MaxMessage + 1 + 2 + 64 + 2

// New begins a line over conn, whose socket is tcp. Close ends it.
func New(conn, tcp net.Conn, m Limits) *Line {
	l := &Line{Conn: conn, tcp: tcp, limits: m, began: time.Now(), queue: make(chan parcel, m.Queue), quit: make(chan struct{}), ended: make(chan struct{})}
	l.in = bufio.NewReader(ear{l})
	go l.send()
	return l
}

// ear notes when something was heard.
type ear struct{ *Line }

func (e ear) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	if n > 0 {
		e.heard.Store(int64(time.Since(e.began)))
	}
	return n, err
}

// Read gives the library the packets that may pass.
func (l *Line) Read(b []byte) (int, error) {
	n, err := l.read(b)
	if err != nil {
		l.fail(err)
		return n, l.Why(err)
	}
	return n, nil
}

func (l *Line) read(b []byte) (int, error) {
	if len(l.head) == 0 && l.left == 0 {
		if _, err := l.in.Discard(l.skip); err != nil {
			return 0, err
		}
		l.skip = 0
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	if len(l.head) > 0 {
		n := copy(b, l.head)
		l.head = l.head[n:]
		return n, nil
	}
	n, err := l.in.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}

// Kinds of MQTT packets that a broker has to say to us (MQTT 3.1.1, 2.2.1), with the only length that they can have.
const (
	connack, connackSize   = 2, 2
	publish                = 3
	puback, pubackSize     = 4, 2
	suback, subackSize     = 9, 3 // we ask for one topic
	pingresp, pingrespSize = 13, 0
)

// ErrProtocol means that the broker says what it has not to say.
var ErrProtocol = errors.New("the broker breaks the protocol")

// next reads a fixed header.
func (l *Line) next() error {
	first, err := l.in.ReadByte()
	if err != nil {
		return err
	}
	size := 0
	for shift := 0; ; shift += 7 {
		c, err := l.in.ReadByte()
		if err != nil {
			return err
		}
		size |= int(c&0x7f) << shift
		if c&0x80 == 0 {
			break
		}
		if shift == 21 {
			return fmt.Errorf("%w: a length of five bytes", ErrProtocol)
		}
	}
	kind, flags := first>>4, first&0xf
	want := map[byte]int{connack: connackSize, puback: pubackSize, suback: subackSize, pingresp: pingrespSize}
	fixed, known := want[kind]
	switch {
	case kind == publish && flags>>1&3 <= 1: // quality of service 0 or 1
		l.left = min(size, maxPublish)
	case !known || size != fixed || flags != 0:
		return fmt.Errorf("%w: packet %d with flags %d and %d bytes", ErrProtocol, kind, flags, size)
	default:
		l.left = size
	}
	l.skip = size - l.left
	l.head = append(l.head[:0], first)
	for n := l.left; ; n >>= 7 {
		if n < 0x80 {
			l.head = append(l.head, byte(n))
			return nil
		}
		l.head = append(l.head, byte(n)|0x80)
	}
}

// Write takes one packet.
func (l *Line) Write(b []byte) (int, error) {
	if err := l.put(parcel{data: append([]byte(nil), b...)}); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ErrStuck means that the broker does not take what is sent.
var ErrStuck = errors.New("the broker takes nothing")

func (l *Line) put(p parcel) error {
	select {
	case <-l.quit:
		return net.ErrClosed
	case <-l.ended:
		return net.ErrClosed
	case l.queue <- p:
		return nil
	default:
		l.fail(ErrStuck)
		return ErrStuck
	}
}

// send sends what is written until the line fails or is closed; then it sends what is left, if that goes quickly, and closes the socket.
func (l *Line) send() {
	defer close(l.ended)
	defer l.tcp.Close()
	for {
		select {
		case p := <-l.queue:
			if _, err := l.Conn.Write(p.data); err != nil {
				l.fail(err)
				return
			}
			if p.sent != nil {
				close(p.sent)
			}
		case <-l.quit:
			if l.Why(nil) != net.ErrClosed {
				return
			}
			defer time.AfterFunc(time.Second, func() { l.tcp.Close() }).Stop()
			for {
				select {
				case p := <-l.queue:
					if _, err := l.Conn.Write(p.data); err != nil {
						return
					}
				default:
					l.Conn.Close() // says so to the broker
					return
				}
			}
		}
	}
}

// fail ends the line for a reason, the first of which is kept.
func (l *Line) fail(err error) {
	select {
	case <-l.quit: // whatever happens now is because of that
		return
	default:
	}
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	l.mu.Unlock()
	l.tcp.Close()
	l.Close()
}

// Why is the reason for which the line ended by itself, net.ErrClosed when it was closed, otherwise the error that is given.
func (l *Line) Why(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	select {
	case <-l.quit:
		return net.ErrClosed
	default:
		return err
	}
}

// Close has the line end after what is written already, and whoever reads from it end at once.
func (l *Line) Close() error {
	l.close.Do(func() {
		close(l.quit)
		l.tcp.SetReadDeadline(time.Unix(1, 0)) // an error means that it is closed
	})
	return nil
}

// Ended is closed when nothing is sent any more and the socket is closed.
func (l *Line) Ended() <-chan struct{} { return l.ended }

// SetDeadline and its like do nothing: the line has deadlines of its own, and the library would lift them.
func (*Line) SetDeadline(time.Time) error      { return nil }
func (*Line) SetWriteDeadline(time.Time) error { return nil }
func (*Line) SetReadDeadline(time.Time) error  { return nil }

// ErrSilent means that the broker gives no sign of life.
var ErrSilent = errors.New("the broker does not answer")

// pingreq is the packet that a broker must answer (MQTT 3.1.1, 3.12).
var pingreq = [...]byte{0xc0, 0}

// Watch asks a silent broker for a sign of life, and fails the line when none comes. It returns when the line has ended, with the reason, or with ctx.
func (l *Line) Watch(ctx context.Context) error {
	tick := time.NewTicker(l.limits.Probe / 10)
	defer tick.Stop()
	var put time.Duration   // when the question was put into the queue: whatever is heard later is a sign of life. The answer may come before we know that it was sent
	var asked time.Duration // when the question was given to the kernel, or a little later; 0: none is open
	var way chan struct{}   // open while the question waits to be sent
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.ended:
			return l.Why(net.ErrClosed)
		case <-way:
			asked, way = time.Since(l.began), nil
			continue
		case <-tick.C:
		}
		heard, now := time.Duration(l.heard.Load()), time.Since(l.began)
		switch {
		case way != nil: // it waits behind a message; writing has its own deadline
		case asked != 0 && heard > put:
			asked = 0
		case asked != 0 && now-asked > l.limits.Answer:
			l.fail(ErrSilent)
		case asked == 0 && now-heard > l.limits.Probe:
			way, put = make(chan struct{}), now
			if l.put(parcel{pingreq[:], way}) != nil {
				way = nil
			}
		}
	}
}
