package deadman

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ends are both ends of a line within this process.
func ends(t *testing.T) (*Line, *Feeder) {
	t.Helper()
	l := newLine(t)
	fd, err := unix.Dup(int(l.Far().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	f, err := inherit(fd, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.conn.Close() })
	l.pid = os.Getpid()
	return l, f
}

func newLine(t *testing.T) *Line {
	t.Helper()
	l, err := NewLine()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// Only the next packet of the right process counts, and a wrong one does not spoil the next.
func TestReceive(t *testing.T) {
	l, f := ends(t)
	raw := func(b []byte) func() error { return func() error { _, err := f.conn.Write(b); return err } }
	for _, c := range []struct {
		name string
		send func() error
		want error
	}{
		{"first", func() error { return f.send(kindFed) }, nil},
		{"replayed", raw(packet{kindFed, 1}.encode()), errForeign},
		{"far ahead", raw(packet{kindReady, 3}.encode()), errForeign},
		{"zero", raw(packet{kindReady, 0}.encode()), errForeign},
		{"too long", raw(append(packet{kindFed, 2}.encode(), 0)), errPacket},
		{"much too long", raw(make([]byte, 60_000)), errPacket},
		{"too short", raw([]byte("LDM1")), errPacket},
		{"next", func() error { return f.send(kindReady) }, nil},
	} {
		if err := c.send(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, err := l.receive(); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	l.pid = os.Getppid()
	if err := f.send(kindFed); err != nil {
		t.Fatal(err)
	}
	if _, err := l.receive(); !errors.Is(err, errForeign) {
		t.Errorf("a packet of another process: %v", err)
	}
	f.conn.Close()
	l.far.Close()
	if _, err := l.receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the line reads %v", err)
	}
}

// Descriptors that a program sends never arrive: PID 1 would hold them for ever.
func TestReceiveTakesNoDescriptors(t *testing.T) {
	l, f := ends(t)
	before := descriptors(t)
	rights := unix.UnixRights(1, 1, 1)
	if _, _, err := f.conn.WriteMsgUnix(packet{kindFed, 1}.encode(), rights, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := l.receive(); err != nil {
		t.Errorf("a feed with descriptors: %v", err) // it is a feed all the same
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Another process that has inherited the line cannot feed: the kernel says who sent.
func TestForeignProcessFeedsNothing(t *testing.T) {
	l := newLine(t)
	l.pid = os.Getpid()
	// The shell is the process that PID 1 did not start as the door.
	cmd := exec.Command("sh", "-c", `printf 'LDM1\001\000\000\000\000\000\000\000\000\000\000\001' >&3`)
	cmd.ExtraFiles = []*os.File{l.Far()}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := l.receive(); !errors.Is(err, errForeign) || l.last != 0 {
		t.Errorf("its packet: %v, counter %d", err, l.last)
	}
}

func TestInheritRefuses(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	listener, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l := newLine(t)
	for name, c := range map[string]struct {
		fd   int
		want string
	}{
		"standard error":        {2, "standard stream"},
		"nothing":               {9999, "bad file descriptor"},
		"file":                  {int(file.Fd()), "socket operation on non-socket"},
		"stream":                {pair[0], "type 1"},
		"network":               {int(listener.Fd()), "domain 2"},
		"somebody else's child": {int(l.Far().Fd()), "not by our parent"},
	} {
		if _, err := Inherit(c.fd); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A supervisor that reads nothing loses feeds, and neither hangs the program nor confuses the numbers.
func TestSupervisorThatDoesNotRead(t *testing.T) {
	l, f := ends(t)
	for f.send(kindFed) == nil {
	}
	sent := f.sent
	if sent == 0 {
		t.Fatal("nothing could be sent")
	}
	start := time.Now()
	if err := f.send(kindFed); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) > 10*step || f.sent != sent {
		t.Errorf("one more: %v after %v, counter %d of %d", err, time.Since(start), f.sent, sent)
	}
	for range sent {
		if _, err := l.receive(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.send(kindFed); err != nil {
		t.Fatal(err)
	}
	if _, err := l.receive(); err != nil {
		t.Errorf("the first that fits again: %v", err)
	}
}
