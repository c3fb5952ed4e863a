package ipc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func serve(t *testing.T, role Role, wantUID int) (*Listener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", role.Socket())
	l, err := Listen(path, role, wantUID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

// pair connects a client of role to door; both are closed with the test.
func pair(t *testing.T, role Role) (client, door *Conn) {
	t.Helper()
	l, path := serve(t, role, os.Getuid())
	client, err := Dial(within(t), path, role, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	door, err = l.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); door.Close() })
	return client, door
}

func TestPresentationCrosses(t *testing.T) {
	eye, door := pair(t, Eye)
	sent := fullPresentation()
	if err := eye.Send(KindPresentation, 0, &sent); err != nil {
		t.Fatal(err)
	}
	m, err := door.Recv(within(t))
	if err != nil {
		t.Fatal(err)
	}
	var got access.Presentation
	if err := Decode(m, &got); err != nil {
		t.Fatal(err)
	}
	a, _ := wire.Marshal(sent)
	b, _ := wire.Marshal(got)
	if !bytes.Equal(a, b) || len(a) < 10_000 {
		t.Fatalf("%d bytes sent, %d came", len(a), len(b))
	}
}

// What a hostile client may write into the socket: each ends its connection, and none is decoded.
//
// Control: C17
func TestHostilePackets(t *testing.T) {
	good := func(e envelope) []byte {
		b, err := wire.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	empty := wire.Raw{0xa0}
	tests := []struct {
		name, want string
		packet     []byte
		oob        []byte
	}{
		{"zero length", "EOF", nil, nil},
		{"garbage", "decode", []byte("GET / HTTP/1.1"), nil},
		{"two messages", "decode", append(good(envelope{Version: 1, Kind: KindPulse, Body: empty}), 0), nil},
		{"not canonical", "deterministic", []byte{0x84, 0x01, 0x19, 0x00, byte(KindPulse), 0x00, 0xa0}, nil},
		{"too few fields", "decode", []byte{0x83, 0x01, 0x18, byte(KindPulse), 0x00}, nil},
		{"version", "version 2", good(envelope{Version: 2, Kind: KindPulse, Body: empty}), nil},
		{"unknown kind", "no rule", good(envelope{Version: 1, Kind: 9999, Body: empty}), nil},
		{"another role's kind", "no rule", good(envelope{Version: 1, Kind: KindEnrol, Body: empty}), nil},
		{"door's own kind", "no rule", good(envelope{Version: 1, Kind: KindObserve, Body: empty}), nil},
		{"body over its cap", "at most", good(envelope{Version: 1, Kind: KindPulse, Body: wire.Raw{0xa1, 0, 0}}), nil},
		{"packet over the cap", "longer than", make([]byte, MaxPacket+1), nil},
		{"far over the cap", "longer than", make([]byte, 3*MaxPacket), nil},
		{"file descriptor", "file descriptors", good(envelope{Version: 1, Kind: KindPulse, Body: empty}), unix.UnixRights(int(os.Stdin.Fd()))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, door := pair(t, Eye)
			if _, _, err := client.sock.WriteMsgUnix(tt.packet, tt.oob, nil); err != nil {
				t.Fatal(err)
			}
			_, err := door.Recv(within(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			var v *Violation
			if tt.want != "EOF" && !errors.As(err, &v) {
				t.Fatalf("%v is no Violation", err)
			}
			if tt.want != "EOF" {
				if _, err := client.Recv(within(t)); err != io.EOF {
					t.Fatalf("connection lives on: %v", err)
				}
			}
		})
	}
}

func TestPace(t *testing.T) {
	client, door := pair(t, Desk)
	_, burst := Desk.pace()
	var v *Violation
	n := 0
	for {
		if err := client.Send(KindPulse, 0, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := door.Recv(within(t)); err != nil {
			if !errors.As(err, &v) {
				t.Fatal(err)
			}
			break
		}
		if n++; n > 10*int(burst) {
			t.Fatal("no pace kept")
		}
	}
	if n < int(burst) {
		t.Fatalf("closed after %d packets, the burst is %v", n, burst)
	}

	start := time.Unix(0, 0)
	b := newBucket(10, 2, start)
	for i, step := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true},
		{0, true},
		{0, false},
		{50 * time.Millisecond, false},
		{100 * time.Millisecond, true},
		{99 * time.Millisecond, false}, // a clock that steps back gives nothing
		{time.Hour, true},
		{time.Hour, true},
		{time.Hour, false},
	} {
		if got := b.take(start.Add(step.at)); got != step.want {
			t.Errorf("step %d: got %v", i, got)
		}
	}
	if rate, burst := Role(9).pace(); newBucket(rate, burst, start).take(start) {
		t.Error("a role without a pace passes packets")
	}
}

// A peer that stops reading holds door for no more than sendWithin, once.
func TestPeerThatDoesNotRead(t *testing.T) {
	eye, door := pair(t, Eye)
	start := time.Now()
	var err error
	for err == nil && time.Since(start) < 5*time.Second {
		err = door.Send(KindOK, 0, nil)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if err := door.Send(KindOK, 0, nil); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("second send: %v", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Fatalf("held for %v", d)
	}
	eye.Close()
}

// A sender that stood still until its time was over has not tried yet: what the peer has room for is sent, and what it has none for is late.
func TestSenderThatStoodStill(t *testing.T) {
	eye, door := pair(t, Eye)
	packet, err := door.pack(KindOK, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Second)
	if err := door.write(packet, past); err != nil {
		t.Fatal(err)
	}
	if m, err := eye.Recv(within(t)); err != nil || m.Kind != KindOK || m.ID != 7 {
		t.Fatalf("%+v, %v came", m, err)
	}
	for n := 0; err == nil && n < 1_000_000; n++ {
		err = door.write(packet, past)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("nobody reads: %v", err)
	}
	eye.Close()
	if err := door.write(packet, past); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("nobody is there: %v", err)
	}
}

func TestContextEndsReceiving(t *testing.T) {
	client, door := pair(t, Link)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := door.Recv(ctx); err != context.DeadlineExceeded {
		t.Fatalf("got %v", err)
	}
	if _, err := door.Recv(ctx); err != context.DeadlineExceeded {
		t.Fatalf("ended before: %v", err)
	}
	if err := client.Send(KindPulse, 3, nil); err != nil {
		t.Fatal(err)
	}
	if m, err := door.Recv(within(t)); err != nil || m.Kind != KindPulse || m.ID != 3 {
		t.Fatalf("the connection did not live on: %+v, %v", m, err)
	}
	client.Close()
	if _, err := door.Recv(within(t)); err != io.EOF {
		t.Fatalf("peer gone: %v", err)
	}
	if err := door.Send(KindOK, 0, nil); err == nil {
		t.Fatal("sent to nobody")
	}

	l, _ := serve(t, Link, os.Getuid())
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Accept(ctx); err != context.DeadlineExceeded {
		t.Fatalf("accept: %v", err)
	}
}
