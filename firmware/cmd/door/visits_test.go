package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// visitor is somebody who stands before a kiosk. A stranger has no id and no reference.
type visitor struct {
	id        access.PersonID
	reference []float32
}

// visits is a kiosk with clients that speak the truth, those who come to it, and a copy of all that it said to its clients.
type visits struct {
	*running // nil when the kiosk is another process
	t        *testing.T
	rng      *rand.Rand
	bundle   [32]byte
	run      string                   // folder of the sockets
	view     func() ipc.Status        // what door says of itself
	lit      func(time.Duration) bool // the lamp at a time that has passed
	deadline time.Duration            // of a session
	eye      *ipc.Conn
	orders   chan ipc.Message
	desk     *ipc.Conn
	answer   chan ipc.Message
	id       uint64
	track    uint32

	// What must not leave: of this kiosk's people alone.
	vectors, levels [][]float32
	scores          []float32
	people          []access.PersonID
	reasons         map[access.Reason]int

	mu    sync.Mutex
	heard map[ipc.Role][]ipc.Message
}

const (
	visitInterval = 10 * time.Millisecond
	visitExposure = time.Millisecond
	patience      = 10 * time.Second
)

// connect makes a client and records all that it is told.
func (v *visits) connect(role ipc.Role, hear func(ipc.Message)) (*ipc.Conn, error) {
	conn, err := ipc.DialWithin(v.t.Context(), patience, filepath.Join(v.run, role.Socket()), role, os.Geteuid())
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			m, err := conn.Recv(context.Background())
			if err != nil {
				return
			}
			m.Body = append([]byte(nil), m.Body...)
			v.mu.Lock()
			v.heard[role] = append(v.heard[role], m)
			v.mu.Unlock()
			hear(m)
		}
	}()
	return conn, nil
}

func (v *visits) open(camera string) (err error) {
	v.heard, v.reasons = map[ipc.Role][]ipc.Message{}, map[access.Reason]int{}
	v.orders, v.answer = make(chan ipc.Message, 64), make(chan ipc.Message, 16)
	if v.eye, err = v.connect(ipc.Eye, func(m ipc.Message) {
		if m.Kind == ipc.KindGauge {
			go answerGauge(v.eye, m, v.lit)
		} else if m.Kind != ipc.KindTiming {
			v.orders <- m
		}
	}); err != nil {
		return err
	}
	v.desk, err = v.connect(ipc.Desk, func(m ipc.Message) {
		if m.ID != 0 {
			v.answer <- m
		}
	})
	if err != nil {
		return err
	}
	err = v.eye.Send(ipc.KindHello, 0, ipc.Hello{
		Camera: frames.Camera{Driver: camera, Format: "GREY 640x480", Interval: visitInterval}, Bundle: v.bundle, Held: true,
	})
	go func() {
		for v.eye.Send(ipc.KindPulse, 0, nil) == nil { // until door ends
			time.Sleep(time.Second)
		}
	}()
	return err
}

// answerGauge tells how bright the frames were while door measured its lamp.
func answerGauge(eye *ipc.Conn, m ipc.Message, lit func(time.Duration) bool) {
	var g ipc.Gauge
	if ipc.Decode(m, &g) != nil {
		return
	}
	time.Sleep(g.Until - frames.Now() + visitInterval)
	var seen ipc.Gauged
	for stamp := grid(g.Until) - (access.MaxGlimpses-1)*visitInterval; stamp <= g.Until; stamp += visitInterval {
		level := float32(20)
		if lit(stamp - visitExposure/2) {
			level = 60
		}
		seen.Frames = append(seen.Frames, access.Glimpse{Stamp: stamp, Level: level})
	}
	_ = eye.Send(ipc.KindGauged, 0, seen) // a connection that is gone has another gauge coming
}

// ask sends a request of the desk; the answer is to be waited for.
func (v *visits) ask(kind ipc.Kind, req any) (wait func() (ipc.Message, error)) {
	v.id++
	id := v.id
	err := v.desk.Send(kind, id, req)
	return func() (ipc.Message, error) {
		for err == nil {
			select {
			case m := <-v.answer:
				if m.ID == id && m.Kind == ipc.KindError {
					err = fmt.Errorf("%v: %s", kind, m.Body)
				} else if m.ID == id {
					return m, nil
				}
			case <-time.After(patience):
				err = fmt.Errorf("%v: no answer", kind)
			}
		}
		return ipc.Message{}, err
	}
}

func (v *visits) order(kind ipc.Kind, req any) error {
	_, err := v.ask(kind, req)()
	return err
}

// until waits for something that door does by itself.
func (v *visits) until(what string, done func() bool) error {
	for end := time.Now().Add(patience); !done(); time.Sleep(3 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited in vain until %s: %v", what, v.view().Walkup)
		}
	}
	return nil
}

func grid(at time.Duration) time.Duration { return at / visitInterval * visitInterval }

// approach stands before the camera until door opens a session.
func (v *visits) approach() (o ipc.Observe, err error) {
	if err := v.until("door is idle", func() bool { return v.view().Walkup == access.Idle }); err != nil {
		return o, err
	}
	for len(v.orders) > 0 {
		<-v.orders
	}
	v.track++
	first := grid(frames.Now())
	for range 200 {
		err := v.eye.Send(ipc.KindApproach, 0, ipc.Approach{
			Stamp: grid(frames.Now()), First: first, Track: v.track, Exposure: visitExposure, Faces: 1, Level: v.rng.Float32() * 255,
		})
		if err != nil {
			return o, err
		}
		select {
		case m := <-v.orders:
			if m.Kind == ipc.KindObserve {
				return o, ipc.Decode(m, &o)
			}
		case <-time.After(30 * time.Millisecond):
		}
	}
	return o, fmt.Errorf("no session for a face that stays: %+v", v.view())
}

// leave turns away while the code runs.
func (v *visits) leave() error {
	if _, err := v.approach(); err != nil {
		return err
	}
	for range 3 {
		if err := v.eye.Send(ipc.KindApproach, 0, ipc.Approach{Stamp: grid(frames.Now()), Hint: access.HintNobody}); err != nil {
			return err
		}
	}
	return v.until("the session is over", func() bool { return v.view().Walkup != access.Capturing })
}

// come is one walk-up of somebody with a probe, whose evidence bend may change, and returns what door decided.
func (v *visits) come(probe []float32, bend func(*access.Presentation)) (out ipc.Outcome, err error) {
	o, err := v.approach()
	if err != nil {
		return out, err
	}
	var until time.Duration
	for until == 0 {
		select {
		case m := <-v.orders:
			var c ipc.Conclude
			if m.Kind == ipc.KindConclude && ipc.Decode(m, &c) == nil {
				until = c.Until
			} else if m.Kind == ipc.KindAbort {
				return v.outcome(o.Session)
			}
		case <-time.After(patience):
			return out, fmt.Errorf("session %v was not concluded", o.Session)
		}
	}
	p := v.presentation(o, until, probe)
	if bend != nil {
		bend(&p)
	}
	if v.running != nil {
		v.note(p)
		err = v.compare(probe)
	}
	if err != nil {
		return out, err
	}
	if err := v.eye.Send(ipc.KindPresentation, 0, p); err != nil {
		return out, err
	}
	return v.outcome(o.Session)
}

func (v *visits) outcome(s access.SessionID) (out ipc.Outcome, err error) {
	err = v.until(fmt.Sprintf("session %v is decided", s), func() bool {
		for _, out = range v.view().Decisions {
			if out.Session == s {
				return true
			}
		}
		return false
	})
	if err == nil {
		v.reasons[out.Reason]++
	}
	return out, err
}

// enrol has somebody enrolled by the desk, who comes until it is done.
func (v *visits) enrol(id access.PersonID, come func() error) error {
	wait := v.ask(ipc.KindEnrol, ipc.Enrol{Person: id, Within: time.Minute})
	if err := v.until("door enrols", func() bool { return v.view().Enrolling }); err != nil {
		return err
	}
	for v.view().Enrolling {
		if err := come(); err != nil {
			return err
		}
	}
	m, err := wait()
	var done ipc.Enrolled
	if err == nil {
		err = ipc.Decode(m, &done)
	}
	if err == nil && done.Reason != access.ReasonEnrolled {
		err = fmt.Errorf("enrolment: %v", done.Reason)
	}
	return err
}

// presentation is what an honest eye would have measured: frames on the camera's grid, lit as the lamp was.
func (v *visits) presentation(o ipc.Observe, until time.Duration, probe []float32) access.Presentation {
	camera := frames.Camera{Driver: "twin", Format: "GREY 640x480", Interval: visitInterval}
	p := access.Presentation{
		Session: o.Session, Nonce: o.Nonce, Camera: camera.Identity(), Bundle: v.bundle, Probe: probe, ProbeFrom: 6, Liveness: -1, Reflected: probe,
	}
	opened := o.Deadline - v.deadline
	for stamp := grid(opened) + 2*visitInterval; stamp <= until && len(p.Frames) < access.MaxFrames; stamp += visitInterval {
		f := access.FrameEvidence{
			Seq: uint64(stamp), Stamp: stamp, Exposure: visitExposure, Track: o.Track, Ring: 40 + v.rng.Float32(), Texture: 9 + v.rng.Float32(), Restless: 1,
		}
		for i := range f.Chain {
			f.Chain[i] = byte(v.rng.Uint32())
		}
		f.Pixels = access.PixelHash(f.Chain[:])
		for i := range f.Level {
			f.Level[i] = 60 + v.rng.Float32()
			if v.lit(stamp - visitExposure/2) {
				f.Level[i] += 90
			}
		}
		for i := range f.Edge { // turned away from the lamp
			f.Edge[i] = 60
			if v.lit(stamp - visitExposure/2) {
				f.Edge[i] += 60
				if i == access.Edges-1 { // the ridge of the nose
					f.Edge[i] += 30
				}
			}
		}
		p.Frames = append(p.Frames, f)
	}
	return p
}

// litAt reports the lamp at a time that has passed.
func (w *wiring) litAt(at time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.lamp) - 1; i >= 0; i-- {
		if w.lamp[i].From <= at {
			return w.lamp[i].Lit
		}
	}
	return false
}

// note keeps what nobody but door may hear of a presentation.
func (v *visits) note(p access.Presentation) {
	if len(p.Probe) > 0 {
		v.vector(p.Probe)
	}
	for _, f := range p.Frames {
		v.levels = append(v.levels, f.Level[:])
	}
}

// vector keeps a vector as it is and as the vault turns it.
func (v *visits) vector(plain []float32) {
	turned := append([]float32(nil), plain...)
	if err := v.store.Transform(turned); err != nil {
		v.t.Error(err)
	}
	v.vectors = append(v.vectors, append([]float32(nil), plain...), turned)
}

// compare keeps the scores that a walk-up with this probe will have: the search is the very one that door does, on the same gallery.
func (v *visits) compare(probe []float32) error {
	c, err := v.gallery.Search(probe, v.bundle)
	if err != nil {
		return err
	}
	again, err := v.gallery.Search(probe, v.bundle)
	if err != nil || again != c {
		return fmt.Errorf("two searches for one probe: %+v, %+v, %w", c, again, err)
	}
	v.scores = append(v.scores, c.Score, c.Second)
	return nil
}

func (v *visits) newVisitor() (p visitor) {
	for i := range p.id {
		p.id[i] = byte(v.rng.Uint32())
	}
	p.reference = drawVector(v.rng)
	v.people = append(v.people, p.id)
	return p
}

// keep enrols somebody at once.
func (v *visits) keep(reference []float32) (p visitor, err error) {
	p = v.newVisitor()
	p.reference = reference
	v.vector(reference)
	_, err = v.gallery.Keep(p.id, [][]float32{reference}, v.bundle, 0)
	return p, err
}

// near is a probe of somebody: as far from the reference as two good photographs are.
func (v *visits) near(reference []float32, far float32) []float32 {
	noise := drawVector(v.rng)
	probe := make([]float32, len(reference))
	for i := range probe {
		probe[i] = reference[i] + far*noise[i]
	}
	match.Normalise(probe)
	return probe
}
