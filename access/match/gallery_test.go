package match

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// gallery is what both kinds can do, and what vault and door will ask for.
type gallery interface {
	Append(owner uint32, template []float32) (int, error)
	Remove(row int) error
	RemoveOwner(owner uint32) int
	Search(probe, scores []float32) (Result, error)
	Len() int
	Cap() int
	Dim() int
	Owner(row int) uint32
	Wipe()
}

// eachGallery runs a test for every kind and every kernel; zero reports whether the slab is zero from the given row on.
func eachGallery(t *testing.T, rows, dim int, f func(t *testing.T, g gallery, zero func(row int) bool)) {
	for _, k := range kernels() {
		t.Run("float32/"+string(k), func(t *testing.T) {
			slab := make([]float32, rows*dim)
			g, err := NewFloat32(slab, dim)
			if err != nil {
				t.Fatal(err)
			}
			g.kernel = k
			f(t, g, func(row int) bool { return allZero(slab[row*dim:]) })
		})
		t.Run("int8/"+string(k), func(t *testing.T) {
			slab := make([]int8, (1+rows)*dim)
			g, err := NewInt8(slab, dim)
			if err != nil {
				t.Fatal(err)
			}
			g.kernel = k
			f(t, g, func(row int) bool { return allZero(slab[:dim]) && allZero(slab[(1+row)*dim:]) })
		})
	}
}

func allZero[T float32 | int8](s []T) bool {
	for _, x := range s {
		if x != 0 {
			return false
		}
	}
	return true
}

func axis(dim, i int) []float32 {
	v := make([]float32, dim)
	v[i] = 1
	return v
}

func mustAppend(t testing.TB, g gallery, owner uint32, template []float32) {
	t.Helper()
	if _, err := g.Append(owner, template); err != nil {
		t.Fatal(err)
	}
}

func TestNobodyIsAnOutcome(t *testing.T) {
	eachGallery(t, 4, 32, func(t *testing.T, g gallery, _ func(int) bool) {
		result, err := g.Search(axis(32, 0), nil)
		if err != nil || result != (Result{}) || result.Found {
			t.Errorf("empty gallery: %+v, %v", result, err)
		}
		mustAppend(t, g, 0, axis(32, 0))
		result, err = g.Search(axis(32, 1), make([]float32, 1))
		if want := (Result{Found: true, Other: NoScore}); err != nil || result != want {
			t.Errorf("one reference, nothing in common: %+v, %v", result, err)
		}
	})
}

func TestZeroGalleriesRefuse(t *testing.T) {
	for _, g := range []gallery{&Float32{}, &Int8{}} {
		if _, err := g.Append(1, axis(32, 0)); err == nil {
			t.Errorf("%T: took a reference", g)
		}
		if result, err := g.Search(axis(32, 0), nil); err == nil || result.Found {
			t.Errorf("%T: searched", g)
		}
		if g.Remove(0) == nil || g.RemoveOwner(1) != 0 {
			t.Errorf("%T: removed", g)
		}
		g.Wipe()
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct{ slab, dim int }{
		{512, 0}, {512, -32}, {512, 31}, {512, 33}, {0, 32}, {31, 32}, {2 * (MaxDim + dimStep), MaxDim + dimStep},
	} {
		if _, err := NewFloat32(make([]float32, c.slab), c.dim); err == nil {
			t.Errorf("float32: slab of %d, dim %d", c.slab, c.dim)
		}
		if _, err := NewInt8(make([]int8, c.slab), c.dim); err == nil {
			t.Errorf("int8: slab of %d, dim %d", c.slab, c.dim)
		}
	}
	if _, err := NewInt8(make([]int8, 63), 32); err == nil {
		t.Error("int8: a slab for the probe alone")
	}
	g, err := NewInt8(make([]int8, 95), 32)
	if err != nil || g.Cap() != 1 {
		t.Errorf("int8: probe, one reference and 31 bytes: %v", err)
	}
}

func TestSearchAndAppendRefuseMalformedVectors(t *testing.T) {
	eachGallery(t, 4, 32, func(t *testing.T, g gallery, zero func(int) bool) {
		mustAppend(t, g, 1, axis(32, 0))
		withNaN, withInf, long := axis(32, 0), axis(32, 0), axis(32, 0)
		withNaN[3], withInf[4], long[0] = nan, inf, 1.002
		for name, v := range map[string][]float32{
			"nil": nil, "short": axis(31, 0), "other dimension": axis(64, 0), "zero": make([]float32, 32),
			"nan": withNaN, "infinite": withInf, "norm": long,
		} {
			if _, err := g.Append(2, v); err == nil || g.Len() != 1 || !zero(1) {
				t.Errorf("%s: appended: %v", name, err)
			}
			if result, err := g.Search(v, make([]float32, 4)); err == nil || result.Found {
				t.Errorf("%s: searched: %v", name, err)
			}
		}
		if result, err := g.Search(axis(32, 0), nil); err == nil || result.Found {
			t.Errorf("no room for scores: %v", err)
		}
	})
}

func TestFullGallery(t *testing.T) {
	eachGallery(t, 2, 32, func(t *testing.T, g gallery, _ func(int) bool) {
		mustAppend(t, g, 1, axis(32, 0))
		mustAppend(t, g, 1, axis(32, 1))
		if _, err := g.Append(1, axis(32, 2)); !errors.Is(err, ErrFull) || g.Len() != 2 || g.Cap() != 2 {
			t.Errorf("third of two: %v", err)
		}
	})
}

func TestRemoveWipesAndKeepsTheRest(t *testing.T) {
	const dim, n = 64, 6
	r := seeded(t)
	var templates [n][]float32
	for i := range templates {
		templates[i] = unit(r, dim)
	}
	for removed := range n {
		eachGallery(t, n, dim, func(t *testing.T, g gallery, zero func(int) bool) {
			for i := range n {
				mustAppend(t, g, uint32(i), templates[i])
			}
			if err := g.Remove(removed); err != nil {
				t.Fatal(err)
			}
			if g.Len() != n-1 || !zero(n-1) {
				t.Fatalf("row %d: %d references left, wiped %t", removed, g.Len(), zero(n-1))
			}
			scores := make([]float32, n)
			for i := range n {
				result, err := g.Search(templates[i], scores)
				if err != nil {
					t.Fatal(err)
				}
				if found := result.Score > 0.99; found != (i != removed) || found && (result.Owner != uint32(i) || g.Owner(result.Index) != uint32(i)) {
					t.Errorf("removed %d, looked for %d: %+v", removed, i, result)
				}
			}
		})
	}
	eachGallery(t, n, dim, func(t *testing.T, g gallery, _ func(int) bool) {
		mustAppend(t, g, 1, axis(dim, 0))
		if g.Remove(-1) == nil || g.Remove(1) == nil || g.Len() != 1 {
			t.Error("removed a row that is not there")
		}
	})
}

func TestRemoveOwnerAndWipe(t *testing.T) {
	eachGallery(t, 6, 32, func(t *testing.T, g gallery, zero func(int) bool) {
		for i, owner := range []uint32{7, 8, 7, 9, 7, 7} {
			mustAppend(t, g, owner, axis(32, i))
		}
		if n := g.RemoveOwner(7); n != 4 || g.Len() != 2 || !zero(2) || g.RemoveOwner(7) != 0 {
			t.Errorf("removed %d, %d left", n, g.Len())
		}
		if a, b := g.Owner(0), g.Owner(1); a+b != 8+9 {
			t.Errorf("left: %d and %d", a, b)
		}
		g.Wipe()
		if g.Len() != 0 || !zero(0) {
			t.Error("not wiped")
		}
	})
}

// plainSearch is what Search means, written without a mask.
func plainSearch(scores []float32, owners []uint32) Result {
	best := Result{Score: NoScore, Other: NoScore}
	for i, s := range scores {
		if !best.Found || s > best.Score || s == best.Score && owners[i] < best.Owner {
			best.Found, best.Index, best.Owner, best.Score = true, i, owners[i], s
		}
	}
	for i, s := range scores {
		if owners[i] != best.Owner && (s > best.Other || s == best.Other && owners[i] < best.OtherOwner) {
			best.Other, best.OtherOwner = s, owners[i]
		}
	}
	return best
}

func TestSearchFindsBestAndBestOther(t *testing.T) {
	r := seeded(t)
	for _, n := range []int{1, 2, 3, 7, 255, 256, 257, 600} {
		eachGallery(t, n, 64, func(t *testing.T, g gallery, _ func(int) bool) {
			for range n {
				mustAppend(t, g, uint32(r.IntN(1+n/3))-1, unit(r, 64)) // owner 0xffffffff among them
			}
			owners, scores := make([]uint32, n), make([]float32, n+2)
			for i := range owners {
				owners[i] = g.Owner(i)
			}
			scores[n] = canary
			for range 5 {
				result, err := g.Search(unit(r, 64), scores)
				if want := plainSearch(scores[:n], owners); err != nil || result != want {
					t.Fatalf("%d rows: %+v, %v; want %+v", n, result, err, want)
				}
			}
			if scores[n] != canary {
				t.Error("wrote past the last score")
			}
		})
	}
}

func TestSelectionOfTiesAndSigns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	few := []float32{-1, -0.5, -0.25, 0.25, 0.5, 1}
	for range 2000 {
		n := 1 + r.IntN(9)
		scores, owners := make([]float32, n), make([]uint32, n)
		for i := range scores {
			scores[i] = few[r.IntN(1+r.IntN(len(few)))]
			owners[i] = []uint32{0, 1, 1 << 31, math.MaxUint32}[r.IntN(4)]
		}
		s := newSelection()
		cut := r.IntN(n)
		s.add(scores[:cut], owners)
		s.add(scores[cut:], owners[cut:])
		got, ok := s.result(scores, owners)
		if want := plainSearch(scores, owners); !ok || got != want {
			t.Fatalf("%v of %v: %+v, want %+v", scores, owners, got, want)
		}
	}
}

func TestSearchRefusesADamagedSlab(t *testing.T) {
	slab := make([]float32, 3*32)
	for _, x := range []float32{nan, -nan, inf, -inf, 1.02, 2, -2, 1e30, -1e30} {
		g, err := NewFloat32(slab, 32)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			mustAppend(t, g, uint32(i), axis(32, i))
		}
		slab[32] = x
		if result, err := g.Search(axis(32, 0), make([]float32, 3)); err == nil || result != (Result{}) {
			t.Errorf("component %v: %+v", x, result)
		}
	}
}

func TestSearchDoesNotAllocate(t *testing.T) {
	r := seeded(t)
	probe, scores := unit(r, 512), make([]float32, 300)
	eachGallery(t, 300, 512, func(t *testing.T, g gallery, _ func(int) bool) {
		for i := range 300 {
			mustAppend(t, g, uint32(i), unit(r, 512))
		}
		if n := testing.AllocsPerRun(5, func() {
			if _, err := g.Search(probe, scores); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations a search", n)
		}
	})
}

func TestInt8ProbeIsWiped(t *testing.T) {
	eachGallery(t, 2, 32, func(t *testing.T, g gallery, zero func(int) bool) {
		mustAppend(t, g, 1, axis(32, 0))
		if _, err := g.Search(axis(32, 0), make([]float32, 1)); err != nil || !zero(1) {
			t.Errorf("probe left in the slab: %v", err)
		}
	})
}
