package frames

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func testCamera() Camera {
	return Camera{Driver: "twin", Card: "drawn", Bus: "none", Format: "GREY 64x48", Interval: time.Second / 30, Virtual: true}
}

// What the camera of the tests can take in.
var (
	testLeast = Light{time.Millisecond, 1}
	testMost  = Light{8 * time.Millisecond, 8}
)

// serve starts a ring on a socket in a fresh folder.
func serve(t testing.TB) (*Ring, string) {
	t.Helper()
	ring, err := NewRing(testCamera(), 64, 48, 3, testLeast, testMost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "frames")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- ring.Serve(l) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		ring.Close()
	})
	return ring, path
}

func publish(r *Ring, seq uint64) {
	pix := r.Begin()
	for i := range pix {
		pix[i] = byte(seq)
	}
	r.Publish(seq, time.Duration(seq)*time.Millisecond, Light{8 * time.Millisecond, 1})
}

func dial(t testing.TB, path string) *Reader {
	t.Helper()
	r, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// within bounds every wait of these tests; no test lives long enough to reach it unless it hangs.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestFramesArriveWholeAndNewest(t *testing.T) {
	ring, path := serve(t)
	a, b := dial(t, path), dial(t, path)
	for seq := uint64(1); seq <= 10; seq++ {
		publish(ring, seq)
		for _, r := range []*Reader{a, b} {
			f, err := r.Next(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if f.Seq != seq || f.Stamp != time.Duration(seq)*time.Millisecond || f.Exposure != 8*time.Millisecond {
				t.Fatalf("frame %d arrived as %d, %v, %v", seq, f.Seq, f.Stamp, f.Exposure)
			}
			if f.Image.Pix[0] != byte(seq) || f.Image.Pix[64*48-1] != byte(seq) || len(f.Image.Pix) != 64*48 {
				t.Fatalf("frame %d has pixels %d..%d", seq, f.Image.Pix[0], f.Image.Pix[64*48-1])
			}
		}
	}
	if a.Camera() != testCamera() {
		t.Fatalf("camera %+v", a.Camera())
	}
	// A reader that slept sees the newest frame, not the ones it slept through.
	for seq := uint64(11); seq <= 40; seq++ {
		publish(ring, seq)
	}
	settle(t, a, 40)
	if f, err := a.Next(within(t)); err != nil || f.Seq != 40 || f.Image.Pix[0] != 40 {
		t.Fatalf("after sleeping: frame %d, %v", f.Seq, err)
	}
}

// settle waits until the reader has heard of seq, so that the test does not race its goroutine.
func settle(t *testing.T, r *Reader, seq uint64) {
	t.Helper()
	for ctx := within(t); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		heard := r.newest.seq
		r.mu.Unlock()
		if heard == seq {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("reader heard of frame %d, not %d", heard, seq)
		}
	}
}

func TestOvertakenSlotIsNotHandedOut(t *testing.T) {
	ring, path := serve(t)
	r := dial(t, path)
	publish(ring, 1)
	settle(t, r, 1)
	publish(ring, 2)
	publish(ring, 3)
	settle(t, r, 3)
	ring.Begin() // the slot of frame 1 is being written
	if r.copyOut(announcement{seq: 1, slot: 0}) {
		t.Fatal("a slot that is being written was taken for frame 1")
	}
	if r.copyOut(announcement{seq: 1, slot: 1}) {
		t.Fatal("frame 2 was taken for frame 1")
	}
	if !r.copyOut(announcement{seq: 2, slot: 1}) {
		t.Fatal("frame 2 is whole and was refused")
	}
}

func TestStuckReaderDoesNotBlockWriter(t *testing.T) {
	ring, path := serve(t)
	stuck, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	r := dial(t, path) // greeted after the stuck one, so that one is subscribed too
	start := time.Now()
	for seq := uint64(1); seq <= 20_000; seq++ { // far more than a socket buffer holds
		publish(ring, seq)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Fatalf("20000 frames took %v", d)
	}
	// What a full buffer could not take is lost; a reader that comes to itself hears of the frames after it.
	last := uint64(20_000)
	for ctx := within(t); ; time.Sleep(5 * time.Millisecond) {
		last++
		publish(ring, last)
		time.Sleep(5 * time.Millisecond)
		r.mu.Lock()
		heard := r.newest.seq
		r.mu.Unlock()
		if heard == last {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the other reader hears of frame %d, not of %d", heard, last)
		}
	}
	if f, err := r.Next(within(t)); err != nil || f.Seq != last {
		t.Fatalf("the other reader got %d, %v; want %d", f.Seq, err, last)
	}
	if n := len(ring.readers); n != 2 {
		t.Fatalf("%d readers left", n)
	}
}

func TestNextEnds(t *testing.T) {
	ring, path := serve(t)
	r := dial(t, path)

	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	start := time.Now()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) || time.Since(start) > 3*time.Second {
		t.Fatalf("cancelled: %v after %v", err, time.Since(start))
	}
	start = time.Now()
	if _, err := r.Next(within(t)); !errors.Is(err, ErrStalled) {
		t.Fatalf("stalled: %v", err)
	}
	if d := time.Since(start); d < time.Second || d > 2*time.Second {
		t.Fatalf("stalled after %v", d)
	}
	publish(ring, 1) // a stall is not the end
	if f, err := r.Next(within(t)); err != nil || f.Seq != 1 {
		t.Fatalf("after a stall: frame %d, %v", f.Seq, err)
	}
	ring.Close()
	if _, err := r.Next(within(t)); err != io.EOF {
		t.Fatalf("writer gone: %v", err)
	}
}

func TestCloseEndsWaitingNext(t *testing.T) {
	_, path := serve(t)
	r := dial(t, path)
	got := make(chan error, 1)
	go func() { _, err := r.Next(context.Background()); got <- err }()
	time.Sleep(10 * time.Millisecond)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
			t.Fatalf("closed: %v", err)
		}
	case <-time.After(time.Second):
		t.Fatal("Next outlived Close")
	}
	if _, err := r.Next(context.Background()); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}

func TestVanishedReaderIsForgotten(t *testing.T) {
	ring, path := serve(t)
	gone, stays := dial(t, path), dial(t, path)
	gone.Close()
	publish(ring, 1)
	if f, err := stays.Next(within(t)); err != nil || f.Seq != 1 {
		t.Fatalf("frame %d, %v", f.Seq, err)
	}
	if n := len(ring.readers); n != 1 {
		t.Fatalf("%d readers instead of 1", n)
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("socket mode %v, %v", info.Mode(), err)
	}
	if second, err := Listen(path); err == nil {
		second.Close()
		t.Fatal("a second instance took the socket")
	}
	l.SetUnlinkOnClose(false) // as a kill leaves it
	l.Close()
	if l, err = Listen(path); err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err = Listen(path); err == nil {
		l.Close()
		t.Fatal("a plain file was replaced")
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	ring, path := serve(t)
	r := dial(t, path)
	ctx, seq := within(t), uint64(0)
	if n := testing.AllocsPerRun(200, func() {
		seq++
		publish(ring, seq)
		if f, err := r.Next(ctx); err != nil || f.Seq != seq {
			t.Fatal(f.Seq, err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations a frame", n)
	}
}

func TestNewRingRefusesBadShapes(t *testing.T) {
	c := testCamera()
	long := c
	long.Card = string(make([]byte, textSize+1))
	still := c
	still.Interval = 0
	usb := c
	usb.Serial = "7"
	for name, make := range map[string]func() (*Ring, error){
		"narrow":       func() (*Ring, error) { return NewRing(c, minSide-1, 48, 3, Light{}, Light{}) },
		"tall":         func() (*Ring, error) { return NewRing(c, 64, maxSide+1, 3, Light{}, Light{}) },
		"one slot":     func() (*Ring, error) { return NewRing(c, 64, 48, 1, Light{}, Light{}) },
		"many slots":   func() (*Ring, error) { return NewRing(c, 64, 48, maxSlots+1, Light{}, Light{}) },
		"long text":    func() (*Ring, error) { return NewRing(long, 64, 48, 3, Light{}, Light{}) },
		"USB identity": func() (*Ring, error) { return NewRing(usb, 64, 48, 3, Light{}, Light{}) },
		"no interval":  func() (*Ring, error) { return NewRing(still, 64, 48, 3, Light{}, Light{}) },
		"negative":     func() (*Ring, error) { return NewRing(c, -64, -48, 3, Light{}, Light{}) },
		"zero of all":  func() (*Ring, error) { return NewRing(Camera{}, 0, 0, 0, Light{}, Light{}) },
		"wide by much": func() (*Ring, error) { return NewRing(c, 1<<30, 1<<30, 16, Light{}, Light{}) },
	} {
		if r, err := make(); err == nil {
			r.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

// A reader may ask for more light or less, within what the writer offers, and for nothing else.
func TestReaderAsksForLight(t *testing.T) {
	ring, path := serve(t)
	r := dial(t, path)
	if least, most := r.Light(); least != testLeast || most != testMost {
		t.Fatalf("the reader was told %v to %v", least, most)
	}
	if l := ring.Asked(); l != (Light{}) {
		t.Errorf("%v is asked for before anybody did", l)
	}
	want := Light{3 * time.Millisecond, 2.5}
	if held, err := r.Expose(want); err != nil || held != want {
		t.Fatalf("held %v, %v", held, err)
	}
	for ring.Asked() != want {
		if within(t).Err() != nil {
			t.Fatalf("%v is asked for", ring.Asked())
		}
		time.Sleep(time.Millisecond)
	}
	for name, l := range map[string]Light{
		"too long": {9 * time.Millisecond, 1}, "too short": {time.Microsecond, 1}, "too much gain": {time.Millisecond, 9}, "too little gain": {time.Millisecond, 0.5},
	} {
		bad := dial(t, path)
		if _, err := bad.Expose(l); err != nil {
			t.Fatal(err)
		}
		if _, err := bad.Next(within(t)); err != io.EOF {
			t.Errorf("%s: %v, want to be hung up on", name, err)
		}
	}
	if _, err := r.Expose(Light{time.Hour, 1}); err == nil {
		t.Error("an hour was asked for")
	}
	if ring.Asked() != want {
		t.Errorf("%v is asked for, by one who may not", ring.Asked())
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Expose(want); !errors.Is(err, io.EOF) {
		t.Errorf("asking a writer that is gone: %v, want %v", err, io.EOF)
	}
}
