package access

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"
)

var testLimits = DefaultPolicy().Challenge

func book(t *testing.T) Book {
	t.Helper()
	b, err := NewBook(12)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const testInterval = 33333 * time.Microsecond

func chips(c Code) []Chip {
	var out []Chip
	for k := range int(c.Length) {
		at := time.Second + time.Duration(k)*testInterval
		out = append(out, Chip{From: at, To: at + testInterval, Lit: c.Lit(k)})
	}
	return out
}

// answers makes one frame a chip with the levels that level returns.
func answers(c Code, level func(k int) (face, ring float32)) []FrameEvidence {
	var out []FrameEvidence
	for k := range int(c.Length) {
		face, ring := level(k)
		f := FrameEvidence{Seq: uint64(k) + 1, Stamp: time.Second + time.Duration(k)*testInterval + 20*time.Millisecond, Exposure: 8 * time.Millisecond, Track: 1, Ring: ring, Texture: 20, Restless: 1, Box: Box{100, 100, 200, 200}}
		for p := range f.Level {
			f.Level[p] = face
		}
		for e := range f.Edge {
			f.Edge[e] = 60 + (face-60)*.7 // turned away
		}
		f.Edge[Edges-1] = face // the ridge of the nose
		f.Chain[0], f.Pixels[0] = byte(k+1), byte(k+1)
		out = append(out, f)
	}
	return out
}

// answered is what the lamp's criteria make of frames.
func answered(b Book, shown Code, frames []FrameEvidence) Reason {
	var f Findings
	f.lamp(&Presentation{Frames: frames}, Opened{Code: shown, Chips: chips(shown), Doubted: true}, b, testLimits)
	for c := CriterionChips; c <= CriterionRelief; c++ {
		if !f[c].Asked {
			return ReasonNotReady
		}
		if f[c].Reason != ReasonNone {
			return f[c].Reason
		}
	}
	return ReasonNone
}

func head(shown Code) func(int) (float32, float32) {
	return func(k int) (float32, float32) {
		if shown.Lit(k) {
			return 150, 50
		}
		return 60, 40
	}
}

func TestBookHoldsTheStatedCodes(t *testing.T) {
	b := book(t)
	if b.Size() != 616 {
		t.Fatalf("book of 12 chips has %d codes, want 616", b.Size())
	}
	seen := map[uint32]bool{}
	for i := range b.Size() {
		c, err := b.Code(i)
		if err != nil {
			t.Fatal(err)
		}
		if bits.OnesCount32(c.Bits) != 6 || longestRun(c.Bits, 12) > 3 {
			t.Errorf("code %012b is not balanced or has a run above 3", c.Bits)
		}
		if seen[c.Bits] {
			t.Errorf("code %012b stands in the book twice", c.Bits)
		}
		seen[c.Bits] = true
	}
	for _, i := range []int{-1, 616} {
		if _, err := b.Code(i); err == nil {
			t.Errorf("code %d drawn from a book of 616", i)
		}
	}
	for _, n := range []int{-2, 0, 6, 11, 28, 32} {
		if _, err := NewBook(n); err == nil {
			t.Errorf("book of %d chips made", n)
		}
	}
}

// Control: A16
func TestEveryCodeIsAnsweredByItselfAlone(t *testing.T) {
	b := book(t)
	for i := range b.Size() {
		shown, _ := b.Code(i)
		if r := answered(b, shown, answers(shown, head(shown))); r != ReasonNone {
			t.Fatalf("code %d: a head that follows it is refused: %v", i, r)
		}
		other, _ := b.Code((i + 1) % b.Size())
		if r := answered(b, shown, answers(shown, head(other))); r == ReasonNone {
			t.Fatalf("code %d: the answer to code %d passes", i, (i+1)%b.Size())
		}
	}
}

// A series fixed without knowing the code passes for at most one code of the book.
//
// Control: A16
func TestAnswerWithoutTheCodePassesAtMostOnce(t *testing.T) {
	b := book(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		var x [12]float32
		for k := range x {
			x[k] = 40 + 160*rng.Float32()
		}
		passed := 0
		for i := range b.Size() {
			shown, _ := b.Code(i)
			if answered(b, shown, answers(shown, func(k int) (float32, float32) { return x[k], 30 })) == ReasonNone {
				passed++
			}
		}
		if passed > 1 {
			t.Fatalf("series %v passes for %d codes", x, passed)
		}
	}
}

// Control: A18
// Control: A20
func TestAnswersThatAreNone(t *testing.T) {
	b := book(t)
	shown, _ := b.Code(300)
	inverted := Code{Bits: ^shown.Bits & 0xfff, Length: 12}
	late := Code{Bits: (shown.Bits<<1 | shown.Bits>>11) & 0xfff, Length: 12}
	other, _ := b.Code(123)
	early := Code{Bits: shown.Bits >> 2, Length: 12}
	spliced := Code{Bits: shown.Bits&0x3f | other.Bits&0xfc0, Length: 12}
	tests := []struct {
		name  string
		level func(k int) (float32, float32)
		want  Reason
	}{
		{"a frozen frame or a screen", func(int) (float32, float32) { return 120, 60 }, ReasonNoAnswer},
		{"the inverted code", head(inverted), ReasonInverted},
		{"the code one chip late", head(late), ReasonLateAnswer},
		{"the code two chips early", head(early), ReasonEarlyAnswer},
		{"the code to its middle, then another", head(spliced), ReasonSpliced},
		{"another code", head(other), ReasonWrongAnswer},
		{"sunlight", func(k int) (float32, float32) { return 250, 250 }, ReasonTooBright},
		{"a sheet as near as its surroundings", func(k int) (float32, float32) {
			if shown.Lit(k) {
				return 150, 150
			}
			return 60, 60
		}, ReasonFlat},
		{"a sheet with dark surroundings printed on it", func(k int) (float32, float32) {
			if shown.Lit(k) {
				return 150, 15
			}
			return 60, 6
		}, ReasonFlat},
		{"too little signal", func(k int) (float32, float32) {
			if shown.Lit(k) {
				return 64, 40
			}
			return 60, 40
		}, ReasonNoAnswer},
	}
	for _, tt := range tests {
		if got := answered(b, shown, answers(shown, tt.level)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	// A camera that takes in an eighth of its normal light shows sunlight as a mean gray.
	dimmed := answers(shown, func(int) (float32, float32) { return 40, 40 })
	for i := range dimmed {
		dimmed[i].Taken = 0.125
	}
	if got := answered(b, shown, dimmed); got != ReasonTooBright {
		t.Errorf("sunlight to a camera that takes in little: %v, want %v", got, ReasonTooBright)
	}
}

func TestOnePatchThatDoesNotFollowRefuses(t *testing.T) {
	b := book(t)
	shown, _ := b.Code(100)
	for p := range Patches {
		frames := answers(shown, head(shown))
		for i := range frames {
			frames[i].Level[p] = 100
		}
		if got := answered(b, shown, frames); got != ReasonUneven {
			t.Errorf("patch %d still: %v, want %v", p, got, ReasonUneven)
		}
	}
}

// A chip without a clean frame is missing; it is never guessed.
func TestMissingChipIsARetry(t *testing.T) {
	b := book(t)
	shown, _ := b.Code(7)
	for k := range 12 {
		frames := answers(shown, head(shown))
		missing := append(frames[:k:k], frames[k+1:]...)
		if got := answered(b, shown, missing); got != ReasonFewFrames {
			t.Errorf("chip %d without a frame: %v, want %v", k, got, ReasonFewFrames)
		}
		frames[k].Stamp -= 15 * time.Millisecond // its exposure now reaches into the chip before
		if got := answered(b, shown, frames); got != ReasonFewFrames {
			t.Errorf("chip %d with a mixed frame: %v, want %v", k, got, ReasonFewFrames)
		}
	}
}

func TestZeroBookAnswersNothing(t *testing.T) {
	if got := answered(Book{}, Code{}, nil); got != ReasonNotReady {
		t.Errorf("zero book: %v, want %v", got, ReasonNotReady)
	}
}

// Levels that are no numbers answer nothing: a comparison with them is never true.
func TestLevelsThatAreNoNumbersNeverPass(t *testing.T) {
	b := book(t)
	code, err := b.Code(7)
	if err != nil {
		t.Fatal(err)
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, spoil := range map[string]func(*FrameEvidence, bool){
		"all NaN":       func(f *FrameEvidence, _ bool) { f.Level, f.Ring = [Patches]float32{nan, nan, nan, nan, nan}, nan },
		"one patch NaN": func(f *FrameEvidence, _ bool) { f.Level[2] = nan },
		"ring NaN":      func(f *FrameEvidence, _ bool) { f.Ring = nan },
		"infinite light": func(f *FrameEvidence, lit bool) {
			if lit {
				f.Level = [Patches]float32{inf, inf, inf, inf, inf}
			}
		},
		"ring infinitely dark": func(f *FrameEvidence, lit bool) {
			if lit {
				f.Ring = float32(math.Inf(-1))
			} else {
				f.Ring = inf
			}
		},
	} {
		frames := answers(code, head(code))
		for i := range frames {
			spoil(&frames[i], code.Lit(i))
		}
		if r := answered(b, code, frames); r == ReasonNone {
			t.Errorf("%s: accepted", name)
		}
	}
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

// listed are all codes of a length, found the slow way.
func listed(length int) (codes []uint32) {
	for v := uint32(0); v < 1<<length; v++ {
		if bits.OnesCount32(v) == length/2 && longestRun(v, length) <= maxRun {
			codes = append(codes, v)
		}
	}
	return codes
}

func TestProfilesHaveTheStatedNumberOfCodes(t *testing.T) {
	for p, want := range map[Profile]int{Office: 616, Restricted: 20498, High: 2309246} {
		b, err := p.Book()
		if err != nil {
			t.Fatal(err)
		}
		if b.Size() != want {
			t.Errorf("%v: %d codes, want %d", p, b.Size(), want)
		}
		for i := 0; i < b.Size(); i += 1 + b.Size()/5000 {
			c, err := b.Code(i)
			if err != nil || bits.OnesCount32(c.Bits) != p.Chips()/2 || longestRun(c.Bits, p.Chips()) > maxRun || int(c.Length) != p.Chips() {
				t.Fatalf("%v: code %d is %b, %v", p, i, c.Bits, err)
			}
		}
		if back, err := ParseProfile(p.String()); err != nil || back != p {
			t.Errorf("%v is read as %v, %v", p, back, err)
		}
	}
	if len(listed(18)) != 20498 {
		t.Errorf("%d codes of 18 chips are listed", len(listed(18)))
	}
	for _, p := range []Profile{0, 4} {
		if _, err := p.Book(); err == nil || p.Chips() != 0 {
			t.Errorf("%v has a book", p)
		}
	}
	if Office.Above() != Restricted || High.Above() != High {
		t.Error("the profile above is wrong")
	}
}

// The best other code is the best of all that are listed.
func TestBestOtherIsTheBestOfTheList(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, length := range []int{8, 12, 16} {
		b, err := NewBook(length)
		if err != nil {
			t.Fatal(err)
		}
		codes := listed(length)
		for range 100 {
			x := make([]float32, length)
			for k := range x {
				x[k] = float32(rng.IntN(200)) // whole numbers: their sums are exact in any order
			}
			shown := codes[rng.IntN(len(codes))]
			var want float32
			for _, c := range codes {
				if c != shown {
					want = max(want, Code{Bits: c, Length: uint8(length)}.fit(x))
				}
			}
			if got := b.bestOther(Code{Bits: shown}, x); got.fit != want || (Code{Bits: got.one, Length: uint8(length)}).fit(x) != want || got.one == shown || got.two != 0 {
				t.Fatalf("length %d: best other is %b with %v, want %v", length, got.one, got.fit, want)
			}
		}
	}
}

// Whoever answers with the shown light, but whole chips late or early, is never taken for who answers at once: whatever the code, and whether the lamp
// was lit or dark around it.
//
// Control: A16
func TestNoCodeIsAnsweredByItselfShifted(t *testing.T) {
	for _, p := range []Profile{Office, Restricted, High} {
		b, err := p.Book()
		if err != nil {
			t.Fatal(err)
		}
		step := 1 + b.Size()/300
		for i := 0; i < b.Size(); i += step {
			shown, _ := b.Code(i)
			for late := -3; late <= 3; late++ {
				for _, around := range []bool{true, false} {
					r := answered(b, shown, answers(shown, func(k int) (float32, float32) {
						lit := shown.Lit(k - late)
						if k-late < 0 || k-late >= int(shown.Length) {
							lit = around
						}
						if lit {
							return 150, 50
						}
						return 60, 40
					}))
					if (r == ReasonNone) != (late == 0) {
						t.Fatalf("%v, code %b, %d chips late, lamp around it %v: %v", p, shown.Bits, late, around, r)
					}
				}
			}
		}
	}
}

// Relief cancels reflectance and ambient light: a sheet has none, whatever is printed on it, and one that is bent has no nose.
//
// Control: A18
func TestReliefTellsHeadsFromSheets(t *testing.T) {
	b := book(t)
	shown, _ := b.Code(77)
	albedo := [Patches + Edges]float32{.6, .3, .4, .7, .5, .3, .4, .5, .5, .6}
	show := func(lamp [Patches + Edges]float32, ambient float32) []FrameEvidence {
		frames := answers(shown, head(shown))
		for i := range frames {
			for p, a := range albedo {
				v := a * ambient
				if shown.Lit(i) {
					v += a * lamp[p]
				}
				if p < Patches {
					frames[i].Level[p] = v
				} else {
					frames[i].Edge[p-Patches] = v
				}
			}
		}
		return frames
	}
	for name, tt := range map[string]struct {
		lamp    [Patches + Edges]float32 // forehead, cheeks, nose, chin; sides, flanks and ridge of the nose
		ambient float32
		want    Reason
	}{
		"head":                                   {[Patches + Edges]float32{90, 85, 85, 100, 90, 70, 70, 80, 80, 100}, 100, ReasonNone},
		"head, turned":                           {[Patches + Edges]float32{90, 80, 92, 100, 90, 60, 80, 65, 100, 100}, 100, ReasonNone},
		"sheet":                                  {[Patches + Edges]float32{100, 100, 100, 100, 100, 100, 100, 100, 100, 100}, 100, ReasonNoRelief},
		"tilted sheet":                           {[Patches + Edges]float32{90, 100, 100, 100, 110, 100, 100, 100, 100, 100}, 100, ReasonNoRelief},
		"turned sheet":                           {[Patches + Edges]float32{100, 110, 90, 100, 100, 115, 85, 103, 97, 100}, 100, ReasonNoRelief},
		"bent round something as wide as a head": {[Patches + Edges]float32{100, 85, 85, 100, 100, 60, 60, 98, 98, 100}, 100, ReasonNoRelief},
		"bent the other way":                     {[Patches + Edges]float32{90, 100, 100, 100, 85, 100, 100, 100, 100, 100}, 100, ReasonNoRelief},
		"hollow":                                 {[Patches + Edges]float32{100, 100, 100, 90, 100, 120, 120, 110, 110, 90}, 100, ReasonNoRelief},
		"sheet with no light but the lamp":       {[Patches + Edges]float32{100, 100, 100, 100, 100, 100, 100, 100, 100, 100}, 2, ReasonNone}, // not to be known: docs/PAD.md
	} {
		if got := answered(b, shown, show(tt.lamp, tt.ambient)); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		var first Findings // who walks up may not have stood still: a doubt is not held against them once
		first.lamp(&Presentation{Frames: show(tt.lamp, tt.ambient)}, Opened{Code: shown, Chips: chips(shown)}, b, testLimits)
		if r := first[CriterionRelief].Reason; (r == ReasonReliefDoubt) != (tt.want == ReasonNoRelief) || r == ReasonNoRelief || !ReasonReliefDoubt.Again() {
			t.Errorf("%s, first try: %v", name, r)
		}
	}
	var f Findings
	limits := testLimits
	limits.NeedRelief = true
	f.lamp(&Presentation{Frames: show([Patches + Edges]float32{90, 85, 85, 100, 90, 70, 70, 80, 80, 100}, 2)}, Opened{Code: shown, Chips: chips(shown)}, b, limits)
	if f[CriterionRelief].Reason != ReasonReliefUnknown {
		t.Errorf("relief that nobody can know, and that is needed: %v", f[CriterionRelief].Reason)
	}
}

func BenchmarkBestOther(bench *testing.B) {
	for p := Office; p <= High; p++ {
		bench.Run(p.String(), func(bench *testing.B) {
			b, _ := p.Book()
			shown, _ := b.Code(9)
			x := make([]float32, p.Chips())
			for k := range x {
				x[k] = float32(k * 7 % 11)
			}
			for bench.Loop() {
				b.bestOther(shown, x)
			}
		})
	}
}
