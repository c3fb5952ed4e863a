// Package exact gives the exact confidence interval of a counted share, for the programs that measure error rates.
package exact

import (
	"fmt"
	"math"
)

// Interval is the 95 % interval of a share, 0..1.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// doubt is what an interval leaves outside on each side: 95 % lie within.
const doubt = 0.025

// ClopperPearson is the interval of a share of which k of n were counted: the smallest share at which k or more are not too rare, and the
// largest at which k or fewer are not. Of nothing counted nothing is known.
func ClopperPearson(k, n int) Interval {
	c := Interval{0, 1}
	if n == 0 {
		return c
	}
	if k > 0 {
		c.Low = solve(func(p float64) bool { return 1-atMost(k-1, n, p) < doubt })
	}
	if k < n {
		c.High = solve(func(p float64) bool { return atMost(k, n, p) > doubt })
	}
	return c
}

// solve is the share up to which below holds.
func solve(below func(p float64) bool) float64 {
	low, high := 0.0, 1.0
	for range 60 {
		if p := (low + high) / 2; below(p) {
			low = p
		} else {
			high = p
		}
	}
	return (low + high) / 2
}

// atMost is the probability of k or fewer successes in n trials of probability p.
func atMost(k, n int, p float64) (sum float64) {
	switch {
	case p <= 0:
		return 1
	case p >= 1:
		return 0
	}
	all, _ := math.Lgamma(float64(n + 1))
	for i := range k + 1 {
		yes, _ := math.Lgamma(float64(i + 1))
		no, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(all - yes - no + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(sum, 1)
}

// Share prints k of n as a percentage with its interval.
func Share(k, n int) string {
	if n == 0 {
		return "none asked"
	}
	c := ClopperPearson(k, n)
	return fmt.Sprintf("%5.1f %% (%4.1f-%5.1f)", 100*float64(k)/float64(n), 100*c.Low, 100*c.High)
}
