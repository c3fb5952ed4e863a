package match

import "math"

// A kernel names one way to compare a probe with rows of a slab.
type kernel string

// kernelGo is the twin in Go: the reference of every other kernel, and what runs where none of them can.
const kernelGo kernel = "go"

// Kernel names the kernel that galleries on this processor use: "avx2", "neon-dot", "neon" or "go".
func Kernel() string { return string(kernels()[0]) }

// dotsFloat32 sets scores[i] to the dot product of the probe and the i-th row of its length.
func dotsFloat32(k kernel, scores, rows, probe []float32) {
	if len(scores) == 0 {
		return
	}
	rows = rows[:len(scores)*len(probe)] // panics here, where assembly would read past the end
	if assemblyFloat32(k, scores, rows, probe) {
		return
	}
	for i := range scores {
		scores[i] = dotFloat32(rows[i*len(probe):][:len(probe)], probe)
	}
}

// dotsInt8 sets sums[i] to the dot product of the probe and the i-th row of its length. Components lie in -127..127.
func dotsInt8(k kernel, sums []int32, rows, probe []int8) {
	if len(sums) == 0 {
		return
	}
	rows = rows[:len(sums)*len(probe)]
	if assemblyInt8(k, sums, rows, probe) {
		return
	}
	for i := range sums {
		sums[i] = dotInt8(rows[i*len(probe):][:len(probe)], probe)
	}
}

// dotFloat32 adds in eight lanes, so that the additions do not wait for each other.
func dotFloat32(a, b []float32) float32 {
	var s [8]float32
	for len(a) >= 8 && len(b) >= 8 {
		s[0] += a[0] * b[0]
		s[1] += a[1] * b[1]
		s[2] += a[2] * b[2]
		s[3] += a[3] * b[3]
		s[4] += a[4] * b[4]
		s[5] += a[5] * b[5]
		s[6] += a[6] * b[6]
		s[7] += a[7] * b[7]
		a, b = a[8:], b[8:]
	}
	return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}

func dotInt8(a, b []int8) int32 {
	var s [4]int32
	for len(a) >= 4 && len(b) >= 4 {
		s[0] += int32(a[0]) * int32(b[0])
		s[1] += int32(a[1]) * int32(b[1])
		s[2] += int32(a[2]) * int32(b[2])
		s[3] += int32(a[3]) * int32(b[3])
		a, b = a[4:], b[4:]
	}
	return s[0] + s[1] + s[2] + s[3]
}

// ReadFloor reads the slab once, with loads as wide as the kernel's and the prefetch that made this pass fastest, and returns
// a value that depends on every byte. It is a measuring aid: no search of these bytes can be faster than reading them.
// What is left over after the last multiple of 32 components is not read.
func ReadFloor(slab []float32) uint64 {
	slab = slab[:len(slab)&^31]
	if len(slab) == 0 {
		return 0
	}
	if sum, ok := assemblyRead(kernels()[0], slab); ok {
		return sum
	}
	var sum uint64
	for _, x := range slab {
		sum ^= uint64(math.Float32bits(x))
	}
	return sum
}
