package access

import "math"

// Frames whose face is between these gray levels show a sensor's noise: darker and brighter ones may be clipped.
const (
	leastLit = 16
	mostLit  = 235
)

// minWindows is how many frames, each with the one before and the one after it, must be lit to say something of their noise.
const minWindows = 3

// still asks how a face and the picture of it move when the lamp is left out of account.
func (f *Findings) still(p *Presentation, o Opened, c CaptureLimits) {
	least, most, windows, dark := restless(p.Frames)
	f.optional(CriterionNoise, least, c.MinNoise, ReasonNoNoise)
	f.optional(CriterionRestless, -most, -c.MaxRestless, ReasonRestless)
	if windows < minWindows && c.MinNoise > 0 {
		f.note(CriterionNoise, float32(math.NaN()), c.MinNoise, ReasonFewFrames)
		if windows+dark >= minWindows {
			f[CriterionNoise].Reason = ReasonTooDark // no frame was lost: neither a slower code nor another response would help
		}
	}
	if glint, known := o.glint(p.Frames); known {
		f.optional(CriterionGlint, glint, c.MinGlint, ReasonNoGlint)
	} else {
		f.note(CriterionGlint, float32(math.NaN()), c.MinGlint, ReasonNone)
	}
	f.optional(CriterionSway, p.Sway, c.MinSway, ReasonMotionless)
	f.optional(CriterionFlex, p.Flex, c.MinFlex, ReasonRigid)
}

// restless is the least and the most that a lit frame differs from the mean of its neighbours, and how many there are that have two. dark is how many
// were measured and too dark; 0 where any was too bright: then darkness is not what is wrong.
func restless(frames []FrameEvidence) (least, most float32, windows, dark int) {
	least = float32(math.Inf(1))
	bright := false
	for i := 1; i+1 < len(frames); i++ {
		f := &frames[i]
		var level float32
		for _, v := range f.Level {
			level += v / Patches
		}
		switch {
		case f.Restless < 0: // not measured
			continue
		case level < leastLit:
			dark++
			continue
		case !(level <= mostLit):
			bright = true
			continue
		}
		windows++
		least, most = min(least, f.Restless), max(most, f.Restless)
	}
	if bright {
		dark = 0
	}
	return least, most, windows, dark
}

// glint is how much more the highest point of the eyes answered the lamp than the eyes as a whole, as a natural logarithm: what is bright because it is
// white is so in any light, what mirrors the lamp is in its light alone. known is false where there is no other light to relate it to.
func (o Opened) glint(frames []FrameEvidence) (value float32, known bool) {
	var peak, level [2]float64 // dark, lit
	for _, f := range frames {
		k := chipOf(o.Chips, f, o.Spread)
		if k < 0 {
			continue
		}
		lit := 0
		if o.Chips[k].Lit {
			lit = 1
		}
		peak[lit] += float64(f.EyePeak)
		level[lit] += float64(f.EyeLevel)
		if lit == 0 && !(f.EyeLevel >= darkFloor) {
			return 0, false
		}
	}
	if !(peak[0] > 0 && peak[1] > 0 && level[0] > 0 && level[1] > 0) {
		return 0, false
	}
	return float32(math.Log(peak[1] / level[1] * level[0] / peak[0])), true
}

// cosine of two probes of norm 1; no number where one is missing.
func cosine(a, b []float32) float32 {
	if len(a) == 0 || len(a) != len(b) {
		return float32(math.NaN())
	}
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return float32(sum)
}
