package walkup

import (
	"context"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// A gauge plays the lamp while nobody is in view and has eye tell how bright its frames were: whether the camera sees the lamp at all, how much later
// than its light a frame is stamped, and how far stamps stray. Without one the stamps are believed as they are.
//
// Whoever held something before the lens that answers the lamp late could lengthen the delay that is found, and then answer codes as late. So it
// is measured with no face in view, once for each camera and start of door, and a camera of more than three frames is not believed.
type gauge struct {
	number uint64 // each measurement has its own, so that what is late belongs to none
	stop   context.CancelFunc
	until  time.Duration // CLOCK_MONOTONIC: when eye's answer is to be there
	chips  []access.Chip // nil while the lamp plays
}

const (
	// gaugeWait is how long eye may take for its answer after the last frame.
	gaugeWait = 3 * time.Second
	// gaugeTail is how many frames are looked at after the last chip: as late as a camera may be.
	gaugeTail = 3
	// gaugeTries without a response are a fault of camera or lamp; it is tried on, ever more rarely.
	gaugeTries = 3
	gaugeSoon  = 2 * time.Second
	gaugeLater = time.Minute
)

// gaugeSteps are the beginnings of n chips, and the end of the last, after the first. None of the chips is as long as another and none a number of
// frames: frames so lie everywhere in a chip, and what is too short to last through one exposure is never mistaken for another.
func gaugeSteps(n int, interval time.Duration) []time.Duration {
	steps := make([]time.Duration, 1, n+1)
	for k := range n {
		steps = append(steps, steps[k]+interval*2+interval*time.Duration(k*7%n)/time.Duration(n))
	}
	return steps
}

// gaugeable tells whether it is time to measure: not done yet for this camera, nobody there, nothing else to do.
func (w *Walkup) gaugeable(a ipc.Approach) bool {
	return w.eye != nil && w.gauging == nil && w.response == nil && w.state == access.Idle && w.pending == nil && a.Track == 0 && w.missed >= missedToLeave &&
		w.hello.Camera.Interval > 0 && w.cfg.Now() >= w.gaugeNext
}

// measure begins a gauge.
func (w *Walkup) measure(ctx context.Context) {
	code, err := w.draw()
	if err != nil {
		w.gauged(access.Response{}, false)
		return
	}
	interval := w.hello.Camera.Interval
	start := w.cfg.Now() + lead
	steps := gaugeSteps(int(code.Length), interval)
	last := start + steps[len(steps)-1] + gaugeTail*interval
	if w.eye.Gauge(ipc.Gauge{Until: last}) != nil {
		return // eye is gone, and is told so by its connection
	}
	lampCtx, stop := context.WithCancel(ctx)
	w.gauges++
	w.gauging = &gauge{number: w.gauges, stop: stop, until: last + gaugeWait}
	number := w.gauges
	w.lamps.Go(func() {
		chips, err := shine(lampCtx, w.cfg.Lamp, w.cfg.Now, code, start, steps)
		w.post(ctx, func(context.Context) {
			if g := w.gauging; g != nil && g.number == number {
				if g.chips = chips; err != nil {
					w.gauged(access.Response{}, false)
				}
			}
		})
	})
}

// ungauge gives a measurement up: somebody walks up, and is not made to wait.
func (w *Walkup) ungauge() {
	if w.gauging != nil {
		w.gauging.stop()
		w.gauging = nil
	}
}

// Gauged takes eye's answer to a gauge.
func (w *Walkup) Gauged(ctx context.Context, eye Eye, frames []access.Glimpse) {
	w.post(ctx, func(context.Context) {
		if g := w.gauging; w.eye == eye && g != nil && g.chips != nil {
			w.gauged(access.Respond(g.chips, frames, w.hello.Camera.Interval))
		}
	})
}

// gauged ends a measurement.
func (w *Walkup) gauged(r access.Response, found bool) {
	w.ungauge()
	if found {
		w.response, w.gaugeFailed = &r, 0
		w.tell()
		w.cfg.Gauged(r, true)
		return
	}
	w.gaugeFailed++
	pause := gaugeSoon
	if w.gaugeFailed >= gaugeTries {
		pause = gaugeLater
		w.cfg.Gauged(r, false)
	}
	w.gaugeNext = w.cfg.Now() + pause
}

// tell has eye report frames by the time of their light.
func (w *Walkup) tell() {
	if w.response != nil {
		_ = w.eye.Timing(ipc.Timing{Delay: w.response.Delay, Exposure: w.response.Exposure}) // an eye that does not hear it is gone
	}
}

// spread is how far the stamps of the camera may be off.
func (w *Walkup) spread() time.Duration {
	if w.response == nil {
		return 0
	}
	return w.response.Spread
}

// least is the least number of frames that a chip must last for to hold a whole exposure wherever its stamp strays.
func (w *Walkup) least() int {
	if w.response == nil {
		return 1
	}
	need := w.response.Exposure + 2*w.response.Spread + lead
	return min(int((need+w.hello.Camera.Interval-1)/w.hello.Camera.Interval), maxStretch)
}
