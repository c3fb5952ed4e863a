package match

import "golang.org/x/sys/cpu"

const kernelAVX2 kernel = "avx2"

// kernels lists what this processor can run, fastest first, the twin last.
func kernels() []kernel {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		return []kernel{kernelAVX2, kernelGo}
	}
	return []kernel{kernelGo}
}

func assemblyFloat32(k kernel, scores, rows, probe []float32) bool {
	if k != kernelAVX2 {
		return false
	}
	dotsFloat32AVX2(&scores[0], &rows[0], &probe[0], len(scores), len(probe))
	return true
}

func assemblyInt8(k kernel, sums []int32, rows, probe []int8) bool {
	if k != kernelAVX2 {
		return false
	}
	dotsInt8AVX2(&sums[0], &rows[0], &probe[0], len(sums), len(probe))
	return true
}

func assemblyRead(k kernel, slab []float32) (uint64, bool) {
	if k != kernelAVX2 {
		return 0, false
	}
	return readAVX2(&slab[0], len(slab)), true
}

//go:noescape
func dotsFloat32AVX2(scores, rows, probe *float32, n, dim int)

//go:noescape
func dotsInt8AVX2(sums *int32, rows, probe *int8, n, dim int)

//go:noescape
func readAVX2(slab *float32, n int) uint64
