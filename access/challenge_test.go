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

// answer makes one frame a chip with the levels that level returns.
func answer(c Code, level func(k int) (face, ring float32)) []FrameEvidence {
	var out []FrameEvidence
	for k := range int(c.Length) {
		face, ring := level(k)
		f := FrameEvidence{Seq: uint64(k) + 1, Stamp: time.Second + time.Duration(k)*testInterval + 20*time.Millisecond, Exposure: 8 * time.Millisecond, Track: 1, Ring: ring}
		for p := range f.Level {
			f.Level[p] = face
		}
		f.Chain[0] = byte(k + 1)
		out = append(out, f)
	}
	return out
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
	for i := range b.Size() {
		c, err := b.Code(i)
		if err != nil {
			t.Fatal(err)
		}
		if bits.OnesCount32(c.Bits) != 6 || longestRun(c.Bits, 12) > 3 {
			t.Errorf("code %012b is not balanced or has a run above 3", c.Bits)
		}
	}
	for _, i := range []int{-1, 616} {
		if _, err := b.Code(i); err == nil {
			t.Errorf("code %d drawn from a book of 616", i)
		}
	}
	for _, n := range []int{-2, 0, 6, 11, 18, 32} {
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
		if r := b.Answered(shown, chips(shown), answer(shown, head(shown)), 0, testLimits); r != ReasonNone {
			t.Fatalf("code %d: a head that follows it is refused: %v", i, r)
		}
		other, _ := b.Code((i + 1) % b.Size())
		if r := b.Answered(shown, chips(shown), answer(shown, head(other)), 0, testLimits); r == ReasonNone {
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
			if b.Answered(shown, chips(shown), answer(shown, func(k int) (float32, float32) { return x[k], 30 }), 0, testLimits) == ReasonNone {
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
	tests := []struct {
		name  string
		level func(k int) (float32, float32)
		want  Reason
	}{
		{"a frozen frame or a screen", func(int) (float32, float32) { return 120, 60 }, ReasonNoAnswer},
		{"the inverted code", head(inverted), ReasonWrongAnswer},
		{"the code one chip late", head(late), ReasonWrongAnswer},
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
		if got := b.Answered(shown, chips(shown), answer(shown, tt.level), 0, testLimits); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestOnePatchThatDoesNotFollowRefuses(t *testing.T) {
	b := book(t)
	shown, _ := b.Code(100)
	for p := range Patches {
		frames := answer(shown, head(shown))
		for i := range frames {
			frames[i].Level[p] = 100
		}
		if got := b.Answered(shown, chips(shown), frames, 0, testLimits); got != ReasonNoAnswer {
			t.Errorf("patch %d still: %v, want %v", p, got, ReasonNoAnswer)
		}
	}
}

// A chip without a clean frame is missing; it is never guessed.
func TestMissingChipIsARetry(t *testing.T) {
	b := book(t)
	shown, _ := b.Code(7)
	for k := range 12 {
		frames := answer(shown, head(shown))
		missing := append(frames[:k:k], frames[k+1:]...)
		if got := b.Answered(shown, chips(shown), missing, 0, testLimits); got != ReasonFewFrames {
			t.Errorf("chip %d without a frame: %v, want %v", k, got, ReasonFewFrames)
		}
		frames[k].Stamp -= 15 * time.Millisecond // its exposure now reaches into the chip before
		if got := b.Answered(shown, chips(shown), frames, 0, testLimits); got != ReasonFewFrames {
			t.Errorf("chip %d with a mixed frame: %v, want %v", k, got, ReasonFewFrames)
		}
	}
}

func TestZeroBookAnswersNothing(t *testing.T) {
	if got := (Book{}).Answered(Code{}, nil, nil, 0, testLimits); got != ReasonNotReady {
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
		frames := answer(code, head(code))
		for i := range frames {
			spoil(&frames[i], code.Lit(i))
		}
		if r := b.Answered(code, chips(code), frames, 0, testLimits); r == ReasonNone {
			t.Errorf("%s: accepted", name)
		}
	}
}
