package camera

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Format is an uncompressed gray pixel format, by its V4L2 name. Others are not taken: a decoder is an attack surface, and in a
// colour image infrared is only a guess.
type Format string

// The formats that Open takes. The 16-bit ones are little-endian with the value in the low bits.
const (
	Grey     Format = "GREY"
	Y10      Format = "Y10"
	Y12      Format = "Y12"
	Y16      Format = "Y16"
	Y10Bpack Format = "Y10B" // four pixels in five bytes, most significant bit first
)

// valid reports whether Open knows the format.
func (f Format) valid() bool { return f == Grey || f == Y10Bpack || f.excess() > 0 }

// excess is how many bits a little-endian 16-bit pixel has more than eight, 0 for other formats.
func (f Format) excess() uint {
	switch f {
	case Y10:
		return 2
	case Y12:
		return 4
	case Y16:
		return 8
	default:
		return 0
	}
}

// fourcc is the kernel's code: four letters, filled up with spaces.
func (f Format) fourcc() uint32 { return code(string(f)) }

func code(name string) uint32 {
	name, big := strings.CutSuffix(name, "-BE")
	b := []byte("    ")
	copy(b, name)
	c := binary.LittleEndian.Uint32(b)
	if big {
		c |= 1 << 31
	}
	return c
}

// name is the text of a fourcc. Foreign ones may hold any byte: print them quoted.
func name(fourcc uint32) string {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], fourcc&^(1<<31)) // the highest bit says big-endian
	s := strings.TrimRight(string(b[:]), " \x00")
	if fourcc>>31 != 0 {
		s += "-BE"
	}
	return s
}

// row is the number of bytes that width pixels take.
func (f Format) row(width int) int {
	switch {
	case f == Y10Bpack:
		return (width*10 + 7) / 8
	case f.excess() > 0:
		return 2 * width
	default:
		return width
	}
}

// bytes is how much of a frame of that stride is looked at. What a driver puts behind the last pixel is not.
func (f Format) bytes(width, height, stride int) int { return (height-1)*stride + f.row(width) }

// gray reduces a frame to its eight highest bits. dst has width·height bytes, src at least f.bytes(width, height, stride).
func (f Format) gray(dst, src []byte, width, height, stride int) {
	if len(dst) != width*height || len(src) < f.bytes(width, height, stride) {
		panic(fmt.Sprintf("gray: %d of %d bytes for %d×%d of stride %d", len(dst), len(src), width, height, stride)) // unreachable: Next and judge checked
	}
	row := f.row(width)
	// Without padding the frame is one long row. Rows of Y10Bpack may end within a byte.
	if row == stride && (f != Y10Bpack || width%4 == 0) {
		width, height, row = width*height, 1, row*height
	}
	for y := range height {
		to, from := dst[y*width:][:width], src[y*stride:][:row]
		switch excess := f.excess(); {
		case excess > 0:
			narrow(to, from, excess)
		case f == Y10Bpack:
			unpack10(to, from)
		default:
			copy(to, from)
		}
	}
}

// narrow keeps the eight bits above excess of each little-endian 16-bit pixel, four at a time: shift all, mask, and push together.
func narrow(dst, src []byte, excess uint) {
	const low, pairs = 0x00ff00ff00ff00ff, 0x0000ffff0000ffff
	for len(dst) >= 8 && len(src) >= 16 {
		a := binary.LittleEndian.Uint64(src) >> excess & low
		b := binary.LittleEndian.Uint64(src[8:]) >> excess & low
		a = (a | a>>8) & pairs
		b = (b | b>>8) & pairs
		binary.LittleEndian.PutUint64(dst, uint64(uint32(a|a>>16))|uint64(uint32(b|b>>16))<<32)
		dst, src = dst[8:], src[16:]
	}
	for i := range dst {
		dst[i] = byte(binary.LittleEndian.Uint16(src[2*i:]) >> excess)
	}
}

// unpack10 keeps the eight highest of each ten bits.
func unpack10(dst, src []byte) {
	for len(dst) >= 4 {
		s := src[:5]
		dst[0] = s[0]
		dst[1] = s[1]<<2 | s[2]>>6
		dst[2] = s[2]<<4 | s[3]>>4
		dst[3] = s[3]<<6 | s[4]>>2
		dst, src = dst[4:], src[5:]
	}
	for i := range dst {
		at, shift := 10*i/8, uint(10*i%8)
		dst[i] = byte((uint16(src[at])<<8 | uint16(src[at+1])) >> (8 - shift))
	}
}
