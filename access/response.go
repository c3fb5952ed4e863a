package access

import (
	"slices"
	"time"
)

// A Glimpse is how bright one frame was as a whole.
type Glimpse struct {
	Stamp time.Duration `cbor:"1,keyasint"` // CLOCK_MONOTONIC, as the camera gave it
	Level float32       `cbor:"2,keyasint"` // mean gray level, 0..255
}

// MaxGlimpses bounds one measurement: a code of 16 chips of three frames, and as many frames again as a late camera needs.
const MaxGlimpses = 64

// Response is how a camera answers the lamp. A stamp is what the camera's driver says of a frame: on a USB camera its arrival, which is later than its
// exposure by the time of readout and transfer, and not by the same time in every frame.
type Response struct {
	Delay    time.Duration // from the end of the exposure to the stamp
	Exposure time.Duration // how long light was gathered, over all rows
	Spread   time.Duration // how far off a stamp may be: what single frames need for an explanation, and what the measurement leaves open
	Depth    float32       // gray levels between dark and lit frames, of two lamps with both
	Frames   int           // that were looked at
	Unseen   int           // 1 or 2: the one of two lamps that does not answer, when it is not found because of it
}

// What a response must have to be one.
const (
	minResponseFrames = 12
	// minResponseDepth is in gray levels of the whole picture: an empty room, far from the lamp. The mean over so many pixels has no noise to speak of.
	minResponseDepth = .5
	minExplained     = .8 // of the levels' variance
	// Two lamps are of a kind: one that gives so many times less than the other does not work. The room around is never so lopsided.
	mostUnlike = 8
	// An explanation whose residual is so many times the best one's, or so little in squared shares of the lamp's light, is as good.
	alike = 1.5
	slack = .00002
	// explained is how far, in shares of the lamp's light, a single frame may lie off and needs no jitter to explain it.
	explained = .2

	steps    = 64 // of a frame interval, on which delays are tried
	earliest = -steps / 4
	latest   = 3 * steps // a camera that is later than three frames cannot be told from a relay of light
)

// Respond finds the delay and the exposure that explain best how bright the frames were while the lamp showed these chips; before and after them it was
// lit. found is false when nothing explains them: the lamp is not seen, or something else moved or shone.
func Respond(chips []Chip, frames []Glimpse, interval time.Duration) (r Response, found bool) {
	if len(chips) == 0 || interval < steps {
		return r, false
	}
	first, last := chips[0].From, chips[len(chips)-1].To+3*interval
	var seen []Glimpse
	for _, f := range frames {
		if f.Stamp > first && f.Stamp <= last {
			seen = append(seen, f)
		}
	}
	if r.Frames = len(seen); len(seen) < minResponseFrames || len(seen) > MaxGlimpses {
		return r, false
	}
	h := lampsOf(chips)
	step := interval / steps
	// A rolling shutter gathers light in some row or other for longer than a frame lasts.
	const parts, longest = 16, 2
	var fits [parts * longest][latest - earliest + 1]fit
	best := fit{unexplained: 1}
	nearest := best // whether or not every lamp answers
	for e := range fits {
		exposure := interval * time.Duration(e+1) / parts
		for d := range fits[e] {
			f := h.explain(seen, step*time.Duration(d+earliest), exposure)
			fits[e][d] = f
			if f.unexplained < nearest.unexplained {
				nearest = f
			}
			if f.weaker() >= minResponseDepth && f.unexplained < best.unexplained {
				best = f
			}
		}
	}
	if nearest.unexplained <= 1-minExplained {
		for i, d := range nearest.depth {
			if other := nearest.depth[1-i]; other >= minResponseDepth && !(d >= other/mostUnlike) {
				r.Unseen = i + 1
				return r, false
			}
		}
	}
	if !(best.unexplained <= 1-minExplained) {
		return r, false
	}
	// Several explain it as well. Their mean is the least wrong, and by half of what lies between them it may be wrong all the same.
	var exposure, delay, n, from, to time.Duration
	for e := range fits {
		for d, f := range fits[e] {
			if f.weaker() >= minResponseDepth && f.residual <= max(best.residual*alike, slack) {
				x, y := interval*time.Duration(e+1)/parts, step*time.Duration(d+earliest)
				middle := y + x/2
				if n == 0 {
					from, to = middle, middle
				}
				from, to = min(from, middle), max(to, middle)
				exposure, delay, n = exposure+x, delay+y, n+1
			}
		}
	}
	if n == 0 {
		return r, false // unreachable: the best is one of them
	}
	r.Exposure, r.Delay, r.Spread = exposure/n, delay/n, (to-from)/2
	f := h.explain(seen, r.Delay, r.Exposure)
	for i := range h {
		r.Depth += f.depth[i]
	}
	for _, g := range seen {
		r.Spread = max(r.Spread, h.jitter(g, r, f, step))
	}
	return r, true
}

// fit is how one delay and one exposure explain the frames.
type fit struct {
	dark        float32
	depth       [2]float32 // of each lamp; the second is no less than the first where there is one
	residual    float32    // mean square, in shares of the depth
	unexplained float32    // of the variance, 0..1
}

// weaker is the depth of the lamp that answers less.
func (f fit) weaker() float32 { return min(f.depth[0], f.depth[1]) }

// history is a lamp's light over time.
type history struct{ chips []Chip }

// lit is how long the lamp was lit between a moment before its first chip and t.
func (h history) lit(t time.Duration) (sum time.Duration) {
	first, last := h.chips[0].From, h.chips[len(h.chips)-1].To
	if t <= first {
		return t - first
	}
	for _, c := range h.chips {
		if c.Lit && t > c.From {
			sum += min(t, c.To) - c.From
		}
	}
	return sum + max(t-last, 0)
}

// share is the part of an exposure in which the lamp was lit.
func (h history) share(end, exposure time.Duration) float32 {
	return float32(h.lit(end)-h.lit(end-exposure)) / float32(exposure)
}

// rig is the light of every lamp over time.
type rig []history

// lampsOf tells the two lamps of chips apart, where there are two.
func lampsOf(chips []Chip) rig {
	if !slices.ContainsFunc(chips, func(c Chip) bool { return c.Left || c.Right }) {
		return rig{{chips}}
	}
	left, right := slices.Clone(chips), slices.Clone(chips)
	for i, c := range chips {
		left[i].Lit, right[i].Lit = c.Left, c.Right
	}
	return rig{{left}, {right}}
}

// explain fits the levels by a constant and each lamp's share of light.
func (r rig) explain(seen []Glimpse, delay, exposure time.Duration) (f fit) {
	n := float64(len(seen))
	var sx, sxy, depth [2]float64
	var sxx [2][2]float64
	var sy, syy float64
	for _, g := range seen {
		var x [2]float64
		for i, h := range r {
			x[i] = float64(h.share(g.Stamp-delay, exposure))
		}
		y := float64(g.Level)
		sy, syy = sy+y, syy+y*y
		for i := range r {
			sx[i], sxy[i] = sx[i]+x[i], sxy[i]+x[i]*y
			for j := range r {
				sxx[i][j] += x[i] * x[j]
			}
		}
	}
	f.unexplained = 1
	vy := syy - sy*sy/n
	for i := range r {
		sxy[i] -= sx[i] * sy / n
		for j := range r {
			sxx[i][j] -= sx[i] * sx[j] / n
		}
	}
	if !(sxx[0][0] > 0 && vy > 0) {
		return f
	}
	left, scale := vy, 0.0
	if len(r) == 1 {
		depth[0] = sxy[0] / sxx[0][0]
		depth[1], scale = depth[0], depth[0]
		left -= sxy[0] * depth[0]
	} else {
		det := sxx[0][0]*sxx[1][1] - sxx[0][1]*sxx[0][1]
		if !(det > sxx[0][0]*sxx[1][1]/10) { // the two went together: nothing tells them apart
			return f
		}
		depth[0] = (sxy[0]*sxx[1][1] - sxy[1]*sxx[0][1]) / det
		depth[1] = (sxy[1]*sxx[0][0] - sxy[0]*sxx[0][1]) / det
		scale = depth[0] + depth[1]
		left -= sxy[0]*depth[0] + sxy[1]*depth[1]
	}
	left = max(left, 0)
	dark := sy
	for i := range r {
		dark -= depth[i] * sx[i]
	}
	return fit{
		dark: float32(dark / n), depth: [2]float32{float32(depth[0]), float32(depth[1])}, unexplained: float32(left / vy), residual: float32(left / n / (scale * scale)),
	}
}

// jitter is the least that the stamp of a frame must have been off for its level to be explained: half an interval when nothing less does.
func (r rig) jitter(g Glimpse, found Response, f fit, step time.Duration) time.Duration {
	var full float32
	for i := range r {
		full += f.depth[i]
	}
	for off := time.Duration(0); off <= step*steps/2; off += step {
		for _, x := range [2]time.Duration{off, -off} {
			miss := f.dark - g.Level
			for i, h := range r {
				miss += f.depth[i] * h.share(g.Stamp-found.Delay+x, found.Exposure)
			}
			if miss /= full; miss >= -explained && miss <= explained {
				return off
			}
		}
	}
	return step * steps / 2
}
