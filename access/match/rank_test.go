package match

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A crowd draws templates that are spread as an extractor's: of 512 components, in a space of about 100 dimensions, so that
// impostor scores have a standard deviation of 0.1; references of one person score about 0.68 with each other.
type crowd struct {
	r     *rand.Rand
	basis [100][]float32
}

func newCrowd(r *rand.Rand) *crowd {
	c := &crowd{r: r}
	for i := range c.basis {
		c.basis[i] = unit(r, 512)
	}
	return c
}

func (c *crowd) person() []float32 {
	v := make([]float32, 512)
	for _, b := range c.basis {
		w := float32(c.r.NormFloat64())
		for j := range v {
			v[j] += w * b[j]
		}
	}
	if !Normalise(v) {
		panic("a random vector is zero")
	}
	return v
}

// near draws a template that scores about score with the centre.
func (c *crowd) near(centre []float32, score float64) []float32 {
	v := c.person()
	along := float32(score)
	across := float32(math.Sqrt(1 - score*score))
	for j := range v {
		v[j] = along*centre[j] + across*v[j]
	}
	if !Normalise(v) {
		panic("a random vector is zero")
	}
	return v
}

func between(a, b []float32, share float32) []float32 {
	v := make([]float32, len(a))
	for j := range v {
		v[j] = (1-share)*a[j] + share*b[j]
	}
	if !Normalise(v) {
		panic("a random vector is zero")
	}
	return v
}

func TestInt8RanksAsFloat32(t *testing.T) {
	const people, references, dim = 300, 3, 512
	c := newCrowd(seeded(t))
	exact, err := NewFloat32(make([]float32, people*references*dim), dim)
	if err != nil {
		t.Fatal(err)
	}
	coarse, err := NewInt8(make([]int8, (1+people*references)*dim), dim)
	if err != nil {
		t.Fatal(err)
	}
	var centres [people][]float32
	for p := range people {
		centres[p] = c.person()
		if p%10 == 9 { // every tenth is a look-alike of the one before
			centres[p] = c.near(centres[p-1], 0.95)
		}
		for range references {
			template := c.near(centres[p], 0.82) // 0.82 squared is 0.68
			mustAppend(t, exact, uint32(p), template)
			mustAppend(t, coarse, uint32(p), template)
		}
	}

	scores, approx := make([]float32, exact.Len()), make([]float32, exact.Len())
	worst := 0.0
	search := func(probe []float32) (Result, Result) {
		a, errA := exact.Search(probe, scores)
		b, errB := coarse.Search(probe, approx)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for i := range scores {
			worst = max(worst, math.Abs(float64(scores[i]-approx[i])))
		}
		return a, b
	}

	// Genuine probes and strangers: whoever stands out from the others by more than the error stands first in both, and so does
	// every genuine probe of somebody without a look-alike.
	for p := range people {
		for _, probe := range [][]float32{c.near(centres[p], 0.82), c.near(centres[p], 0.4), c.person()} {
			a, b := search(probe)
			if margin := a.Score - a.Other; a.Owner != b.Owner && margin > 2*Int8ScoreError {
				t.Errorf("person %d: int8 says %d, float32 %d with a margin of %v", p, b.Owner, a.Owner, margin)
			}
			if p%10 < 8 && a.Owner == uint32(p) && b.Owner != a.Owner {
				t.Errorf("person %d at %v: int8 says %d", p, a.Score, b.Owner)
			}
		}
	}

	// Near ties: probes walked from one look-alike's reference to the other's. An order may change only inside the error.
	ties, changed := 0, 0
	for p := 9; p < people; p += 10 {
		first, second := exact.row(p*references), exact.row((p-1)*references)
		for step := range 41 {
			a, b := search(between(first, second, 0.45+float32(step)/400))
			margin := a.Score - a.Other
			if margin < 2*Int8ScoreError {
				ties++
			}
			if a.Owner != b.Owner {
				changed++
				if margin > 2*Int8ScoreError {
					t.Errorf("look-alike %d, step %d: int8 says %d, float32 %d with a margin of %v", p, step, b.Owner, a.Owner, margin)
				}
			}
		}
	}
	if ties == 0 {
		t.Error("no near tie was made: this test has lost its subject")
	}
	if worst > Int8ScoreError {
		t.Errorf("a score is off by %v, Int8ScoreError is %v", worst, Int8ScoreError)
	}
	t.Logf("largest score difference %.5f; %d near ties, order changed in %d", worst, ties, changed)
}
