// Package retrial tries the case of an abuse bundle again: it measures the frames by the code and the models that eye uses, decides by those that door
// uses, and says sentence by sentence what comes out as it did at the door and what does not.
package retrial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
	"github.com/lintel-access/lintel/firmware/frames"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/watch"
	"github.com/lintel-access/lintel/inference"
	"github.com/lintel-access/lintel/sync/wire"
)

// Look measures the frames of a case again, by the models of an engine whose bundle has that hash.
//
// Eye knew the face from before its session: of that a film shows one frame. How long it had been there, which counts where several people stand, is not
// known here.
func Look(ctx context.Context, e *inference.Engine, bundle [32]byte, c *abuse.Case, film []abuse.Picture) (*access.Presentation, error) {
	if len(c.Opened.Chips) == 0 {
		return nil, errors.New("look at frames again: the lamp played no code")
	}
	e.Face.Forget()
	p := &projector{c: c, film: film, now: c.Opened.Start}
	p.watcher = &watch.Watcher{
		Source: p, Engine: e, Door: p, Bundle: bundle, Now: func() time.Duration { return p.now },
		Extract: func(seq uint64) bool {
			return slices.ContainsFunc(film, func(f abuse.Picture) bool { return f.Seq == seq && f.Extracted })
		},
	}
	if err := p.watcher.Run(ctx); !errors.Is(err, io.EOF) {
		if p.shown != nil {
			p.shown.Wipe()
		}
		return nil, fmt.Errorf("look at frames again: %w", err)
	}
	if p.shown == nil {
		return nil, errors.New("look at frames again: they end before the lamp's code does")
	}
	p.rename(c.Opened.Track)
	// How much light was taken in the camera said; no picture tells.
	for i := range p.shown.Frames {
		f := &p.shown.Frames[i]
		if j := slices.IndexFunc(c.Presentation.Frames, func(g access.FrameEvidence) bool { return g.Seq == f.Seq }); j >= 0 {
			f.Taken = c.Presentation.Frames[j].Taken
		}
	}
	return p.shown, nil
}

// projector shows a film to the watcher, and is its door.
type projector struct {
	c       *abuse.Case
	film    []abuse.Picture
	watcher *watch.Watcher
	next    int
	now     time.Duration // as eye's clock was
	opened  bool
	shown   *access.Presentation
}

// Next opens the session before the first frame and concludes it after the last one.
func (p *projector) Next(context.Context) (frames.Frame, error) {
	p.watcher.Settle()
	o := &p.c.Opened
	if p.next < len(p.film) && !p.film[p.next].Before && !p.opened {
		p.opened, p.now = true, o.Start // a frame counts for the session if it was taken after that
		if err := p.order(ipc.KindObserve, ipc.Observe{Session: o.Session, Nonce: o.Nonce, Deadline: math.MaxInt64}); err != nil {
			return frames.Frame{}, err
		}
	}
	if p.next == len(p.film) {
		if err := p.order(ipc.KindConclude, ipc.Conclude{Session: o.Session, Until: o.Chips[len(o.Chips)-1].To}); err != nil {
			return frames.Frame{}, err
		}
		return frames.Frame{}, io.EOF
	}
	f := &p.film[p.next]
	p.next++
	p.now = f.Stamp
	return frames.Frame{Image: &f.Image, Seq: f.Seq, Stamp: f.Stamp, Exposure: f.Exposure}, nil
}

func (p *projector) order(kind ipc.Kind, body any) error {
	raw, err := wire.Marshal(body)
	if err != nil {
		return err
	}
	return p.watcher.Order(ipc.Message{Kind: kind, Body: raw})
}

// Camera is the one of the case.
func (p *projector) Camera() frames.Camera { return p.c.Made.Camera }

// Close ends nothing.
func (p *projector) Close() error { return nil }

// Send keeps the presentation.
func (p *projector) Send(_ ipc.Kind, body any) error {
	if shown, ok := body.(access.Presentation); ok {
		shown.Probe, shown.Reflected = slices.Clone(shown.Probe), slices.Clone(shown.Reflected)
		p.shown = &shown
	}
	return nil
}

// rename gives the face of this run the number that it had at the door. Numbers tell faces apart and say nothing else.
func (p *projector) rename(track uint32) {
	i := slices.IndexFunc(p.shown.Frames, func(f access.FrameEvidence) bool { return f.Track != 0 })
	if i < 0 {
		return
	}
	here := p.shown.Frames[i].Track
	for i := range p.shown.Frames {
		switch f := &p.shown.Frames[i]; f.Track {
		case here:
			f.Track = track
		case track:
			f.Track = here
		}
	}
}
