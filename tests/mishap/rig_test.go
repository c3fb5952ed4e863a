package mishap

import (
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/health"
	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/firmware/walkup"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
)

const (
	cache    = "../../.lintel"
	interval = time.Second / 30
	// lag is from the end of an exposure to the end of eye's work on it.
	lag = 12 * time.Millisecond
	// uptime is the clock's reading when a test begins.
	uptime = time.Hour
	// restart is how long the supervisor takes to start eye again.
	restart = time.Second
)

// ground is what all tests stand on: a process has one engine.
type ground struct {
	engine *inference.Engine
	bundle [32]byte
	cast   twin.Cast
}

// lay makes it of what make deps fetches, once.
var lay = sync.OnceValues(func() (*ground, error) {
	m, err := model.Default()
	if err != nil {
		return nil, err
	}
	e, err := inference.Open(inference.Config{
		Library: filepath.Join(cache, "ort", "libonnxruntime.so.1"), Bundle: filepath.Join(cache, "bundle"), Manifest: m, Threads: 1,
		Limits: face.DefaultLimits(),
	})
	if err != nil {
		return nil, fmt.Errorf("%w (make deps fetches what is absent)", err)
	}
	p, err := somebody(e)
	return &ground{e, m.Hash(), twin.Cast{Enrolled: []*twin.Person{p}}}, err
})

// somebody cuts the face with the widest eyes that looks straight ahead out of the desk's photographs.
func somebody(e *inference.Engine) (best *twin.Person, err error) {
	files, err := filepath.Glob(filepath.Join(cache, "photos", "*.jpg"))
	if err != nil {
		return nil, err
	}
	widest := float32(0)
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		img, _, err := image.Decode(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		colour, ok := img.(*image.YCbCr)
		if !ok {
			continue
		}
		photo := &image.Gray{Pix: colour.Y, Stride: colour.YStride, Rect: colour.Rect}
		e.Face.Forget()
		faces, err := e.Face.Look(photo)
		if err != nil {
			return nil, err
		}
		for i := range faces {
			g := &faces[i]
			if e.Face.Measure(photo, g) != nil || g.Eyes <= widest || max(g.Yaw, -g.Yaw, g.Pitch, -g.Pitch) > 12 {
				continue
			}
			var points [5][2]float64
			for k, p := range g.Points {
				points[k] = [2]float64{float64(p.X), float64(p.Y)}
			}
			if p, err := twin.NewPerson(file, photo, points); err == nil {
				best, widest = p, g.Eyes
			}
		}
	}
	if best == nil {
		return nil, errors.New("no usable face in the photographs (make deps fetches them)")
	}
	return best, nil
}

// rig is a kiosk without its processes: eye and door talk over a checked queue instead of a socket.
type rig struct {
	*ground
	t      *testing.T
	ctx    context.Context
	began  time.Time
	walkup *walkup.Walkup
	studio *twin.Studio
	scenes [2]*twin.Scene // without and with a person
	health *health.Findings
	board  board.Board
	work   sync.WaitGroup

	mu       sync.Mutex
	present  bool          // somebody stands at the door
	since    time.Duration // that this is so; a scene lasts for a minute
	staged   *twin.Scene
	camera   frames.Camera
	lamp     []access.Chip // history: each entry holds until the next
	mishap   mishap
	ends     []string // why eye ended, each time
	records  []access.Record
	shown    []access.Indication
	released int
	session  bool          // eye was told of one, and it has not ended
	stalled  bool          // as walkup said last
	gauges   int           // measurements of the lamp
	known    int           // of them, when the door was released last
	measure  time.Duration // until when the newest of them wants frames
	hurry    chan struct{} // frames are wanted at once
}

// run has a test in a kiosk that has found its lamp and stands before nobody.
func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	g, err := lay()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		r := &rig{ground: g, t: t, ctx: ctx, began: time.Now(), studio: twin.NewStudio(5), hurry: make(chan struct{}, 1)}
		if r.board, err = board.Load("desk"); err != nil {
			t.Fatal(err)
		}
		r.health = health.New(r.board)
		r.camera = frames.Camera{Driver: "twin", Format: fmt.Sprintf("GREY %dx%d", twin.FrameWidth, twin.FrameHeight), Interval: interval}
		for i, who := range []string{"", "person enrolled 1\nat 0s position 0.02 0.02 0.62\n"} {
			text := "title \"a walk-up\"\nseed 3\nduration 60s\nambient 0.7\n" + who
			if r.scenes[i], err = twin.ParseScene("walk-up", []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		policy := access.DefaultPolicy()
		if r.walkup, err = walkup.New(walkup.Config{
			Policy: policy, Boot: 1, Lamps: []walkup.Lamp{(*lamp)(r)}, Signals: func() access.Signals { return 0 }, Door: (*door)(r), Log: (*journal)(r), Gallery: everybody{},
			Threshold:    func(bundle [32]byte) (float32, bool) { return 0.5, bundle == r.bundle },
			SaveFailures: func([]time.Duration, bool) error { return nil }, PersonFailures: func(access.PersonID) ([]time.Duration, error) { return nil, nil },
			SavePersonFailures: func(access.PersonID, []time.Duration, bool) error { return nil },
			Able:               func() bool { return r.health.State(health.Lamp) != health.Missing }, Free: func() bool { return true },
			Gauged: r.gauged, Stalled: func(yes bool) { r.locked(func() bool { r.stalled = yes; return true }) }, Show: r.show, Now: r.now, Wall: func() (time.Time, access.ClockState) { return time.Now(), access.ClockUntrusted }, Changed: func() {},
		}); err != nil {
			t.Fatal(err)
		}
		r.work.Go(func() { _ = r.walkup.Run(ctx) })
		r.work.Go(func() { r.supervise(ctx) })
		defer r.work.Wait()
		defer cancel()
		r.until(10*time.Second, "the lamp was found", func() bool { return r.health.State(health.Lamp) == health.Works })
		test(r)
	})
}

func (r *rig) now() time.Duration { return time.Since(r.began) + uptime }

// gauged does what door does with it (firmware/cmd/door, selfTest).
func (r *rig) gauged(a access.Response, found bool) {
	state, _, why := health.JudgeLamp(a, found, interval)
	for _, x := range r.health.Set(health.Lamp, state, why) {
		_ = (*journal)(r).Append(access.Record{Event: x.Event()})
	}
}

func (r *rig) show(in access.Indication) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shown = append(r.shown, in)
}

// stands lets somebody stand at the door, or nobody.
func (r *rig) stands(yes bool) {
	r.locked(func() bool { r.present, r.since = yes, r.now(); return true })
	r.wake()
}

// wake has the camera deliver the next frame at once.
func (r *rig) wake() {
	select {
	case r.hurry <- struct{}{}:
	default:
	}
}

// until lets time pass until something is so.
func (r *rig) until(within time.Duration, what string, so func() bool) {
	r.t.Helper()
	for end := r.now() + within; r.now() < end; time.Sleep(5 * time.Millisecond) {
		if r.locked(so) {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.Fatalf("not within %v: %s; eye ended %q, %s", within, what, r.ends, r.story())
}

func (r *rig) locked(f func() bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return f()
}

// story is what stands in the log. The caller holds mu.
func (r *rig) story() (s string) {
	for _, x := range r.records {
		s += fmt.Sprintf("%d %v %v; ", x.Event, x.Verdict, x.Reason)
	}
	return s
}
