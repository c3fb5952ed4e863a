package frames

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxReaders bounds what connections can cost the writer: eye, the page and a recorder need three.
const maxReaders = 8

// Ring is the writing end. One goroutine may call Begin and Publish; Serve runs in another; Close ends both.
type Ring struct {
	geometry
	least    Light
	most     Light
	fd       int
	mem      []byte
	greeting []byte
	next     int // the slot that Begin hands out
	packet   [announceSize]byte

	mu      sync.Mutex
	readers []*subscriber
	closed  bool
	asked   Light
	asking  sync.WaitGroup
}

type subscriber struct {
	conn *net.UnixConn
	raw  syscall.RawConn
	send func(fd uintptr) bool // made once: a closure a frame would allocate
	err  error
}

// NewRing makes the shared memory for slots frames of width x height gray pixels. Its size is sealed before anybody sees it. Readers may ask for a light
// from least to most; both are zero if the camera cannot be told.
func NewRing(camera Camera, width, height, slots int, least, most Light) (*Ring, error) {
	g := geometry{width, height, slots}
	if err := g.check(); err != nil {
		return nil, fmt.Errorf("make ring: %w", err)
	}
	greeting, err := appendGreeting(nil, g, camera, least, most)
	if err != nil {
		return nil, fmt.Errorf("make ring: %w", err)
	}
	fd, err := unix.MemfdCreate("lintel-frames", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make ring: memfd: %w", err)
	}
	r := &Ring{geometry: g, least: least, most: most, fd: fd, greeting: greeting}
	if err := r.mapSealed(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make ring: %w", err)
	}
	return r, nil
}

// mapSealed maps for writing first: the future-write seal leaves this mapping as the only one that can ever write.
func (r *Ring) mapSealed() error {
	if err := unix.Ftruncate(r.fd, int64(r.size())); err != nil {
		return fmt.Errorf("size memfd: %w", err)
	}
	mem, err := unix.Mmap(r.fd, 0, r.size(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map memfd: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(r.fd), unix.F_ADD_SEALS, writerSeals); err != nil {
		return errors.Join(fmt.Errorf("seal memfd: %w", err), unix.Munmap(mem))
	}
	r.mem = mem
	return nil
}

// Serve greets readers until the listener is closed.
func (r *Ring) Serve(l *net.UnixListener) error {
	for {
		conn, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept frame reader: %w", err)
		}
		if err := r.greet(conn); err != nil {
			conn.Close() // a reader that hangs up while it is greeted is its own loss
		}
	}
}

func (r *Ring) greet(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	s := &subscriber{conn: conn, raw: raw}
	s.send = func(fd uintptr) bool {
		s.err = unix.Send(int(fd), r.packet[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true // never wait: a stuck reader loses frames, the writer loses nothing
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.readers) >= maxReaders {
		return errors.New("no room for another reader")
	}
	// An empty socket buffer takes the greeting at once, so holding the lock here blocks nobody.
	if _, _, err := conn.WriteMsgUnix(r.greeting, unix.UnixRights(r.fd), nil); err != nil {
		return err
	}
	r.readers = append(r.readers, s)
	r.asking.Go(func() { r.listen(conn) })
	return nil
}

// listen takes the requests of a reader until it is gone, or asks for what it may not.
func (r *Ring) listen(conn *net.UnixConn) {
	defer conn.Close()
	var p [lightSize + 1]byte // a byte more, so that a longer packet is not cut to the right length
	for {
		n, err := conn.Read(p[:])
		if err != nil || n != lightSize {
			return
		}
		l, err := parseLight(p[:n])
		if err != nil || l.Exposure < r.least.Exposure || l.Exposure > r.most.Exposure || !(l.Gain >= r.least.Gain && l.Gain <= r.most.Gain) || r.most.Gain == 0 {
			return
		}
		r.mu.Lock()
		r.asked = l
		r.mu.Unlock()
	}
}

// Asked is the light that a reader asked for last; the zero Light until then.
func (r *Ring) Asked() Light {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// Begin hands out the pixels of the oldest slot, row by row without gaps. They are the caller's until Publish.
func (r *Ring) Begin() []byte {
	at := r.next * r.stride()
	v := version(r.mem, at)
	// The load after the store keeps the coming pixel writes behind the odd version on arm64, where a release store alone
	// does not hold back later plain stores.
	v.Store(v.Load() | 1)
	v.Load()
	return r.mem[at+slotHeader : at+slotHeader+r.pixels() : at+slotHeader+r.pixels()]
}

// Publish announces the frame written since Begin to all readers and never waits for one. seq must rise; a gap is a lost frame.
func (r *Ring) Publish(seq uint64, stamp time.Duration, light Light) {
	version(r.mem, r.next*r.stride()).Store(2 * seq)
	r.mu.Lock()
	announcement{seq, stamp, light, uint32(r.next)}.put(r.packet[:])
	kept := r.readers[:0]
	for _, s := range r.readers {
		err := s.raw.Write(s.send)
		if err != nil || (s.err != nil && !errors.Is(s.err, unix.EAGAIN)) {
			s.conn.Close() // gone
			continue
		}
		kept = append(kept, s)
	}
	clear(r.readers[len(kept):])
	r.readers = kept
	r.mu.Unlock()
	r.next = (r.next + 1) % r.slots
}

// Close hangs up on all readers and gives the memory back; Begin and Publish must not be called any more.
func (r *Ring) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return os.ErrClosed
	}
	r.closed = true
	for _, s := range r.readers {
		s.conn.Close()
	}
	r.readers = nil
	r.mu.Unlock()
	r.asking.Wait()
	return errors.Join(unix.Munmap(r.mem), unix.Close(r.fd))
}

// version is the sequence lock of the slot at offset at, which is page aligned and so fit for an atomic.
func version(mem []byte, at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&mem[at]))
}
