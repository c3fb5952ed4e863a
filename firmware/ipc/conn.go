// Package ipc carries the words between the programs of a kiosk. door serves one Unix socket for each role; eye, link and the desk
// are its clients. One packet is one message: deterministic CBOR (sync/wire), at most MaxPacket bytes, checked against the table
// of who may say what before its body is looked at.
package ipc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/sync/wire"
)

// MaxPacket bounds one packet in bytes. The largest, a command of headquarters, has nearly all of it; Linux gives a socket 208 KiB at least.
const MaxPacket = 160 << 10

const (
	version = 1

	// A packet that does not fit the socket's buffer is refused by the kernel with EMSGSIZE, whatever the limits above say.
	socketBuffer = 4 * MaxPacket

	// sendWithin bounds how long a peer that does not read can hold a sender: door's loop must go on without eye, link and desk.
	sendWithin = 250 * time.Millisecond
)

// Message is one packet whose kind its sender may send. Its body is not yet decoded: see Decode.
type Message struct {
	Kind Kind
	ID   uint64 // of the request, echoed by its answer; 0 when nothing is answered
	Body wire.Raw
}

type envelope struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Kind    Kind
	ID      uint64
	Body    wire.Raw
}

// Violation is a packet that broke the rules, or a peer that may not speak at all. The connection is closed.
type Violation struct {
	Role Role
	What string
}

func (v *Violation) Error() string { return fmt.Sprintf("refuse packet of %v: %s", v.Role, v.What) }

// Peer is who the kernel says holds the other end.
type Peer struct {
	PID int
	UID int
	GID int
}

// Conn is one end of a connection between door and a client. Send may be called by several goroutines at once, Recv by one.
type Conn struct {
	sock *net.UnixConn
	role Role
	in   direction // of the packets that Recv returns
	peer Peer
	tap  *bucket // nil at the client's end: door sets the pace
	buf  []byte
	once sync.Once
}

// newConn checks the peer's user and takes over sock, also when it fails.
func newConn(sock *net.UnixConn, role Role, in direction, wantUID int) (*Conn, error) {
	c := &Conn{sock: sock, role: role, in: in, buf: make([]byte, MaxPacket+1)}
	if in == toDoor {
		rate, burst := role.pace()
		c.tap = newBucket(rate, burst, time.Now())
	}
	err := errors.Join(sock.SetReadBuffer(socketBuffer), sock.SetWriteBuffer(socketBuffer))
	if err == nil {
		c.peer, err = peerOf(sock)
	}
	if err == nil && c.peer.UID != wantUID {
		err = &Violation{role, fmt.Sprintf("peer is user %d, want user %d", c.peer.UID, wantUID)}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func peerOf(sock *net.UnixConn) (Peer, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return Peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	return Peer{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}, nil
}

// Peer is who the kernel said holds the other end when the connection was made.
func (c *Conn) Peer() Peer { return c.peer }

// Role is the client's role, at both ends.
func (c *Conn) Role() Role { return c.role }

// Close ends the connection; a waiting Recv returns net.ErrClosed. Closing twice does nothing.
func (c *Conn) Close() error {
	var err error
	c.once.Do(func() { err = c.sock.Close() })
	return err
}

// Send writes one message; a nil body says nothing. It refuses what the other end would refuse. When the peer does not read for
// a quarter of a second, or is gone, the connection is closed and the error says so.
func (c *Conn) Send(kind Kind, id uint64, body any) error {
	packet, err := c.pack(kind, id, body)
	if err != nil {
		return fmt.Errorf("send %v to %v: %w", kind, c.role, err)
	}
	if err := c.write(packet, time.Now().Add(sendWithin)); err != nil {
		c.Close()
		return fmt.Errorf("send %v to %v: %w", kind, c.role, err)
	}
	return nil
}

// write writes a packet, whole or not at all, until a time. Where that has passed, net does not even try: on a machine that stood still meanwhile
// the peer may read very well. So it is tried once more, without waiting.
func (c *Conn) write(packet []byte, until time.Time) error {
	if err := c.sock.SetWriteDeadline(until); err != nil {
		return err
	}
	_, err := c.sock.Write(packet)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	raw, failed := c.sock.SyscallConn()
	if failed == nil {
		failed = raw.Control(func(fd uintptr) {
			if _, tried := unix.Write(int(fd), packet); tried != unix.EAGAIN {
				err = tried
			}
		})
	}
	return cmp.Or(failed, err)
}

// Refuse answers request id with a Failure; a text that is too long is cut.
func (c *Conn) Refuse(id uint64, text string) error {
	if len(text) > maxSentence {
		text = text[:maxSentence]
	}
	return c.Send(KindError, id, Failure{strings.ToValidUTF8(text, "")})
}

func (c *Conn) pack(kind Kind, id uint64, body any) ([]byte, error) {
	r, ok := lookup(c.role, toDoor+fromDoor-c.in, kind)
	if !ok {
		return nil, errors.New("no rule lets it pass")
	}
	if body == nil {
		body = struct{}{}
	}
	if err := validate(body); err != nil {
		return nil, err
	}
	raw, err := wire.Marshal(body)
	if err != nil {
		return nil, err
	}
	if len(raw) > r.max {
		return nil, fmt.Errorf("body of %d bytes, at most %d allowed", len(raw), r.max)
	}
	return wire.Marshal(envelope{Version: version, Kind: kind, ID: id, Body: raw})
}

// Recv waits for the next message. It returns ctx's error when ctx ends (the connection lives on), io.EOF when the peer has
// closed, and a *Violation, after closing the connection, when the peer broke a rule. A zero-length packet counts as closing.
func (c *Conn) Recv(ctx context.Context) (Message, error) {
	release, err := interruptible(ctx, c.sock.SetReadDeadline)
	if err != nil {
		return Message{}, err
	}
	n, _, flags, _, err := c.sock.ReadMsgUnix(c.buf, nil)
	release()
	switch {
	case ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
		return Message{}, ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return Message{}, io.EOF
	case err != nil:
		return Message{}, fmt.Errorf("receive from %v: %w", c.role, err)
	}
	m, err := c.admit(c.buf[:n], flags, time.Now())
	clear(c.buf[:n]) // it may hold a probe; the message has its own copy, which is its receiver's to clear
	if err != nil {
		c.Close()
		return Message{}, err
	}
	return m, nil
}

// admit opens the envelope of a packet that may pass. It looks at the body's size only.
func (c *Conn) admit(packet []byte, flags int, now time.Time) (Message, error) {
	refuse := func(format string, args ...any) (Message, error) {
		return Message{}, &Violation{c.role, fmt.Sprintf(format, args...)}
	}
	if c.tap != nil && !c.tap.take(now) {
		return refuse("more packets than its pace allows")
	}
	if flags&unix.MSG_TRUNC != 0 || len(packet) > MaxPacket {
		return refuse("longer than %d bytes", MaxPacket)
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return refuse("it carries file descriptors")
	}
	var e envelope
	if err := wire.Unmarshal(packet, &e); err != nil {
		return refuse("%v", err)
	}
	if e.Version != version {
		return refuse("version %d, want %d", e.Version, version)
	}
	r, ok := lookup(c.role, c.in, e.Kind)
	if !ok {
		return refuse("no rule lets %v pass", e.Kind)
	}
	if len(e.Body) > r.max {
		return refuse("%v of %d bytes, at most %d allowed", e.Kind, len(e.Body), r.max)
	}
	return Message{Kind: e.Kind, ID: e.ID, Body: e.Body}, nil
}

// interruptible makes ctx's end a deadline of a socket. release must be called after the socket call and before the next one.
func interruptible(ctx context.Context, setDeadline func(time.Time) error) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := setDeadline(time.Time{}); err != nil {
		return nil, err
	}
	past, fired := time.Unix(1, 0), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		setDeadline(past)
		close(fired)
	})
	return func() {
		if !stop() {
			<-fired // else its deadline could hit the next call
		}
	}, nil
}
