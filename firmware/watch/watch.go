// Package watch is the eye's work on frames: it finds the face at the door, measures how it answers the lamp, gathers a session's
// evidence and tells door. It reports and never decides. Cmd/eye runs it on the camera; a laboratory or a replay runs it on frames
// of another origin, in a time of their own.
package watch

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
)

const (
	// idleEvery is the time from look to look while nobody is there: a person walks 0.3 m in it.
	idleEvery = 200 * time.Millisecond
	// approachEvery bounds the sightings that door is told: 15 a second.
	approachEvery = 66 * time.Millisecond
	// coast is how many frames a face may be missing before it counts as lost; during a session a lamp code leaves it dark for three chips, and a chip
	// may last for three frames.
	coast        = 5
	coastSession = 11
	// farewells is how often door is told that nobody is there when somebody was; it takes three for a fact.
	farewells = 4
	// maxFused bounds the frames that a probe is fused from; more add little and cost an extraction each.
	maxFused = 6
)

// Door is where the evidence goes. Send is done with body when it returns: the probes of a Presentation are wiped then.
type Door interface {
	Send(kind ipc.Kind, body any) error
}

// Watcher looks at frames and tells door what it measured. One goroutine calls Run, once; orders of door come in through Order. The
// exported fields are set before either.
type Watcher struct {
	Source frames.Source
	Engine *inference.Engine
	Door   Door
	Bundle [32]byte             // SHA-256 of the manifest of the engine's bundle
	Now    func() time.Duration // the clock of the source's stamps
	// Extract says from which frames, by their number, the probe is fused; nil: from as many good ones as there is time for. Only who looks at frames
	// again knows which these were.
	Extract func(seq uint64) bool
	// Lost is told why frames that door asked for could not be encrypted, which door is told without a reason; nil: nobody is.
	Lost func(error)

	jobs, idle chan *job // frames for the extraction, and those that wait to be filled

	// Owned by Run.
	lastLook, lastSent time.Duration
	first              map[uint32]time.Duration // first stamp of each living track; bounded by the tracker
	face               face.Face                // the one at the door, as measured last
	have               bool
	missing            int
	chain              chain
	steady             steady
	farewell           int // how often door is still to be told at once that nobody is there
	exposure           exposure
	adjusting          bool // as door was told last

	mu      sync.Mutex // guards the rest: order and Run share it
	session *session
	gauging *gauge
	reel    reel
	timing  ipc.Timing
	stamp   time.Duration // of the newest processed frame
	keeper  keeper
}

// session is what eye keeps while door's session runs, and no longer.
type session struct {
	order    ipc.Observe
	received time.Duration
	until    time.Duration // 0: not concluded yet
	chain    [32]byte
	frames   []access.FrameEvidence
	fuser    inference.Fuser
	chosen   int            // frames given to the extraction
	fused    uint64         // which: bit i is frames[i]
	working  sync.WaitGroup // extractions that are not done yet
	hint     access.Hint
	camera   [32]byte // identity at the first frame
}

// covers reports whether the whole of a frame was taken after the session began.
func (s *session) covers(f frames.Frame) bool { return s != nil && f.Stamp-f.Exposure >= s.received }

// forget waits until nobody works for the session and wipes what it gathered.
func (w *Watcher) forget(s *session) {
	s.working.Wait()
	s.fuser.Wipe()
	w.reel.wipe()
}

// backlog is how many frames may wait for their extraction.
const backlog = 3

// begin makes what the frames need.
func (w *Watcher) begin() {
	w.first = make(map[uint32]time.Duration)
	w.exposure = newExposure(w.Source)
	w.jobs, w.idle = make(chan *job, backlog), make(chan *job, backlog)
	for range backlog {
		w.idle <- new(job)
	}
	w.keeper.begin()
}

// Run looks at frames until ctx, the source or the extraction ends.
func (w *Watcher) Run(ctx context.Context) error {
	w.begin()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		if err := w.work(); err != nil {
			cancel(fmt.Errorf("extract probe: %w", err))
		}
	}()
	sealing, stop := context.WithCancel(ctx)
	defer stop()
	sealed := make(chan struct{})
	go func() {
		defer close(sealed)
		if err := w.seal(sealing); err != nil {
			cancel(err)
		}
	}()
	err := w.look(ctx)
	close(w.jobs)
	<-worked
	stop()
	<-sealed
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (w *Watcher) look(ctx context.Context) error {
	for {
		f, err := w.Source.Next(ctx)
		switch {
		case errors.Is(err, frames.ErrStalled):
			// Nothing to look at: door is told that nobody is there, which also says that eye lives, and that no light was gathered.
			now := w.Now()
			w.mu.Lock()
			w.expire(now)
			w.mu.Unlock()
			if err := w.sawNobody(now, 0, access.HintNobody); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("read frame: %w", err)
		}
		if err := w.steady.next(f, w.Now(), w.Source.Camera().Interval); err != nil {
			return err
		}
		if err := w.frame(f); err != nil {
			return err
		}
	}
}

// frame measures one frame.
func (w *Watcher) frame(f frames.Frame) error {
	began := w.Now()
	w.mu.Lock()
	err := w.glimpse(f)
	light := frames.Light{Exposure: f.Exposure, Gain: f.Gain}
	f = w.timed(f)
	in := w.session.covers(f)
	held := w.session != nil || w.gauging != nil
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if !in && !w.have && f.Stamp-w.lastLook < idleEvery {
		return nil
	}
	w.lastLook = f.Stamp
	faces, err := w.Engine.Face.Look(f.Image)
	if err != nil {
		return fmt.Errorf("look at frame %d: %w", f.Seq, err)
	}
	hint := w.choose(f, faces)
	if err := w.collect(f, light, hint, len(faces)); err != nil {
		return err
	}
	settled, err := w.adjust(f, light, held)
	if err != nil {
		return err
	}
	if !w.have {
		return w.sawNobody(f.Stamp, f.Exposure, blank(f.Image))
	}
	// The first sighting in the light that door waits for is told at once.
	if f.Stamp-w.lastSent < approachEvery && !(w.adjusting && settled) || w.missing > 0 {
		return nil
	}
	w.lastSent, w.farewell, w.adjusting = f.Stamp, farewells, !settled
	return w.Door.Send(ipc.KindApproach, ipc.Approach{
		Stamp: f.Stamp, First: w.first[w.face.Track], Track: w.face.Track, Box: boxOf(w.face.Box), Hint: hint,
		Faces: uint8(min(len(faces), 255)), Level: w.face.Level, Process: w.Now() - began, Exposure: f.Exposure,
		Adjusting: !settled,
	})
}

// choose picks the face at the door and measures it. In a frame without it the last one stands for a few frames, so that the dark
// chips of a lamp code can be measured where the face was.
func (w *Watcher) choose(f frames.Frame, faces []face.Face) access.Hint {
	w.mu.Lock()
	var follow uint32
	if w.session != nil {
		follow = w.session.order.Track
	}
	w.mu.Unlock()
	if follow == 0 && w.have {
		follow = w.face.Track
	}
	i, hint := face.Choose(faces, f.Image.Rect.Dx(), f.Image.Rect.Dy(), follow)
	if i < 0 {
		return w.unseen(access.HintTooDark)
	}
	chosen := &faces[i]
	if err := w.Engine.Face.Measure(f.Image, chosen); err != nil {
		return w.unseen(access.HintBlurred) // the landmark model found nothing usable: something that cannot be measured is not followed
	}
	if hint == face.HintNone {
		hint = chosen.Hint
	}
	if _, known := w.first[chosen.Track]; !known {
		if len(w.first) > 64 {
			clear(w.first)
		}
		w.first[chosen.Track] = f.Stamp
	}
	w.face, w.have, w.missing = *chosen, true, 0
	return access.Hint(hint)
}

// unseen counts a frame in which the face could not be measured, and gives the face up after a few.
func (w *Watcher) unseen(why access.Hint) access.Hint {
	if w.have {
		w.mu.Lock()
		most := coast
		if w.session != nil {
			most = coastSession
		}
		w.mu.Unlock()
		if w.missing++; w.missing > most {
			w.have = false
			clear(w.first)
			w.Engine.Face.Forget() // who comes now is somebody new, even in the same place
		}
	}
	if w.have {
		return why
	}
	return access.HintNobody
}

// sawNobody tells door that nobody is there: a few times at once, so that one blurred frame is told from a person who has left,
// then once a second. hint is HintNobody, or why nobody can be seen.
func (w *Watcher) sawNobody(stamp, exposure time.Duration, hint access.Hint) error {
	if w.farewell > 0 {
		w.farewell--
	} else if stamp-w.lastSent < time.Second {
		return nil
	}
	w.lastSent = stamp
	return w.Door.Send(ipc.KindApproach, ipc.Approach{Stamp: stamp, Hint: hint, Exposure: exposure})
}

// collect adds a frame to the session's evidence and presents it when it was the last.
func (w *Watcher) collect(f frames.Frame, light frames.Light, hint access.Hint, found int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stamp = f.Stamp
	w.expire(f.Stamp)
	if w.session.covers(f) { // asked anew: the session may have changed while the frame was looked at
		if err := w.record(w.session, f, light, hint, found); err != nil {
			return err
		}
	} else if w.have && w.missing == 0 {
		w.keeper.saw(f)
	} else if !w.have {
		w.keeper.lost()
	}
	return w.presentIfReady()
}

// expire forgets what has had its time, be it for want of frames. Called with mu held.
func (w *Watcher) expire(now time.Duration) {
	if s := w.session; s != nil && now > s.order.Deadline {
		w.forget(s)
		w.session = nil
	}
	w.keeper.expire(now)
}

// record measures one frame of the session. Called with mu held.
func (w *Watcher) record(s *session, f frames.Frame, light frames.Light, hint access.Hint, found int) error {
	if len(s.frames) == access.MaxFrames {
		return nil
	}
	if len(s.frames) == 0 {
		if err := w.reread(s); err != nil {
			return err
		}
	}
	e := access.FrameEvidence{
		Seq: f.Seq, Stamp: f.Stamp, Exposure: f.Exposure, Hint: hint, Faces: uint8(min(found, 255)), Taken: w.exposure.share(light),
	}
	if w.have {
		var err error
		e.Track, e.Box = w.face.Track, boxOf(w.face.Box)
		if w.missing == 0 {
			if e.Texture, err = w.Engine.Light.Texture(f.Image, &w.face); err != nil {
				return err
			}
			e.Quality = w.face.Quality
		}
	}
	s.chain = w.chain.link(s.chain, f)
	e.Chain, e.Pixels = s.chain, w.chain.newest()
	if w.missing == 0 {
		s.hint = max(s.hint, hint)
	}
	if hint == access.HintNone && w.missing == 0 {
		w.extract(s, f)
	}
	s.frames = append(s.frames, e)
	w.reel.add(f, &w.face, w.have && w.missing == 0)
	return nil
}

// reread looks at the camera anew, where that can be done: who exchanges it does so between two sessions. It is called between two frames.
func (w *Watcher) reread(s *session) error {
	camera := w.Source.Camera()
	if source, ok := w.Source.(interface{ Reread() (frames.Camera, error) }); ok {
		var err error
		if camera, err = source.Reread(); err != nil {
			return err
		}
	}
	s.camera = camera.Identity()
	return nil
}

// job is one frame that a probe is to be extracted from.
type job struct {
	session *session
	face    face.Face
	image   image.Gray
}

// extract hands a copy of the frame to the extraction, which is slower than the frames come: it must not make the lamp's answer
// miss one. When it lags, the frame is left out.
func (w *Watcher) extract(s *session, f frames.Frame) {
	if s.chosen == maxFused || w.Extract != nil && !w.Extract(f.Seq) {
		return
	}
	img := f.Image
	select {
	case j := <-w.idle:
		j.session, j.face = s, w.face
		j.image.Pix = append(j.image.Pix[:0], img.Pix...)
		j.image.Stride, j.image.Rect = img.Stride, img.Rect
		s.chosen++
		s.fused |= 1 << len(s.frames)
		s.working.Add(1)
		w.jobs <- j // has room for every job there is
	default:
	}
}

// work extracts probes until the jobs end.
func (w *Watcher) work() error {
	var failed error
	for j := range w.jobs {
		if failed == nil {
			failed = w.Engine.Fuse(&j.image, &j.face, &j.session.fuser)
		}
		clear(j.image.Pix)
		j.session.working.Done()
		j.session = nil
		w.idle <- j
	}
	return failed
}

// Settle waits until every frame given to the extraction is done. A camera does not wait, and the frames that the extraction has no
// time for are left out; who draws frames faster than time passes calls it before the next one.
func (w *Watcher) Settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session != nil {
		w.session.working.Wait()
	}
}

// presentIfReady sends the evidence of a concluded session once its last frame is in (the next one would end after Until), and
// forgets the session. Called with mu held.
func (w *Watcher) presentIfReady() error {
	s := w.session
	if s == nil || s.until == 0 || w.stamp+w.Source.Camera().Interval <= s.until && len(s.frames) < access.MaxFrames {
		return nil
	}
	w.session = nil
	defer w.forget(s)
	s.working.Wait()
	p := access.Presentation{
		Session: s.order.Session, Nonce: s.order.Nonce, Camera: s.camera, Bundle: w.Bundle, Frames: s.frames, Hint: s.hint, Liveness: -1,
	}
	if err := w.reel.measure(w.Engine.Light, p.Frames); err != nil {
		return err
	}
	if err := w.reel.compare(w.Engine, &p); err != nil {
		return err
	}
	for len(p.Frames) > 0 && p.Frames[len(p.Frames)-1].Stamp > s.until {
		p.Frames = p.Frames[:len(p.Frames)-1]
	}
	if probe, liveness, n := s.fuser.Result(); n > 0 {
		p.Probe, p.Liveness, p.ProbeFrom, p.Hint = probe, liveness, uint32(n), access.HintNone
	}
	err := w.Door.Send(ipc.KindPresentation, p)
	p.Wipe()
	w.keeper.take(s, &w.reel)
	return err
}

func boxOf(b face.Box) access.Box { return access.Box{X0: b.X0, Y0: b.Y0, X1: b.X1, Y1: b.Y1} }
