package access

import (
	"math/rand/v2"
	"testing"
	"time"
)

// filmedPair is a random code on two lamps, each of its own depth, and a camera that films it.
func filmedPair(t *testing.T, r *rand.Rand, delay, exposure time.Duration, depth [2]float64) (chips []Chip, seen []Glimpse) {
	t.Helper()
	b := pairBook(t, maxPairChips)
	code, err := b.Code(r.IntN(b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Second
	for k := range maxPairChips {
		length := frame*2 + time.Duration(k*7%maxPairChips)*frame/maxPairChips
		left, right := code.Lamps(k)
		chips = append(chips, Chip{From: at, To: at + length, Lit: code.Lit(k), Left: left, Right: right})
		at += length
	}
	lamps := lampsOf(chips)
	for end := time.Second - frame + time.Duration(r.Int64N(int64(frame))); end < at+2*frame; end += frame {
		level := 30 + r.NormFloat64()*.2
		for i, h := range lamps {
			level += depth[i] * float64(h.share(end, exposure))
		}
		seen = append(seen, Glimpse{end + delay, float32(level)})
	}
	return chips, seen
}

// Two lamps are measured at once, each by its own light, and one that does not answer is found and named.
//
// Control: A12
func TestRespondToTwoLamps(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 30 {
		delay, exposure := time.Duration(r.Int64N(int64(2*frame))), frame/8+time.Duration(r.Int64N(int64(frame)))
		depth := [2]float64{3 + 30*r.Float64(), 3 + 30*r.Float64()}
		chips, seen := filmedPair(t, r, delay, exposure, depth)
		got, found := Respond(chips, seen, frame)
		if !found {
			t.Fatalf("delay %v, exposure %v, depths %v: not found", delay, exposure, depth)
		}
		if off := (got.Delay + got.Exposure/2) - (delay + exposure/2); off.Abs() > 2*time.Millisecond+got.Spread {
			t.Errorf("delay %v, exposure %v, depths %v: its middle is %v off", delay, exposure, depth, off)
		}
		if both := float32(depth[0] + depth[1]); got.Depth < both*.9 || got.Depth > both*1.1 {
			t.Errorf("depths %v: both are %v", depth, got.Depth)
		}
		for dead := range depth {
			one := depth
			one[dead] = 0
			chips, seen := filmedPair(t, r, delay, exposure, one)
			if got, found := Respond(chips, seen, frame); found || got.Unseen != dead+1 {
				t.Errorf("lamp %d is dead: found %v, unseen %d", dead+1, found, got.Unseen)
			}
		}
	}
	chips, seen := filmedPair(t, r, 0, frame/4, [2]float64{})
	if got, found := Respond(chips, seen, frame); found || got.Unseen != 0 {
		t.Errorf("both are dead: found %v, unseen %d", found, got.Unseen)
	}
}
