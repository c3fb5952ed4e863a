package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	headerSize = 10   // tag, size, code: TPM 2.0 part 1, 18
	maxAnswer  = 4096 // TPM2_PT_MAX_RESPONSE_SIZE of PC client TPMs; the kernel's own buffer

	// defaultDeadline is above the longest single command that we send: the PC client profile allows 2 s for "long" commands, and discrete
	// chips take about 1 s to make an ECC primary.
	defaultDeadline = 5 * time.Second
)

// wire carries one command at a time and bounds the wait for its answer. After the first failed exchange question and answer could no longer be
// paired, so it is unusable from then on. It is not safe for concurrent use.
type wire struct {
	line     Line
	deadline time.Duration
	dead     error
	buf      [maxAnswer]byte
}

func newWire(l Line, deadline time.Duration) *wire {
	if deadline == 0 {
		deadline = defaultDeadline
	}
	return &wire{line: l, deadline: deadline}
}

// dial opens the TPM at path: a character device or the Unix socket of swtpm.
func dial(path string, deadline time.Duration) (*wire, bool, error) {
	w := newWire(nil, deadline)
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, err
	}
	switch info.Mode().Type() {
	case fs.ModeDevice | fs.ModeCharDevice:
		// Not os.OpenFile: the driver answers a read that comes too early with 0 bytes, which an os.File takes for the end.
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, false, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		w.line = &device{fd: fd}
		return w, false, nil
	case fs.ModeSocket:
		c, err := net.DialTimeout("unix", path, w.deadline)
		if err != nil {
			return nil, false, err
		}
		w.line = c
		return w, true, nil
	}
	return nil, false, fmt.Errorf("%q is neither a character device nor a socket", path)
}

// Send writes one command and returns the answer, which is valid until the next Send.
func (w *wire) Send(command []byte) ([]byte, error) {
	if w.dead != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, w.dead)
	}
	answer, err := w.exchange(command)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w (deadline %v): %w", ErrSilent, w.deadline, err)
	}
	if err != nil {
		w.dead = err
		return nil, &lost{err}
	}
	return answer, nil
}

// lost tells a broken connection from an answer that cannot be believed.
type lost struct{ error }

func (l *lost) Unwrap() error { return l.error }

func (w *wire) exchange(command []byte) ([]byte, error) {
	if err := w.line.SetDeadline(time.Now().Add(w.deadline)); err != nil {
		return nil, err
	}
	if _, err := w.line.Write(command); err != nil {
		return nil, err
	}
	n, err := io.ReadAtLeast(w.line, w.buf[:], headerSize)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(w.buf[2:])
	if size < headerSize || size > maxAnswer || n > int(size) {
		return nil, fmt.Errorf("answer of %d bytes announces %d", n, size)
	}
	if _, err := io.ReadFull(w.line, w.buf[n:size]); err != nil {
		return nil, err
	}
	return w.buf[:size], nil
}

// Close closes the connection. After a silent device it may wait for the kernel's own timeout of the command.
func (w *wire) Close() error {
	if w.dead == nil {
		w.dead = fs.ErrClosed
	}
	return w.line.Close()
}

// device is a TPM character device. In non-blocking mode the kernel queues the command at write; the answer is announced by poll.
type device struct {
	fd    int
	until time.Time
}

func (d *device) SetDeadline(t time.Time) error { d.until = t; return nil }
func (d *device) Close() error                  { return unix.Close(d.fd) }

func (d *device) Write(p []byte) (int, error) {
	for {
		n, err := unix.Write(d.fd, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (d *device) Read(p []byte) (int, error) {
	for {
		left := time.Until(d.until)
		if left <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err == unix.EINTR || err == nil && ready == 0 {
			continue
		}
		if err != nil {
			return 0, err
		}
		n, err := unix.Read(d.fd, p)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		default:
			return n, nil
		}
	}
}
