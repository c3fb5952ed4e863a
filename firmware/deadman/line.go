package deadman

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Line connects a supervisor with one run of a program. Make one before each start.
type Line struct {
	near *net.UnixConn
	far  *os.File
	pid  int    // of the program; packets of others count nothing
	last uint64 // counter of its newest packet
	done chan struct{}
	shut func()
}

// NewLine makes a line. The program inherits Far as one of exec.Cmd's ExtraFiles and is told its number.
func NewLine() (*Line, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make dead-man's line: %w", err)
	}
	ours, far := os.NewFile(uintptr(pair[0]), "dead-man's line"), os.NewFile(uintptr(pair[1]), "dead-man's line, far end")
	defer ours.Close()
	// From here on the kernel puts the sender's process number on every packet, whether the sender likes it or not.
	err = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	var conn net.Conn
	if err == nil {
		conn, err = net.FileConn(ours)
	}
	if err != nil {
		far.Close()
		return nil, fmt.Errorf("make dead-man's line: %w", err)
	}
	l := &Line{near: conn.(*net.UnixConn), far: far, done: make(chan struct{})}
	l.shut = sync.OnceFunc(func() { close(l.done); l.near.Close(); l.far.Close() })
	return l, nil
}

// Far is the program's end. Closing it is the Line's business.
func (l *Line) Far() *os.File { return l.far }

// Close ends the line. It is for a program that could not be started; otherwise the line is the Man's.
func (l *Line) Close() { l.shut() }

// errForeign is a packet that the program did not send, or not now.
var errForeign = errors.New("packet of another process, or an old one")

// receive waits for the next packet that counts. errPacket and errForeign mean one that does not; any other error is the end of the line.
func (l *Line) receive() (packet, error) {
	var data [packetSize + 1]byte
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred)) // no room for file descriptors: the kernel drops those that are sent
	n, used, flags, _, err := l.near.ReadMsgUnix(data[:], oob)
	if err != nil {
		return packet{}, err
	}
	if flags&unix.MSG_TRUNC != 0 {
		return packet{}, errPacket
	}
	p, err := decode(data[:n])
	if err != nil {
		return packet{}, err
	}
	if sender(oob[:used]) != l.pid || p.counter != l.last+1 {
		return packet{}, errForeign
	}
	l.last = p.counter
	return p, nil
}

// sender is the process that sent a packet; 0 if the kernel did not say.
func sender(oob []byte) int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return 0
	}
	who, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		return 0
	}
	return int(who.Pid)
}

// send gives the program a packet if it takes one at once.
func (l *Line) send(p packet) error {
	_ = l.near.SetWriteDeadline(time.Now().Add(step))
	_, err := l.near.Write(p.encode())
	return err
}
