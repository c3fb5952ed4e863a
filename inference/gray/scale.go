package gray

import (
	"encoding/binary"
	"math"
)

// axis is how one axis of a region is resampled: each output value is a weighted sum of count source values from first on. The
// weights of one value sum to 256; positions outside the frame take the border's value.
type axis struct {
	first, count []uint16
	weight       []uint16
	low, high    int         // the source values that are used at all: low <= i < high
	short        bool        // no count is above 3
	three        [][4]uint16 // the same for short: first and its three weights
}

// fill prepares n outputs over the region from..to of a source of size values: area coverage where it shrinks, linear
// interpolation between pixel centres where it grows.
func (a *axis) fill(from, to float64, size, n int) {
	if a.first == nil {
		a.first, a.count = make([]uint16, maxInput), make([]uint16, maxInput)
		a.weight = make([]uint16, 0, maxSide+3*maxInput)
		a.three = make([][4]uint16, 0, maxInput)
	}
	a.weight = a.weight[:0]
	a.three = a.three[:0]
	a.low, a.high, a.short = size, 0, true
	step := (to - from) / float64(n)
	for i := range n {
		lo, hi := from+float64(i)*step, from+float64(i+1)*step
		if step < 1 {
			// A window of one pixel around the centre: its coverage of two pixels is the linear weight of both.
			lo = (lo+hi)/2 - .5
			hi = lo + 1
		}
		first := clamp(int(math.Floor(lo)), 0, size-1)
		last := clamp(int(math.Ceil(hi))-1, first, size-1)
		start := len(a.weight)
		done := 0
		for j := first; j <= last; j++ {
			upto := 256 // what lies beyond the border counts as the border
			if j < last {
				upto = clamp(int(math.Round(256*(float64(j+1)-lo)/(hi-lo))), done, 256)
			}
			a.weight = append(a.weight, uint16(upto-done))
			done = upto
		}
		a.first[i], a.count[i] = uint16(first), uint16(len(a.weight)-start)
		a.low, a.high = min(a.low, first), max(a.high, last+1)
		w := [4]uint16{uint16(first)}
		a.short = copy(w[1:], a.weight[start:]) == len(a.weight)-start && a.short
		a.three = append(a.three, w)
	}
}

func clamp(v, lo, hi int) int { return max(lo, min(hi, v)) }

// Sampler resizes and warps regions of frames into model inputs. The zero value is ready; its buffers are made at first use and when
// a larger frame comes. Not safe for concurrent use.
type Sampler struct {
	x, y  axis
	even  []uint64 // running sums of pixels 0, 2, 4, 6 of each group of eight, 16 bits each
	odd   []uint64
	row   []uint16 // one source row, vertically weighted, 256 times its gray level
	small [2][]byte
}

// Resize fills dst, which must be as long as in says, with the region of src: area coverage where it shrinks, linear interpolation
// between pixel centres where it grows. The region must be finite and lie within 16,384 pixels of the origin; an empty one shows the
// pixel that it lies on.
func (s *Sampler) Resize(src Plane, region Rect, in Input, dst []float32) {
	area := in.Width * in.Height
	if region == (Rect{0, 0, float32(src.W), float32(src.H)}) && src.W == 2*in.Width && src.H == 2*in.Height && in.Width%4 == 0 {
		halve(src, in, dst[:area])
	} else {
		s.blend(src, region, in, dst[:area])
	}
	in.Replicate(dst)
}

// halve is the common case, a 640x480 frame for a 320x240 detector: the mean of two by two pixels, four of them at a time.
func halve(src Plane, in Input, dst []float32) {
	const mask = 0x00ff00ff00ff00ff
	k, b := in.Scale/4, -in.Mean*in.Scale
	for y := range in.Height {
		upper := src.Pix[2*y*src.Stride:][:src.W]
		lower := src.Pix[(2*y+1)*src.Stride:][:src.W]
		out := dst[y*in.Width:][:in.Width]
		for len(upper) >= 8 && len(lower) >= 8 && len(out) >= 4 {
			u, l := binary.LittleEndian.Uint64(upper), binary.LittleEndian.Uint64(lower)
			sum := u&mask + u>>8&mask + l&mask + l>>8&mask
			out[0] = float32(int32(sum&0xffff))*k + b
			out[1] = float32(int32(sum>>16&0xffff))*k + b
			out[2] = float32(int32(sum>>32&0xffff))*k + b
			out[3] = float32(int32(sum>>48))*k + b
			upper, lower, out = upper[8:], lower[8:], out[4:]
		}
	}
}

// blend is the general case: the rows of one output line are summed eight pixels at a time in 16-bit lanes, then the columns.
func (s *Sampler) blend(src Plane, region Rect, in Input, dst []float32) {
	x0, y0, x1, y1 := float64(region.X0), float64(region.Y0), float64(region.X1), float64(region.Y1)
	src, at := s.shrink(src, region, min((x1-x0)/float64(in.Width), (y1-y0)/float64(in.Height))/2)
	s.x.fill((x0-at.x)/at.step, (x1-at.x)/at.step, src.W, in.Width)
	s.y.fill((y0-at.y)/at.step, (y1-at.y)/at.step, src.H, in.Height)
	if s.row == nil {
		s.even, s.odd = make([]uint64, maxSide/8+1), make([]uint64, maxSide/8+1)
		s.row = make([]uint16, maxSide+8)
	}
	k, b := in.Scale/65536, -in.Mean*in.Scale
	wy := s.y.weight
	for y := range in.Height {
		n := int(s.y.count[y])
		s.sumRows(src, int(s.y.first[y]), wy[:n])
		wy = wy[n:]
		out := dst[y*in.Width:][:in.Width]
		if s.x.short {
			s.sumThree(out, k, b)
			continue
		}
		wx := s.x.weight
		first, count := s.x.first[:len(out)], s.x.count[:len(out)]
		for x := range out {
			n := int(count[x])
			pix := s.row[int(first[x])-s.x.low:][:n]
			var sum uint32
			for i, w := range wx[:n] {
				sum += uint32(w) * uint32(pix[i])
			}
			wx = wx[n:]
			out[x] = float32(int32(sum))*k + b
		}
	}
}

// sumThree does the columns of one output line when none is made of more than three: whatever was halved first.
func (s *Sampler) sumThree(out []float32, k, b float32) {
	row, low := s.row, s.x.low
	three := s.x.three[:len(out)]
	for x, t := range three {
		pix := row[int(t[0])-low:][:3] // beyond the last value the row has room, and the weights are zero
		out[x] = float32(int32(uint32(t[1])*uint32(pix[0])+uint32(t[2])*uint32(pix[1])+uint32(t[3])*uint32(pix[2])))*k + b
	}
}

// sumRows leaves in s.row the weighted sum of len(weight) rows from row first on, for the columns that the x axis uses.
func (s *Sampler) sumRows(src Plane, first int, weight []uint16) {
	const mask = 0x00ff00ff00ff00ff
	width := s.x.high - s.x.low
	words := width / 8
	even, odd := s.even[:words], s.odd[:words]
	clear(even)
	clear(odd)
	tail := s.row[8*words : width]
	clear(tail)
	for i, w := range weight {
		pix := src.Pix[(first+i)*src.Stride+s.x.low:][:width]
		w64 := uint64(w)
		for j := range even {
			v := binary.LittleEndian.Uint64(pix[8*j:])
			even[j] += v & mask * w64
			odd[j] += v >> 8 & mask * w64
		}
		for j := range tail {
			tail[j] += w * uint16(pix[8*words+j])
		}
	}
	for j, e := range even {
		o := odd[j]
		r := s.row[8*j:][:8]
		r[0], r[1], r[2], r[3] = uint16(e), uint16(o), uint16(e>>16), uint16(o>>16)
		r[4], r[5], r[6], r[7] = uint16(e>>32), uint16(o>>32), uint16(e>>48), uint16(o>>48)
	}
}
