package access

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// The lamp is the challenge. Door draws a Code uniformly from a Book and switches the lamp by it, one chip a camera frame; the
// face must answer with exactly that code.
//
// The decision is by rank, because then the guessing probability is exact and needs no model of noise: in every face patch the
// measured series must fit the shown code better, by a margin, than every other code of the book. For any series that was fixed
// without knowing the code at most one code of the book can be that best one, so it passes with probability at most 1/Size.

// A Code is one balanced lamp pattern; bit k, counted from the lowest, is the lamp during chip k.
type Code struct {
	Bits   uint32
	Length uint8
}

// Lit reports whether the lamp is on during chip k.
func (c Code) Lit(k int) bool { return k >= 0 && k < int(c.Length) && c.Bits>>k&1 == 1 }

// maxRun is the longest stretch of equal chips: longer ones would let a head movement pass for a modulation.
const maxRun = 3

// A Book is the set of all codes of one length: as many lit chips as dark ones and no run longer than maxRun.
// The zero Book is empty and answers nothing.
type Book struct {
	length uint8
	codes  []uint32
}

// NewBook lists the codes of a length, an even number from 8 to 16 chips. Twelve chips have 616 codes (office profile, more than
// 2^9). The longer books of the stricter profiles need a search that does not list them and come with the PAD part.
func NewBook(length int) (Book, error) {
	if length < 8 || length > 16 || length%2 != 0 {
		return Book{}, fmt.Errorf("make code book: length %d is not an even number from 8 to 16", length)
	}
	b := Book{length: uint8(length)}
	for v := uint32(0); v < 1<<length; v++ {
		if bits.OnesCount32(v) == length/2 && longestRun(v, length) <= maxRun {
			b.codes = append(b.codes, v)
		}
	}
	return b, nil
}

func longestRun(v uint32, length int) int {
	longest, run := 1, 1
	for k := 1; k < length; k++ {
		if v>>k&1 == v>>(k-1)&1 {
			run++
		} else {
			run = 1
		}
		longest = max(longest, run)
	}
	return longest
}

// Size is M, the number of codes; a guess passes with probability at most 1/M.
func (b Book) Size() int { return len(b.codes) }

// Code is the i-th code. Drawing i uniformly below Size, from a source the attacker cannot see, is the caller's duty.
func (b Book) Code(i int) (Code, error) {
	if i < 0 || i >= len(b.codes) {
		return Code{}, fmt.Errorf("draw code %d: the book has %d", i, len(b.codes))
	}
	return Code{Bits: b.codes[i], Length: b.length}, nil
}

// A Chip is one stretch of the lamp's history as it happened: the times at which the lamp was really switched, not the plan.
type Chip struct {
	From, To time.Duration // CLOCK_MONOTONIC
	Lit      bool
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
	// BrightLevel is the dark-chip mean above which a missing depth is blamed on ambient light: retry, never acceptance.
	BrightLevel float32 `cbor:"4,keyasint"`
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
	return nil
}

// Answered checks whether the frames answer the code whose chips were shown. It returns ReasonNone when they do.
//
// A frame counts for a chip only when its whole exposure lies within the chip, its stamp being off by up to spread either way; every chip must have at least one such frame, else
// the answer is ReasonFewFrames (a lost frame is nobody's fault and ends in a retry, while guessing over missing chips would
// raise the guessing probability). Comparisons are written so that a level which is no number refuses.
func (b Book) Answered(code Code, chips []Chip, frames []FrameEvidence, spread time.Duration, l ChallengeLimits) Reason {
	n := int(b.length)
	if n == 0 || code.Length != b.length || len(chips) != n {
		return ReasonNotReady
	}
	var series [Patches + 1][16]float32 // the ring is the last row
	var seen [16]float32
	for _, f := range frames {
		k := chipOf(chips, f, spread)
		if k < 0 || f.Track == 0 {
			continue
		}
		for p, v := range f.Level {
			series[p][k] += v
		}
		series[Patches][k] += f.Ring
		seen[k]++
	}
	for k := range n {
		if seen[k] == 0 {
			return ReasonFewFrames
		}
		for p := range series {
			series[p][k] /= seen[k]
		}
	}

	var depth, dark [Patches + 1]float32
	for p := range series {
		lit, unlit := means(code, series[p][:n])
		depth[p], dark[p] = lit-unlit, unlit
	}
	for p := range Patches {
		if !(depth[p] >= l.MinDepth) {
			if dark[p] >= l.BrightLevel {
				return ReasonTooBright
			}
			if other := b.bestOther(code, series[p][:n]); other.depth >= l.MinDepth {
				return ReasonWrongAnswer
			}
			return ReasonNoAnswer
		}
		if own := b.fit(code.Bits, series[p][:n]); !(own-b.bestOther(code, series[p][:n]).fit >= l.RankMargin*depth[p]) {
			return ReasonWrongAnswer
		}
	}
	var face, faceDark float32
	for p := range Patches {
		face += depth[p] / Patches
		faceDark += dark[p] / Patches
	}
	ring, ringDark := depth[Patches], dark[Patches]
	if !(face >= l.MinRingRatio*ring && face/max(faceDark, darkFloor) >= l.MinRingRatio*ring/max(ringDark, darkFloor)) {
		return ReasonFlat
	}
	return ReasonNone
}

// darkFloor, in gray levels, keeps a ratio to a dark level meaningful: below it the level is mostly the sensor's own.
const darkFloor = 3

// chipOf finds the chip that holds the whole exposure of f wherever within the spread it lay, or -1.
func chipOf(chips []Chip, f FrameEvidence, spread time.Duration) int {
	for k, c := range chips {
		if f.Stamp-f.Exposure-spread >= c.From && f.Stamp+spread <= c.To {
			return k
		}
	}
	return -1
}

func means(code Code, x []float32) (lit, dark float32) {
	for k, v := range x {
		if code.Lit(k) {
			lit += v
		} else {
			dark += v
		}
	}
	half := float32(len(x)) / 2
	return lit / half, dark / half
}

// fit is the sum of the series over the lit chips of a code. All codes of a book have equally many, so it ranks as their
// correlation does.
func (b Book) fit(code uint32, x []float32) float32 {
	var s float32
	for k, v := range x {
		if code>>k&1 == 1 {
			s += v
		}
	}
	return s
}

type rival struct{ fit, depth float32 }

// bestOther is the code of the book, other than the shown one, that fits best.
func (b Book) bestOther(shown Code, x []float32) rival {
	var best rival
	first := true
	for _, c := range b.codes {
		if c == shown.Bits {
			continue
		}
		if f := b.fit(c, x); first || f > best.fit {
			lit, dark := means(Code{Bits: c, Length: b.length}, x)
			best, first = rival{fit: f, depth: lit - dark}, false
		}
	}
	return best
}
