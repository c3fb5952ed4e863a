package access

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func pairBook(t testing.TB, length int) Book {
	t.Helper()
	b, err := NewPairBook(length)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// surface is how each place answers the left and the right lamp, in gray levels, and how bright it is without.
type surface [places][3]float32

// Reflectances of forehead, cheeks, nose, chin, ring; sides of the face, flanks and ridge of the nose: what is printed on a sheet, too.
var patchwork = [places]float32{.6, .3, .4, .7, .5, .02, .3, .4, .5, .6, .7}

// lit is a surface whose places turn to the left lamp by so much more than to the right one, as a natural logarithm.
func lit(ambient float32, lean [places]float64) (s surface) {
	for p, r := range patchwork {
		k := float32(math.Exp(lean[p] / 2))
		s[p] = [3]float32{r * 80 * k, r * 80 / k, r * ambient}
	}
	return s
}

var (
	headLean  = [places]float64{forehead: 0, leftCheek: .15, rightCheek: -.15, leftSide: .25, rightSide: -.25, leftFlank: .16, rightFlank: -.16}
	sheetLean = [places]float64{leftCheek: .04, rightCheek: -.04, leftSide: .05, rightSide: -.05, leftFlank: .01, rightFlank: -.01}
	bentLean  = [places]float64{leftCheek: .2, rightCheek: -.2, leftSide: .4, rightSide: -.4, leftFlank: .05, rightFlank: -.05}
)

// shine is one frame a chip of a surface under lamps.
func (s surface) shine(c Code, lamps func(k int) (left, right bool)) []FrameEvidence {
	frames := answers(c, func(int) (float32, float32) { return 0, 0 })
	for k := range frames {
		left, right := lamps(k)
		for p, v := range s {
			level := v[2]
			if left {
				level += v[0]
			}
			if right {
				level += v[1]
			}
			switch {
			case p < Patches:
				frames[k].Level[p] = level
			case p == ring:
				frames[k].Ring = level
			default:
				frames[k].Edge[p-edges] = level
			}
		}
	}
	return frames
}

func TestPairBooks(t *testing.T) {
	for p, least := range map[Profile]int{Office: 1 << 9, Restricted: 1 << 13, High: 1 << 19} {
		b, err := p.PairBook()
		if err != nil {
			t.Fatal(err)
		}
		if b.Size() < least || 3*p.PairChips() > 2*p.Chips() {
			t.Errorf("%v: %d codes of %d chips", p, b.Size(), p.PairChips())
		}
		seen := map[Code]bool{}
		for i := 0; i < b.Size(); i += 1 + b.Size()/5000 {
			c, err := b.Code(i)
			if err != nil || seen[c] || !c.Two() || int(c.Length) != p.PairChips() {
				t.Fatalf("%v: code %d is %+v, %v", p, i, c, err)
			}
			seen[c] = true
			n := int(c.Length)
			both, none := bits.OnesCount32(c.Bits&c.Right), n-bits.OnesCount32(c.Bits|c.Right)
			left, right := bits.OnesCount32(c.Bits), bits.OnesCount32(c.Right)
			if both != none || left+right != n || left-right < 0 || left-right > 1 {
				t.Fatalf("%v: code %d is not balanced: %0*b, %0*b", p, i, n, c.Bits, n, c.Right)
			}
			run := 1
			for k := 1; k < n; k++ {
				if run++; c.level(k) != c.level(k-1) {
					run = 1
				}
				if run > maxRun {
					t.Fatalf("%v: code %d has a run above %d", p, i, maxRun)
				}
			}
		}
	}
	for _, n := range []int{-1, 0, 6, 14} {
		if _, err := NewPairBook(n); err == nil {
			t.Errorf("book of %d chips made", n)
		}
	}
	if _, err := Profile(0).PairBook(); err == nil || Profile(4).PairChips() != 0 {
		t.Error("no profile has a book")
	}
}

// Every pair is answered by itself, by no other, and not by itself with its lamps swapped.
//
// Control: A16
func TestEveryPairIsAnsweredByItselfAlone(t *testing.T) {
	b := pairBook(t, 7)
	head := lit(30, headLean)
	for i := range b.Size() {
		shown, _ := b.Code(i)
		for _, j := range []int{i, (i + 1) % b.Size(), (i + 3) % b.Size(), (i*37 + 101) % b.Size(), b.Size() - 1 - i} {
			if other, _ := b.Code(j); (answered(b, shown, head.shine(shown, other.Lamps)) == ReasonNone) != (i == j) {
				t.Fatalf("code %d, the answer to code %d: %v", i, j, answered(b, shown, head.shine(shown, other.Lamps)))
			}
		}
		swapped := func(k int) (bool, bool) { left, right := shown.Lamps(k); return right, left }
		if r := answered(b, shown, head.shine(shown, swapped)); r == ReasonNone {
			t.Fatalf("code %d: passes with its lamps swapped", i)
		}
	}
}

// Series that are fixed without knowing the code pass for at most one pair, however unlike a face they are.
//
// Control: A16
func TestSeriesWithoutThePairPassAtMostOnce(t *testing.T) {
	b := pairBook(t, 7)
	rng := rand.New(rand.NewPCG(5, 6))
	best := 0
	for n := range 20 {
		like, _ := b.Code(rng.IntN(b.Size()))
		frames := lit(60, headLean).shine(like, like.Lamps)
		noise := float32(n) * 2
		for k := range frames {
			for p := range frames[k].Level {
				frames[k].Level[p] += noise * rng.Float32()
			}
			for e := range frames[k].Edge {
				frames[k].Edge[e] += noise * rng.Float32()
			}
		}
		passed := 0
		for i := range b.Size() {
			if shown, _ := b.Code(i); answered(b, shown, frames) == ReasonNone {
				passed++
			}
		}
		if best = max(best, passed); passed > 1 {
			t.Fatalf("a series passes for %d codes", passed)
		}
	}
	if best == 0 {
		t.Error("no series passed for any code: nothing was tried")
	}
}

// Whoever answers with the shown light, but whole chips late or early, is never taken for who answers at once.
//
// Control: A16
func TestNoPairIsAnsweredByItselfShifted(t *testing.T) {
	head := lit(30, headLean)
	for _, p := range []Profile{Office, Restricted, High} {
		b, err := p.PairBook()
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < b.Size(); i += 1 + b.Size()/100 {
			shown, _ := b.Code(i)
			for late := -3; late <= 3; late++ {
				for _, around := range []bool{true, false} {
					r := answered(b, shown, head.shine(shown, func(k int) (bool, bool) {
						if k-late < 0 || k-late >= int(shown.Length) {
							return around, around
						}
						return shown.Lamps(k - late)
					}))
					if (r == ReasonNone) != (late == 0) {
						t.Fatalf("%v, code %d, %d chips late, lamps around it %v: %v", p, i, late, around, r)
					}
				}
			}
		}
	}
}

// The best other sequence of levels is the best of all.
func TestBestOtherLevelsAreTheBestOfTheList(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, length := range []int{7, 8, 10} {
		b := pairBook(t, length)
		var all []Code
		for i := 0; i < b.Size(); i += b.shares() {
			c, _ := b.Code(i)
			all = append(all, c)
		}
		for range 30 {
			x := make([]float32, length)
			for k := range x {
				x[k] = float32(rng.IntN(200)) // whole numbers: their sums are exact in any order
			}
			shown := all[rng.IntN(len(all))]
			var want float32
			for _, c := range all {
				if c != shown {
					want = max(want, c.fit(x))
				}
			}
			got := b.bestOther(shown, x)
			if c := b.shared(got, 0); got.fit != want || c.fit(x) != want || c == shown {
				t.Fatalf("length %d: best other is %+v, want a fit of %v", length, got, want)
			}
		}
	}
}

// Two lamps tell a head from a sheet where there is no other light, and where there is.
//
// Control: A18
func TestTwoLampsTellHeadsFromSheetsInDarkness(t *testing.T) {
	b := pairBook(t, 7)
	ridged := func(s surface) surface { // a head's nose stands out from its flanks
		for _, p := range []int{leftFlank, rightFlank, leftSide, rightSide} {
			s[p][0], s[p][1] = s[p][0]*.8, s[p][1]*.8
		}
		return s
	}
	for name, tt := range map[string]struct {
		of   surface
		want Reason
	}{
		"head in darkness":                   {lit(1, headLean), ReasonNone},
		"head in an office":                  {ridged(lit(60, headLean)), ReasonNone},
		"sheet in darkness":                  {lit(1, sheetLean), ReasonNoRelief},
		"sheet in an office":                 {lit(60, sheetLean), ReasonNoRelief},
		"bent round something, in darkness":  {lit(1, bentLean), ReasonNoRelief},
		"bent round something, in an office": {lit(60, bentLean), ReasonNoRelief},
		"no light from the right, at dusk":   {func() surface { s := lit(20, headLean); s[leftCheek][1] = 0; return s }(), ReasonUneven},
	} {
		for i := 0; i < b.Size(); i += 50 {
			shown, _ := b.Code(i)
			if got := answered(b, shown, tt.of.shine(shown, shown.Lamps)); got != tt.want {
				t.Errorf("%s, code %d: %v, want %v", name, i, got, tt.want)
				break
			}
		}
	}
}

// Somebody who walks up grows brighter from chip to chip, with the lamps and not without them.
func TestPairOfWhoWalksUp(t *testing.T) {
	b := pairBook(t, 7)
	for i := 0; i < b.Size(); i += 7 {
		shown, _ := b.Code(i)
		for _, ambient := range []float32{1, 40} {
			frames := lit(ambient, headLean).shine(shown, shown.Lamps)
			grow := func(v *float32, p, k int) { *v += (*v - patchwork[p]*ambient) * .05 * float32(k) } // a centimetre and a half a frame, at 0.6 m
			for k := range frames {
				side := float32(100 * math.Sqrt(1+.05*float64(k)))
				frames[k].Box = Box{100, 100, 100 + side, 100 + side}
				for p := range frames[k].Level {
					grow(&frames[k].Level[p], p, k)
				}
				for e := range frames[k].Edge {
					grow(&frames[k].Edge[e], edges+e, k)
				}
			}
			var f Findings
			f.lamp(&Presentation{Frames: frames}, Opened{Code: shown, Chips: chips(shown), Doubted: true}, b, testLimits)
			if r := f[CriterionRank].Reason; r != ReasonNone {
				t.Fatalf("code %d, ambient light %v: %v, a margin of %v", i, ambient, r, f[CriterionRank].Value)
			}
		}
	}
}

func TestPairLevelsThatAreNoNumbersNeverPass(t *testing.T) {
	b := pairBook(t, 7)
	shown, _ := b.Code(300)
	for p := range places {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			s := lit(30, headLean)
			for i := range s[p] {
				s[p][i] = bad
			}
			if r := answered(b, shown, s.shine(shown, shown.Lamps)); r == ReasonNone {
				t.Errorf("place %d is %v: accepted", p, bad)
			}
		}
	}
	one := book(t)
	if r := answered(one, shown, lit(30, headLean).shine(shown, shown.Lamps)); r != ReasonNotReady {
		t.Errorf("a pair at the book of one lamp: %v", r)
	}
}

func TestPairSearchAllocatesNothing(t *testing.T) {
	b := pairBook(t, maxPairChips)
	shown, _ := b.Code(4711)
	frames, history := lit(30, headLean).shine(shown, shown.Lamps), chips(shown)
	var a reply
	if !a.read(shown, history, frames, 0) {
		t.Fatal("chips without frames")
	}
	if n := testing.AllocsPerRun(10, func() { a.margin(b, shown) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPairMargin(bench *testing.B) {
	for p := Office; p <= High; p++ {
		bench.Run(p.String(), func(bench *testing.B) {
			b, _ := p.PairBook()
			shown, _ := b.Code(9)
			var a reply
			a.read(shown, chips(shown), lit(30, headLean).shine(shown, shown.Lamps), 0)
			for bench.Loop() {
				a.margin(b, shown)
			}
		})
	}
}
