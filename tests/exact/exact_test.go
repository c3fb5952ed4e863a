package exact

import (
	"math"
	"testing"
)

// The expected values are the closed forms for none and all, and published tables.
func TestClopperPearson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 60, 0, 1 - math.Pow(0.025, 1./60)}, {0, 300, 0, 1 - math.Pow(0.025, 1./300)}, {60, 60, math.Pow(0.025, 1./60), 1},
		{1, 10, 0.0025, 0.4450}, {5, 10, 0.1871, 0.8129}, {10, 100, 0.0490, 0.1762}, {0, 0, 0, 1},
	} {
		got := ClopperPearson(c.k, c.n)
		if math.Abs(got.Low-c.low) > 6e-5 || math.Abs(got.High-c.high) > 6e-5 {
			t.Errorf("%d of %d: %.5f-%.5f, want %.5f-%.5f", c.k, c.n, got.Low, got.High, c.low, c.high)
		}
	}
	if c := ClopperPearson(30, 1000); c.Low > 0.03 || c.High < 0.03 || c.High-c.Low > 0.03 {
		t.Errorf("30 of 1000: %v", c)
	}
}
