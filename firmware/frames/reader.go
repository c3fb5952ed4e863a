package frames

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrStalled means that the camera is there and delivers nothing. The Source stays usable.
var ErrStalled = errors.New("no frame from the camera within the stall time-out")

// StallTimeout is how long Next waits for a frame: a second, or ten frames of a slower camera.
func StallTimeout(c Camera) time.Duration { return max(time.Second, 10*c.Interval) }

// Reader is the reading end of a Ring in another process. It believes nothing that it has not checked, because the writer parses
// a camera. Next and Close may be called from different goroutines, Next from one at a time.
type Reader struct {
	geometry
	camera Camera
	bounds [2]Light // least and most that the camera takes in
	conn   *net.UnixConn
	mem    []byte
	image  *image.Gray
	stall  *time.Timer
	fence  atomic.Uint64
	last   uint64 // sequence of the newest frame handed out

	arrived chan struct{} // capacity 1: something changed in the fields below
	done    chan struct{} // closed when receive has returned
	mu      sync.Mutex
	newest  announcement
	err     error // ends the Source
	closed  bool
}

var _ Adjustable = (*Reader)(nil)

// Dial connects to the Ring served at path and maps it read-only.
func Dial(path string) (*Reader, error) {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("dial frame ring: %w", err)
	}
	r, err := newReader(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("join frame ring %q: %w", path, err)
	}
	return r, nil
}

func newReader(conn *net.UnixConn) (*Reader, error) {
	g, camera, bounds, fd, err := readGreeting(conn)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd) // the mapping outlives it
	mem, err := mapReadOnly(fd, g)
	if err != nil {
		return nil, err
	}
	r := &Reader{
		geometry: g, camera: camera, bounds: bounds, conn: conn, mem: mem,
		image:   image.NewGray(image.Rect(0, 0, g.width, g.height)),
		stall:   time.NewTimer(time.Hour),
		arrived: make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	r.stall.Stop()
	go r.receive()
	return r, nil
}

// readGreeting takes the first packet and its one descriptor; whatever else came along is closed.
func readGreeting(conn *net.UnixConn) (geometry, Camera, [2]Light, int, error) {
	fail := func(err error) (geometry, Camera, [2]Light, int, error) {
		return geometry{}, Camera{}, [2]Light{}, -1, err
	}
	var packet [greetingSize + 1]byte
	oob := make([]byte, unix.CmsgSpace(4*8))
	if err := conn.SetReadDeadline(time.Now().Add(greetingWithin)); err != nil {
		return fail(err)
	}
	n, oobn, flags, _, err := conn.ReadMsgUnix(packet[:], oob) // sets close-on-exec on what it receives
	if err != nil {
		return fail(fmt.Errorf("read greeting: %w", err))
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return fail(err)
	}
	fds, err := rights(oob[:oobn])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("read greeting: truncated")
	}
	if err == nil && len(fds) != 1 {
		err = fmt.Errorf("read greeting: %d descriptors instead of 1", len(fds))
	}
	var g geometry
	var c Camera
	var bounds [2]Light
	if err == nil {
		g, c, bounds[0], bounds[1], err = parseGreeting(packet[:n])
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return fail(err)
	}
	return g, c, bounds, fds[0], nil
}

func rights(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read greeting: %w", err)
	}
	var fds []int
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, fmt.Errorf("read greeting: %w", err)
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// mapReadOnly insists on the shrink seal: a file that can be cut short under a mapping kills its reader with SIGBUS.
func mapReadOnly(fd int, g geometry) ([]byte, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("read seals of the ring: %w", err)
	}
	if seals&requiredSeals != requiredSeals {
		return nil, errors.New("the ring's memory is not sealed against shrinking")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("stat the ring: %w", err)
	}
	if st.Size != int64(g.size()) {
		return nil, fmt.Errorf("the ring has %d bytes instead of %d", st.Size, g.size())
	}
	mem, err := unix.Mmap(fd, 0, g.size(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the ring: %w", err)
	}
	return mem, nil
}

// receive keeps the newest announcement until the writer is gone, breaks the format, or Close.
func (r *Reader) receive() {
	defer close(r.done)
	// One byte more than a packet: a longer one then reads as a wrong length instead of being cut to the right one.
	var packet [announceSize + 1]byte
	seq := uint64(0)
	for {
		n, err := r.conn.Read(packet[:])
		var a announcement
		if err == nil {
			a, err = parseAnnouncement(packet[:n], r.slots)
		}
		if err == nil && a.seq <= seq {
			err = fmt.Errorf("parse announcement: sequence %d after %d", a.seq, seq)
		}
		r.mu.Lock()
		if err != nil {
			r.err = ended(err)
		} else {
			seq, r.newest = a.seq, a
		}
		r.mu.Unlock()
		select {
		case r.arrived <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// ended maps the ways in which a peer can vanish to the one word of Source.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return io.EOF
	}
	return err
}

// Next copies the newest frame out of the ring, so that its Image stays as it is until the next call, and does not allocate.
// A frame that the writer overtook during the copy is dropped and the next one awaited.
func (r *Reader) Next(ctx context.Context) (Frame, error) {
	r.stall.Reset(StallTimeout(r.camera))
	defer r.stall.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return Frame{}, err
		}
		if f, ok, err := r.take(); ok || err != nil {
			return f, err
		}
		select {
		case <-r.arrived:
		case <-ctx.Done():
			return Frame{}, ctx.Err()
		case <-r.stall.C:
			return Frame{}, ErrStalled
		}
	}
}

// take holds the lock during the copy, so that Close cannot unmap beneath it.
func (r *Reader) take() (Frame, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return Frame{}, false, os.ErrClosed
	}
	if r.err != nil {
		return Frame{}, false, r.err
	}
	a := r.newest
	if a.seq <= r.last || !r.copyOut(a) {
		return Frame{}, false, nil
	}
	r.last = a.seq
	return Frame{Image: r.image, Seq: a.seq, Stamp: a.stamp, Exposure: a.light.Exposure, Gain: a.light.Gain}, true, nil
}

// copyOut reports whether the slot held the announced frame from the first byte copied to the last.
func (r *Reader) copyOut(a announcement) bool {
	at := int(a.slot) * r.stride()
	v := version(r.mem, at)
	if v.Load() != 2*a.seq {
		return false
	}
	copy(r.image.Pix, r.mem[at+slotHeader:at+slotHeader+r.pixels()])
	// The store to a word of our own keeps the pixel reads before the second look on arm64, where an acquire load alone
	// lets earlier plain loads drift past it.
	r.fence.Store(a.seq)
	return v.Load() == 2*a.seq
}

// Camera is what the writer says it is; Close leaves it readable.
func (r *Reader) Camera() Camera { return r.camera }

// Light is what the writer says that its camera can take in.
func (r *Reader) Light() (least, most Light) { return r.bounds[0], r.bounds[1] }

// Expose asks the writer, which takes a Light as it is. It does not wait: one that is stuck delivers no frames either.
func (r *Reader) Expose(l Light) (Light, error) {
	var p [lightSize]byte
	l.put(p[:])
	if _, err := parseLight(p[:]); err != nil {
		return Light{}, fmt.Errorf("ask for light: %w", err)
	}
	if err := r.conn.SetWriteDeadline(time.Now().Add(askWithin)); err != nil {
		return Light{}, fmt.Errorf("ask for light: %w", err)
	}
	if _, err := r.conn.Write(p[:]); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return Light{}, fmt.Errorf("ask for light: %w", ended(err))
	}
	return l, nil
}

// askWithin is how long a request may take to get into the socket's buffer.
const askWithin = 5 * time.Millisecond

// Close ends the Source; a Next that waits returns an error.
func (r *Reader) Close() error {
	err := r.conn.Close()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return os.ErrClosed
	}
	r.closed = true
	return errors.Join(err, unix.Munmap(r.mem))
}
