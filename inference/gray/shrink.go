package gray

import (
	"encoding/binary"
	"math"
)

// origin is where a shrunk plane lies in the frame: its pixel (i, j) covers step by step pixels from (x+i*step, y+j*step) on.
type origin struct{ x, y, step float64 }

// shrink halves the region of a plane as long as ratio, what is to be shrunk in all, is 1 or more, which leaves less than half of it to
// do: the mean of two by two pixels costs a fraction of a nanosecond each, any other filter several.
func (s *Sampler) shrink(src Plane, region Rect, ratio float64) (Plane, origin) {
	at := origin{step: 1}
	for level := 0; ratio >= 1 && src.W >= 16 && src.H >= 16; level++ {
		if level == 0 {
			// One pixel more on each side, for interpolation; even, so that the grid of the halved plane does not depend on the face.
			x0, x1 := evenSpan(region.X0, region.X1, src.W)
			y0, y1 := evenSpan(region.Y0, region.Y1, src.H)
			at.x, at.y = float64(x0), float64(y0)
			src = Plane{Pix: src.Pix[y0*src.Stride+x0:], Stride: src.Stride, W: x1 - x0, H: y1 - y0}
		}
		w, h := src.W/2, src.H/2
		if len(s.small[level&1]) < w*h {
			s.small[level&1] = make([]byte, max(w*h, 640*480/4)) // a smaller one would be outgrown by the next face
		}
		dst := Plane{Pix: s.small[level&1], Stride: w, W: w, H: h}
		halveBytes(src, dst)
		src, at.step, ratio = dst, 2*at.step, ratio/2
	}
	return src, at
}

// evenSpan is the pixels that cover from..to and one more on each side, from an even one on, an even number of at least 16 (of which
// the frame has as many).
func evenSpan(from, to float32, size int) (first, end int) {
	size &^= 1
	first = clamp(int(math.Floor(float64(from)))-2, 0, size-16) &^ 1
	end = clamp((int(math.Ceil(float64(to)))+3)&^1, first+16, size)
	return first, end
}

// halveBytes writes the mean of each two by two pixels, four of them at a time.
func halveBytes(src, dst Plane) {
	const mask = 0x00ff00ff00ff00ff
	for y := range dst.H {
		upper := src.Pix[2*y*src.Stride:][:2*dst.W]
		lower := src.Pix[(2*y+1)*src.Stride:][:2*dst.W]
		out := dst.Pix[y*dst.Stride:][:dst.W]
		for len(upper) >= 8 && len(lower) >= 8 && len(out) >= 4 {
			u, l := binary.LittleEndian.Uint64(upper), binary.LittleEndian.Uint64(lower)
			v := (u&mask + u>>8&mask + l&mask + l>>8&mask + 0x0002000200020002) >> 2 & mask
			v = (v | v>>8) & 0x0000ffff0000ffff
			binary.LittleEndian.PutUint32(out, uint32(v|v>>16))
			upper, lower, out = upper[8:], lower[8:], out[4:]
		}
		for i := range out {
			out[i] = byte((int(upper[2*i]) + int(upper[2*i+1]) + int(lower[2*i]) + int(lower[2*i+1]) + 2) >> 2)
		}
	}
}
