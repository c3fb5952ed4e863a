//go:build !kiosk

package twin

import (
	"context"
	"image"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
)

// running starts a board with one enrolled person and gives its sockets.
func running(t *testing.T) (b *Board, framesPath, linesPath string) {
	t.Helper()
	dir := t.TempDir()
	framesPath, linesPath = filepath.Join(dir, "frames"), filepath.Join(dir, "lines")
	b, err := New(Config{FramesPath: framesPath, LinesPath: linesPath, Seed: 1, Cast: Cast{Enrolled: []*Person{drawn(t, 160)}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ran:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * time.Second):
			t.Error("the board does not stop")
		}
	})
	return b, framesPath, linesPath
}

func connect(t *testing.T, path string) *Lines {
	t.Helper()
	l, err := DialLines(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func scene(t *testing.T, text string) *Scene {
	t.Helper()
	s, err := ParseScene("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// nextEdge waits for an edge and bounds the wait.
func nextEdge(t *testing.T, l *Lines) board.Edge {
	t.Helper()
	select {
	case e, ok := <-l.Edges():
		if !ok {
			t.Fatal("the board is gone")
		}
		return e
	case <-time.After(3 * time.Second):
		t.Fatal("no edge")
	}
	return board.Edge{}
}

func TestFramesKeepTheirCadence(t *testing.T) {
	b, path, _ := running(t)
	r, err := frames.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if c := r.Camera(); c.Driver != "twin" || !c.Virtual || c.Interval != interval {
		t.Errorf("camera %+v", c)
	}
	go b.Play(within(t), scene(t, minimal+"person enrolled 1\nat 0s position 0 0 0.6"))
	var first, last frames.Frame
	for i := range 20 {
		f, err := r.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = f
		} else if f.Seq <= last.Seq || f.Stamp <= last.Stamp {
			t.Fatalf("frame %d at %v after %d at %v", f.Seq, f.Stamp, last.Seq, last.Stamp)
		}
		if age := frames.Now() - f.Stamp; age < 0 || f.Exposure != exposure {
			t.Fatalf("frame of the future: %v, exposure %v", age, f.Exposure)
		}
		last = f
	}
	// Stamps stand on a grid whatever the machine's load: lost frames show as gaps in the sequence and nowhere else.
	if got, want := last.Stamp-first.Stamp, time.Duration(last.Seq-first.Seq)*interval; got != want {
		t.Errorf("%d frames took %v instead of %v", last.Seq-first.Seq, got, want)
	}
	copied := image.NewGray(image.Rect(0, 0, FrameWidth, FrameHeight))
	if seq, stamp := b.LastFrame(copied); seq < last.Seq || stamp < last.Stamp {
		t.Errorf("last frame %d at %v", seq, stamp)
	}
	if seq, _ := b.LastFrame(image.NewGray(image.Rect(0, 0, 10, 10))); seq != 0 {
		t.Error("a frame was put into a picture that is too small")
	}
}

func TestLampIsSeenInTheFramesThatItLit(t *testing.T) {
	b, path, linesPath := running(t)
	r, err := frames.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l := connect(t, linesPath)
	go b.Play(within(t), scene(t, "title \"t\"\nduration 3s\nperson enrolled 1\nat 0s position 0 0 0.6"))
	lit, dark := 0, 0
	var edges []time.Duration // on, off, on, …
	for i := range 24 {
		f, err := r.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		on, straddles := false, false
		for k, at := range edges {
			if at <= f.Stamp-f.Exposure {
				on = k%2 == 0
			} else if at < f.Stamp {
				straddles = true
			}
		}
		if p := (picture{pix: f.Image.Pix}); i > 1 && !straddles {
			v := p.mean(0.01, -0.02, 0.6, 0.06)
			if (v > 100) != on {
				t.Errorf("frame %d: level %.0f with the lamp on=%v", f.Seq, v, on)
			}
			if on {
				lit++
			} else {
				dark++
			}
		}
		if i%3 == 0 {
			at, err := l.Set(board.Lamp, len(edges)%2 == 0)
			if err != nil {
				t.Fatal(err)
			}
			edges = append(edges, at)
		}
	}
	if lit < 5 || dark < 5 {
		t.Errorf("%d lit and %d dark frames", lit, dark)
	}
}

func TestShareOfExposure(t *testing.T) {
	var w wires
	at := func(ms int, on bool) {
		w.history[w.edges%historySize] = board.Edge{Line: board.Lamp, On: on, Stamp: time.Duration(ms) * time.Millisecond}
		w.edges++
		w.level[lampLine] = on
	}
	share := func(from, to int) float64 {
		return w.share(lampLine, time.Duration(from)*time.Millisecond, time.Duration(to)*time.Millisecond)
	}
	if share(0, 10) != 0 {
		t.Error("lit before anything happened")
	}
	at(10, true)
	at(14, false)
	at(20, true)
	for _, c := range []struct {
		from, to int
		want     float64
	}{{0, 8, 0}, {0, 10, 0}, {8, 12, 0.5}, {10, 14, 1}, {12, 16, 0.5}, {8, 16, 0.5}, {14, 20, 0}, {12, 22, 0.4}, {20, 28, 1}, {30, 38, 1}} {
		if got := share(c.from, c.to); got != c.want {
			t.Errorf("%d..%d ms: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func TestLinesAnswer(t *testing.T) {
	b, _, path := running(t)
	l := connect(t, path)
	before := frames.Now()
	at, err := l.Set(board.Relay, true)
	if err != nil || at < before || at > frames.Now() {
		t.Fatalf("relay set at %v, %v", at, err)
	}
	if on, err := l.Level(board.Relay); err != nil || !on || !b.Lines()[board.Relay] {
		t.Fatalf("relay %v, %v, %v", on, err, b.Lines())
	}
	if _, err := l.Set(board.REX, true); err == nil {
		t.Error("an input was set")
	}
	if _, err := l.Level("coffee"); err == nil {
		t.Error("an unknown line was read")
	}
	if err := b.SetInput(board.Relay, true); err == nil {
		t.Error("an output was worked as an input")
	}
	if err := b.Press(board.REX, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	down, up := nextEdge(t, l), nextEdge(t, l)
	if down.Line != board.REX || !down.On || up.Line != board.REX || up.On || up.Stamp-down.Stamp < 50*time.Millisecond {
		t.Errorf("pressing gave %v and %v", down, up)
	}
	h := b.History(before)
	if len(h) != 3 || h[0] != (board.Edge{Line: board.Relay, On: true, Stamp: at}) || h[2] != up {
		t.Errorf("history %v", h)
	}
}

func TestSettingALineIsQuick(t *testing.T) {
	_, _, path := running(t)
	l := connect(t, path)
	best := time.Hour
	for i := range 100 {
		start := time.Now()
		if _, err := l.Set(board.Lamp, i%2 == 0); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	if best > time.Millisecond {
		t.Errorf("the quickest of 100 took %v", best)
	}
}

func TestOutputsFallWithTheirController(t *testing.T) {
	b, _, path := running(t)
	first := connect(t, path)
	for _, line := range []board.Line{board.Relay, board.Lamp, board.Buzzer} {
		if _, err := first.Set(line, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.SetInput(board.Tamper, true); err != nil {
		t.Fatal(err)
	}
	if second, err := DialLines(path); err == nil {
		second.Close()
		t.Fatal("two controllers drive one door")
	}
	first.Close()
	third := connect(t, path)
	state := b.Lines()
	for _, line := range []board.Line{board.Relay, board.Lamp, board.Buzzer} {
		if on, err := third.Level(line); on || err != nil || state[line] {
			t.Errorf("%s stayed on: %v", line, err)
		}
	}
	if !state[board.Tamper] {
		t.Error("an input fell with the controller")
	}
	if _, ok := <-first.Edges(); ok {
		for range first.Edges() { // the tamper edge; then the end
		}
	}
}

func TestRudeClients(t *testing.T) {
	b, _, path := running(t)
	for name, packet := range map[string][]byte{
		"short": {1, 1, 0}, "long": {1, 2, 0, 0, 0, 0, 0, 0, 9}, "version": {2, 2, 0, 0, 0, 0, 0, 0},
		"kind": {1, 3, 0, 0, 0, 0, 0, 0}, "line": {1, 2, 11, 0, 0, 0, 0, 0}, "level": {1, 1, 0, 2, 0, 0, 0, 0},
		"sets an input": {1, 1, 3, 1, 0, 0, 0, 0},
	} {
		conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(2 * time.Second))
		conn.Write(packet)
		if n, err := conn.Read(make([]byte, 64)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: answered with %d bytes, %v", name, n, err)
		}
		conn.Close()
	}
	connect(t, path) // and the board still serves
	for line, on := range b.Lines() {
		if on {
			t.Errorf("%s is on", line)
		}
	}
}

func TestDoorLeaf(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	type move struct {
		at     int
		relay  bool
		passes bool
		want   string // "", "opens", "shuts"
	}
	for name, moves := range map[string][]move{
		"passes":          {{100, true, true, ""}, {390, true, true, ""}, {400, true, true, "opens"}, {500, false, true, ""}, {1900, false, true, "shuts"}, {9000, false, true, ""}},
		"stays outside":   {{100, true, false, ""}, {400, true, false, ""}, {9000, false, false, ""}},
		"pulse too short": {{100, true, true, ""}, {200, false, true, ""}, {400, false, true, ""}, {9000, false, true, ""}},
		"two releases":    {{100, true, true, ""}, {400, true, true, "opens"}, {500, false, true, ""}, {600, true, true, ""}, {1900, true, true, "shuts"}, {2500, true, true, ""}},
		"never released":  {{100, false, true, ""}, {9000, false, true, ""}},
	} {
		var p passage
		for _, m := range moves {
			on, changed := p.step(ms(m.at), m.relay, m.passes)
			got := ""
			if changed {
				got = map[bool]string{true: "opens", false: "shuts"}[on]
			}
			if got != m.want {
				t.Errorf("%s, %d ms: %q, want %q", name, m.at, got, m.want)
			}
		}
	}
}

func TestSceneWorksTheInputs(t *testing.T) {
	b, _, path := running(t)
	l := connect(t, path)
	s := scene(t, "title \"t\"\nduration 0.5s\nset fire on at 0.1s\nforce at 0.2s\npress rex at 0.3s for 0.1s")
	start := frames.Now()
	if err := b.Play(within(t), s); err != nil {
		t.Fatal(err)
	}
	if d := frames.Now() - start; d < s.Duration || d > s.Duration+time.Second {
		t.Errorf("a scene of %v played for %v", s.Duration, d)
	}
	want := []board.Edge{{Line: board.Fire, On: true}, {Line: board.Contact, On: true}, {Line: board.REX, On: true}, {Line: board.REX}}
	for i, w := range want {
		e := nextEdge(t, l)
		if e.Line != w.Line || e.On != w.On || e.Stamp < start {
			t.Errorf("edge %d is %v, want %v", i, e, w)
		}
	}
	for line, on := range b.Lines() { // fire and contact are back as they were
		if on {
			t.Errorf("%s is still on after the scene", line)
		}
	}
}

// awaitShow waits until a scene plays.
func awaitShow(t *testing.T, b *Board) {
	t.Helper()
	for ctx := within(t); ctx.Err() == nil; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		plays := b.show != nil
		b.mu.Unlock()
		if plays {
			return
		}
	}
	t.Fatal("no scene plays")
}

func TestReleasedDoorIsOpened(t *testing.T) {
	b, _, path := running(t)
	l := connect(t, path)
	go b.Play(within(t), scene(t, "title \"t\"\nduration 0.5s\npasses yes"))
	awaitShow(t, b)
	at, err := l.Set(board.Relay, true)
	if err != nil {
		t.Fatal(err)
	}
	opened, shut := nextEdge(t, l), nextEdge(t, l)
	if opened.Line != board.Contact || !opened.On || shut.Line != board.Contact || shut.On {
		t.Fatalf("the contact made %v and %v", opened, shut)
	}
	if d := opened.Stamp - at; d < reachesDoor || d > reachesDoor+time.Second {
		t.Errorf("opened after %v", d)
	}
	if d := shut.Stamp - opened.Stamp; d < leafOpenFor-interval || d > leafOpenFor+time.Second {
		t.Errorf("shut after %v", d)
	}
}

func TestPlayRefuses(t *testing.T) {
	b, _, _ := running(t)
	err := b.Play(within(t), scene(t, minimal+"person stranger 3\nat 0s position 0 0 1"))
	if err == nil || !strings.Contains(err.Error(), "needs stranger 3; the cast has 1 enrolled and 0 strangers") {
		t.Errorf("a missing stranger: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	played := make(chan error, 1)
	go func() { played <- b.Play(ctx, scene(t, "title \"t\"\nduration 30s")) }()
	awaitShow(t, b)
	if err := b.Play(within(t), scene(t, minimal)); err == nil {
		t.Error("two scenes at once")
	}
	cancel()
	if err := <-played; err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if err := b.Play(within(t), scene(t, "title \"t\"\nduration 0.1s")); err != nil {
		t.Errorf("after a cancelled scene: %v", err)
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	p := drawn(t, 160)
	b := &Board{cast: Cast{Enrolled: []*Person{p}}}
	w, err := stage(scene(t, "title \"t\"\nduration 60s\nperson enrolled 1\nat 0s position 0 0 0.6\nprint of enrolled 1\nat 0s position 0 0 1"), &b.cast, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.show = w
	r, things, now := newRenderer(1), make([]placed, 0, maxActors), time.Second
	if n := testing.AllocsPerRun(100, func() {
		now += interval
		b.step(now, r, &things)
		b.wires.share(lampLine, now-exposure, now)
	}); n != 0 || len(things) != 2 || things[0].at.z < things[1].at.z {
		t.Errorf("%v allocations a step, %d things", n, len(things))
	}
}

func FuzzLinePackets(f *testing.F) {
	var p [reportSize]byte
	report{request{kind: kindEdge, line: 3, on: true}, 7}.put(p[:])
	f.Add(p[:])
	f.Add(p[:requestSize])
	f.Fuzz(func(t *testing.T, p []byte) {
		if r, err := parseReport(p); err == nil && (r.line >= len(lines) || r.kind < kindAnswer || r.kind > kindEdge) {
			t.Fatalf("accepted %+v", r)
		}
		if r, err := parseRequest(p, kindSet, kindLevel); err == nil && (r.line >= len(lines) || r.kind > kindLevel) {
			t.Fatalf("accepted %+v", r)
		}
	})
}
