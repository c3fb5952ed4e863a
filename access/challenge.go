package access

import (
	"errors"
	"math"
	"time"
)

// The lamp is the challenge. Door draws a Code uniformly from a Book and switches the lamp by it, one chip a camera frame; the
// face must answer with exactly that code.
//
// The decision is by rank, because then the guessing probability is exact and needs no model of noise: in every face patch the
// measured series must fit the shown code better, by a margin, than every other code of the book. For any series that was fixed
// without knowing the code at most one code of the book can be that best one, so it passes with probability at most 1/Size.

// A Chip is one stretch of the lamp's history as it happened: the times at which the lamp was really switched, not the plan.
type Chip struct {
	From, To time.Duration // CLOCK_MONOTONIC; with two lamps from when both had been switched to when the first was switched again
	Lit      bool          // a lamp was on
	Left     bool          // of two lamps, the left one was on
	Right    bool
}

// ChallengeLimits bound what counts as an answer. All levels are gray levels of 0..255.
type ChallengeLimits struct {
	// MinDepth is the least difference between lit and dark means in every face patch. Below it the lamp is lost in noise or
	// drowned by ambient light.
	MinDepth float32 `cbor:"1,keyasint"`
	// RankMargin is how far, as a share of the depth, the shown code must fit better than any other.
	RankMargin float32 `cbor:"2,keyasint"`
	// MinRingRatio is how many times more the face must answer the lamp than the ring around it does: a head stands in front of
	// its surroundings and the lamp falls off with the square of the distance, whereas a sheet lies in one plane with its ring.
	// It is asked twice: of the depths, and of the depths relative to the dark levels, which cancels how bright the two are printed.
	MinRingRatio float32 `cbor:"3,keyasint"`
	// BrightLevel is the dark-chip mean, of a camera that takes in its normal light, above which a missing depth is blamed on ambient light: retry, never
	// acceptance.
	BrightLevel float32 `cbor:"4,keyasint"`
	// MinRelief is how much more the ridge of the nose must answer the lamp than its flanks, and a little how much more the middle of the face than its
	// sides, relative to how bright each is without it and as a natural logarithm: there a head turns away from the lamp. Ambient light and reflectance
	// cancel, so a flat sheet gives 0 whatever is printed on it; one bent round something as wide as a head has sides, but no nose. It can only be asked
	// where there is light besides the lamp's, and not so much that the picture is saturated.
	MinRelief float32 `cbor:"5,keyasint"`
	// NeedRelief refuses whom relief could not be measured of.
	NeedRelief bool `cbor:"6,keyasint"`
}

// Validate refuses limits that would accept anything.
func (l ChallengeLimits) Validate() error {
	if !(l.MinDepth >= 2 && l.MinDepth <= 128) {
		return errors.New("challenge limits: MinDepth outside 2..128 gray levels")
	}
	if !(l.RankMargin >= 0.05 && l.RankMargin <= 1) {
		return errors.New("challenge limits: RankMargin outside 0.05..1")
	}
	if !(l.MinRingRatio >= 1 && l.MinRingRatio <= 20) {
		return errors.New("challenge limits: MinRingRatio outside 1..20")
	}
	if !(l.BrightLevel >= 100 && l.BrightLevel <= 255) {
		return errors.New("challenge limits: BrightLevel outside 100..255 gray levels")
	}
	if !(l.MinRelief >= 0 && l.MinRelief <= 1) {
		return errors.New("challenge limits: MinRelief outside 0..1")
	}
	return nil
}

// darkFloor, in gray levels, keeps a ratio to a dark level meaningful: below it the level is mostly the sensor's own.
const darkFloor = 3

// A reply is how each place of the face, and the ring around it, followed the lamp.
type reply struct {
	series      [places][maxChips]float32 // mean level in each chip
	depth, dark [places]float32           // mean level with all lamps less that with none, and that with none
	size        [maxChips]float32         // of the face's box, square pixels
}

// What is measured: the patches, the ring, the edges.
const (
	ring   = Patches
	edges  = Patches + 1
	places = edges + Edges

	leftSide, rightSide, leftFlank, rightFlank, ridge = edges, edges + 1, edges + 2, edges + 3, edges + 4
)

// chipOf finds the chip that holds the whole exposure of f wherever within the spread it lay, or -1.
func chipOf(chips []Chip, f FrameEvidence, spread time.Duration) int {
	for k, c := range chips {
		if f.Stamp-f.Exposure-spread >= c.From && f.Stamp+spread <= c.To {
			return k
		}
	}
	return -1
}

// read reads the frames by the chips. It reports false when a chip has no frame: a lost frame is nobody's fault and ends in a retry, while guessing
// over missing chips would raise the guessing probability.
//
// A frame counts for a chip only when its whole exposure, over all rows, lies within the chip, its stamp being off by up to spread either way.
func (a *reply) read(code Code, chips []Chip, frames []FrameEvidence, spread time.Duration) bool {
	var seen [maxChips]float32
	for _, f := range frames {
		k := chipOf(chips, f, spread)
		if k < 0 {
			continue
		}
		for p, v := range f.Level {
			a.series[p][k] += v
		}
		a.series[ring][k] += f.Ring
		for e, v := range f.Edge {
			a.series[edges+e][k] += v
		}
		a.size[k] += (f.Box.X1 - f.Box.X0) * (f.Box.Y1 - f.Box.Y0)
		seen[k]++
	}
	n := len(chips)
	for k := range n {
		if seen[k] == 0 {
			return false
		}
		for p := range a.series {
			a.series[p][k] /= seen[k]
		}
		a.size[k] /= seen[k]
	}
	for p := range a.series {
		lit, dark := means(code, a.series[p][:n])
		a.depth[p], a.dark[p] = lit-dark, dark
	}
	return true
}

// means are the mean levels with all lamps and with none.
func means(code Code, x []float32) (lit, dark float32) {
	var bright, black float32
	for k, v := range x {
		switch code.level(k) {
		case 0:
			dark, black = dark+v, black+1
		case code.top():
			lit, bright = lit+v, bright+1
		}
	}
	return lit / bright, dark / black
}

// margin is how much better the shown code fits the worst patch than any other code of the book, in shares of what one lamp gives; with two lamps also how
// much better the sides of the face fit the one that was lit.
func (a *reply) margin(b Book, code Code) float32 {
	least := float32(math.Inf(1))
	for p := range Patches {
		x := a.series[p][:b.length]
		if code.Two() {
			steady := a.steady(p, b)
			x = steady[:b.length]
		}
		// An inverted answer is no number, or endlessly bad; a margin that is no number is the least of all.
		m := (code.fit(x) - b.bestOther(code, x).fit) / (max(a.depth[p], 0) / float32(code.top()))
		if !(m >= least) {
			least = m
		}
	}
	if code.Two() {
		if m := a.sided(b, code); !(m >= least) {
			least = m
		}
	}
	return least
}

// shallowest is the patch with the least depth.
func (a *reply) shallowest() (patch int) {
	for p := range Patches {
		if !(a.depth[p] >= a.depth[patch]) {
			patch = p
		}
	}
	return patch
}

// fallOff is how many times more the face answers than the ring, the less of what depths and relative depths say.
func (a *reply) fallOff() float32 {
	var face, faceDark float32
	for p := range Patches {
		face += a.depth[p] / Patches
		faceDark += a.dark[p] / Patches
	}
	around, aroundDark := a.depth[ring], a.dark[ring]
	if !(around >= -255 && around <= 255) {
		return 0
	}
	around = max(around, leastRing)
	return min(face/around, face/max(faceDark, darkFloor)/(around/max(aroundDark, darkFloor)))
}

// leastRing, in gray levels, is the least depth that a ring counts with: what lies far away answers with noise of either sign.
const leastRing = .25

// The patches by name, in the order of FrameEvidence.Level.
const (
	forehead = iota
	leftCheek
	rightCheek
	nose
	chin
)

const (
	saturated = 245 // gray levels, of a lit chip: above it a part of the patch is clipped
	// sidesCount and most bound what the sides of the face add to the relief: a bent sheet has them, too.
	sidesCount = .25
	sidesMost  = .05
	// leastShare of the light besides the lamp's is what a place adds at least in the lamp's: nothing has no logarithm.
	leastShare = .01
)

// relief is what the ridge of the nose answers more than its flanks, and a little for what the middle of the face answers more than its sides; see
// ChallengeLimits.MinRelief. known is false when there is too little light besides the lamp's to relate it to.
func (a *reply) relief(code Code) (value float32, known bool) {
	for p := range places {
		if p != ring && !(a.dark[p] >= darkFloor) {
			return 0, false
		}
	}
	// Each chip is held against the next one if the lamp was switched between them, and each place against the face: who walks up grows brighter from chip
	// to chip, and all of a face does.
	n := int(code.Length)
	face := a.face(n)
	var answer [places]float64 // logarithms
	var all, switches float64
	for k := 1; k < n; k++ {
		lit, dark := k, k-1
		if code.Lit(k) == code.Lit(k-1) {
			continue
		}
		if !code.Lit(k) {
			lit, dark = dark, lit
		}
		switches++
		all += math.Log(float64(face[lit] / face[dark]))
		for p := range answer {
			answer[p] += math.Log(float64(max(a.series[p][lit], 1) / max(a.series[p][dark], 1) / (face[lit] / face[dark])))
		}
	}
	var r [places]float64
	for p := range r {
		r[p] = math.Log(max(math.Exp((all+answer[p])/switches)-1, leastShare))
	}
	middle := (r[forehead] + r[leftCheek] + r[rightCheek] + r[nose]) / 4
	across := middle - (r[edges]+r[edges+1])/2
	ridge := r[edges+4] - (r[edges+2]+r[edges+3])/2
	return float32(ridge + max(min(across*sidesCount, sidesMost), -sidesMost)), true
}

// clipped reports whether some place is saturated by the lamp. What is brightest then answers too little: relief can only be lost by it.
func (a *reply) clipped() bool {
	for p := range a.depth {
		if !(a.dark[p]+a.depth[p] < saturated) {
			return true
		}
	}
	return false
}

// face is the mean series of the patches.
func (a *reply) face(n int) (x [maxChips]float32) {
	for p := range Patches {
		for k := range n {
			x[k] += a.series[p][k] / Patches
		}
	}
	return x
}

// What a wrong answer must have to be given a name.
const (
	alikeAnswer = .8 // correlation with what it is called
	mostLate    = 3  // chips
)

// wrong names an answer that is not the shown code's, for whoever reads the audit log: it decides nothing.
func (a *reply) wrong(b Book, code Code, limit float32) Reason {
	n := b.length
	x := a.face(n)
	other := b.bestOther(Code{}, x[:n])
	if lit, dark := means(b.shared(other, 0), x[:n]); !(lit-dark >= limit) {
		return ReasonNoAnswer
	}
	switch own := correlation(code, x[:n], 0); {
	case own <= -alikeAnswer:
		return ReasonInverted
	case own >= alikeAnswer:
		return ReasonUneven // as when something passes before it, or the head turns
	}
	for late := 1; late <= mostLate; late++ {
		if correlation(code, x[:n], late) >= alikeAnswer {
			return ReasonLateAnswer
		}
		if correlation(code, x[:n], -late) >= alikeAnswer {
			return ReasonEarlyAnswer
		}
	}
	// One half follows the code and the other does not: two recordings put together.
	half := n / 2
	first := correlation(Code{Bits: code.Bits, Right: code.Right, Length: uint8(half)}, x[:half], 0)
	second := correlation(Code{Bits: code.Bits >> half, Right: code.Right >> half, Length: uint8(n - half)}, x[half:n], 0)
	if max(first, second) >= alikeAnswer && min(first, second) < alikeAnswer/2 {
		return ReasonSpliced
	}
	return ReasonWrongAnswer
}

// correlation is Pearson's between the series and the code that was shown late chips earlier, over the chips that both have; 0 when either is constant.
func correlation(code Code, x []float32, late int) float32 {
	var n, sx, sy, sxx, sxy, syy float64
	for k, v := range x {
		if k-late < 0 || k-late >= len(x) {
			continue
		}
		c, y := float64(code.level(k-late)), float64(v)
		n, sx, sy, sxx, sxy, syy = n+1, sx+c, sy+y, sxx+c*c, sxy+c*y, syy+y*y
	}
	vx, vy := sxx-sx*sx/n, syy-sy*sy/n
	if !(vx > 0 && vy > 0) {
		return 0
	}
	return float32((sxy - sx*sy/n) / math.Sqrt(vx*vy))
}
