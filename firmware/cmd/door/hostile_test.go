package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/inference/model"
)

// hostile is an eye in an attacker's hands: it speaks the protocol and lies.
type hostile struct {
	t      *testing.T
	rng    *rand.Rand
	conn   *ipc.Conn
	hello  ipc.Hello
	probe  []float32
	lit    func(time.Duration) bool
	order  ipc.Observe
	began  time.Duration // when order came
	orders chan ipc.Message
}

func (h *hostile) connect(dir string) {
	h.t.Helper()
	conn, err := ipc.DialWithin(h.t.Context(), 5*time.Second, filepath.Join(dir, ipc.Eye.Socket()), ipc.Eye, os.Geteuid())
	if err != nil {
		h.t.Fatal(err)
	}
	h.conn, h.orders = conn, make(chan ipc.Message, 64)
	go func(to chan ipc.Message) {
		defer close(to)
		for {
			m, err := conn.Recv(context.Background())
			if err != nil {
				return
			}
			m.Body = append([]byte(nil), m.Body...)
			if m.Kind == ipc.KindGauge {
				go answerGauge(conn, m, h.lit) // it does see the lamp
			}
			select {
			case to <- m:
			default:
			}
		}
	}(h.orders)
	_ = conn.Send(ipc.KindHello, 0, h.hello)
}

// listen takes what door has ordered meanwhile.
func (h *hostile) listen() {
	for {
		select {
		case m, ok := <-h.orders:
			if !ok {
				return
			}
			if m.Kind == ipc.KindObserve && ipc.Decode(m, &h.order) == nil {
				h.began = frames.Now()
			}
		default:
			return
		}
	}
}

// presentation is made of an enrolled person's own probe and frames with levels of which the lamp knows nothing.
func (h *hostile) presentation() access.Presentation {
	p := access.Presentation{
		Session: h.order.Session, Nonce: h.order.Nonce, Camera: h.hello.Camera.Identity(), Bundle: h.hello.Bundle,
		Probe: h.probe, ProbeFrom: 6, Liveness: -1,
	}
	at := h.began + 10*time.Millisecond
	for i := range h.rng.IntN(access.MaxFrames) {
		f := access.FrameEvidence{Seq: uint64(i + 1), Stamp: at, Exposure: 1 + time.Duration(h.rng.IntN(9_000_000)), Track: h.order.Track, Ring: 40}
		at += 10 * time.Millisecond
		f.Chain[0] = byte(i + 1)
		for k := range f.Level {
			f.Level[k] = 60
			if h.rng.IntN(2) == 0 {
				f.Level[k] = 200
			}
		}
		p.Frames = append(p.Frames, f)
	}
	switch h.rng.IntN(6) {
	case 0:
		p.Session.Number += uint64(h.rng.IntN(3))
	case 1:
		p.Probe, p.ProbeFrom = nil, 0
	case 2:
		p.Frames = nil
	}
	return p
}

// step says one thing, often at the wrong time. It reports whether the connection stands.
func (h *hostile) step() bool {
	h.listen()
	var err error
	switch h.rng.IntN(13) {
	case 5:
		if h.rng.IntN(10) == 0 {
			err = h.conn.Send(ipc.KindGauged, 0, ipc.Gauged{Frames: []access.Glimpse{{Stamp: time.Duration(h.rng.Int64()), Level: 255}}})
		}
	case 0:
		p := h.presentation()
		err = h.conn.Send(ipc.KindPresentation, 0, p)
	case 1:
		err = h.conn.Send(ipc.KindPulse, 0, nil)
	case 2:
		err = h.conn.Send(ipc.KindApproach, 0, ipc.Approach{Stamp: time.Duration(h.rng.Int64()), Track: h.rng.Uint32(), Exposure: time.Duration(h.rng.Int64())})
	case 3:
		err = h.conn.Send(ipc.KindApproach, 0, ipc.Approach{Stamp: frames.Now(), Hint: access.HintNobody})
	case 4:
		if h.rng.IntN(10) == 0 {
			err = h.conn.Send(ipc.KindHello, 0, h.hello) // a second one has no place
		}
	default:
		err = h.conn.Send(ipc.KindApproach, 0, ipc.Approach{Stamp: frames.Now(), Track: 1, Exposure: time.Millisecond, Faces: 1})
	}
	return err == nil
}

// An eye that says anything at any time, connects anew, and holds the probe of somebody enrolled never gets the door opened, never
// learns a code before the light shows it, and never keeps door from its other duties.
func TestCompromisedEyeOpensNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	k := startKiosk(t, stateFolder(t), auditlog.Options{})
	calibration, err := model.DefaultCalibration()
	if err != nil {
		t.Fatal(err)
	}
	probe := make([]float32, access.ProbeSize)
	probe[3] = 1
	if _, err := k.gallery.Keep(access.PersonID{1}, [][]float32{probe}, calibration.Bundle, 0); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	h := &hostile{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), probe: probe, lit: k.wires.litAt,
		hello: ipc.Hello{Camera: frames.Camera{Driver: "twin", Interval: 10 * time.Millisecond}, Bundle: calibration.Bundle},
	}
	h.connect(k.run)
	connections, rounds := 1, 0
	var records []access.Record
	reached := func(r access.Record) bool { return r.Session.Number > 0 }
	for rounds < 10 && !slices.ContainsFunc(records, reached) { // it is chance whether the first one meets a session
		rounds++
		for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(12 * time.Millisecond) {
			if h.step() {
				continue
			}
			h.conn.Close()
			h.connect(k.run)
			connections++
		}
		if records, err = tail(k.audit, 4096); err != nil {
			t.Fatal(err)
		}
	}
	if n := k.wires.released(); n != 0 {
		t.Errorf("the door was released %d times", n)
	}
	sessions := 0
	for _, r := range records {
		if r.Verdict == access.Granted {
			t.Errorf("granted: %+v", r)
		}
		if reached(r) {
			sessions++
		}
	}
	if sessions == 0 || len(records) > 120*rounds {
		t.Errorf("%d sessions and %d records in %d rounds of 6 s: the attack did not reach the walk-up, or filled the log", sessions, len(records), rounds)
	}
	// The exit works all the while.
	k.wires.edges <- board.Edge{Line: board.REX, On: true, Stamp: frames.Now()}
	for end := time.Now().Add(10 * time.Second); k.wires.released() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("REX did not release the door")
		}
	}
	t.Logf("%d connections, %d sessions, %d records", connections, sessions, len(records))
	h.conn.Close()
	k.stop()
	for end := time.Now().Add(3 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
}
