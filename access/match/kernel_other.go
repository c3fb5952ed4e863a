//go:build !amd64 && !arm64

package match

func kernels() []kernel { return []kernel{kernelGo} }

func assemblyFloat32(kernel, []float32, []float32, []float32) bool { return false }

func assemblyInt8(kernel, []int32, []int8, []int8) bool { return false }

func assemblyRead(kernel, []float32) (uint64, bool) { return 0, false }
