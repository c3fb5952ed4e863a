// Package hatch is how the commands of hq reach a running hq serve: a Unix socket in its folder, one request and one answer a connection, in the
// deterministic CBOR of sync/wire. Who may open the socket file is headquarters' own account or root; both ends ask the kernel who is there.
package hatch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/sync/wire"
)

const (
	// MaxMessage is the largest request or answer, bytes.
	MaxMessage = wire.MaxBytes
	patience   = 5 * time.Second // for a request to arrive whole
	// Deadline is how long an answer may take.
	Deadline = 10 * time.Minute
	clients  = 16 // at a time; whoever comes next waits
)

// Handler answers a request. It must decode body, strictly, before it believes any of it.
type Handler func(ctx context.Context, body []byte) (answer any, err error)

// Handle makes a Handler of a function of a request.
func Handle[T any](do func(ctx context.Context, request T) (any, error)) Handler {
	return func(ctx context.Context, body []byte) (any, error) {
		var request T
		if err := wire.Unmarshal(body, &request); err != nil {
			return nil, err
		}
		return do(ctx, request)
	}
}

// Nothing is a request or an answer that says no more than its name.
type Nothing struct{}

type request struct {
	Verb string   `cbor:"1,keyasint"`
	Body wire.Raw `cbor:"2,keyasint"`
}

type answer struct {
	Error string   `cbor:"1,keyasint"` // empty: it was done
	Body  wire.Raw `cbor:"2,keyasint"`
}

// passing are errors of the machine, not of the socket: it has too many connections of others, and is asked again.
var passing = []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED}

// ErrClosed means that no hq serve runs on a folder.
var ErrClosed = errors.New("hq serve does not run on this folder")

// Serve answers requests at path until ctx ends. A socket that nobody answers is replaced; one that somebody answers is not.
func Serve(ctx context.Context, path string, table map[string]Handler) error {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return fmt.Errorf("open hatch %q: somebody answers there already", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open hatch: %w", err)
	}
	l, err := net.Listen("unix", path) // in a folder of mode 0700
	if err != nil {
		return fmt.Errorf("open hatch: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("open hatch: %w", err), l.Close())
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var all sync.WaitGroup
	defer all.Wait()
	room := make(chan struct{}, clients)
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) }) {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			return fmt.Errorf("hatch: %w", err)
		}
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			defer c.Close()
			end := context.AfterFunc(ctx, func() { c.Close() })
			defer end()
			respond(ctx, c, table)
		})
	}
}

func respond(ctx context.Context, c net.Conn, table map[string]Handler) {
	if mine(c) != nil {
		return
	}
	var q request
	if c.SetDeadline(time.Now().Add(patience)) != nil || receive(c, &q) != nil {
		return
	}
	var a answer
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	said, err := any(nil), fmt.Errorf("%q is not understood: is hq serve of another version?", q.Verb)
	if do := table[q.Verb]; do != nil {
		said, err = do(ctx, q.Body)
	}
	if said == nil || err != nil {
		said = Nothing{}
	}
	if err == nil {
		a.Body, err = wire.Marshal(said)
	}
	if err != nil {
		a.Error = err.Error()
		a.Body, _ = wire.Marshal(Nothing{}) // an empty map
	}
	if c.SetDeadline(time.Now().Add(patience)) == nil {
		_ = send(c, a) // who has gone needs no answer
	}
}

// Call has the hq serve at path do something. ErrClosed means that there is none; any other error is what it said.
func Call[A any](ctx context.Context, path, verb string, body any) (said A, err error) {
	var none A
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			err = ErrClosed
		}
		return none, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := mine(c); err != nil {
		return none, err
	}
	q := request{Verb: verb}
	if q.Body, err = wire.Marshal(body); err != nil {
		return none, err
	}
	var a answer
	if err = c.SetDeadline(time.Now().Add(Deadline)); err == nil {
		if err = send(c, q); err == nil {
			err = receive(c, &a)
		}
	}
	if err != nil {
		return none, fmt.Errorf("ask hq serve: %w", errors.Join(ctx.Err(), err))
	}
	if a.Error != "" {
		return none, errors.New(a.Error)
	}
	return said, wire.Unmarshal(a.Body, &said)
}

// mine reports an error unless the other end is this account's or root's.
func mine(c net.Conn) error {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var who *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		who, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failed == nil && who.Uid != 0 && int(who.Uid) != os.Getuid() {
		failed = fmt.Errorf("account %d is at the other end of the hatch", who.Uid)
	}
	return failed
}

func send(w io.Writer, v any) error {
	data, err := wire.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	return err
}

func receive(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > MaxMessage {
		return fmt.Errorf("message of %d bytes, at most %d", n, MaxMessage)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	return wire.Unmarshal(data, v)
}
