//go:build !kiosk

package page

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	desk "github.com/lintel-access/lintel/firmware/cmd/desk/page"
)

// script is a desk without a kiosk: its state is what the test sets, its people are silhouettes.
type script struct {
	mu      sync.Mutex
	state   desk.State
	changed chan struct{}
	acts    []desk.Action
	frames  uint64
}

func newScript() *script {
	now := time.Now()
	s := &script{changed: make(chan struct{}), state: desk.State{
		Version: 1,
		Door: desk.Door{
			State: access.Secured, Walkup: access.Idle, Lamp: true,
			Indication: access.Indication{LED: access.White, Pattern: access.Breathe, Text: "Step closer, look at the lens"},
		},
		Sighting: desk.Sighting{Box: access.Box{X0: 246, Y0: 106, X1: 394, Y1: 304}, Faces: 1, Hint: access.HintTooFar},
		Scenes: []desk.Scene{
			{Name: "ada", Title: "Ada walks up"}, {Name: "ada-side", Title: "Ada, turned"}, {Name: "bela", Title: "Béla walks up"},
			{Name: "stranger", Title: "A stranger"}, {Name: "two", Title: "Two at once"}, {Name: "passer", Title: "A passer-by"},
			{Name: "far", Title: "Too far away"}, {Name: "dark", Title: "Darkness"}, {Name: "sun", Title: "Sun behind"},
			{Name: "print", Title: "A printed photo"}, {Name: "screen", Title: "A screen"}, {Name: "frozen", Title: "Frozen picture"},
			{Name: "held", Title: "Door held open"}, {Name: "forced", Title: "Door forced"},
			{Name: "suspended", Title: "Béla, suspended"}, {Name: "resumed", Title: "Béla, resumed"}, {Name: "revoked", Title: "Chidi, revoked"},
			{Name: "exit", Title: "Leaves by the button"}, {Name: "crowd", Title: "Two: stranger in front"}, {Name: "deleted", Title: "Chidi, deleted"},
		},
		People: []desk.Person{{Name: "Ada", Standing: access.Permitted}, {Name: "Béla", Standing: access.Suspended}, {Name: "Chidi", Standing: access.Revoked}},
		Programs: []desk.Program{
			{Name: "eye", Phase: desk.Running, PID: 4711, Since: now.Add(-3 * time.Minute), Restarts: 1, LastExit: "signal: killed"},
			{Name: "door", Phase: desk.Running, PID: 4712, Since: now.Add(-80 * time.Minute)},
			{Name: "link", Phase: desk.Running, PID: 4713, Since: now.Add(-80 * time.Minute)},
		},
		Enrolled: 1, Records: 1284, Backlog: 1284,
	}}
	for i, d := range []desk.Decision{
		{Verdict: access.Granted, Reason: access.ReasonAllowed, Person: "Ada", Latency: 812 * time.Millisecond},
		{Verdict: access.Denied, Reason: access.ReasonUnknown},
		{Verdict: access.Retry, Reason: access.ReasonTooBright},
		{Verdict: access.Granted, Reason: access.ReasonAllowed, Person: "Béla", Latency: 794 * time.Millisecond},
		{Verdict: access.Denied, Reason: access.ReasonWrongAnswer},
		{Verdict: access.Denied, Reason: access.ReasonRevoked},
	} {
		d.Number, d.At = uint64(40-i), now.Add(-time.Duration(7+11*i)*time.Second)
		s.state.Decisions = append(s.state.Decisions, d)
	}
	return s
}

// set changes the state and wakes the page.
func (s *script) set(change func(*desk.State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	s.state.Version++
	close(s.changed)
	s.changed = make(chan struct{})
}

// done is what the page has asked for since the last call.
func (s *script) done() []desk.Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	acts := s.acts
	s.acts = nil
	return acts
}

func (s *script) State() desk.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *script) Wait(ctx context.Context, after uint64) (desk.State, error) {
	for {
		s.mu.Lock()
		state, changed := s.state, s.changed
		s.mu.Unlock()
		if state.Version > after {
			return state, nil
		}
		select {
		case <-ctx.Done():
			return desk.State{}, ctx.Err()
		case <-changed:
		}
	}
}

func (s *script) Act(_ context.Context, a desk.Action) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Name == "scene" && a.Arg == "forced" {
		return errors.New("a scene plays already")
	}
	s.acts = append(s.acts, a)
	return nil
}

// shown counts the frames that were asked for.
func (s *script) shown() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames
}

func (s *script) Frame(dst []byte) ([]byte, uint64, error) {
	s.mu.Lock()
	s.frames++
	n := s.frames
	s.mu.Unlock()
	out := bytes.NewBuffer(dst)
	err := jpeg.Encode(out, silhouette(), &jpeg.Options{Quality: 80})
	return out.Bytes(), n, err
}

// silhouette is a person without a face: head, neck and shoulders against a lit wall, brighter where the lamp falls.
var silhouette = sync.OnceValue(func() *image.Gray {
	inside := func(x, y, cx, cy, rx, ry float64) float64 { return math.Hypot((x-cx)/rx, (y-cy)/ry) }
	soft := func(d float64) float64 { return 1 / (1 + math.Exp((d-1)*45)) }
	m := image.NewGray(image.Rect(0, 0, 640, 480))
	for py := range 480 {
		for px := range 640 {
			x, y := float64(px), float64(py)
			v := 62 - 26*math.Hypot(x-320, y-200)/400
			body := max(soft(inside(x, y, 320, 520, 205, 190)), soft(inside(x, y, 320, 330, 46, 80)))
			v += body * (98 - 40*math.Abs(x-320)/220 - v)
			head := soft(inside(x, y, 320, 206, 70, 94))
			v += head * (158 - 46*inside(x, y, 320, 206, 70, 94) - v)
			m.SetGray(px, py, color.Gray{Y: uint8(v)})
		}
	}
	return m
})
