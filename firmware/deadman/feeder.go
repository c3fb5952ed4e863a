package deadman

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Feeder is the watched program's end of the line.
type Feeder struct {
	conn  *net.UnixConn
	pace  time.Duration // between two feeds
	ready atomic.Bool

	mu   sync.Mutex // held while a packet is sent
	sent uint64
}

// Inherit takes the line that the supervisor left at descriptor fd, which is the Feeder's from here on. Anything else that stands there is refused: a
// program that fed something else would be reset for it.
func Inherit(fd int) (*Feeder, error) {
	f, err := inherit(fd, os.Getppid())
	if err != nil {
		return nil, fmt.Errorf("inherit dead-man's line at descriptor %d: %w", fd, err)
	}
	return f, nil
}

func inherit(fd, supervisor int) (*Feeder, error) {
	if fd <= 2 {
		return nil, errors.New("that is a standard stream")
	}
	unix.CloseOnExec(fd)
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return nil, err
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, err
	}
	if domain != unix.AF_UNIX || kind != unix.SOCK_SEQPACKET {
		return nil, fmt.Errorf("socket of domain %d and type %d", domain, kind)
	}
	// Of a socket pair the kernel remembers who made it.
	maker, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil, err
	}
	if int(maker.Pid) != supervisor {
		return nil, fmt.Errorf("made by process %d, and not by our parent %d", maker.Pid, supervisor)
	}
	file := os.NewFile(uintptr(fd), "dead-man's line")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return &Feeder{conn: conn.(*net.UnixConn), pace: period}, nil
}

// Ready says that the program does its work: the next feed carries it.
func (f *Feeder) Ready() { f.ready.Store(true) }

// Run feeds until ctx ends, ping fails or the supervisor is gone, and returns why; the line is closed then. Each feed follows a ping that has
// returned nil. When the supervisor asks for a last record, lastWords is called beside it, once: the loop behind ping is probably dead. A
// lastWords that does not return does not hold up Run.
func (f *Feeder) Run(ctx context.Context, ping func(context.Context) error, lastWords func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer f.conn.Close()
	go func() { cancel(f.listen(lastWords)) }() // ends with conn
	pace := time.NewTicker(f.pace)
	defer pace.Stop()
	for {
		if err := ping(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("feed dead-man: %w", err)
		}
		k := kindFed
		if f.ready.Load() {
			k = kindReady
		}
		if err := f.send(k); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("feed dead-man: %w", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pace.C:
		}
	}
}

// send numbers a packet and sends it. A supervisor that reads nothing for a while misses it: it has no number then.
func (f *Feeder) send(k kind) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.conn.SetWriteDeadline(time.Now().Add(step))
	if _, err := f.conn.Write(packet{k, f.sent + 1}.encode()); err != nil {
		return err
	}
	f.sent++
	return nil
}

// listen waits for what a supervisor can ask, and returns when the line is closed.
func (f *Feeder) listen(lastWords func() error) error {
	asked := false
	for {
		var data [packetSize + 1]byte
		n, err := f.conn.Read(data[:])
		if err != nil {
			return fmt.Errorf("listen to dead-man: %w", err)
		}
		p, err := decode(data[:n])
		if err != nil || p.kind != kindWords || asked {
			continue
		}
		asked = true
		if lastWords() == nil {
			_ = f.send(kindRecorded) // the supervisor waits for it, but not long
		}
	}
}
