package vault

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func mustRotate(t testing.TB, seed byte, turn uint64) *rotation {
	t.Helper()
	q, err := newRotation([32]byte{seed}, turn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.release)
	return q
}

// direction is a random vector of length 1.
func direction(r *rand.Rand) []float32 {
	v := make([]float64, dim)
	var squares float64
	for i := range v {
		v[i] = r.NormFloat64()
		squares += v[i] * v[i]
	}
	out := make([]float32, dim)
	for i, x := range v {
		out[i] = float32(x / math.Sqrt(squares))
	}
	return out
}

// near is another probe of the person of t: they score 0.4 to 0.95.
func near(r *rand.Rand, t []float32, noise float64) []float32 {
	v, n := make([]float32, dim), direction(r)
	var squares float64
	for i := range v {
		v[i] = t[i] + float32(noise)*n[i]
		squares += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(squares))
	}
	return v
}

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestRotationIsOrthogonal(t *testing.T) {
	q := mustRotate(t, 1, 1)
	worst := 0.0
	for i := range dim {
		for j := range i + 1 {
			want := 0.0
			if i == j {
				want = 1
			}
			worst = max(worst, math.Abs(cosine(q.rows[i*dim:][:dim], q.rows[j*dim:][:dim])-want))
		}
	}
	if worst > 1e-6 {
		t.Errorf("rows are off by %g", worst)
	}
	// Of a uniform Q the entries have mean 0 and variance 1/dim, and no row keeps its axis.
	var sum, squares, trace float64
	for i, x := range q.rows {
		sum += float64(x)
		squares += float64(x) * float64(x)
		if i/dim == i%dim {
			trace += float64(x)
		}
	}
	if math.Abs(sum) > 5*math.Sqrt(dim) || math.Abs(squares-dim) > 1e-3 || math.Abs(trace) > 5 {
		t.Errorf("entries sum to %g, squares to %g, trace %g: not a uniform rotation", sum, squares, trace)
	}
	// The same on every machine but for rounding; another seed is another matrix.
	again, other := mustRotate(t, 1, 1), mustRotate(t, 2, 1)
	if !slices.Equal(q.rows, again.rows) {
		t.Error("one seed gives two matrices")
	}
	if c := cosine(q.rows, other.rows) / dim; math.Abs(c) > 0.02 {
		t.Errorf("matrices of two seeds have cosine %g", c)
	}
	for i, want := range goldenRow {
		if math.Abs(float64(q.rows[i])-want) > 1e-6 {
			t.Errorf("entry %d is %.7f, want %.7f: stored templates would be lost", i, q.rows[i], want)
		}
	}
}

// Control: C13
func TestScoresStayUnderRotation(t *testing.T) {
	q := mustRotate(t, 3, 1)
	r := rand.New(rand.NewPCG(1, 2))
	a, b, back := make([]float32, dim), make([]float32, dim), make([]float32, dim)
	worst, undone, moved := 0.0, 0.0, 0.0
	for i := range 10_000 {
		x := direction(r)
		y := near(r, x, float64(i%40)/10) // from the very same to strangers
		q.apply(a, x)
		q.apply(b, y)
		worst = max(worst, math.Abs(cosine(a, b)-cosine(x, y)))
		moved = max(moved, math.Abs(cosine(a, x)))
		q.undo(back, a)
		for j := range back {
			undone = max(undone, math.Abs(float64(back[j]-x[j])))
		}
	}
	t.Logf("10,000 pairs: scores differ by at most %.1e, undone components by %.1e; a template and itself turned score at most %.2f", worst, undone, moved)
	if worst > 1e-5 || undone > 1e-5 || moved > 0.3 {
		t.Error("the transform does not keep its promise")
	}
}

// What diversification does not give, as an attack that works. The threat model says the same.
//
// Control: C13
func TestLinkageAttack(t *testing.T) {
	const people, shared = 120, 40
	r := rand.New(rand.NewPCG(3, 4))
	one, two := mustRotate(t, 5, 1), mustRotate(t, 6, 1)
	leak := func(q *rotation, plain [][]float32) [][]float32 {
		out := make([][]float32, len(plain))
		for i := range plain {
			out[i] = make([]float32, dim)
			q.apply(out[i], plain[i])
		}
		return out
	}
	var both, only1, only2 [][]float32
	for range shared {
		both = append(both, direction(r))
	}
	for range people - shared {
		only1, only2 = append(only1, direction(r)), append(only2, direction(r))
	}
	first := leak(one, slices.Concat(both, only1))
	second := leak(two, slices.Concat(only2, both)) // person i of the first set is person people-shared+i here

	// A single person tells nothing: the best guess among all is wrong nearly always.
	direct := 0
	for i := range shared {
		best := 0
		for j := range second {
			if cosine(first[i], second[j]) > cosine(first[i], second[best]) {
				best = j
			}
		}
		if best == people-shared+i {
			direct++
		}
	}
	// All together do: each pair of shared people has the same cosine in both sets.
	type pair struct {
		cosine float64
		a, b   int
	}
	var pairs []pair
	for a := range first {
		for b := range a {
			pairs = append(pairs, pair{cosine(first[a], first[b]), a, b})
		}
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		if x.cosine < y.cosine {
			return -1
		}
		return 1
	})
	votes := make([][people]int, people)
	for c := range second {
		for d := range c {
			x := cosine(second[c], second[d])
			at, _ := slices.BinarySearchFunc(pairs, x-5e-7, func(p pair, x float64) int {
				if p.cosine < x {
					return -1
				}
				return 1
			})
			for ; at < len(pairs) && pairs[at].cosine <= x+5e-7; at++ {
				for _, of2 := range []int{c, d} {
					votes[of2][pairs[at].a]++
					votes[of2][pairs[at].b]++
				}
			}
		}
	}
	linked, wrong := 0, 0
	for j := range votes {
		best := 0
		for i := range votes[j] {
			if votes[j][i] > votes[j][best] {
				best = i
			}
		}
		if votes[j][best] < shared/2 {
			continue
		}
		if j == people-shared+best {
			linked++
		} else {
			wrong++
		}
	}
	t.Logf("linkage: two leaked sets of %d people, %d of them in both: directly %d found, by cosines alone %d linked, %d wrongly", people, shared, direct, linked, wrong)
	if direct > 5 {
		t.Error("single templates of two kiosks can be compared: the transform is worth nothing")
	}
	if linked != shared || wrong != 0 {
		t.Error("the attack that the documents describe does not work as described")
	}

	// dim people of whom the attacker has the plain template too give Q, by solving Q·X = Y.
	known := make([][]float32, dim)
	for i := range known {
		known[i] = direction(r)
	}
	worst := 0.0
	for i, x := range solve(known, leak(one, known)) {
		worst = max(worst, math.Abs(x-float64(one.rows[i])))
	}
	t.Logf("known pairs: %d of them give Q, each entry within %.1e", dim, worst)
	if worst > 1e-2 {
		t.Error("the attack that the documents describe does not work as described")
	}
	// Fewer pairs tell Q·t for the part of t in their span, and nothing of the rest.
	few := known[:dim/2]
	stranger := direction(r)
	inSpan := 0.0
	for _, b := range orthonormal(few) {
		c := cosine(b, stranger)
		inSpan += c * c
	}
	t.Logf("known pairs: %d of them tell %.0f %% of a stranger's template", len(few), 100*inSpan)
	if inSpan < 0.3 || inSpan > 0.7 {
		t.Error("the share that known pairs tell is not that of their span")
	}
}

// orthonormal is Gram and Schmidt's.
func orthonormal(vectors [][]float32) (basis [][]float32) {
	for _, v := range vectors {
		v = slices.Clone(v)
		for range 2 {
			for _, b := range basis {
				c := float32(cosine(b, v))
				for i := range v {
					v[i] -= c * b[i]
				}
			}
		}
		length := float32(math.Sqrt(cosine(v, v)))
		for i := range v {
			v[i] /= length
		}
		basis = append(basis, v)
	}
	return basis
}

// solve gives the matrix that takes each x to its y, by elimination over rows [x | y].
func solve(xs, ys [][]float32) []float64 {
	n := len(xs)
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = make([]float64, 2*n)
		for j := range n {
			rows[i][j], rows[i][n+j] = float64(xs[i][j]), float64(ys[i][j])
		}
	}
	for c := range n {
		pivot := c
		for i := c; i < n; i++ {
			if math.Abs(rows[i][c]) > math.Abs(rows[pivot][c]) {
				pivot = i
			}
		}
		rows[c], rows[pivot] = rows[pivot], rows[c]
		for i := range n {
			if i == c {
				continue
			}
			f := rows[i][c] / rows[c][c]
			for j := c; j < 2*n; j++ {
				rows[i][j] -= f * rows[c][j]
			}
		}
	}
	q := make([]float64, n*n) // X·Qᵀ = Y, so row c of X⁻¹Y is column c of Q
	for c := range n {
		for j := range n {
			q[j*n+c] = rows[c][n+j] / rows[c][c]
		}
	}
	return q
}

func TestTransformDoesNotAllocate(t *testing.T) {
	v := mustOpen(t, path(t), sealedOptions(newRoot()))
	probe := vector(1)
	if n := testing.AllocsPerRun(10, func() {
		if err := v.Transform(probe); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if v.Transform(probe[1:]) == nil {
		t.Error("a short probe was transformed")
	}
}

func BenchmarkTransform(b *testing.B) {
	q := mustRotate(b, 1, 1)
	in, out := vector(1), make([]float32, dim)
	for b.Loop() {
		q.apply(out, in)
	}
}

func BenchmarkNewRotation(b *testing.B) {
	for b.Loop() {
		q, err := newRotation([32]byte{1}, 1)
		if err != nil {
			b.Fatal(err)
		}
		q.release()
	}
}

// goldenRow begins the matrix of the seed 01 00 00….
var goldenRow = []float64{-0.0168951, 0.0152090, 0.0184851, -0.0950309}
