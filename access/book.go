package access

import (
	"fmt"
	"math"
)

// A Code is one balanced lamp pattern; bit k, counted from the lowest, is the lamp during chip k.
type Code struct {
	Bits   uint32
	Length uint8
}

// Lit reports whether the lamp is on during chip k.
func (c Code) Lit(k int) bool { return k >= 0 && k < int(c.Length) && c.Bits>>k&1 == 1 }

// maxRun is the longest stretch of equal chips: longer ones would let a head movement pass for a modulation.
const maxRun = 3

// maxChips is the length of the longest codes. Twelve chips have 616 codes, eighteen 20,498, twenty-six 2,309,246.
const maxChips = 26

// A Book is the set of all codes of one length: as many lit chips as dark ones and no run longer than maxRun. It lists none of them, but counts, draws
// and searches them by what may follow a beginning. The zero Book is empty and answers nothing.
type Book struct {
	length int
	// ways holds how many codes go on from a beginning that has so many chips, so many of them lit, and ends in a run.
	ways *[maxChips + 1][maxChips/2 + 1][ends]int
}

// ends is the number of ways in which a beginning can end: a dark run of 1 to maxRun chips, or a lit one. No end stands for the empty beginning.
const (
	ends  = 2*maxRun + 1
	noEnd = ends - 1
)

// follow is the end of a beginning after one more chip. ok is false when the run grew too long.
func follow(end int, lit bool) (next int, ok bool) {
	base := 0
	if lit {
		base = maxRun
	}
	if end == noEnd || end/maxRun != base/maxRun {
		return base, true
	}
	return end + 1, end%maxRun+1 < maxRun
}

// NewBook makes the book of a length, an even number from 8 to 26 chips.
func NewBook(length int) (Book, error) {
	if length < 8 || length > maxChips || length%2 != 0 {
		return Book{}, fmt.Errorf("make code book: length %d is not an even number from 8 to %d", length, maxChips)
	}
	b := Book{length: length, ways: new([maxChips + 1][maxChips/2 + 1][ends]int)}
	for end := range ends {
		b.ways[length][length/2][end] = 1
	}
	for k := length - 1; k >= 0; k-- {
		for lit := range min(k, length/2) + 1 {
			for end := range ends {
				if next, ok := follow(end, false); ok {
					b.ways[k][lit][end] += b.ways[k+1][lit][next]
				}
				if next, ok := follow(end, true); ok && lit < length/2 {
					b.ways[k][lit][end] += b.ways[k+1][lit+1][next]
				}
			}
		}
	}
	return b, nil
}

// Size is M, the number of codes; a guess passes with probability at most 1/M.
func (b Book) Size() int {
	if b.ways == nil {
		return 0
	}
	return b.ways[0][0][noEnd]
}

// Code is the i-th code. Drawing i uniformly below Size, from a source the attacker cannot see, is the caller's duty.
func (b Book) Code(i int) (Code, error) {
	if i < 0 || i >= b.Size() {
		return Code{}, fmt.Errorf("draw code %d: the book has %d", i, b.Size())
	}
	c := Code{Length: uint8(b.length)}
	lit, end := 0, noEnd
	for k := range b.length {
		dark := 0
		next, ok := follow(end, false)
		if ok {
			dark = b.ways[k+1][lit][next]
		}
		if i >= dark {
			i -= dark
			next, _ = follow(end, true)
			lit++
			c.Bits |= 1 << k
		}
		end = next
	}
	return c, nil
}

// A rival is a code and how well it fits a series: the sum of the series over its lit chips. All codes of a book have equally many, so it ranks as their
// correlation does.
type rival struct {
	bits uint32
	fit  float32
}

// none fits worse than every code.
var none = rival{fit: float32(math.Inf(-1))}

func overLit(code uint32, x []float32) float32 {
	var s float32
	for k, v := range x {
		if code>>k&1 == 1 {
			s += v
		}
	}
	return s
}

// bestOther is the code of the book, other than the shown one, that fits best, found over the beginnings and not over the codes: of each kind of
// beginning only the two best can become the best or the second best code. A series with a level that is no number has no best code.
func (b Book) bestOther(shown Code, x []float32) rival {
	type two [2]rival
	var now, then [maxChips/2 + 1][ends]two
	clean := func(t *[maxChips/2 + 1][ends]two) {
		for i := range t {
			for j := range t[i] {
				t[i][j] = two{none, none}
			}
		}
	}
	put := func(t *two, r rival) {
		if r.fit > t[0].fit {
			t[0], t[1] = r, t[0]
		} else if r.fit > t[1].fit {
			t[1] = r
		}
	}
	clean(&now)
	now[0][noEnd][0] = rival{}
	for k, v := range x {
		clean(&then)
		for lit := range min(k, b.length/2) + 1 {
			for end := range ends {
				for _, r := range now[lit][end] {
					if r.fit == none.fit {
						continue
					}
					if next, ok := follow(end, false); ok && b.ways[k+1][lit][next] > 0 {
						put(&then[lit][next], r)
					}
					if next, ok := follow(end, true); ok && lit < b.length/2 && b.ways[k+1][lit+1][next] > 0 {
						put(&then[lit+1][next], rival{r.bits | 1<<k, r.fit + v})
					}
				}
			}
		}
		now = then
	}
	best := two{none, none}
	for _, t := range now[b.length/2] {
		for _, r := range t {
			if r.fit != none.fit && r.bits != shown.Bits {
				put(&best, r)
			}
		}
	}
	return best[0]
}
