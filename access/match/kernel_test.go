package match

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

// rowCounts are all remainders of four rows, none, and more than one search block.
var rowCounts = []int{0, 1, 2, 3, 4, 5, 7, 8, 31, 255, 259}

var dims = []int{32, 64, 96, 512, MaxDim}

func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(1, uint64(len(t.Name()))))
}

// unit draws a direction evenly.
func unit(r *rand.Rand, dim int) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	if !Normalise(v) {
		panic("a random vector is zero") // as likely as 512 zeros in a row
	}
	return v
}

// eachShape runs a test for every kernel, dimension, row count and three alignments of the slab.
func eachShape(t *testing.T, f func(t *testing.T, k kernel, dim, rows, offset int)) {
	for _, k := range kernels() {
		t.Run(string(k), func(t *testing.T) {
			for _, dim := range dims {
				for _, rows := range rowCounts {
					for _, offset := range []int{0, 1, 3} {
						f(t, k, dim, rows, offset)
					}
				}
			}
		})
	}
}

const canary = 77

func TestInt8SumsAreTheTwins(t *testing.T) {
	r := seeded(t)
	eachShape(t, func(t *testing.T, k kernel, dim, rows, offset int) {
		slab := make([]int8, offset+rows*dim+offset)
		for i := range slab {
			slab[i] = int8(r.IntN(255) - 127)
		}
		probe := make([]int8, offset+dim)[offset:]
		for i := range probe {
			probe[i] = int8(r.IntN(255) - 127)
		}
		sums := make([]int32, rows+1)
		sums[rows] = canary
		dotsInt8(k, sums[:rows], slab[offset:], probe)
		for i := range rows {
			var want int32
			for j, p := range probe {
				want += int32(p) * int32(slab[offset+i*dim+j])
			}
			if sums[i] != want {
				t.Fatalf("dim %d, row %d of %d, offset %d: sum %d, want %d", dim, i, rows, offset, sums[i], want)
			}
		}
		if sums[rows] != canary {
			t.Fatalf("dim %d, %d rows: wrote past the sums", dim, rows)
		}
	})
}

// The products of the largest components are where 16-bit steps inside a kernel would saturate or wrap.
func TestInt8SumsHoldTheExtremes(t *testing.T) {
	for _, k := range kernels() {
		for _, rowSign := range []int8{1, -1} {
			for _, probeSign := range []int8{1, -1} {
				slab, probe := make([]int8, 5*MaxDim), make([]int8, MaxDim)
				for i := range slab {
					slab[i] = 127 * rowSign
				}
				for i := range probe {
					probe[i] = 127 * probeSign
				}
				want := int32(rowSign) * int32(probeSign) * 127 * 127 * MaxDim
				sums := make([]int32, 5)
				dotsInt8(k, sums, slab, probe)
				for i, s := range sums {
					if s != want || int32(float32(s)) != s {
						t.Errorf("%s: row %d: sum %d, want %d and exact as float32", k, i, s, want)
					}
				}
			}
		}
	}
}

func TestFloat32ScoresAreTheTwinsWithinRounding(t *testing.T) {
	r := seeded(t)
	eachShape(t, func(t *testing.T, k kernel, dim, rows, offset int) {
		slab := make([]float32, offset, offset+rows*dim)
		for range rows {
			slab = append(slab, unit(r, dim)...)
		}
		probe := append(make([]float32, offset), unit(r, dim)...)[offset:]
		scores, twin := make([]float32, rows+1), make([]float32, rows)
		scores[rows] = canary
		dotsFloat32(k, scores[:rows], slab[offset:], probe)
		dotsFloat32(kernelGo, twin, slab[offset:], probe)
		for i := range rows {
			var exact float64
			for j, p := range probe {
				exact += float64(p) * float64(slab[offset+i*dim+j])
			}
			if math.Abs(float64(scores[i])-exact) > 1e-6 || math.Abs(float64(scores[i]-twin[i])) > 1e-6 {
				t.Fatalf("dim %d, row %d of %d, offset %d: score %v, twin %v, exact %v", dim, i, rows, offset, scores[i], twin[i], exact)
			}
		}
		if scores[rows] != canary {
			t.Fatalf("dim %d, %d rows: wrote past the scores", dim, rows)
		}
	})
}

func TestFloat32RankingIsTheTwins(t *testing.T) {
	const rows, dim = 1000, 512
	r := seeded(t)
	var slab []float32
	for range rows {
		slab = append(slab, unit(r, dim)...)
	}
	ranked := func(k kernel, probe []float32) ([]int, []float32) {
		scores, order := make([]float32, rows), make([]int, rows)
		dotsFloat32(k, scores, slab, probe)
		for i := range order {
			order[i] = i
		}
		sort.SliceStable(order, func(a, b int) bool { return scores[order[a]] > scores[order[b]] })
		return order, scores
	}
	for _, k := range kernels() {
		for range 5 {
			probe := unit(r, dim)
			got, _ := ranked(k, probe)
			want, scores := ranked(kernelGo, probe)
			for i := range want {
				// Two rows whose scores differ by rounding alone have no rank of their own.
				if got[i] != want[i] && math.Abs(float64(scores[got[i]]-scores[want[i]])) > 1e-6 {
					t.Fatalf("%s: rank %d is row %d, the twin says %d", k, i, got[i], want[i])
				}
			}
		}
	}
}

func TestScoreDoesNotDependOnTheRow(t *testing.T) {
	r := seeded(t)
	template, probe := unit(r, 512), unit(r, 512)
	const rows = 11 // twice four rows together, three alone
	var slab []float32
	for range rows {
		slab = append(slab, template...)
	}
	for _, k := range kernels() {
		scores := make([]float32, rows)
		dotsFloat32(k, scores, slab, probe)
		for i, s := range scores {
			if s != scores[0] {
				t.Errorf("%s: row %d scores %v, row 0 %v", k, i, s, scores[0])
			}
		}
	}
}

func TestShortSlabPanicsBeforeItIsRead(t *testing.T) {
	for _, k := range kernels() {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: compared rows that are not there", k)
				}
			}()
			dotsFloat32(k, make([]float32, 2), make([]float32, 63), make([]float32, 32))
		}()
	}
}

func TestReadFloorDependsOnEveryComponent(t *testing.T) {
	slab := make([]float32, 3*32+5)
	before := ReadFloor(slab)
	for i := range slab {
		slab[i] = 1
		if changed := ReadFloor(slab) != before; changed != (i < 96) {
			t.Errorf("component %d: changed %t", i, changed)
		}
		slab[i] = 0
	}
	if ReadFloor(slab[:31]) != 0 || ReadFloor(nil) != 0 {
		t.Error("less than one step was read")
	}
}

func TestKernelNamesTheFastest(t *testing.T) {
	if ks := kernels(); Kernel() != string(ks[0]) || ks[len(ks)-1] != kernelGo {
		t.Errorf("kernel %q of %q", Kernel(), ks)
	}
	t.Logf("kernels: %v", fmt.Sprint(kernels()))
}

func FuzzInt8Sums(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add([]byte{0x7f, 0x81, 0x80, 0xff}, uint8(1))
	long := make([]byte, 9*64)
	for i := range long {
		long[i] = byte(i * 37)
	}
	f.Add(long, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, steps uint8) {
		dim := dimStep * (1 + int(steps)%4)
		all := make([]int8, len(data))
		for i, b := range data {
			all[i] = max(int8(b), -127) // what quantise can write
		}
		if len(all) < dim {
			return
		}
		probe, rows := all[:dim], all[dim:]
		n := len(rows) / dim
		want := make([]int32, n)
		dotsInt8(kernelGo, want, rows, probe)
		for _, k := range kernels() {
			got := make([]int32, n)
			dotsInt8(k, got, rows, probe)
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%s: dim %d, row %d: %d, want %d", k, dim, i, got[i], want[i])
				}
			}
		}
	})
}
