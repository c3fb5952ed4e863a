package watch

import (
	"cmp"
	"context"
	"errors"
	"image"
	_ "image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

// still is a camera that shows one picture. Its frames are handed to the Watcher by the test.
type still struct{ camera frames.Camera }

func (s still) Next(context.Context) (frames.Frame, error) {
	return frames.Frame{}, errors.New("not asked here")
}
func (s still) Camera() frames.Camera { return s.camera }
func (s still) Close() error          { return nil }

// mute is door: it keeps what it was told of presentations and allocates nothing.
type mute struct {
	approaches int
	last       ipc.Approach
	shown      *access.Presentation
	lent       []float32 // the probe as it was sent
}

func (m *mute) Send(_ ipc.Kind, body any) error {
	switch b := body.(type) {
	case ipc.Approach:
		m.approaches++
		m.last = b
	case access.Presentation:
		m.lent = b.Probe
		b.Probe, b.Reflected = slices.Clone(b.Probe), slices.Clone(b.Reflected)
		m.shown = &b
	}
	return nil
}

const interval = time.Second / 30

// stage is a Watcher on the shipped models, with a frame in which somebody stands at the door. It needs what make deps fetches and
// fails without it.
type stage struct {
	w    *Watcher
	door *mute
	f    frames.Frame
}

// work has the watcher work until the test ends.
func (s *stage) work(t *testing.T) {
	worked := make(chan error, 1)
	go func() { worked <- s.w.work() }()
	t.Cleanup(func() {
		close(s.w.jobs)
		if err := <-worked; err != nil {
			t.Error(err)
		}
	})
}

func newStage(t *testing.T) *stage {
	t.Helper()
	m, err := model.Default()
	if err != nil {
		t.Fatal(err)
	}
	const cache = "../../.lintel"
	e, err := inference.Open(inference.Config{
		Library: filepath.Join(cache, "ort", "libonnxruntime.so.1"), Bundle: filepath.Join(cache, "bundle"),
		Manifest: m, Threads: 1, Limits: face.DefaultLimits(),
	})
	if err != nil {
		t.Fatalf("%v (run make deps)", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	d := new(mute)
	w := &Watcher{Source: still{frames.Camera{Interval: interval}}, Engine: e, Door: d, Now: frames.Now}
	w.begin()
	return &stage{w: w, door: d, f: frames.Frame{Stamp: frames.Now(), Exposure: 8 * time.Millisecond}}
}

// next hands the Watcher one more frame.
func (s *stage) next(t *testing.T) {
	s.f.Seq++
	s.f.Stamp += interval
	if err := s.w.frame(s.f); err != nil {
		t.Fatal(err)
	}
}

// portrait cuts 640x480 around the largest face of the desk's photographs, so that it stands at the door.
func portrait(t *testing.T, e *inference.Engine) *image.Gray {
	t.Helper()
	names, err := filepath.Glob("../../.lintel/photos/*.jpg")
	if err != nil || len(names) == 0 {
		t.Fatalf("no photographs (run make deps): %v", err)
	}
	var best *image.Gray
	merit := float32(0)
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		img, _, err := image.Decode(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		y, ok := img.(*image.YCbCr)
		if !ok {
			t.Fatalf("%s is no colour JPEG", name)
		}
		whole := &image.Gray{Pix: y.Y, Stride: y.YStride, Rect: y.Rect}
		e.Face.Forget()
		faces, err := e.Face.Look(whole)
		if err != nil {
			t.Fatal(err)
		}
		for i := range faces {
			g := &faces[i]
			if e.Face.Measure(whole, g) != nil || g.Quality*g.Eyes <= merit {
				continue
			}
			merit, best = g.Quality*g.Eyes, zoom(whole, g)
		}
	}
	if best == nil {
		t.Fatal("no face in the photographs")
	}
	e.Face.Forget()
	return best
}

// zoom draws a face in the middle of a frame, with 90 pixels from eye to eye and nobody else.
func zoom(whole *image.Gray, f *face.Face) *image.Gray {
	dst := image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range dst.Pix {
		dst.Pix[i] = 40
	}
	scale := f.Eyes / 90
	cx, cy := (f.Box.X0+f.Box.X1)/2, (f.Box.Y0+f.Box.Y1)/2
	for y := range 480 {
		for x := range 640 {
			sx, sy := cx+(float32(x)-320)*scale, cy+(float32(y)-240)*scale
			if max(sx-cx, cx-sx) < (f.Box.X1-f.Box.X0)*0.8 && max(sy-cy, cy-sy) < (f.Box.Y1-f.Box.Y0)*0.8 &&
				image.Pt(int(sx), int(sy)).In(whole.Rect) {
				dst.Pix[y*dst.Stride+x] = whole.GrayAt(int(sx), int(sy)).Y
			}
		}
	}
	return dst
}

// session opens a session as door does.
func (s *stage) session(t *testing.T, number uint64) access.SessionID {
	t.Helper()
	o := ipc.Observe{Session: access.SessionID{Boot: 1, Number: number}, Track: s.door.last.Track, Deadline: s.f.Stamp + 5*time.Second}
	s.order(t, ipc.KindObserve, o)
	s.w.session.received = s.f.Stamp // the frames of this test have a clock of their own
	return o.Session
}

func (s *stage) order(t *testing.T, kind ipc.Kind, body any) {
	t.Helper()
	raw, err := wire.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.w.Order(ipc.Message{Kind: kind, Body: raw}); err != nil {
		t.Fatal(err)
	}
}

// Nothing is allocated for a frame, whoever is there; what a message costs is a boxed value for each.
func TestFramesCostNoAllocation(t *testing.T) {
	s := newStage(t)
	work := make(chan error, 1)
	go func() { work <- s.w.work() }()
	defer func() {
		close(s.w.jobs)
		if err := <-work; err != nil {
			t.Error(err)
		}
	}()
	measure := func(name string) {
		t.Helper()
		const rounds = 50 // with the warm-up fewer than a session holds
		for range 10 {
			s.next(t)
		}
		var before, after runtime.MemStats
		sent := s.door.approaches
		runtime.ReadMemStats(&before)
		for range rounds {
			s.next(t)
		}
		runtime.ReadMemStats(&after)
		allocations, messages := int(after.Mallocs-before.Mallocs), s.door.approaches-sent
		t.Logf("%s: %d allocations and %d messages in %d frames", name, allocations, messages, rounds)
		const stray = 5 // the runtime's own, in a tenth of the frames
		if allocations > messages+stray {
			t.Errorf("%s: %d allocations for %d frames and %d messages", name, allocations, rounds, messages)
		}
	}

	s.f.Image = image.NewGray(image.Rect(0, 0, 640, 480))
	measure("nobody there")
	if s.door.last.Track != 0 {
		t.Fatal("somebody was seen in an empty picture")
	}

	s.f.Image = portrait(t, s.w.Engine)
	measure("somebody there")
	if s.door.last.Track == 0 {
		t.Fatal("nobody was seen in the portrait")
	}

	// The jobs of a session are filled once; later sessions use them again.
	for n := range uint64(2) {
		id := s.session(t, n+1)
		for range 14 {
			s.next(t)
			s.w.Settle() // the extraction keeps up, as it does between two frames of a camera
		}
		s.order(t, ipc.KindConclude, ipc.Conclude{Session: id, Until: s.f.Stamp})
		s.next(t)
		if s.door.shown == nil || s.door.shown.Session != id || len(s.door.shown.Frames) < 12 || s.door.shown.ProbeFrom != maxFused {
			t.Fatalf("session %v: presentation %+v", id, s.door.shown)
		}
		s.door.shown = nil
	}
	s.session(t, 9)
	measure("in a session")
}

// TestCostOfAFrame prints what a frame costs eye while somebody is there, and what a whole session's worth of evidence costs.
func TestCostOfAFrame(t *testing.T) {
	s := newStage(t)
	s.f.Image = portrait(t, s.w.Engine)
	var cost []time.Duration
	for range 40 {
		began := time.Now()
		s.next(t)
		cost = append(cost, time.Since(began))
	}
	slices.SortFunc(cost, cmp.Compare)
	t.Logf("frame with a face: p50 %v, p95 %v; told to door: %v", cost[20], cost[38], s.door.last.Process)
	if s.door.last.Process <= 0 || s.door.last.Process > cost[39] {
		t.Errorf("door was told %v, the slowest frame took %v", s.door.last.Process, cost[39])
	}
}

// A frame that was looked at while the session changed belongs to neither.
func TestFrameOfTheOldSessionIsNotInTheNew(t *testing.T) {
	s := &session{received: 5 * time.Second}
	f := frames.Frame{Stamp: 5*time.Second + time.Millisecond, Exposure: 8 * time.Millisecond}
	if s.covers(f) {
		t.Error("a frame whose exposure began before the session belongs to it")
	}
	f.Stamp += 8 * time.Millisecond
	if !s.covers(f) || (*session)(nil).covers(f) {
		t.Error("covers is wrong about a later frame, or about no session")
	}
}
