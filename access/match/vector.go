package match

import (
	"errors"
	"fmt"
	"math"
)

// normSlack is how far from 1 the norm of a probe or template may be: float32 rounding of 512 components stays below 1e-6,
// a vector that nobody normalised is far off.
const normSlack = 1e-3

// Check says whether v may be compared: every component finite and an L2 norm of 1 within 1e-3. The error tells nothing of the
// components.
func Check(v []float32) error {
	n := norm(v)
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return errors.New("check vector: a component is not finite")
	}
	if math.Abs(n-1) > normSlack {
		return errors.New("check vector: its norm is not 1")
	}
	return nil
}

// Normalise scales v in place to an L2 norm of 1. It reports false, and leaves v alone, when v is all zero or empty or has a
// component that is not finite.
func Normalise(v []float32) bool {
	n := norm(v)
	if !(n > 0) || math.IsInf(n, 0) {
		return false
	}
	for i, x := range v {
		v[i] = float32(float64(x) / n)
	}
	return true
}

// norm is the L2 norm, NaN or infinite when a component is. No finite float32 overflows a float64 when squared.
func norm(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// leastMean is the norm below which the mean of probes is no direction to speak of. Probes of one person, which score 0.4 and
// more with each other, have a mean above 0.6; even those of strangers, evenly weighted, seldom fall below this.
const leastMean = 0.1

// Fuse sets dst to the weighted mean of the probes, scaled to norm 1. Every probe has dst's length and satisfies Check; weights
// are finite and not negative, one a probe. An error leaves dst zero: no probe, wrong lengths, a bad probe or weight, or probes
// that cancel each other out. It does not allocate unless it fails; dst may not overlap a probe.
func Fuse(dst []float32, probes [][]float32, weights []float32) error {
	clear(dst)
	if len(probes) == 0 || len(weights) != len(probes) {
		return fmt.Errorf("fuse probes: %d probes with %d weights", len(probes), len(weights))
	}
	var total float64
	for i, p := range probes {
		if len(p) != len(dst) {
			return fmt.Errorf("fuse probes: probe %d has %d components, want %d", i, len(p), len(dst))
		}
		if err := Check(p); err != nil {
			return fmt.Errorf("fuse probes: probe %d: %w", i, err)
		}
		w := float64(weights[i])
		if !(w >= 0) || math.IsInf(w, 0) {
			return fmt.Errorf("fuse probes: weight %d is negative or not finite", i)
		}
		total += w
	}
	if total == 0 {
		return errors.New("fuse probes: all weights are zero")
	}
	for j := range dst {
		var sum float64
		for i, p := range probes {
			sum += float64(weights[i]) * float64(p[j])
		}
		dst[j] = float32(sum / total)
	}
	if norm(dst) < leastMean || !Normalise(dst) {
		clear(dst)
		return errors.New("fuse probes: they cancel each other out")
	}
	return nil
}

// quantise sets q to v over its largest component times 127, rounded, and returns 1/|q|, so that the dot product of two
// quantised vectors times both returns is their cosine. v satisfies Check.
func quantise(q []int8, v []float32) float32 {
	var largest float32
	for _, x := range v {
		largest = max(largest, x, -x)
	}
	scale := 127 / float64(largest)
	var sum int32
	for i, x := range v {
		q[i] = int8(math.RoundToEven(float64(x) * scale))
		sum += int32(q[i]) * int32(q[i])
	}
	return float32(1 / math.Sqrt(float64(sum)))
}
