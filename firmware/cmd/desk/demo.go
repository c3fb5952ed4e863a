//go:build !kiosk

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/twin"
)

// errUnexpected is the demo's own verdict when a walk-up ended otherwise than its scene says.
var errUnexpected = errors.New("not all walk-ups ended as expected")

// demo plays all scenes and prints a line for each.
func (b *bench) demo(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "%-28s %-8s %-24s %6s\n", "   walk-up", "outcome", "reason", "ms")
	expected, played := 0, 0
	for i, s := range b.scenes {
		if !b.playable(s) && len(b.scenes) > 1 {
			fmt.Fprintf(out, "%2d %-25s left out: it needs more people than there are photographs of\n", i+1, s.Title)
			continue
		}
		played++
		w, tries, err := b.watchTries(ctx, s)
		if err != nil {
			return err
		}
		if report(out, i+1, s.Title, w, tries) {
			expected++
		}
	}
	more, well, err := b.demoAfar(ctx, out, len(b.scenes))
	if err != nil {
		return err
	}
	played, expected = played+more, expected+well
	fmt.Fprintf(out, "demo: %d walk-ups, %d as expected\n", played, expected)
	if expected != played {
		return errUnexpected
	}
	return nil
}

// report prints what became of a walk-up, and whether that was expected.
func report(out io.Writer, number int, title string, w walked, tries int) (expected bool) {
	mark := "as expected"
	if tries > 1 {
		mark += fmt.Sprintf(" on try %d: this machine was too busy", tries)
	}
	if w.unexpected != "" {
		mark = "UNEXPECTED: " + w.unexpected
	}
	ms := "–"
	if w.latency > 0 {
		ms = fmt.Sprint(w.latency.Milliseconds())
	}
	fmt.Fprintf(out, "%2d %-25s %-8s %-24s %6s  %s\n", number, title, w.outcome, w.reason, ms, mark)
	return w.unexpected == ""
}

// maxTries is how often somebody walks up who was asked to try again because frames were lost.
const maxTries = 3

// watchTries plays a scene, and again when the kiosk could only ask for another try, or met nobody at all, because this machine was too busy to
// deliver the frames: that says nothing about the person. Any other outcome stands.
func (b *bench) watchTries(ctx context.Context, s *twin.Scene) (w walked, tries int, err error) {
	for tries = 1; ; tries++ {
		w, err = b.watchScene(ctx, s)
		if err != nil || w.unexpected == "" || !w.lost && !w.missed || tries == maxTries {
			return w, tries, err
		}
	}
}

// playable reports whether the cast has everybody that a scene asks for.
func (b *bench) playable(s *twin.Scene) bool {
	for _, a := range s.Actors {
		people := b.cast.Enrolled
		if a.Role == twin.Stranger {
			people = b.cast.Strangers
		}
		if a.Number > len(people) {
			return false
		}
	}
	return !slices.ContainsFunc(s.Orders, func(o twin.Order) bool { return o.Number > len(b.cast.Enrolled) })
}

// walked is what became of a scene.
type walked struct {
	outcome    string
	reason     string
	first      time.Duration // stamp of the first frame with the face
	latency    time.Duration // from there to the edge of the relay line, as the twin saw it
	lost       bool          // nothing was decided because frames were lost
	missed     bool          // nobody was met where somebody should have been
	unexpected string
}

// curtain is how long a scene goes on after the outcome it expects: the door opens 300 ms after the relay is set, if it is.
const curtain = 500 * time.Millisecond

// settle is how long after a scene its last session may still take: a code, its denial and the cool-down, or its deadline on a busy machine.
const settle = 10 * time.Second

// watchScene plays a scene and holds what door decided, what the relay did and which states the door was in against what the
// scene expects. The relay is read from the twin's own history, not from door's word.
func (b *bench) watchScene(ctx context.Context, s *twin.Scene) (walked, error) {
	start := frames.Now()
	// Nothing of the scene before is left: door is at rest and nobody in view.
	quiet, cancel := context.WithTimeoutCause(ctx, 15*time.Second, errors.New("door did not come to rest"))
	before, err := b.await(quiet, "the door is at rest", func(s ipc.Status) bool {
		return s.Door == access.Secured && s.Walkup == access.Idle && s.Sighting.Track == 0 && s.Eye
	})
	cancel()
	if err != nil {
		return walked{}, err
	}
	var last ipc.Outcome
	if len(before.Decisions) > 0 {
		last = before.Decisions[0]
	}
	states := map[string]bool{}
	playCtx, cut := context.WithCancel(ctx)
	defer cut()
	stop := b.collect(ctx, func(now ipc.Status) {
		states[now.Door.String()] = true
		if len(now.Decisions) > 0 && now.Decisions[0].Session != last.Session && settles(s.Expect.Outcome, now.Decisions[0].Verdict) {
			time.AfterFunc(curtain, cut) // the scene has shown what it is there for
		}
	})
	err = b.play(playCtx, s)
	if err != nil && (ctx.Err() != nil || !errors.Is(err, context.Canceled)) {
		stop()
		return walked{}, err
	}
	over, cancel := context.WithTimeout(ctx, settle)
	after, err := b.await(over, "the walk-up is over", func(s ipc.Status) bool { return s.Walkup == access.Idle && s.Sighting.Track == 0 })
	cancel()
	stop()
	if err != nil && ctx.Err() != nil {
		return walked{}, err
	}
	w := summarise(after.Decisions, last)
	edge := relayEdge(b.twin.History(start))
	// What may be decided yet, and a relay that moved, is not forgotten over another try.
	still := err == nil && edge == 0
	w.lost, w.missed = w.lost && still, w.outcome == twin.Nothing.String() && s.Expect.Outcome != twin.Nothing && still
	if w.outcome == "granted" && edge > 0 {
		w.latency = edge - w.first
	}
	switch want := s.Expect; {
	case !want.Outcome.Fits(w.outcome):
		w.unexpected = "expected " + want.Outcome.String()
	case want.Reason != "" && w.reason != want.Reason:
		w.unexpected = "expected because of " + want.Reason
	case want.Door != "" && !states[want.Door]:
		w.unexpected = "the door was never " + want.Door
	case w.outcome == "granted" && edge == 0:
		w.unexpected = "granted, but the relay did not move"
	case w.outcome != "granted" && edge != 0 && !slices.Contains([]string{"released", "fire released", "open"}, want.Door):
		w.unexpected = "not granted, but the relay moved"
	}
	return w, nil
}

// settles tells whether a verdict is the outcome that a scene expects, and the last word on it: after a retry somebody may be let in yet.
func settles(want twin.Outcome, v access.Verdict) bool {
	return want.Fits(v.String()) && (v != access.Retry || want == twin.Retry)
}

// collect calls f with every status until stop is called.
func (b *bench) collect(ctx context.Context, f func(ipc.Status)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			b.mu.Lock()
			s, heard, changed := b.status, !b.heard.IsZero(), b.changed
			b.mu.Unlock()
			if heard {
				f(s)
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// summarise reduces the sessions of one scene to its outcome: granted if any was, else denied, uncertain, retry, nothing. A retry
// for a reason that the person can mend counts above one for lost frames.
func summarise(newestFirst []ipc.Outcome, last ipc.Outcome) walked {
	w := walked{outcome: twin.Nothing.String()}
	best := 0
	for _, o := range newestFirst {
		if o.Session == last.Session {
			break
		}
		if r := weight(o); r >= best {
			best = r
			w.outcome, w.reason, w.first = o.Verdict.String(), o.Reason.String(), o.First
		}
	}
	w.lost = best == lostFrames
	return w
}

// lostFrames is the weight of an outcome that only says that frames were lost, or too late for a face that moved, or eye too slow.
const lostFrames = 1

func weight(o ipc.Outcome) int {
	switch o.Verdict {
	case access.Granted:
		return 5
	case access.Denied:
		return 4
	case access.Uncertain:
		return 3
	}
	switch o.Reason { // tests/walkup forgives the same
	case access.ReasonFewFrames, access.ReasonTrackLost, access.ReasonUneven, access.ReasonReliefDoubt, access.ReasonRestless,
		access.ReasonEyeLost, access.ReasonDeadline, access.ReasonCameraStalled:
		if o.Verdict == access.Retry {
			return lostFrames
		}
	}
	return 2
}

// relayEdge is when the relay was set first, 0 when it was not.
func relayEdge(history []board.Edge) time.Duration {
	for _, e := range history {
		if e.Line == board.Relay && e.On {
			return e.Stamp
		}
	}
	return 0
}
