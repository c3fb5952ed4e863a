package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/firmware/watch"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/inference/face"
	"github.com/lintel-access/lintel/inference/model"
	"github.com/lintel-access/lintel/sync/wire"
)

// What door does with time, as in firmware/walkup.
const (
	lead      = 6 * time.Millisecond // least time from planning a switch of the lamp to switching
	quickShow = 50 * time.Millisecond
	// lag is from the end of an exposure to the end of eye's work on it: readout, transfer, detection and landmarks.
	lag = 12 * time.Millisecond
	// retryWithin is how soon a retry must begin to belong to the same walk-up, and patience when a face must have been seen.
	retryWithin = 2 * time.Second
	patience    = 3 * time.Second
	idleEvery   = 200 * time.Millisecond // as in firmware/watch
	maxSessions = 2
	epoch       = 10 * time.Second // of the virtual clock
)

// booth is the place before one kiosk: real models, a simulated camera, and door's part of a walk-up up to its checks.
type booth struct {
	engine   *inference.Engine
	bundle   [32]byte
	studio   *twin.Studio
	cast     twin.Cast
	policy   access.Policy
	book     access.Book
	interval time.Duration
	two      bool          // lamps
	codes    []access.Code // of the book, once somebody asks for all
	model    string        // name of the bundle
	binder   binder
}

func openBooth(o options) (b *booth, err error) {
	m, err := model.Default()
	if err != nil {
		return nil, err
	}
	b = &booth{bundle: m.Hash(), model: m.Name, studio: twin.NewStudio(1), policy: access.DefaultPolicy(), interval: time.Second / time.Duration(o.fps), two: o.lamps == 2}
	if b.policy.Profile, err = access.ParseProfile(o.profile); err != nil {
		return nil, err
	}
	b.policy.Challenge.NeedRelief = b.policy.Challenge.NeedRelief || b.policy.Profile == access.High
	book := b.policy.Profile.Book
	if b.two {
		book = b.policy.Profile.PairBook
	}
	if b.book, err = book(); err != nil {
		return nil, err
	}
	if b.binder, err = newBinder(o); err != nil {
		return nil, err
	}
	if b.engine, err = inference.Open(inference.Config{
		Library: filepath.Join(o.cache, "ort", "libonnxruntime.so.1"), Bundle: filepath.Join(o.cache, "bundle"), Manifest: m, Threads: 1,
		Limits: face.DefaultLimits(),
	}); err != nil {
		return nil, err
	}
	if b.cast, err = cast(o.photos, b.engine); err != nil {
		return nil, errors.Join(err, b.engine.Close())
	}
	return b, nil
}

// Close gives the models back.
func (b *booth) Close() error { return b.engine.Close() }

// outcome is what became of one presentation.
type outcome struct {
	Species  string
	Index    int
	Accepted bool
	Unknown  bool          // accepted, and relief could not be known: one lamp, and no light besides it
	Sessions int           // 0: nobody was ever seen who could open one
	Reason   access.Reason // of the last session
	First    access.Findings
	Took     time.Duration // from the first frame with the face to the last decision
	Hint     access.Hint   // of the last sighting, where there was no session
	Notes    []string      // conditions that the species names
	Cost     time.Duration // real time that it took to compute
}

// walkUp is one presentation: a source of frames for the watcher, and its door.
type walkUp struct {
	*booth
	watcher *watch.Watcher
	inject  injector
	chance  *rand.Rand // door's and the attacker's
	frame   *image.Gray
	taken   frames.Light // what the camera was told to take in

	n        uint64
	now      time.Duration
	chips    []access.Chip // of all sessions so far, as planned
	sighting ipc.Approach
	first    time.Duration // stamp of the first frame with the face that opened the first session
	opened   *access.Opened
	shown    *access.Presentation
	sealed   chan ipc.Sealed
	rest     time.Duration // door opens nothing before
	over     bool
	outcome  outcome
}

// present lets a scene happen before the booth. The same arguments give the same outcome.
func (b *booth) present(scene *twin.Scene, inject injector, chance *rand.Rand) (outcome, error) {
	if err := b.studio.Stage(scene, &b.cast); err != nil {
		return outcome{}, err
	}
	b.engine.Face.Forget()
	began := time.Now()
	p := &walkUp{booth: b, inject: inject, chance: chance, now: epoch, sealed: make(chan ipc.Sealed, 1), taken: frames.Light{Exposure: twin.Exposure, Gain: 1},
		frame: image.NewGray(image.Rect(0, 0, twin.FrameWidth, twin.FrameHeight))}
	p.watcher = &watch.Watcher{Source: p, Engine: b.engine, Door: p, Bundle: b.bundle, Now: func() time.Duration { return p.now }}
	if err := p.watcher.Run(context.Background()); !errors.Is(err, io.EOF) {
		return p.outcome, err
	}
	p.outcome.Cost = time.Since(began)
	return p.outcome, nil
}

// Camera is what the frames say they come from.
func (p *walkUp) Camera() frames.Camera {
	return frames.Camera{Driver: "twin", Format: fmt.Sprintf("GREY %dx%d", twin.FrameWidth, twin.FrameHeight), Interval: p.interval, Virtual: true}
}

// Light is what the simulated camera can take in.
func (p *walkUp) Light() (least, most frames.Light) { return twin.Least, twin.Most }

// Expose has the next frames taken so.
func (p *walkUp) Expose(l frames.Light) (frames.Light, error) {
	p.taken = l
	return l, nil
}

// Close ends nothing: the booth is used again.
func (p *walkUp) Close() error { return nil }

// Send is door's ear. It answers in Next, where the watcher waits.
func (p *walkUp) Send(_ ipc.Kind, body any) error {
	switch m := body.(type) {
	case ipc.Approach:
		p.sighting = m
	case access.Presentation:
		m.Probe, m.Reflected = slices.Clone(m.Probe), slices.Clone(m.Reflected)
		p.shown = &m
	case ipc.Sealed:
		p.sealed <- m
	}
	return nil
}

// Next lets door do what is due, and draws the next frame.
func (p *walkUp) Next(context.Context) (frames.Frame, error) {
	p.watcher.Settle()
	if p.opened == nil && p.now >= p.rest && starts(p.sighting) {
		if err := p.open(); err != nil {
			return frames.Frame{}, err
		}
	}
	p.n++
	if p.sighting.Track == 0 && p.outcome.Sessions == 0 && p.n > 1 {
		p.n += uint64(idleEvery/p.interval) - 1 // while nobody is there eye looks no more often, and the others need not be drawn
	}
	stamp := epoch + time.Duration(p.n)*p.interval
	if o := p.opened; o != nil && stamp > o.Chips[len(o.Chips)-1].To {
		if err := p.conclude(); err != nil {
			return frames.Frame{}, err
		}
	}
	if p.over || p.opened == nil && stamp > epoch+patience {
		p.outcome.Hint = p.sighting.Hint
		return frames.Frame{}, io.EOF
	}
	f := frames.Frame{Image: p.frame, Seq: p.n, Stamp: stamp, Exposure: p.taken.Exposure, Gain: p.taken.Gain}
	p.inject(p, &f)
	p.now = stamp + lag
	return f, nil
}

// starts tells whether a sighting opens a session: the first of a face that is near enough and looks this way.
func starts(a ipc.Approach) bool {
	return a.Track != 0 && !a.Adjusting && (a.Hint == access.HintNone || a.Hint == access.HintBlurred || a.Hint == access.HintSaturated)
}

// open draws the code and plans the lamp, a chip a frame, each with an exposure in its middle.
func (p *walkUp) open() error {
	if p.outcome.Sessions == 0 {
		p.first = p.sighting.First
	}
	code, err := p.book.Code(p.chance.IntN(p.book.Size()))
	if err != nil {
		return err
	}
	o := access.Opened{
		Session: access.SessionID{Boot: 1, Number: uint64(p.outcome.Sessions + 1)}, Camera: p.Camera().Identity(), Bundle: p.bundle,
		Track: p.sighting.Track, Start: p.now, Code: code, Interval: p.interval, Doubted: p.outcome.Sessions > 0,
	}
	start := p.sighting.Stamp + (p.interval-twin.Exposure)/2
	for start < p.now+lead {
		start += p.interval
	}
	for k := range int(code.Length) {
		o.Chips = append(o.Chips, chip(code, k, start+time.Duration(k)*p.interval, start+time.Duration(k+1)*p.interval))
	}
	p.chips, p.opened = append(p.chips, o.Chips...), &o
	return p.order(ipc.KindObserve, ipc.Observe{Session: o.Session, Track: o.Track, Deadline: p.now + p.policy.Deadline, Reviewers: p.binder.filmed()})
}

// conclude asks for the evidence of the session and judges it.
func (p *walkUp) conclude() error {
	o := p.opened
	p.now = o.Chips[len(o.Chips)-1].To + lag
	p.shown = nil
	if err := p.order(ipc.KindConclude, ipc.Conclude{Session: o.Session, Until: p.now - lag}); err != nil {
		return err
	}
	if p.shown == nil {
		return errors.New("eye presents nothing at the end of a session")
	}
	findings := access.Examine(p.shown, *o, p.book, p.policy.Capture, p.policy.Challenge)
	reason := findings.First()
	if p.outcome.Sessions == 0 {
		p.outcome.First = findings
	}
	p.outcome.Sessions++
	p.outcome.Reason, p.outcome.Accepted = reason, reason == access.ReasonNone
	p.outcome.Unknown = p.outcome.Accepted && math.IsNaN(float64(findings[access.CriterionRelief].Value))
	p.outcome.Took = p.now - p.first
	shown := quickShow
	if reason == access.ReasonTooBright {
		shown = p.policy.RevealAfter - (p.now - o.Chips[0].From) + p.policy.ShowFor
	}
	p.rest = p.now + shown + p.policy.Cooldown
	if err := p.bind(findings); err != nil {
		return err
	}
	p.over = !reason.Again() || p.outcome.Sessions == maxSessions || p.rest > p.now+retryWithin
	p.opened, p.sighting = nil, ipc.Approach{}
	return nil
}

func (p *walkUp) order(kind ipc.Kind, body any) error {
	raw, err := wire.Marshal(body)
	if err != nil {
		return err
	}
	return p.watcher.Order(ipc.Message{Kind: kind, Body: raw})
}

// chip is one chip of a code.
func chip(code access.Code, k int, from, to time.Duration) access.Chip {
	c := access.Chip{From: from, To: to, Lit: code.Lit(k)}
	if code.Two() {
		c.Left, c.Right = code.Lamps(k)
	}
	return c
}

// lamps are the left and the right lamp of a chip; one lamp alone is the left one.
func lamps(c access.Chip) (left, right bool) { return c.Left || c.Lit && !c.Right, c.Right }

// light is that of an exposure that ends at t. All lamps are lit but for what the chips say.
func (p *walkUp) light(t time.Duration) twin.Light { return p.lightOf(p.chips, t) }

func (p *walkUp) lightOf(chips []access.Chip, t time.Duration) twin.Light {
	lit := [2]float64{1, 1}
	for _, c := range chips {
		share := float64(max(min(c.To, t)-max(c.From, t-p.taken.Exposure), 0)) / float64(p.taken.Exposure)
		left, right := lamps(c)
		lit[0] -= share * on(!left)
		lit[1] -= share * on(!right)
	}
	return p.lit(lit, 0)
}

// all is a light with every lamp lit for the same share of an exposure.
func (b *booth) all(share float64) twin.Light { return b.lit([2]float64{share, share}, 0) }

// lit is a light with so much of the left and the right lamp; one lamp alone is the left one.
func (b *booth) lit(lamps [2]float64, still time.Duration) twin.Light {
	if b.two {
		return twin.Light{Pair: lamps, Still: still}
	}
	return twin.Light{Lamp: lamps[0], Still: still}
}

// draw draws what a camera sees at the time of a frame, in a light.
func (p *walkUp) draw(f *frames.Frame, l twin.Light) {
	l.Camera = p.taken
	p.studio.Draw(f.Image.Pix, f.Stamp-epoch, f.Seq, l)
}
