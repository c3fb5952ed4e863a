package match

import "golang.org/x/sys/cpu"

const (
	kernelNEON kernel = "neon"
	// kernelDot is NEON with the byte products of FEAT_DotProd, present from the Cortex-A55 and A76 on, absent in A53 and A72.
	kernelDot kernel = "neon-dot"
)

// kernels lists what this processor can run, fastest first, the twin last. NEON is part of every arm64 that Go supports.
func kernels() []kernel {
	if cpu.ARM64.HasASIMDDP {
		return []kernel{kernelDot, kernelNEON, kernelGo}
	}
	return []kernel{kernelNEON, kernelGo}
}

func assemblyFloat32(k kernel, scores, rows, probe []float32) bool {
	if k == kernelGo {
		return false
	}
	dotsFloat32NEON(&scores[0], &rows[0], &probe[0], len(scores), len(probe))
	return true
}

func assemblyInt8(k kernel, sums []int32, rows, probe []int8) bool {
	switch k {
	case kernelDot:
		dotsInt8Dot(&sums[0], &rows[0], &probe[0], len(sums), len(probe))
	case kernelNEON:
		dotsInt8NEON(&sums[0], &rows[0], &probe[0], len(sums), len(probe))
	default:
		return false
	}
	return true
}

func assemblyRead(k kernel, slab []float32) (uint64, bool) {
	if k == kernelGo {
		return 0, false
	}
	return readNEON(&slab[0], len(slab)), true
}

//go:noescape
func dotsFloat32NEON(scores, rows, probe *float32, n, dim int)

//go:noescape
func dotsInt8NEON(sums *int32, rows, probe *int8, n, dim int)

//go:noescape
func dotsInt8Dot(sums *int32, rows, probe *int8, n, dim int)

//go:noescape
func readNEON(slab *float32, n int) uint64
