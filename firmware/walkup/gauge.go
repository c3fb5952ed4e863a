package walkup

import (
	"context"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
)

// A gauge plays the lamp and has eye tell how bright its frames were: whether the camera sees the lamp at all, how much later than its light a frame
// is stamped, and how far stamps stray. It comes first of all, once for each camera and start of door; whoever stands there already waits a second.
//
// Whoever holds something before the lens at that very time that answers the lamp late can lengthen the delay that is found, and then answer codes as
// late. They cannot choose the time but by a restart, and a camera later than three frames is not believed.
type gauge struct {
	number uint64 // each measurement has its own, so that what is late belongs to none
	stop   context.CancelFunc
	until  time.Duration // CLOCK_MONOTONIC: when eye's answer is to be there
	chips  []access.Chip // nil while the lamp plays
	frames []access.Glimpse
	told   bool // frames are what eye saw
	look   bool // whether the lamp is seen is all that is taken from it
}

const (
	// gaugeWait is how long eye may take for its answer after the last frame.
	gaugeWait = 3 * time.Second
	// gaugeTail is how many frames are looked at after the last chip: as late as a camera may be.
	gaugeTail = 3
	// gaugeTries without a response are a fault of camera or lamp; it is tried on, more rarely.
	gaugeTries = 3
	gaugeSoon  = 500 * time.Millisecond
	gaugeLater = 10 * time.Second
	// doubtful sessions in a row that lost frames or had the lamp answered wrongly or not at all, and a response is measured anew.
	doubtful = 8
	// lookEvery is how often it is looked whether the camera still sees the lamp, when nobody is in view; after a session in which it was not seen, or
	// a picture that shows nothing, lookSoon. In the dark a dead lamp has no session that would tell.
	lookEvery = time.Hour
	lookSoon  = time.Minute
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

// gaugeable tells whether it is time to measure. A response that is doubted is measured anew when nobody is in view, so that nobody can choose the time.
// Once the lamp counts as unseen whoever stands there waits: they would be recognised no sooner.
func (w *Walkup) gaugeable() bool {
	now := w.cfg.Now()
	if w.eye == nil || w.gauging != nil || !w.cfg.Free() || w.hello.Camera.Interval <= 0 || now < w.gaugeNext {
		return false
	}
	switch {
	case w.response == nil:
		return true
	case w.state != access.Idle:
		return false
	case w.gaugeFailed >= gaugeTries:
		return true
	}
	return w.missed >= missedToLeave && (w.doubts >= doubtful || w.gaugeFailed > 0 || now >= w.lookNext)
}

// lookAgain has the lamp looked at soon: somebody or something kept it from being seen.
func (w *Walkup) lookAgain() { w.lookNext = min(w.lookNext, w.looked+lookSoon) }

// measure begins a gauge.
func (w *Walkup) measure(ctx context.Context) {
	code, err := draw(w.gaugeBook)
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
	look := w.response != nil && (w.doubts < doubtful || w.missed < missedToLeave)
	w.gauging = &gauge{number: w.gauges, stop: stop, until: last + gaugeWait, look: look}
	number := w.gauges
	w.lamps.Go(func() {
		chips, err := shine(lampCtx, w.cfg.Lamps, w.cfg.Now, code, start, steps)
		w.post(ctx, func(context.Context) {
			if g := w.gauging; g != nil && g.number == number {
				if g.chips = chips; err != nil {
					w.gauged(access.Response{}, false)
				}
				w.respond()
			}
		})
	})
}

// ungauge ends a measurement.
func (w *Walkup) ungauge() {
	if w.gauging != nil {
		w.gauging.stop()
		w.gauging = nil
	}
}

// Gauged takes eye's answer to a gauge.
func (w *Walkup) Gauged(ctx context.Context, eye Eye, frames []access.Glimpse) {
	w.post(ctx, func(context.Context) {
		if g := w.gauging; w.eye == eye && g != nil && !g.told {
			g.frames, g.told = frames, true
			w.respond()
		}
	})
}

// respond ends a measurement of which both halves are there, whichever came first.
func (w *Walkup) respond() {
	if g := w.gauging; g != nil && g.chips != nil && g.told {
		w.gauged(access.Respond(g.chips, g.frames, w.hello.Camera.Interval))
	}
}

// gauged ends a measurement.
func (w *Walkup) gauged(r access.Response, found bool) {
	look := w.gauging != nil && w.gauging.look
	w.ungauge()
	if found && look {
		w.seen(access.Response{Delay: w.response.Delay, Exposure: w.response.Exposure, Spread: w.response.Spread, Depth: r.Depth, Frames: r.Frames})
		return
	}
	if !look {
		w.doubts = 0
	}
	if found && w.gaugeFailed+1 < gaugeTries && r.Exposure+2*r.Spread+slop > w.hello.Camera.Interval {
		found = false // frames were lost, or somebody moved: a measurement that leaves so much open is made again
	}
	if !found && w.response != nil {
		// What was found out before is kept: whoever covers the lens now must not shut the door for longer than they do. It is said all the same.
		if w.gaugeNext = w.cfg.Now() + gaugeLater; !look {
			w.doubts = doubtful
		}
		if w.gaugeFailed++; w.gaugeFailed == gaugeTries {
			w.cfg.Gauged(r, false)
		}
		return
	}
	if found {
		if assumed := min(w.sighting.Exposure, w.hello.Camera.Interval); !w.hello.Held && assumed > r.Exposure {
			// What it is now is not what it will be: what eye assumes of such a camera stays, around the same middle.
			r.Delay, r.Exposure = r.Delay-(assumed-r.Exposure)/2, assumed
		}
		w.response = &r
		w.tell()
		w.seen(r)
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

// seen takes it that the camera sees the lamp.
func (w *Walkup) seen(r access.Response) {
	w.gaugeFailed, w.looked = 0, w.cfg.Now()
	w.lookNext = w.looked + lookEvery
	w.cfg.Gauged(r, true)
}

// tell has eye report frames by the time of their light.
func (w *Walkup) tell() {
	if w.response != nil {
		_ = w.eye.Timing(ipc.Timing{Delay: w.response.Delay, Exposure: w.response.Exposure}) // an eye that does not hear it is gone
	}
}

// mistrust counts sessions that a camera causes whose stamps are not what was found out about them. Attackers cause them, too.
func (w *Walkup) mistrust(r access.Reason) {
	if r == access.ReasonNoAnswer || r == access.ReasonTooBright {
		w.lookAgain()
	}
	switch r {
	case access.ReasonFewFrames, access.ReasonNoAnswer, access.ReasonWrongAnswer, access.ReasonLateAnswer, access.ReasonEarlyAnswer, access.ReasonSpliced,
		access.ReasonUneven:
		w.doubts++
	default:
		w.doubts = 0
	}
}

// light lights the lamps, and remembers when that failed: in the dark nobody is seen, and no session would light them again.
func (w *Walkup) light() { w.unlit = lamps(w.cfg.Lamps).all(true) != nil }

// spread is how far the stamps of the camera may be off.
func (w *Walkup) spread() time.Duration {
	if w.response == nil {
		return 0
	}
	return w.response.Spread
}

// slop is what a switch on an idle machine may come late, and a chip is longer for it.
const slop = 2 * time.Millisecond

// least is the least number of frames that a chip must last for to hold a whole exposure wherever its stamp strays.
func (w *Walkup) least() int {
	if w.response == nil {
		return 1
	}
	need := w.response.Exposure + 2*w.response.Spread + slop
	return min(int((need+w.hello.Camera.Interval-1)/w.hello.Camera.Interval), maxStretch)
}
