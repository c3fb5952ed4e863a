//go:build !kiosk

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/cmd/desk/page"
	"github.com/lintel-access/lintel/firmware/cmd/desk/runner"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/twin"
)

// bench is the desk's operator: it sees door's status, presses buttons and plays scenes. It is what the page shows and moves.
type bench struct {
	options  options
	progress io.Writer
	twin     *twin.Board
	run      *runner.Runner
	cast     twin.Cast
	// portraits are where the cast's photographs are, by name.
	portraits map[string]portrait
	centre    *centre // nil: there is no headquarters
	register  *register
	began     time.Time
	mono      time.Duration // CLOCK_MONOTONIC at began

	working  sync.Mutex // held while headquarters does something
	ordering sync.Mutex // held while door is given an order about a person, so that the register follows in the same order

	mu     sync.Mutex
	client *ipc.Client
	status ipc.Status
	heard  time.Time // of the newest status; zero when door is not connected
	scene  string
	task   string
	told   []string // what the desk has to say, oldest first
	// enrolling: the cast is being walked up, no scene may come between.
	enrolling bool
	scenes    []*twin.Scene
	guests    []guest // enrolled at headquarters
	thought   listed  // what headquarters thinks of the kiosk
	governed  bool    // the desk's rules were put into force
	version   uint64
	changed   chan struct{}
	picture   *image.Gray
}

func newBench(o options, b *twin.Board, r *runner.Runner, cast twin.Cast, reg *register, scenes []*twin.Scene, progress io.Writer) *bench {
	return &bench{
		options: o, progress: progress,
		twin: b, run: r, cast: cast, register: reg, scenes: scenes, began: time.Now(), mono: frames.Now(), version: 1,
		changed: make(chan struct{}), picture: image.NewGray(image.Rect(0, 0, twin.FrameWidth, twin.FrameHeight)),
	}
}

// touch changes the state and wakes whoever waits.
func (b *bench) touch(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
	b.version++
	close(b.changed)
	b.changed = make(chan struct{})
}

// toldFor is how long the page shows what the desk has to say.
const toldFor = 30 * time.Second

// tell says something on the page, for a while, and on the terminal.
func (b *bench) tell(text string) {
	fmt.Fprintln(b.progress, text)
	b.touch(func() { b.told = append(b.told, text) })
	time.AfterFunc(toldFor, func() { b.touch(func() { b.told = slices.Delete(b.told, 0, 1) }) })
}

// connect keeps a connection to door until ctx ends. While door is away the status says so.
func (b *bench) connect(ctx context.Context, path string, uid int) {
	for ctx.Err() == nil {
		if conn, err := ipc.Dial(ctx, path, ipc.Desk, uid); err == nil {
			client := ipc.NewClient(conn, func(m ipc.Message) {
				var s ipc.Status
				if m.Kind != ipc.KindStatus || ipc.Decode(m, &s) != nil {
					return // door is of this very build; a status that does not fit is dropped and the next one shown
				}
				b.touch(func() { b.status, b.heard = s, time.Now() })
			})
			b.touch(func() { b.client = client })
			_ = client.Run(ctx) // it ends when door does, which the page shows by the process
			b.touch(func() { b.client, b.status, b.heard = nil, ipc.Status{}, time.Time{} })
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// watch wakes the page when a program or a line changes.
func (b *bench) watch(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last string
	for {
		_, programs := b.run.Status()
		var far <-chan struct{}
		if b.centre != nil {
			_, far = b.centre.serve.Status()
		}
		select {
		case <-ctx.Done():
			return
		case <-programs:
			b.touch(func() {})
		case <-far:
			b.touch(func() {})
		case <-tick.C:
			if now := fmt.Sprint(b.twin.Lines()); now != last {
				last = now
				b.touch(func() {})
			}
		}
	}
}

// await waits until the status of door fulfils ok.
func (b *bench) await(ctx context.Context, what string, ok func(ipc.Status) bool) (ipc.Status, error) {
	for {
		b.mu.Lock()
		s, heard, changed := b.status, !b.heard.IsZero(), b.changed
		b.mu.Unlock()
		if heard && ok(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		}
	}
}

// errClosed means that door works and recognises nobody.
var errClosed = errors.New("nobody is recognised")

// ready waits until eye and door work together. A program that refuses its installation ends the wait with its own words, and so does a
// door that cannot recognise anybody.
func (b *bench) ready(ctx context.Context) (ipc.Status, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for {
			programs, changed := b.run.Status()
			for _, p := range programs {
				if p.Phase == runner.Refused {
					cancel(errors.New(p.LastExit))
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	s, err := b.await(ctx, "eye and door are ready", func(s ipc.Status) bool { return s.Eye && s.Tested || s.Closed })
	if err == nil && s.Closed {
		err = errClosed
		if len(s.Degraded) > 0 {
			err = fmt.Errorf("%w: %s", errClosed, strings.TrimPrefix(s.Degraded[0], errClosed.Error()+": "))
		}
	}
	return s, err
}

// call asks door for something.
func (b *bench) call(ctx context.Context, kind ipc.Kind, req, resp any) error {
	b.mu.Lock()
	client := b.client
	b.mu.Unlock()
	if client == nil {
		return errors.New("door is down; it comes back by itself")
	}
	return client.Call(ctx, kind, req, resp)
}

// play plays a scene from start to end. What it orders is done first.
func (b *bench) play(ctx context.Context, s *twin.Scene) error {
	b.mu.Lock()
	if b.scene != "" {
		playing := b.scene
		b.mu.Unlock()
		return fmt.Errorf("the scene %q is still playing", playing)
	}
	b.scene = s.Name
	b.mu.Unlock()
	b.touch(func() {})
	defer b.touch(func() { b.scene = "" })
	for _, o := range s.Orders {
		if o.Number > len(b.cast.Enrolled) {
			return fmt.Errorf("play %q: only %d people can be enrolled", s.Name, len(b.cast.Enrolled))
		}
		if err := b.order(ctx, o.Verb, b.cast.Enrolled[o.Number-1].Name); err != nil {
			return err
		}
	}
	return b.twin.Play(ctx, s)
}

// enrol walks every person of the cast up in an enrolment session of door, unless door knows them already.
func (b *bench) enrol(ctx context.Context) error {
	s, err := b.ready(ctx)
	if err != nil {
		return err
	}
	var permitted int
	b.touch(func() { b.enrolling, permitted = true, b.register.permitted() })
	defer b.touch(func() { b.enrolling, b.task = false, "" })
	for i, p := range b.cast.Enrolled {
		b.mu.Lock()
		e, known := b.register.entry(p.Name)
		// A door that knows fewer than it should has lost its vault: then everybody is enrolled anew.
		known = known && e.standing() != access.Revoked && int(s.People) >= permitted && (b.centre == nil || e.ruled())
		id := b.register.id(p.Name)
		b.mu.Unlock()
		if known {
			continue
		}
		task := fmt.Sprintf("Enrolling %s (%d of %d)", p.Name, i+1, len(b.cast.Enrolled))
		b.touch(func() { b.task = task })
		fmt.Fprintln(b.progress, task)
		answer, err := b.enrolOne(ctx, i+1, id)
		if errors.As(err, new(*refusal)) {
			answer, err = b.enrolOne(ctx, i+1, id) // on a busy machine an enrolment may run out of time
		}
		if err != nil {
			return fmt.Errorf("enrol %s: %w", p.Name, err)
		}
		if err := b.remember(func(r *register) error { return r.enrolled(p.Name, id) }); err != nil {
			return err
		}
		if !answer.LookAlike.IsZero() {
			b.tell(b.looksLike(p.Name, answer.LookAlike))
		}
	}
	return nil
}

// State is what the page shows.
func (b *bench) State() page.State {
	programs, _ := b.run.Status()
	lines := b.twin.Lines()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	st := page.State{
		Version: b.version, Scene: b.scene, Task: b.task, Told: slices.Clone(b.told), Degraded: s.Degraded, Closed: s.Closed,
		Enrolled: s.People, Records: s.Records, Backlog: s.Records - min(s.Cursor, s.Records), Afar: b.panel(),
		Door: page.Door{
			State: s.Door, Walkup: s.Walkup, Indication: s.Indication, Ajar: lines[board.Contact], Released: lines[board.Relay],
			Lamp: lines[board.Lamp] || lines[board.Lamp2], Fire: lines[board.Fire], Tamper: lines[board.Tamper], Lockdown: s.Lockdown,
		},
		Sighting: page.Sighting{Box: s.Sighting.Box, Faces: s.Sighting.Faces, Hint: s.Sighting.Hint},
	}
	if b.heard.IsZero() {
		st.Door.Indication = access.Indication{Text: "Out of order"}
	}
	for _, id := range []access.PersonID{s.Pending.First, s.Pending.Second} {
		if name := b.register.name(id); name != "" {
			st.Waiting = append(st.Waiting, name)
		}
	}
	for _, r := range s.Waiting {
		st.Reviews = append(st.Reviews, page.Review{ID: r.ID.String(), Count: r.Count, Materials: r.Materials})
	}
	for _, d := range s.Decisions {
		shown := page.Decision{
			Number: d.Session.Boot<<32 | d.Session.Number, At: b.began.Add(d.Decided - b.mono), Verdict: d.Verdict, Reason: d.Reason,
			Person: b.name(d.Person),
		}
		if d.Released > 0 {
			shown.Latency = d.Released - d.First
		}
		st.Decisions = append(st.Decisions, shown)
	}
	if b.centre != nil {
		far, _ := b.centre.serve.Status()
		programs = append(programs, far...)
	}
	for _, p := range programs {
		phase := page.Restarting
		switch p.Phase {
		case runner.Running:
			phase = page.Starting
			if p.Name == "eye" && s.Eye && (s.Tested || s.Closed) || p.Name == "link" && s.Link || p.Name == "door" && !b.heard.IsZero() || p.Name == "hq" {
				phase = page.Running
			}
		case runner.Refused:
			phase = page.Refused
		case runner.Stopped:
			phase = page.Stopped
		}
		st.Programs = append(st.Programs, page.Program{
			Name: p.Name, Phase: phase, PID: p.PID, Since: p.Since, Restarts: p.Restarts, LastExit: p.LastExit,
		})
	}
	for _, c := range b.scenes {
		st.Scenes = append(st.Scenes, page.Scene{Name: c.Name, Title: c.Title})
	}
	for _, e := range b.register.People {
		st.People = append(st.People, page.Person{Name: e.Name, Standing: e.standing()})
	}
	return st
}

// Wait returns a state that is newer than after.
func (b *bench) Wait(ctx context.Context, after uint64) (page.State, error) {
	for {
		b.mu.Lock()
		version, changed := b.version, b.changed
		b.mu.Unlock()
		if version > after {
			return b.State(), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return page.State{}, ctx.Err()
		}
	}
}

// Frame appends the twin's newest picture as JPEG.
func (b *bench) Frame(dst []byte) ([]byte, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seq, _ := b.twin.LastFrame(b.picture)
	if seq == 0 {
		return dst, 0, errors.New("the camera has delivered nothing yet")
	}
	buf := bytes.NewBuffer(dst)
	if err := jpeg.Encode(buf, b.picture, &jpeg.Options{Quality: 80}); err != nil {
		return dst, 0, err
	}
	return buf.Bytes(), seq, nil
}

// Act carries out what a visitor pressed.
func (b *bench) Act(ctx context.Context, a page.Action) error {
	switch a.Name {
	case "scene":
		for _, s := range b.scenes {
			if s.Name == a.Arg {
				b.mu.Lock()
				busy := b.scene != "" || b.enrolling
				b.mu.Unlock()
				if busy {
					return errors.New("wait until the scene has ended")
				}
				go func() {
					if err := b.play(context.WithoutCancel(ctx), s); err != nil {
						b.tell("The scene could not be played: " + err.Error())
					}
				}()
				return nil
			}
		}
		return fmt.Errorf("no scene %q", a.Arg)
	case "rex":
		return b.twin.Press(board.REX, 300*time.Millisecond)
	case "fire":
		return b.twin.SetInput(board.Fire, a.Arg == "on")
	case "tamper":
		return b.twin.SetInput(board.Tamper, a.Arg == "on")
	case "lockdown":
		return b.call(ctx, ipc.KindLockdown, ipc.Lockdown{On: a.Arg == "on"}, nil)
	case "suspend", "resume", "revoke", "delete":
		return b.order(ctx, a.Name, a.Arg)
	case "confirm":
		return b.confirm(ctx, a.Arg)
	case "review":
		return b.review(ctx, a.Arg)
	case "rekey":
		return b.rekey(ctx)
	case "kill":
		if a.Arg == "hq" && b.centre != nil {
			return b.centre.serve.Kill(a.Arg)
		}
		return b.run.Kill(a.Arg)
	case "network", "afar-enrol", "afar-delete", "afar-lockdown", "afar-release":
		return b.actAfar(ctx, a.Name, a.Arg)
	}
	return fmt.Errorf("no action %q", a.Name)
}
