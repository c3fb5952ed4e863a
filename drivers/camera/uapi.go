package camera

import (
	"unsafe"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// The structures of <linux/videodev2.h> on 64-bit machines, where go4vl has none of the same layout. Each request number carries
// the size of its structure, which TestStructuresHaveTheKernelsSize compares with the kernel's own numbers.

type capability struct {
	driver                [16]byte
	card, bus             [32]byte
	version, physical, of uint32 // of is what this node can do; physical is what all nodes of the device together can
	_                     [3]uint32
}

type formatDescription struct {
	index, kind, flags uint32
	description        [32]byte
	fourcc, mediaBus   uint32
	_                  [3]uint32
}

type frameSizes struct {
	index, fourcc, kind uint32
	v4l2.FrameSize      // in a discrete one the first two words are width and height
	_                   [2]uint32
}

type frameIntervals struct {
	index, fourcc, width, height, kind uint32
	v4l2.FrameInterval                 // in a discrete one Min is it
	_                                  [2]uint32
}

type pixelFormat struct {
	kind                                                          uint32
	_                                                             uint32
	width, height, fourcc, field, stride, size, colourspace, priv uint32
	flags, encoding, quantization, transfer                       uint32
	_                                                             [152]byte
}

type streamParameters struct {
	kind uint32
	v4l2.CaptureParam
	_ [160]byte
}

type bufferRequest struct {
	count, kind, memory, capabilities, flags uint32
}

type buffer struct {
	index, kind, used, flags, field uint32
	stamp                           unix.Timeval
	_                               [16]byte // time code
	sequence, memory                uint32
	offset                          uint64 // of which mmap uses the first half
	length, _, _                    uint32
}

type controlInfo struct {
	id, kind              uint32
	name                  [32]byte
	lowest, highest, step int32
	initial               int32
	flags                 uint32
	_                     [2]uint32
}

type controlValue struct {
	id    uint32
	value int32
}

// Requests, as _IOC of <asm-generic/ioctl.h> makes them on every architecture that we build for.
const (
	fromKernel = 2 << 30
	toKernel   = 1 << 30
	both       = fromKernel | toKernel
	sizeAt     = 16
	video      = 'V' << 8

	queryCapability = fromKernel | unsafe.Sizeof(capability{})<<sizeAt | video | 0
	enumFormat      = both | unsafe.Sizeof(formatDescription{})<<sizeAt | video | 2
	readFormat      = both | unsafe.Sizeof(pixelFormat{})<<sizeAt | video | 4
	writeFormat     = both | unsafe.Sizeof(pixelFormat{})<<sizeAt | video | 5
	requestBuffers  = both | unsafe.Sizeof(bufferRequest{})<<sizeAt | video | 8
	queryBuffer     = both | unsafe.Sizeof(buffer{})<<sizeAt | video | 9
	queueBuffer     = both | unsafe.Sizeof(buffer{})<<sizeAt | video | 15
	dequeueBuffer   = both | unsafe.Sizeof(buffer{})<<sizeAt | video | 17
	streamOn        = toKernel | unsafe.Sizeof(uint32(0))<<sizeAt | video | 18
	streamOff       = toKernel | unsafe.Sizeof(uint32(0))<<sizeAt | video | 19
	readParameters  = both | unsafe.Sizeof(streamParameters{})<<sizeAt | video | 21
	writeParameters = both | unsafe.Sizeof(streamParameters{})<<sizeAt | video | 22
	readControl     = both | unsafe.Sizeof(controlValue{})<<sizeAt | video | 27
	writeControl    = both | unsafe.Sizeof(controlValue{})<<sizeAt | video | 28
	queryControl    = both | unsafe.Sizeof(controlInfo{})<<sizeAt | video | 36
	enumSizes       = both | unsafe.Sizeof(frameSizes{})<<sizeAt | video | 74
	enumIntervals   = both | unsafe.Sizeof(frameIntervals{})<<sizeAt | video | 75
)

// Flags of a control that go4vl does not name.
const (
	controlDisabled = 0x1
	controlReadOnly = 0x4
	controlInactive = 0x10 // an automatism owns it
)
