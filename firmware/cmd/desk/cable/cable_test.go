//go:build !kiosk

package cable

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// record is one of TLS with a payload of n bytes b.
func record(b byte, n int) []byte {
	return append([]byte{23, 3, 3, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{b}, n)...)
}

// laid is a cable with a far end that hands its connections out.
func laid(t *testing.T) (c *Cable, far chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	far = make(chan net.Conn, 8)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			far <- conn
		}
	}()
	if c, err = Lay("127.0.0.1:0", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		l.Close()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the cable does not end with its context")
		}
	})
	return c, far
}

func dial(t *testing.T, c *Cable) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func say(t *testing.T, to net.Conn, records ...[]byte) {
	t.Helper()
	if _, err := to.Write(bytes.Join(records, nil)); err != nil {
		t.Fatal(err)
	}
}

// hear reads a record, and says how long that took.
func hear(t *testing.T, from net.Conn, want []byte) time.Duration {
	t.Helper()
	began, got := time.Now(), make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("heard % x…, want % x…", got[:6], want[:6])
	}
	return time.Since(began)
}

func TestCutAndJoined(t *testing.T) {
	c, far := laid(t)
	near := dial(t, c)
	there := <-far
	say(t, near, record(1, 100), record(2, most))
	hear(t, there, record(1, 100))
	hear(t, there, record(2, most))
	say(t, there, record(3, 10))
	hear(t, near, record(3, 10))

	c.Cut()
	if whole, _ := c.Whole(); whole {
		t.Error("a cable that is cut says that it is whole")
	}
	for what, conn := range map[string]net.Conn{"who was connected": near, "the far end": there, "who connects": dial(t, c)} {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s hears something over a cable that is cut", what)
		}
	}
	if len(far) != 0 {
		t.Error("the far end was reached over a cable that is cut")
	}
	c.Join()
	near = dial(t, c)
	say(t, near, record(4, 1))
	hear(t, <-far, record(4, 1))
}

// Records that say something are held once, first on the way up, then on the way down; signs of life pass.
func TestHeld(t *testing.T) {
	c, far := laid(t)
	near := dial(t, c)
	there := <-far
	const up, down = 2 * time.Second, 1500 * time.Millisecond // far more than a busy machine takes for what is not held
	c.Hold(up, down)
	say(t, there, record(1, 100)) // what asks passes
	if took := hear(t, near, record(1, 100)); took >= down {
		t.Errorf("down waited %v before anything went up", took)
	}
	say(t, near, record(2, small))
	if took := hear(t, there, record(2, small)); took >= up {
		t.Errorf("a sign of life waited %v", took)
	}
	began := time.Now() // before the cable can have read any of it
	say(t, near, record(3, small+1), record(4, 1))
	hear(t, there, record(3, small+1))
	if took := time.Since(began); took < up {
		t.Errorf("up was held for %v, want %v", took, up)
	}
	hear(t, there, record(4, 1))
	began = time.Now()
	say(t, there, record(5, 1), record(6, 100))
	if took := hear(t, near, record(5, 1)); took >= down {
		t.Errorf("a sign of life waited %v", took)
	}
	hear(t, near, record(6, 100))
	if took := time.Since(began); took < down {
		t.Errorf("down was held for %v, want %v", took, down)
	}
	say(t, near, record(7, 100))
	if took := hear(t, there, record(7, 100)); took >= up {
		t.Errorf("a second record was held for %v", took)
	}
}

// What is no TLS is not carried: its length cannot be believed.
func TestNoRecord(t *testing.T) {
	c, far := laid(t)
	near := dial(t, c)
	there := <-far
	say(t, near, []byte("GET / HTTP/1.1\xff\xff\r\n\r\n"))
	there.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := there.Read(make([]byte, 1)); err == nil {
		t.Error("something else than TLS was carried")
	}
}
