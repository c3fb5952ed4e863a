//go:build !kiosk

package twin

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/board"
)

// terminal is the board's end of the lines socket. It serves one client after the other, never two at once: a door has one
// controller, and the next one waits until the outputs of the last one have been released.
type terminal struct {
	wires *wires

	mu     sync.Mutex
	over   bool          // no client is taken any more
	conn   *net.UnixConn // the client, nil if there is none
	send   func(fd uintptr) bool
	raw    syscall.RawConn
	packet [reportSize]byte
	err    error
}

func newTerminal(w *wires) *terminal {
	t := &terminal{wires: w}
	t.send = func(fd uintptr) bool {
		t.err = unix.Send(int(fd), t.packet[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true // never wait: the camera and the other wires go on
	}
	w.notify = func(line int, e board.Edge) {
		t.report(report{request{kind: kindEdge, line: line, on: e.On}, e.Stamp})
	}
	return t
}

// serve runs until the listener is closed and the client, if any, hung up on.
func (t *terminal) serve(l *net.UnixListener) error {
	for {
		conn, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept client of the lines: %w", err)
		}
		if t.attach(conn) {
			t.answer(conn)
		}
		t.detach()
		t.wires.release()
	}
}

func (t *terminal) attach(conn *net.UnixConn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	raw, err := conn.SyscallConn()
	t.conn, t.raw = conn, raw
	return err == nil && !t.over
}

func (t *terminal) detach() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		t.conn.Close()
	}
	t.conn, t.raw = nil, nil
}

// stop hangs up on the client and on one that is just being accepted; serve returns once its listener is closed too.
func (t *terminal) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	if t.conn != nil {
		t.conn.Close()
	}
}

// answer works off requests until the client hangs up, breaks the format or asks for what no client may do.
func (t *terminal) answer(conn *net.UnixConn) {
	var p [requestSize + 1]byte // a byte more, so that a longer packet is not cut to the right length
	for {
		n, err := conn.Read(p[:])
		if err != nil {
			return
		}
		r, err := parseRequest(p[:n], kindSet, kindLevel)
		if err != nil {
			return
		}
		var stamp time.Duration
		if r.kind == kindSet {
			if !output(lines[r.line]) {
				return
			}
			stamp = t.wires.set(r.line, r.on)
		} else {
			r.on = t.wires.get(r.line)
		}
		r.kind = kindAnswer
		t.report(report{r, stamp})
	}
}

// report sends one packet to the client. A client that does not read loses its connection, and so its outputs, rather than an
// edge: it must not believe that a door is shut because a packet was dropped.
func (t *terminal) report(r report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return
	}
	r.put(t.packet[:])
	if err := t.raw.Write(t.send); err != nil || t.err != nil {
		t.conn.Close() // answer's read ends and serve cleans up
	}
}
