package camera

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// Two rows of four pixels, each row with two bytes of padding. What every format makes of them was worked out by hand.
func TestGolden(t *testing.T) {
	pad := []byte{0xee, 0xee}
	rows := func(a, b []byte) []byte { return bytes.Join([][]byte{a, pad, b, pad}, nil) }
	want := []byte{0x00, 0x01, 0x80, 0xff, 0xff, 0x7f, 0x01, 0x00}
	for format, src := range map[Format][]byte{
		Grey:     rows([]byte{0x00, 0x01, 0x80, 0xff}, []byte{0xff, 0x7f, 0x01, 0x00}),
		Y10:      rows([]byte{0x03, 0x00, 0x04, 0x00, 0x00, 0x02, 0xff, 0x03}, []byte{0xfc, 0x03, 0xff, 0x01, 0x07, 0x00, 0x00, 0x00}),
		Y12:      rows([]byte{0x0f, 0x00, 0x10, 0x00, 0x00, 0x08, 0xff, 0x0f}, []byte{0xf0, 0x0f, 0xff, 0x07, 0x1f, 0x00, 0x00, 0x00}),
		Y16:      rows([]byte{0xff, 0x00, 0x00, 0x01, 0x00, 0x80, 0xff, 0xff}, []byte{0x00, 0xff, 0xff, 0x7f, 0xff, 0x01, 0x00, 0x00}),
		Y10Bpack: rows([]byte{0x00, 0xc0, 0x48, 0x03, 0xff}, []byte{0xff, 0x1f, 0xf0, 0x1c, 0x00}),
	} {
		stride := format.row(4) + len(pad)
		if len(src) != 2*stride {
			t.Fatalf("%s: test data of %d bytes", format, len(src))
		}
		got := make([]byte, 8)
		format.gray(got, src[:format.bytes(4, 2, stride)], 4, 2, stride)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: % x, want % x", format, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for text, fourcc := range map[string]uint32{"GREY": 0x59455247, "Y10": 0x20303159, "Y16": 0x20363159, "Y16-BE": 0xa0363159, "Y10B": 0x42303159} {
		if name(fourcc) != text || code(text) != fourcc {
			t.Errorf("%q is %#x, %#x is %q", text, code(text), fourcc, name(fourcc))
		}
	}
}

// slow takes pixel i of a frame in the plainest way: bit by bit.
func slow(f Format, src []byte, x, y, stride int) byte {
	row := src[y*stride:]
	switch f {
	case Grey:
		return row[x]
	case Y10Bpack:
		v := byte(0)
		for bit := 10 * x; bit < 10*x+8; bit++ {
			v = v<<1 | row[bit/8]>>(7-bit%8)&1
		}
		return v
	default:
		return byte(binary.LittleEndian.Uint16(row[2*x:]) >> f.excess())
	}
}

func FuzzGray(f *testing.F) {
	f.Add(uint8(0), uint8(4), uint8(2), uint8(0), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(uint8(3), uint8(9), uint8(3), uint8(1), bytes.Repeat([]byte{0xa5, 0x3c, 0x77}, 30))
	f.Add(uint8(4), uint8(5), uint8(3), uint8(0), bytes.Repeat([]byte{0xa5, 0x3c, 0x77}, 30))
	f.Add(uint8(4), uint8(8), uint8(2), uint8(3), bytes.Repeat([]byte{0xff, 0x00, 0x99}, 30))
	f.Add(uint8(4), uint8(6), uint8(2), uint8(0), bytes.Repeat([]byte("0"), 27)) // rows that end within a byte, as many bytes as without
	f.Fuzz(func(t *testing.T, format, width, height, pad uint8, src []byte) {
		fm := []Format{Grey, Y10, Y12, Y16, Y10Bpack}[format%5]
		w, h := int(width%40)+1, int(height%5)+1
		stride := fm.row(w) + int(pad%9)
		if len(src) < fm.bytes(w, h, stride) {
			return
		}
		src = src[:fm.bytes(w, h, stride):fm.bytes(w, h, stride)]
		got := make([]byte, w*h)
		fm.gray(got, src, w, h, stride)
		for i := range got {
			if want := slow(fm, src, i%w, i/w, stride); got[i] != want {
				t.Fatalf("%s %d×%d of stride %d: pixel %d is %#x, want %#x", fm, w, h, stride, i, got[i], want)
			}
		}
	})
}

// A frame costs reading it from the driver's memory once; the floor is memcpy of as many bytes as are read.
func BenchmarkGray(b *testing.B) {
	const width, height = 640, 480
	dst := make([]byte, width*height)
	for _, f := range []Format{Grey, Y10, Y12, Y16, Y10Bpack} {
		src := make([]byte, f.bytes(width, height, f.row(width)))
		to := make([]byte, len(src))
		b.Run(string(f), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				f.gray(dst, src, width, height, f.row(width))
			}
			per := b.Elapsed().Seconds() / float64(b.N)
			began := time.Now()
			for range b.N {
				copy(to, src)
			}
			floor := time.Since(began).Seconds() / float64(b.N)
			b.ReportMetric(per/floor, "×memcpy")
		})
	}
}
