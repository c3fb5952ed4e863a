package access

import (
	"math"
	"time"
)

// A Criterion is one of the checks against attacks. Their order is the order in which the first failure names the outcome.
type Criterion uint8

// The criteria. The first of them say whether a presentation belongs to this session at all: what does not is looked at no further.
const (
	CriterionBinding    Criterion = iota // session, nonce, camera, bundle, form
	CriterionOrder                       // sequence and stamps strictly increasing, no frame older than the session
	CriterionGap                         // longest time between two frames, seconds
	CriterionTrack                       // one face from start to end
	CriterionPhase                       // how far a stamp lies from where the camera's frames lie, in frame intervals
	CriterionHeld                        // the camera took in the same light in every frame
	CriterionContinuity                  // least overlap of the face's box between two frames, 0..1
	CriterionRepeat                      // frames with the pixels of another one, as a negative number
	CriterionChips                       // every chip has a frame
	CriterionDepth                       // least depth of a patch, gray levels
	CriterionRank                        // how much better the shown code fits than any other, in shares of the depth
	CriterionFallOff                     // how many times more the face answers than its surroundings
	CriterionRelief                      // how much more the nose answers than what lies around it
	CriterionTexture                     // median standard deviation of the face at a pinned scale, gray levels
	CriterionNoise                       // least that a lit frame differs from those around it, gray levels
	CriterionRestless                    // most that it does, gray levels, as a negative number
	CriterionGlint                       // how much more the highest point of the eyes answers the lamp than the eyes do
	CriterionSway                        // movement of the head, in distances between the eyes
	CriterionFlex                        // movement of the landmarks against each other, in distances between the eyes
	CriterionLiveness                    // the learned model's score
	CriterionProbe                       // frames that the probe is fused from
	CriterionReflected                   // cosine of the probe and that of the face in the lamp's light alone
	Criteria            = iota           // their number
)

var criterionNames = [Criteria]string{
	"binding", "order", "gap", "track", "phase", "held", "continuity", "repeat", "chips", "depth", "rank", "fall-off", "relief", "texture", "noise", "restless", "glint",
	"sway", "flex", "liveness", "probe", "reflected",
}

// String is the short English name.
func (c Criterion) String() string {
	if int(c) < len(criterionNames) {
		return criterionNames[c]
	}
	return "unknown criterion"
}

// A Finding is what one criterion found. The zero Finding has not been asked.
type Finding struct {
	Asked  bool
	Value  float32 // in the criterion's unit; no number where there is none to give
	Limit  float32 // that Value was held against
	Reason Reason  // ReasonNone: passed
}

// Findings are those of one presentation, by criterion. They hold values and stay in door.
type Findings [Criteria]Finding

// First is the reason of the first criterion that failed, ReasonNotReady when one was not asked although all before it passed, and ReasonNone when
// every one passed.
func (f *Findings) First() Reason {
	for _, x := range f {
		if x.Reason != ReasonNone {
			return x.Reason
		}
		if !x.Asked {
			return ReasonNotReady
		}
	}
	return ReasonNone
}

func (f *Findings) note(c Criterion, value, limit float32, r Reason) {
	f[c] = Finding{Asked: true, Value: value, Limit: limit, Reason: r}
}

// least notes a criterion that wants at least so much. A value that is no number fails.
func (f *Findings) least(c Criterion, value, limit float32, failed Reason) {
	if value >= limit {
		failed = ReasonNone
	}
	f.note(c, value, limit, failed)
}

// optional notes a criterion that wants at least so much, if its limit is not 0.
func (f *Findings) optional(c Criterion, value, limit float32, failed Reason) {
	f.note(c, value, limit, ReasonNone)
	if limit != 0 {
		f.least(c, value, limit, failed)
	}
}

// Examine asks every criterion that can be asked of a presentation. Nothing in it says who it is.
func Examine(p *Presentation, o Opened, b Book, c CaptureLimits, l ChallengeLimits) (f Findings) {
	r := o.binding(p)
	f.note(CriterionBinding, 0, 0, r)
	if r != ReasonNone {
		return f
	}
	f.note(CriterionOrder, 0, 0, o.order(p.Frames))
	if f[CriterionOrder].Reason != ReasonNone {
		return f
	}
	gap, overlap := stride(p.Frames)
	f.least(CriterionGap, -float32(gap.Seconds()), -float32(c.MaxGap.Seconds()), ReasonFewFrames) // a busy processor loses frames, too; what was in the gap nobody saw
	f.note(CriterionTrack, 0, 0, o.track(p.Frames))
	f.least(CriterionPhase, -o.stray(p.Frames), -maxStray-o.share(o.Spread), ReasonPhase)
	f.note(CriterionHeld, 0, 0, held(p.Frames))
	f.least(CriterionContinuity, overlap, c.MinOverlap, ReasonJump)
	f.least(CriterionRepeat, -float32(o.repeated(p.Frames)), 0, ReasonRepeated)
	f.lamp(p, o, b, l)
	f.least(CriterionTexture, texture(p.Frames), c.MinTexture, ReasonNoTexture)
	f.still(p, o, c)
	f.learned(p.Liveness, o.MinLearned, c.LearnedBudget)
	f.least(CriterionProbe, float32(p.ProbeFrom), float32(c.MinFused), ReasonNoProbe)
	if len(p.Probe) == 0 {
		f[CriterionProbe].Reason = ReasonNoProbe
	}
	f.optional(CriterionReflected, cosine(p.Probe, p.Reflected), c.MinReflected, ReasonOtherReflected)
	return f
}

// lamp asks what the light of the lamp can answer.
func (f *Findings) lamp(p *Presentation, o Opened, b Book, l ChallengeLimits) {
	if b.Size() == 0 || int(o.Code.Length) != b.length || o.Code.top() != b.lamps() || len(o.Chips) != b.length {
		f.note(CriterionChips, 0, 0, ReasonNotReady)
		return
	}
	var a reply
	if !a.read(o.Code, o.Chips, p.Frames, o.Spread) {
		f.note(CriterionChips, 0, 0, ReasonFewFrames)
		return
	}
	f.note(CriterionChips, 0, 0, ReasonNone)

	shallow := a.shallowest()
	bright := a.dark[shallow] >= l.BrightLevel*min(taken(p.Frames), 1)
	f.least(CriterionDepth, a.depth[shallow], l.MinDepth, ReasonNoAnswer)
	if f[CriterionDepth].Reason != ReasonNone {
		if bright && a.depth[shallow] > -l.MinDepth {
			f[CriterionDepth].Reason = ReasonTooBright
		} else {
			f[CriterionDepth].Reason = a.wrong(b, o.Code, l.MinDepth)
		}
	}
	margin := l.RankMargin
	if o.Code.Two() {
		margin *= pairMargin
	}
	f.least(CriterionRank, a.margin(b, o.Code), margin, ReasonWrongAnswer)
	if f[CriterionRank].Reason != ReasonNone {
		if f[CriterionRank].Reason = a.wrong(b, o.Code, l.MinDepth); f[CriterionRank].Reason == ReasonUneven && a.clipped() {
			f[CriterionRank].Reason = ReasonTooBright // as one lamp is by both
		}
	}
	f.least(CriterionFallOff, a.fallOff(), l.MinRingRatio, ReasonFlat)
	relief, known := a.relief(o.Code)
	if o.Code.Two() {
		relief, known = a.pairRelief(o.Code, relief, known), true
	}
	f.least(CriterionRelief, relief, l.MinRelief, ReasonNoRelief)
	switch {
	case !known:
		f.note(CriterionRelief, float32(math.NaN()), l.MinRelief, ReasonNone)
		if l.NeedRelief {
			f[CriterionRelief].Reason = ReasonReliefUnknown
		}
	case f[CriterionRelief].Reason != ReasonNone && (bright || a.clipped()):
		f[CriterionRelief].Reason = ReasonTooBright
	case f[CriterionRelief].Reason != ReasonNone && !o.Doubted:
		f[CriterionRelief].Reason = ReasonReliefDoubt
	}
}

// binding tells whether p answers this session, from this camera, with these models, in a form that can be examined.
func (o Opened) binding(p *Presentation) Reason {
	switch {
	case p.Session != o.Session || p.Nonce != o.Nonce:
		return ReasonOtherSession
	case p.Camera != o.Camera:
		return ReasonOtherCamera
	case p.Bundle != o.Bundle:
		return ReasonOtherBundle
	case len(p.Frames) > MaxFrames || len(p.Probe) != 0 && len(p.Probe) != ProbeSize || len(p.Reflected) != 0 && len(p.Reflected) != ProbeSize:
		return ReasonMalformed
	case len(p.Frames) == 0:
		return ReasonFewFrames
	}
	return ReasonNone
}

func (o Opened) order(frames []FrameEvidence) Reason {
	for i, f := range frames {
		if f.Stamp-f.Exposure < o.Start {
			return ReasonFrameStale
		}
		if f.Exposure <= 0 {
			return ReasonMalformed
		}
		if i == 0 {
			continue
		}
		if before := frames[i-1]; f.Seq <= before.Seq || f.Stamp <= before.Stamp || f.Chain == before.Chain {
			return ReasonFrameOrder
		}
	}
	return ReasonNone
}

// track tells whether one face was there from start to end. In the dark it may be lost and carried on, but where every lamp was lit it must have been
// found: who leaves in the middle of a code answers nothing, and nothing wrong.
func (o Opened) track(frames []FrameEvidence) Reason {
	var looked, found [maxChips]bool
	for _, f := range frames {
		if f.Track == 0 || f.Track != o.Track {
			return ReasonTrackLost
		}
		if k := chipOf(o.Chips, f, o.Spread); k >= 0 && k < maxChips {
			looked[k], found[k] = true, found[k] || f.Texture > 0
		}
	}
	for k, c := range o.Chips[:min(len(o.Chips), maxChips)] {
		if c.Lit && c.Left == c.Right && looked[k] && !found[k] {
			return ReasonTrackLost
		}
	}
	return ReasonNone
}

// held tells whether the camera took in the same light in every frame. The lamp's code means nothing in a picture that grows brighter by itself.
func held(frames []FrameEvidence) Reason {
	for _, f := range frames {
		if f.Taken != frames[0].Taken || f.Exposure != frames[0].Exposure {
			return ReasonNotHeld
		}
	}
	return ReasonNone
}

// taken is how much light the camera took in, normal 1.
func taken(frames []FrameEvidence) float32 {
	if t := frames[0].Taken; t > 0 {
		return t
	}
	return 1
}

// stride is the longest time between two frames that follow each other, and the least overlap of their boxes.
func stride(frames []FrameEvidence) (gap time.Duration, overlap float32) {
	overlap = 1
	for i := 1; i < len(frames); i++ {
		gap = max(gap, frames[i].Stamp-frames[i-1].Stamp)
		if v := frames[i].Box.overlap(frames[i-1].Box); !(v >= overlap) {
			overlap = v
		}
	}
	return gap, overlap
}

// overlap is what two boxes share, as a part of what they cover together; 1 for two boxes of no size at the same place.
func (b Box) overlap(c Box) float32 {
	if b == c {
		return 1
	}
	w, h := min(b.X1, c.X1)-max(b.X0, c.X0), min(b.Y1, c.Y1)-max(b.Y0, c.Y0)
	if !(w > 0 && h > 0) {
		return 0
	}
	return w * h / ((b.X1-b.X0)*(b.Y1-b.Y0) + (c.X1-c.X0)*(c.Y1-c.Y0) - w*h)
}

// maxStray is how far from its place a frame may lie, in frame intervals, if the camera's stamps are exact.
const maxStray = .3

func (o Opened) share(d time.Duration) float32 {
	if o.Interval <= 0 {
		return 0
	}
	return float32(d) / float32(o.Interval)
}

// stray is the most that a stamp lies off the grid of the camera's frames, in intervals. The grid goes through the frames' own mean; where no interval
// is known there is no grid, and nothing strays.
func (o Opened) stray(frames []FrameEvidence) (most float32) {
	if o.Interval <= 0 {
		return 0
	}
	off := func(f FrameEvidence, from time.Duration) float64 {
		x := float64(f.Stamp-from) / float64(o.Interval)
		return x - math.Round(x)
	}
	var mean float64
	for _, f := range frames {
		mean += off(f, frames[0].Stamp) / float64(len(frames))
	}
	origin := frames[0].Stamp + time.Duration(mean*float64(o.Interval))
	for _, f := range frames {
		most = max(most, float32(math.Abs(off(f, origin))))
	}
	return most
}

// texture is the median over the frames in which it was measured; 0 when it was in none.
func texture(frames []FrameEvidence) float32 {
	var sorted [MaxFrames]float32
	n := 0
	for _, f := range frames {
		if !(f.Texture > 0) {
			continue
		}
		i := n
		for ; i > 0 && sorted[i-1] > f.Texture; i-- {
			sorted[i] = sorted[i-1]
		}
		sorted[i] = f.Texture
		n++
	}
	return sorted[n/2]
}
