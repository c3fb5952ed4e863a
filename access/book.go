package access

import (
	"fmt"
	"math"
)

// A Code is one pattern of light; bit k, counted from the lowest, is a lamp during chip k.
type Code struct {
	Bits   uint32 // of the lamp, of two the left one
	Length uint8
	Right  uint32 // of the right lamp; 0: there is one lamp
}

// Lit reports whether a lamp is on during chip k.
func (c Code) Lit(k int) bool { return c.level(k) > 0 }

// Lamps are the left and the right lamp during chip k. One lamp alone is the left one.
func (c Code) Lamps(k int) (left, right bool) {
	if k < 0 || k >= int(c.Length) {
		return false, false
	}
	return c.Bits>>k&1 == 1, c.Right>>k&1 == 1
}

// Two reports whether the code is for two lamps.
func (c Code) Two() bool { return c.Right != 0 }

// level is how many lamps are on during chip k.
func (c Code) level(k int) int {
	if k < 0 || k >= int(c.Length) {
		return 0
	}
	return int(c.Bits>>k&1 + c.Right>>k&1)
}

// top is the level with all lamps.
func (c Code) top() int {
	if c.Two() {
		return 2
	}
	return 1
}

// maxRun is the longest stretch of chips of one level: longer ones would let a head movement pass for a modulation.
const maxRun = 3

// maxChips is the length of the longest codes. Twelve chips have 616 codes, eighteen 20,498, twenty-six 2,309,246.
const maxChips = 26

// A Book is the set of all codes of one length for one lamp, or for two. It lists none of them, but counts, draws and searches them by what may follow a
// beginning. The zero Book is empty and answers nothing.
//
// With one lamp a code has as many lit chips as dark ones. With two it has as many chips with both lamps as with none, and a fixed number with one (pair.go
// says why); of these as many are the left lamp's as the right one's, or one more. No book has a stretch of one level longer than maxRun.
type Book struct {
	length int
	chips  [levels]int // of each level
	ways   *[maxChips + 1][cells][ends]int
}

const (
	levels = 3 // no lamp, one, both
	// cells bounds the states of a beginning that says how many of its chips have one lamp, and how many two: a book of 26 chips for one lamp has 14,
	// one of 13 chips for two has 6 times 5.
	cells = 30
	// ends is the number of ways in which a beginning can end: a run of 1 to maxRun chips of one level. No end stands for the empty beginning.
	ends  = levels*maxRun + 1
	noEnd = ends - 1
)

// follow is the end of a beginning after one more chip. ok is false when the run grew too long.
func follow(end, level int) (next int, ok bool) {
	if end == noEnd || end/maxRun != level {
		return level * maxRun, true
	}
	return end + 1, end%maxRun+1 < maxRun
}

// cell is the state of a beginning with so many chips of one lamp and of two.
func (b *Book) cell(one, two int) int { return one*(b.chips[2]+1) + two }

// NewBook makes the book of a length for one lamp, an even number from 8 to 26 chips.
func NewBook(length int) (Book, error) {
	if length < 8 || length > maxChips || length%2 != 0 {
		return Book{}, fmt.Errorf("make code book: length %d is not an even number from 8 to %d", length, maxChips)
	}
	b := Book{length: length, chips: [levels]int{length / 2, length / 2, 0}}
	b.count()
	return b, nil
}

// count fills in how many codes go on from a beginning that has so many chips, so many of them of each level, and ends in a run.
func (b *Book) count() {
	b.ways = new([maxChips + 1][cells][ends]int)
	for end := range ends {
		b.ways[b.length][b.cell(b.chips[1], b.chips[2])][end] = 1
	}
	for k := b.length - 1; k >= 0; k-- {
		for one := range b.chips[1] + 1 {
			for two := range b.chips[2] + 1 {
				for end := range ends {
					for level := range levels {
						if next, to, ok := b.step(k, one, two, end, level); ok {
							b.ways[k][b.cell(one, two)][end] += b.ways[k+1][to][next]
						}
					}
				}
			}
		}
	}
}

// step is the end and the cell of a beginning of k chips after one more. ok is false when no code of the book begins so.
func (b *Book) step(k, one, two, end, level int) (next, to int, ok bool) {
	next, ok = follow(end, level)
	switch level {
	case 0:
		ok = ok && k-one-two < b.chips[0]
	case 1:
		one++
	case 2:
		two++
	}
	if !ok || one > b.chips[1] || two > b.chips[2] {
		return next, 0, false
	}
	to = b.cell(one, two)
	return next, to, b.ways[k+1][to][next] > 0
}

// Size is M, the number of codes; a guess passes with probability at most 1/M.
func (b Book) Size() int {
	if b.ways == nil {
		return 0
	}
	return b.ways[0][0][noEnd] * b.shares()
}

// Code is the i-th code. Drawing i uniformly below Size, from a source the attacker cannot see, is the caller's duty.
func (b Book) Code(i int) (Code, error) {
	if i < 0 || i >= b.Size() {
		return Code{}, fmt.Errorf("draw code %d: the book has %d", i, b.Size())
	}
	share := i % b.shares()
	i /= b.shares()
	var r rival
	one, two, end := 0, 0, noEnd
	for k := range b.length {
		for level := range levels {
			next, to, ok := b.step(k, one, two, end, level)
			if !ok {
				continue
			}
			if n := b.ways[k+1][to][next]; i >= n {
				i -= n
				continue
			}
			switch end = next; level {
			case 1:
				one, r.one = one+1, r.one|1<<k
			case 2:
				two, r.two = two+1, r.two|1<<k
			}
			break
		}
	}
	return b.shared(r, share), nil
}

// A rival is a sequence of levels and how well it fits a series: the sum of the series over its chips, each as often as lamps are lit in it. All codes of
// a book have equally many chips of each level, so it ranks as their correlation does.
type rival struct {
	one, two uint32 // chips with one lamp, with two
	fit      float32
}

// none fits worse than every code.
var none = rival{fit: float32(math.Inf(-1))}

// fit is that of a code to a series; see rival.
func (c Code) fit(x []float32) (s float32) {
	for k, v := range x {
		s += v * float32(c.level(k))
	}
	return s
}

// bestOther is the sequence of levels of the book, other than the shown code's, that fits best, found over the beginnings and not over the codes: of each
// kind of beginning only the two best can become the best or the second best. A series with a level that is no number has no best one.
func (b *Book) bestOther(shown Code, x []float32) rival {
	type two [2]rival
	var now, then [cells][ends]two
	used := b.cell(b.chips[1], b.chips[2]) + 1
	clean := func(t *[cells][ends]two) {
		for i := range used {
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
		for one := range min(k, b.chips[1]) + 1 {
			for both := range min(k-one, b.chips[2]) + 1 {
				for end := range ends {
					from := &now[b.cell(one, both)][end]
					if from[0].fit == none.fit {
						continue
					}
					for level := range levels {
						next, to, ok := b.step(k, one, both, end, level)
						if !ok {
							continue
						}
						for _, r := range from {
							if r.fit == none.fit {
								continue
							}
							switch level {
							case 1:
								r.one, r.fit = r.one|1<<k, r.fit+v
							case 2:
								r.two, r.fit = r.two|1<<k, r.fit+2*v
							}
							put(&then[to][next], r)
						}
					}
				}
			}
		}
		now = then
	}
	best := two{none, none}
	for _, t := range now[used-1] {
		for _, r := range t {
			if r.fit != none.fit && (r.one != shown.Bits^shown.Right || r.two != shown.Bits&shown.Right) {
				put(&best, r)
			}
		}
	}
	return best[0]
}
