package mishap

import (
	"context"
	"fmt"
	"image"
	"io"
	"sync"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/twin"
	"github.com/lintel-access/lintel/firmware/watch"
	"github.com/lintel-access/lintel/sync/wire"
)

// supervise starts eye again and again.
func (r *rig) supervise(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.eye(ctx)
		r.mu.Lock()
		r.ends = append(r.ends, fmt.Sprint(err))
		r.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(restart):
		}
	}
}

// eye is the program: a watcher on the camera, and the connection to door.
func (r *rig) eye(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.mu.Lock()
	source := &camera{rig: r, about: r.camera, image: image.NewGray(image.Rect(0, 0, twin.FrameWidth, twin.FrameHeight))}
	r.mu.Unlock()
	r.engine.Face.Forget()
	link := &link{rig: r, ctx: ctx, orders: make(chan ipc.Message, 64)}
	w := &watch.Watcher{Source: source, Engine: r.engine, Door: link, Bundle: r.bundle, Now: r.now}
	var heard sync.WaitGroup
	heard.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-link.orders:
				if err := w.Order(m); err != nil {
					cancel(err)
				}
			}
		}
	})
	r.walkup.EyeUp(ctx, link, ipc.Hello{Camera: source.about, Bundle: r.bundle, Held: true}, source.about.Identity())
	err := w.Run(ctx)
	cancel(err)
	heard.Wait()
	r.walkup.EyeDown(r.ctx, link)
	return err
}

// link carries what eye and door say to each other, encoded and checked as on the socket.
type link struct {
	rig    *rig
	ctx    context.Context
	orders chan ipc.Message
}

func (l *link) order(kind ipc.Kind, body any) error {
	raw, err := wire.Marshal(body)
	if err != nil {
		return err
	}
	select {
	case l.orders <- ipc.Message{Kind: kind, Body: raw}:
		return nil
	case <-l.ctx.Done():
		return io.ErrClosedPipe
	}
}

func (l *link) Observe(o ipc.Observe) error {
	l.rig.mu.Lock()
	l.rig.session = true
	l.rig.mu.Unlock()
	return l.order(ipc.KindObserve, o)
}
func (l *link) Conclude(c ipc.Conclude) error { return l.order(ipc.KindConclude, c) }
func (l *link) Abort(a ipc.Abort) error       { return l.order(ipc.KindAbort, a) }
func (l *link) Gauge(g ipc.Gauge) error {
	r := l.rig
	r.locked(func() bool { r.gauges, r.measure = r.gauges+1, g.Until; return true })
	r.wake()
	return l.order(ipc.KindGauge, g)
}
func (l *link) Timing(t ipc.Timing) error { return l.order(ipc.KindTiming, t) }

// Send is door's ear (firmware/cmd/door, server.eye).
func (l *link) Send(kind ipc.Kind, body any) error {
	raw, err := wire.Marshal(body)
	if err != nil {
		return err
	}
	m := ipc.Message{Kind: kind, Body: raw}
	switch kind {
	case ipc.KindApproach:
		var a ipc.Approach
		if err = ipc.Decode(m, &a); err == nil {
			l.rig.walkup.Saw(l.ctx, l, a)
		}
	case ipc.KindPresentation:
		p := new(access.Presentation)
		if err = ipc.Decode(m, p); err == nil {
			l.rig.walkup.Presented(l.ctx, l, p)
		}
	case ipc.KindGauged:
		var g ipc.Gauged
		if err = ipc.Decode(m, &g); err == nil {
			l.rig.walkup.Gauged(l.ctx, l, g.Frames)
		}
	}
	return err
}
