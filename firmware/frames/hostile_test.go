package frames

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A hostile writer: whatever greeting, descriptors and packets it likes.
type hostile struct {
	greeting []byte
	fds      []int
	packets  [][]byte
}

func memfd(t *testing.T, size, seals int) int {
	t.Helper()
	fd, err := unix.MemfdCreate("hostile", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return fd
}

func (h hostile) serve(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "frames")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		conn.WriteMsgUnix(h.greeting, unix.UnixRights(h.fds...), nil)
		for _, p := range h.packets {
			conn.Write(p)
		}
		conn.Read(make([]byte, 1)) // until the reader hangs up
		conn.Close()
	}()
	return path
}

func good(t *testing.T) (geometry, []byte) {
	t.Helper()
	g := geometry{64, 48, 3}
	p, err := appendGreeting(nil, g, testCamera(), testLeast, testMost)
	if err != nil {
		t.Fatal(err)
	}
	return g, p
}

func TestHostileGreeting(t *testing.T) {
	g, greeting := good(t)
	sealed := func() []int { return []int{memfd(t, g.size(), unix.F_SEAL_SHRINK)} }
	edit := func(change func(p []byte)) []byte {
		p := append([]byte(nil), greeting...)
		change(p)
		return p
	}
	for name, c := range map[string]struct {
		h    hostile
		want string
	}{
		"wrong magic":    {hostile{greeting: edit(func(p []byte) { p[0] = 'x' }), fds: sealed()}, "not a frame ring"},
		"other version":  {hostile{greeting: edit(func(p []byte) { p[8] = 9 }), fds: sealed()}, "version 9"},
		"huge frame":     {hostile{greeting: edit(func(p []byte) { binary.LittleEndian.PutUint16(p[10:], 65535) }), fds: sealed()}, "frame size"},
		"no slots":       {hostile{greeting: edit(func(p []byte) { p[14] = 0 }), fds: sealed()}, "0 slots"},
		"no interval":    {hostile{greeting: edit(func(p []byte) { clear(p[16:24]) }), fds: sealed()}, "camera description"},
		"odd boolean":    {hostile{greeting: edit(func(p []byte) { p[24] = 2 }), fds: sealed()}, "camera description"},
		"text length":    {hostile{greeting: edit(func(p []byte) { p[25] = 65 }), fds: sealed()}, "camera text"},
		"hidden text":    {hostile{greeting: edit(func(p []byte) { p[25+textSize] = 'x' }), fds: sealed()}, "camera text"},
		"bad light":      {hostile{greeting: edit(func(p []byte) { p[greetingSize-1] = 0xff }), fds: sealed()}, "exposure or gain"},
		"short greeting": {hostile{greeting: greeting[:greetingSize-1], fds: sealed()}, "bytes instead of"},
		"long greeting":  {hostile{greeting: append(edit(func([]byte) {}), 0, 0), fds: sealed()}, "truncated"},
		"no memory":      {hostile{greeting: greeting}, "0 descriptors"},
		"two memories":   {hostile{greeting: greeting, fds: append(sealed(), sealed()...)}, "2 descriptors"},
		"unsealed":       {hostile{greeting: greeting, fds: []int{memfd(t, g.size(), unix.F_SEAL_GROW)}}, "not sealed"},
		"too small":      {hostile{greeting: greeting, fds: []int{memfd(t, g.size()-1, unix.F_SEAL_SHRINK)}}, "bytes instead of"},
		"too big":        {hostile{greeting: greeting, fds: []int{memfd(t, g.size()+1, unix.F_SEAL_SHRINK)}}, "bytes instead of"},
		"not a memfd":    {hostile{greeting: greeting, fds: []int{0}}, "read seals"},
	} {
		r, err := Dial(c.h.serve(t))
		if err == nil {
			r.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ...%s...", name, err, c.want)
		}
	}
}

func TestSilentWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "frames")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // never accepts
	start := time.Now()
	if r, err := Dial(path); err == nil {
		r.Close()
		t.Fatal("joined a writer that says nothing")
	}
	if d := time.Since(start); d > 2*greetingWithin {
		t.Fatalf("gave up after %v", d)
	}
}

func TestHostileAnnouncement(t *testing.T) {
	g, greeting := good(t)
	packet := func(a announcement) []byte {
		p := make([]byte, announceSize)
		a.put(p)
		return p
	}
	for name, c := range map[string]struct {
		packets [][]byte
		want    string
	}{
		"slot out of range": {[][]byte{packet(announcement{seq: 1, slot: 3})}, "slot 3 of 3"},
		"slot wraps":        {[][]byte{packet(announcement{seq: 1, slot: 1<<32 - 1})}, "slot"},
		"negative stamp":    {[][]byte{packet(announcement{seq: 1, stamp: -1})}, "out of bounds"},
		"endless exposure":  {[][]byte{packet(announcement{seq: 1, light: Light{Exposure: time.Hour}})}, "out of bounds"},
		"endless gain":      {[][]byte{packet(announcement{seq: 1, light: Light{Gain: float32(math.Inf(1))}})}, "out of bounds"},
		"gain no number":    {[][]byte{packet(announcement{seq: 1, light: Light{Gain: float32(math.NaN())}})}, "out of bounds"},
		"short packet":      {[][]byte{packet(announcement{seq: 1})[:announceSize-1]}, "bytes instead of"},
		"long packet":       {[][]byte{append(packet(announcement{seq: 1}), 0, 0, 0)}, "bytes instead of"},
		"sequence repeats":  {[][]byte{packet(announcement{seq: 1}), packet(announcement{seq: 1})}, "sequence 1 after 1"},
		"sequence zero":     {[][]byte{packet(announcement{})}, "sequence 0"},
	} {
		h := hostile{greeting: greeting, fds: []int{memfd(t, g.size(), unix.F_SEAL_SHRINK)}, packets: c.packets}
		r, err := Dial(h.serve(t))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f, err := r.Next(within(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: frame %d, %v, want ...%s...", name, f.Seq, err, c.want)
		}
		r.Close()
	}
}

// An announced frame that is not in its slot is never handed out, however long the lie is repeated.
func TestAnnouncedFrameIsNotThere(t *testing.T) {
	g, greeting := good(t)
	p := make([]byte, announceSize)
	announcement{seq: 7}.put(p)
	h := hostile{greeting: greeting, fds: []int{memfd(t, g.size(), unix.F_SEAL_SHRINK)}, packets: [][]byte{p}}
	r, err := Dial(h.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if f, err := r.Next(ctx); err != context.DeadlineExceeded {
		t.Fatalf("frame %d, %v", f.Seq, err)
	}
}

// What the writer seals: no reader can shrink, grow, write or map for writing.
func TestReaderCannotDisturbTheRing(t *testing.T) {
	ring, path := serve(t)
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	g, _, _, fd, err := readGreeting(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Error("shrunk")
	}
	if err := unix.Ftruncate(fd, int64(2*g.size())); err == nil {
		t.Error("grown")
	}
	if _, err := unix.Pwrite(fd, []byte{1}, 0); err == nil {
		t.Error("written")
	}
	if m, err := unix.Mmap(fd, 0, g.size(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		unix.Munmap(m)
		t.Error("mapped for writing")
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor would survive exec: %v, %v", flags, err)
	}
	if len(ring.mem) != g.size() {
		t.Errorf("ring of %d bytes announced as %d", len(ring.mem), g.size())
	}
}

func FuzzGreeting(f *testing.F) {
	p, err := appendGreeting(nil, geometry{640, 480, 4}, testCamera(), testLeast, testMost)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add(p[:40])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		g, c, least, most, err := parseGreeting(p)
		if err != nil {
			return
		}
		if g.size() > maxSlots*(maxSide*maxSide+2*slotAlign) {
			t.Fatalf("accepted a ring of %d bytes", g.size())
		}
		again, err := appendGreeting(nil, g, c, least, most)
		if err != nil || string(again) != string(p) {
			t.Fatalf("accepted a greeting that we would not write: %v", err)
		}
	})
}

func FuzzAnnouncement(f *testing.F) {
	p := make([]byte, announceSize)
	announcement{seq: 1, stamp: 2, light: Light{3, 4}, slot: 1}.put(p)
	f.Add(p)
	f.Add(p[:5])
	f.Fuzz(func(t *testing.T, p []byte) {
		a, err := parseAnnouncement(p, 4)
		if err == nil && (a.slot >= 4 || a.stamp < 0 || a.light.Exposure < 0 || !(a.light.Gain >= 0)) {
			t.Fatalf("accepted %+v", a)
		}
	})
}

func BenchmarkPublishAndNext(b *testing.B) {
	ring, path := serve(b)
	r := dial(b, path)
	ctx, seq := context.Background(), uint64(0)
	for b.Loop() {
		seq++
		publish(ring, seq)
		if _, err := r.Next(ctx); err != nil && err != io.EOF {
			b.Fatal(err)
		}
	}
}
