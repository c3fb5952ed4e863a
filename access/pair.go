package access

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Two lamps, left and right of the lens.
//
// They stand close together, so that what lies in the middle of a face answers both alike: a patch tells how many lamps were lit, three levels, and hardly
// which. What differs is the sides: a head turns its left away from the right lamp. So a pair of codes is read twice. In every patch the levels must fit
// better than every other sequence of levels of the book; and over the whole face the left side less the right one must fit the lamps of those chips that
// had one better than every other way to share them out. For any series fixed without knowing the code at most one sequence of levels is that best one,
// and with it at most one way to share it out: one pair of the book, and Size counts all of them. Lamps that were swapped are another pair.
//
// With as many chips of both lamps as of none, and the share of both in those of one as even as it can be, the constant, the sum and the difference of the
// two lamps are orthogonal: each is a mean over chips.

// PairChips is the length of the profile's codes at two lamps; 0 for none. They are the shortest that have as many codes as the profile asks for.
func (p Profile) PairChips() int {
	switch p {
	case Office:
		return 7 // 630 codes
	case Restricted:
		return 10 // 24,360
	case High:
		return maxPairChips // 822,840
	}
	return 0
}

// maxPairChips is the length of the longest codes for two lamps.
const maxPairChips = 13

// PairBook is the profile's at two lamps.
func (p Profile) PairBook() (Book, error) {
	if p < Office || p > High {
		return Book{}, fmt.Errorf("open code book: %v has none", p)
	}
	return NewPairBook(p.PairChips())
}

// BookFor is the profile's at two lamps or at one.
func (p Profile) BookFor(two bool) (Book, error) {
	if two {
		return p.PairBook()
	}
	return p.Book()
}

// NewPairBook makes the book of a length for two lamps, 7 to 13 chips. About a third of them has one lamp: as many as leave an even number for the others.
func NewPairBook(length int) (Book, error) {
	if length < 7 || length > maxPairChips {
		return Book{}, fmt.Errorf("make code book: length %d is not 7 to %d", length, maxPairChips)
	}
	one := (length + 1) / 3
	one += (length - one) % 2
	b := Book{length: length, chips: [levels]int{(length - one) / 2, one, (length - one) / 2}}
	b.count()
	return b, nil
}

// lamps is how many lamps the codes of the book are for.
func (b Book) lamps() int {
	if b.chips[2] == 0 {
		return 1
	}
	return 2
}

// shares is in how many ways the chips of one lamp can be shared out: 1 where there is one lamp.
func (b Book) shares() int {
	if b.chips[2] == 0 {
		return 1
	}
	n := 0
	for s := range uint32(1) << b.chips[1] {
		if even(s, b.chips[1]) {
			n++
		}
	}
	return n
}

// even reports whether a share gives the left lamp half of n chips, or one more than the right one if they are odd; bit i is the i-th chip of one lamp.
// Two ways to share them out so differ in two chips at least, whose lamps are told apart by each other.
func even(share uint32, n int) bool { return bits.OnesCount32(share) == (n+1)/2 }

// shared is a sequence of levels as a code, its chips of one lamp shared out in the i-th way.
func (b Book) shared(r rival, i int) Code {
	c := Code{Bits: r.one, Length: uint8(b.length)}
	if b.chips[2] == 0 {
		return c
	}
	c.Bits, c.Right = r.two, r.two
	for share := range uint32(1) << b.chips[1] {
		if !even(share, b.chips[1]) {
			continue
		}
		if i == 0 {
			left := spread(share, r.one)
			c.Bits |= left
			c.Right |= r.one &^ left
			break
		}
		i--
	}
	return c
}

// spread puts the bits of a share, from the lowest, where those of places are.
func spread(share, places uint32) (s uint32) {
	for ; places != 0; share >>= 1 {
		low := places & -places
		if share&1 == 1 {
			s |= low
		}
		places &^= low
	}
	return s
}

// steady is the series of a place as it would be of somebody who stands still: who walks up is lit by the square of how near they are, as their face grows
// in the picture, and the levels of chips at the end would be taken for those of more lamps at the beginning. What is there without lamps does not grow; it
// is taken for the mean of as many chips as have none, the darkest, whatever code was shown. So what is ranked does not depend on the code.
func (a *reply) steady(p int, b Book) (x [maxChips]float32) {
	n := b.length
	sorted := a.series[p]
	slices.Sort(sorted[:n])
	var base float32
	for _, v := range sorted[:b.chips[0]] {
		base += v / float32(b.chips[0])
	}
	growth := a.growth(n)
	for k := range n {
		x[k] = (a.series[p][k] - base) * float32(math.Exp(growth*(float64(n-1)/2-float64(k))))
	}
	return x
}

// fastest is how much the logarithm of a face's size may grow from chip to chip: at 0.4 m and a metre a second, a chip a frame, it does by .17.
const fastest = .2

// growth is how much the logarithm of the face's size grows from chip to chip.
func (a *reply) growth(n int) float64 {
	var sum, norm float64
	for k := range n {
		t := float64(k) - float64(n-1)/2
		sum, norm = sum+t*math.Log(max(float64(a.size[k]), 1)), norm+t*t
	}
	return max(min(sum/norm, fastest), -fastest)
}

// sides are the places that turn to one lamp or the other, and how much each counts: the cheeks are large, the others small and near hair and shadows.
var sides = [...]struct {
	left, right int
	weight      float32
}{{leftCheek, rightCheek, 1}, {leftSide, rightSide, .3}, {leftFlank, rightFlank, .3}}

// balance is the left side of the face less the right one, in each chip, in shares of what the lamps give: the levels cancel, and the lamps do not.
func (a *reply) balance(b Book) (d [maxChips]float32) {
	n := b.length
	for _, s := range sides {
		left, right := a.steady(s.left, b), a.steady(s.right, b)
		for k := range n {
			d[k] += s.weight * (left[k]/a.depth[s.left] - right[k]/a.depth[s.right])
		}
	}
	var mean float32
	for k := range n {
		mean += d[k] / float32(n)
	}
	for k := range n {
		d[k] -= mean
	}
	return d
}

// sided is how much better the balance of the face fits the lamps that were shown than any other way to share them out, in shares of what one chip would
// change if its lamp were the other one. It is 1 or a little less if nothing disturbs it, and below 0 if another way fits better.
func (a *reply) sided(b Book, code Code) float32 {
	n := b.length
	d := a.balance(b)
	one := code.Bits ^ code.Right
	chips := bits.OnesCount32(one)
	over := func(left uint32) (s float32) {
		for k := range n {
			switch {
			case left>>k&1 == 1:
				s += d[k]
			case one>>k&1 == 1:
				s -= d[k]
			}
		}
		return s
	}
	shown, best := over(code.Bits&one), float32(math.Inf(-1))
	if !(shown > 0) {
		return -1
	}
	for share := range uint32(1) << chips {
		if left := spread(share, one); even(share, chips) && left != code.Bits&one {
			best = max(best, over(left))
		}
	}
	return (shown - best) / (2 * shown / float32(chips))
}

// lean is how much more each place answers the left lamp than the right one, as a natural logarithm.
func (a *reply) lean(code Code) (lean [places]float64) {
	n := int(code.Length)
	var x [maxChips]float64 // 1 left, -1 right, less their mean
	var mean, norm float64
	for k := range n {
		left, right := code.Lamps(k)
		if left != right {
			x[k] = 1
			if right {
				x[k] = -1
			}
		}
		mean += x[k] / float64(n)
	}
	for k := range n {
		x[k] -= mean
		norm += x[k] * x[k]
	}
	for p := range lean {
		var difference float64
		for k := range n {
			difference += x[k] * float64(a.series[p][k]) / norm
		}
		q := difference / max(float64(a.depth[p])/2, leastShare)
		lean[p] = 2 * math.Atanh(max(min(q, mostLean), -mostLean))
	}
	return lean
}

const (
	// cheeksCount is how much of the cheeks' lean is taken from that of the nose: on a sheet, flat or bent round something, it changes evenly from side to
	// side, and the cheeks lie four times as far apart as the flanks of the nose.
	cheeksCount = .25
)

// pairRelief is how much more the left flank of the nose answers the left lamp, and the right flank the right one, than a surface does that turns evenly. It
// needs no light besides the lamps'. Where there is such light, what it tells by itself is the other half: the two err independently.
func (a *reply) pairRelief(code Code, other float32, known bool) float32 {
	for p := range places {
		if off := a.depth[p] - a.depth[p]; off != 0 {
			return off // no number, or an endless one: nor is what would be made of it
		}
	}
	lean := a.lean(code)
	nose := float32(lean[leftFlank] - lean[rightFlank] - cheeksCount*(lean[leftCheek]-lean[rightCheek]))
	if !known {
		return nose
	}
	return (nose + other) / 2
}

// pairMargin is what part of the margin is asked of two lamps' codes: what one lamp adds is half of what is seen, under the same noise.
const pairMargin = .7

// mostLean is the largest difference of the two lamps, in shares of their mean, that is believed.
const mostLean = .9
