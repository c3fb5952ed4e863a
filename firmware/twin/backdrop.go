//go:build !kiosk

package twin

import "math"

const (
	wallDistance = 3.5 // metres from the lens to the end of the corridor
	border       = 4   // pixels beyond the picture on each side, for the camera's own motion
)

// backdrop is a dim corridor with a door at its end: what it gives back of ambient light and of the lamp, as gray levels.
type backdrop struct {
	width, height int
	ambient, lamp []float32
	rows          [2][]float32 // of paint
}

func newBackdrop(seed uint64) *backdrop {
	b := &backdrop{width: FrameWidth + 2*border, height: FrameHeight + 2*border}
	b.ambient = make([]float32, b.width*b.height)
	b.lamp = make([]float32, b.width*b.height)
	b.rows = [2][]float32{make([]float32, FrameWidth), make([]float32, FrameWidth)}
	for j := range b.height {
		for i := range b.width {
			x := (float64(i) - border - FrameWidth/2) / focal * wallDistance
			y := (float64(j) - border - FrameHeight/2) / focal * wallDistance
			albedo, z := corridor(x, y, seed)
			r := vec{x, y, wallDistance}.scale(z / wallDistance)
			at := j*b.width + i
			// 0.6: a corridor lies in less light than the place before the door
			b.ambient[at] = float32(albedo * ambientLevel * 0.6)
			b.lamp[at] = float32(albedo * lampPower / r.dot(r))
		}
	}
	return b
}

// corridor returns reflectance and depth of what is seen in the direction of x, y on the wall's plane, metres.
func corridor(x, y float64, seed uint64) (albedo, z float64) {
	z = wallDistance
	grain := 0.02*ripple(x*9, y*9, seed) + 0.015*ripple(x*31, y*31, seed+1)
	albedo = 0.34 + 0.05*ripple(x*1.3, y*1.3, seed+2) + grain
	edge := func(d, w float64) float64 { return smooth(-w, w, d) }
	if side := math.Abs(x) - 1.45; side > 0 { // side walls come towards the camera
		z = wallDistance * 1.45 / math.Abs(x)
		albedo += 0.10*edge(side, 0.02) - 0.05*edge(side, 0.3)
	}
	if floor := y - 0.95; floor > 0 {
		z = min(z, wallDistance*0.95/y)
		albedo += (0.16 - albedo) * edge(floor, 0.01)
	}
	dx, dy := math.Abs(x-0.55), y+0.55 // a door leaf right of the middle, in a bright frame
	frame := edge(0.52-dx, 0.012) * edge(dy+0.14, 0.012) * (1 - edge(y-0.95, 0.012))
	leaf := edge(0.43-dx, 0.010) * edge(dy+0.05, 0.010) * (1 - edge(y-0.93, 0.010))
	albedo += (0.52 + grain - albedo) * frame
	albedo += (0.24 + 0.6*grain - albedo) * leaf
	albedo += 0.25 * bell(x-0.20, 0.025, y-0.35, 0.025) // the handle
	sign := edge(0.17-math.Abs(x+0.75), 0.008) * edge(0.12-math.Abs(y+0.25), 0.008)
	albedo += (0.62 + 3*grain - albedo) * sign
	return albedo, z
}

// ripple is smooth noise of about -1..1 with features of size one.
func ripple(x, y float64, seed uint64) float64 {
	ix, iy := math.Floor(x), math.Floor(y)
	fx, fy := smooth(0, 1, x-ix), smooth(0, 1, y-iy)
	at := func(dx, dy float64) float64 {
		h := seed*0x9e3779b97f4a7c15 + uint64(int64(ix+dx))*0xbf58476d1ce4e5b9 + uint64(int64(iy+dy))*0x94d049bb133111eb
		h ^= h >> 31
		h *= 0xd6e8feb86659fd93
		h ^= h >> 32
		return float64(h>>11)/(1<<52) - 1
	}
	top := at(0, 0)*(1-fx) + at(1, 0)*fx
	low := at(0, 1)*(1-fx) + at(1, 1)*fx
	return top*(1-fy) + low*fy
}

// paint draws the backdrop shifted by the camera's motion (pixels, within the border) under the light of one frame.
func (b *backdrop) paint(c *canvas, dx, dy float64, ambient, lamp float32) {
	dx, dy = min(max(dx+border, 0), 2*border-1), min(max(dy+border, 0), 2*border-1)
	ix, iy := int(dx), int(dy)
	kx, ky := float32(dx-float64(ix)), float32(dy-float64(iy))
	upper, lower := b.rows[0][:c.width], b.rows[1][:c.width]
	b.mixRow(lower, ix, iy, kx, ambient, lamp)
	for y := range c.height {
		upper, lower = lower, upper
		b.mixRow(lower, ix, iy+y+1, kx, ambient, lamp)
		out := c.lum[y*c.width:][:len(upper)]
		lower := lower[:len(upper)]
		for x, v := range upper {
			out[x] = v + (lower[x]-v)*ky
		}
	}
}

// mixRow adds up the two kinds of light for one row, shifted by kx of a pixel.
func (b *backdrop) mixRow(out []float32, x0, y int, kx, ambient, lamp float32) {
	at := y*b.width + x0
	a, l := b.ambient[at+1:][:len(out)], b.lamp[at+1:][:len(out)]
	left := ambient*b.ambient[at] + lamp*b.lamp[at]
	for x := range out {
		right := ambient*a[x] + lamp*l[x]
		out[x] = left + (right-left)*kx
		left = right
	}
}
