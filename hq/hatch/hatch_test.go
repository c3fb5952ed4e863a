package hatch

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

type number struct {
	N int `cbor:"1,keyasint"`
}

// open serves a hatch that doubles numbers.
func open(t *testing.T) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "hq.sock")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, path, map[string]Handler{
			"double": Handle(func(_ context.Context, q number) (any, error) {
				if q.N < 0 {
					return nil, errors.New("too little")
				}
				return number{2 * q.N}, nil
			}),
			"wait": Handle(func(ctx context.Context, _ Nothing) (any, error) { <-ctx.Done(); return nil, ctx.Err() }),
		})
	}()
	for range 4000 {
		if _, err := os.Stat(path); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return path, stop
}

func TestCallsAreAnswered(t *testing.T) {
	path, stop := open(t)
	if got, err := Call[number](t.Context(), path, "double", number{21}); err != nil || got.N != 42 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Call[number](t.Context(), path, "double", number{-1}); err == nil || err.Error() != "too little" {
		t.Errorf("%v", err)
	}
	if _, err := Call[number](t.Context(), path, "triple", number{1}); err == nil || !strings.Contains(err.Error(), "triple") {
		t.Errorf("%v", err)
	}
	if _, err := Call[number](t.Context(), path, "double", Nothing{}); err == nil {
		t.Error("a request of another shape was taken")
	}
	if _, err := Call[Nothing](t.Context(), path, "double", number{1}); err == nil {
		t.Error("an answer of another shape was taken")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := Serve(t.Context(), path, nil); err == nil {
		t.Error("a second one serves the same folder")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Call[Nothing](ctx, path, "wait", Nothing{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	stop()
	if _, err := Call[number](t.Context(), path, "double", number{1}); !errors.Is(err, ErrClosed) {
		t.Errorf("with nobody there: %v", err)
	}
}

// While there are no descriptors left a caller waits; the hatch does not end.
func TestNoDescriptorsLeft(t *testing.T) {
	path, _ := open(t)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	next, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: uint64(next.Fd()) + 1, Max: was.Max} // the caller's own
	next.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	time.Sleep(200 * time.Millisecond)
	if err := errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got, err := Call[number](t.Context(), path, "double", number{21}); err != nil || got.N != 42 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestGarbageIsCutOff(t *testing.T) {
	path, _ := open(t)
	for name, data := range map[string][]byte{
		"too large":    binary.BigEndian.AppendUint32(nil, MaxMessage+1),
		"no CBOR":      {0, 0, 0, 2, 0xff, 0xff},
		"another type": {0, 0, 0, 1, 0x01},
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(3 * time.Second))
		if n, err := c.Read(make([]byte, 8)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		c.Close()
	}
	if got, err := Call[number](t.Context(), path, "double", number{1}); err != nil || got.N != 2 {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
}

// A dead socket is what SIGKILL leaves.
func TestSocketOfTheDeadIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hq.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, path, map[string]Handler{"x": Handle(func(context.Context, Nothing) (any, error) { return nil, nil })})
	}()
	for range 100 {
		if _, err = Call[Nothing](t.Context(), path, "x", Nothing{}); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
