package match

import "math"

// NoScore stands for the score of a candidate that does not exist. It lies below every comparison score.
const NoScore = -2

// A Result is the outcome of one search. The zero Result says that nobody was there to be compared with.
type Result struct {
	Found bool    // false for an empty gallery: there is no candidate, whatever the threshold
	Index int     // row of the best reference
	Owner uint32  // its owner
	Score float32 // its comparison score, cosine, -1..1
	Other float32 // the best score of any other owner, NoScore when there is none
	// OtherOwner is who scored Other, and 0 when there is none.
	OtherOwner uint32
}

// largestScore bounds what unit vectors can give: both norms are 1 within 1e-3, the rest is rounding. A best score beyond it, or
// any score that is not a number below 2, means that the slab's memory was changed behind the gallery's back.
const largestScore = 1.01

// notBelowTwo is the bit of a float32 that is set for 2, for all numbers that are larger in magnitude, infinity and NaN.
const notBelowTwo = 1 << 30

// A selection finds the best reference and the best of any other owner. Every step executes the same instructions and touches
// the same addresses, whatever the scores: choices are masks, made by shifting the sign of a difference over all 64 bits.
//
// Scores are taken as integers of the same order. A score below 2 has an integer below 2^30, so that the packed number
// score<<32 | ^owner stays below 2^62 and no difference of two overflows. Of equal scores the lowest owner wins, then the
// lowest row.
type selection struct {
	best int64  // packed score and owner of the best so far
	seen uint32 // bits that any score had
}

func newSelection() selection { return selection{best: int64(order(NoScore)) << 32} }

// order maps floats to integers of the same order.
func order(score float32) int32 {
	b := int32(math.Float32bits(score))
	return b ^ int32(uint32(b>>31)>>1)
}

// score is the inverse of order.
func score(k int32) float32 { return math.Float32frombits(uint32(k ^ int32(uint32(k>>31)>>1))) }

// add takes the next scores, in any number of calls.
func (s *selection) add(scores []float32, owners []uint32) {
	best, seen := s.best, s.seen
	owners = owners[:len(scores)]
	for i, score := range scores {
		seen |= math.Float32bits(score)
		p := int64(uint64(uint32(order(score)))<<32 | uint64(^owners[i]))
		best ^= (best ^ p) & ((best - p) >> 63)
	}
	s.best, s.seen = best, seen
}

// result takes all scores once more. It reports false when a score was out of bounds, and then says nothing.
func (s *selection) result(scores []float32, owners []uint32) (Result, bool) {
	if len(scores) == 0 {
		return Result{}, true
	}
	bestScore, bestOwner := score(int32(s.best>>32)), ^uint32(s.best)
	if s.seen&notBelowTwo != 0 || bestScore > largestScore {
		return Result{}, false
	}
	bestBits := math.Float32bits(bestScore)
	none := int64(order(NoScore))<<32 | math.MaxUint32 // packed as in add, of owner 0
	index, other := int64(0), none
	owners = owners[:len(scores)]
	for i := len(scores) - 1; i >= 0; i-- { // downwards, so that the lowest of equal rows stays
		bits, stranger := math.Float32bits(scores[i]), owners[i]^bestOwner
		isBest := (int64(bits^bestBits|stranger) - 1) >> 63
		index ^= (index ^ int64(i)) & isBest

		ofBest := (int64(stranger) - 1) >> 63
		p := int64(uint64(uint32(order(scores[i])))<<32 | uint64(^owners[i]))
		p ^= (p ^ none) & ofBest
		other ^= (other ^ p) & ((other - p) >> 63)
	}
	return Result{
		Found: true, Index: int(index), Owner: bestOwner, Score: bestScore, Other: score(int32(other >> 32)), OtherOwner: ^uint32(other),
	}, true
}
