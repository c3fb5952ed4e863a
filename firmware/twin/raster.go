//go:build !kiosk

package twin

import "math"

// corner is a projected vertex: place in pixels, depth in metres, place in the texture, light in gray levels at albedo 1, and what
// lies over the texture, in gray levels.
type corner struct{ x, y, z, u, v, light, over float32 }

// canvas is the picture before the sensor: gray levels, unbounded, and the depth of what was drawn.
type canvas struct {
	width, height int
	lum, depth    []float32
}

// triangle draws one facet. Those that face away (clockwise corners) and those off the canvas cost nothing. Attributes run
// linearly over the picture: facets are small enough for perspective within them not to matter.
func (c *canvas) triangle(a, b, d *corner, t *texture) {
	area := (b.x-a.x)*(d.y-a.y) - (d.x-a.x)*(b.y-a.y)
	if area <= 0 {
		return
	}
	gx, gy := gradients(a, b, d, 1/area)
	if b.y < a.y {
		a, b = b, a
	}
	if d.y < b.y {
		b, d = d, b
		if b.y < a.y {
			a, b = b, a
		}
	}
	top, bottom := max(row(a.y), 0), min(row(d.y), c.height)
	for y := top; y < bottom; y++ {
		yc := float32(y) + 0.5
		x0 := a.x + (d.x-a.x)*(yc-a.y)/(d.y-a.y)
		var x1 float32
		if yc < b.y {
			x1 = a.x + (b.x-a.x)*(yc-a.y)/(b.y-a.y)
		} else {
			x1 = b.x + (d.x-b.x)*(yc-b.y)/(d.y-b.y)
		}
		if x1 < x0 {
			x0, x1 = x1, x0
		}
		from, to := max(row(x0), 0), min(row(x1), c.width)
		if from < to {
			dx, dy := float32(from)+0.5-a.x, yc-a.y
			start := corner{z: a.z + dx*gx.z + dy*gy.z, u: a.u + dx*gx.u + dy*gy.u, v: a.v + dx*gx.v + dy*gy.v,
				light: a.light + dx*gx.light + dy*gy.light, over: a.over + dx*gx.over + dy*gy.over}
			c.span(y*c.width+from, to-from, start, &gx, t)
		}
	}
}

// row is the first pixel whose centre is at or after x.
func row(x float32) int { return int(math.Ceil(float64(x) - 0.5)) }

func gradients(a, b, d *corner, k float32) (gx, gy corner) {
	slope := func(va, vb, vd float32) (float32, float32) {
		return ((vb-va)*(d.y-a.y) - (vd-va)*(b.y-a.y)) * k, ((vd-va)*(b.x-a.x) - (vb-va)*(d.x-a.x)) * k
	}
	gx.z, gy.z = slope(a.z, b.z, d.z)
	gx.u, gy.u = slope(a.u, b.u, d.u)
	gx.v, gy.v = slope(a.v, b.v, d.v)
	gx.light, gy.light = slope(a.light, b.light, d.light)
	gx.over, gy.over = slope(a.over, b.over, d.over)
	return gx, gy
}

// span draws n pixels of one row. Texture places run as 24.8 fixed point; the corners of every mesh keep a texel of margin, so a
// rounding error cannot leave the texture.
func (c *canvas) span(at, n int, s corner, g *corner, t *texture) {
	lum, depth := c.lum[at:at+n], c.depth[at:at+n]
	z, light, over := s.z, s.light, s.over
	u, v := int32(s.u*65536), int32(s.v*65536)
	du, dv := int32(g.u*65536), int32(g.v*65536)
	for i := range lum {
		if z < depth[i] {
			p := t.texel[int(v>>16)*t.width+int(u>>16):]
			q := p[t.width:]
			fx, fy := uint32(u>>8)&255, uint32(v>>8)&255
			upper := (p[0]*(256-fx) + p[1]*fx) >> 8 & 0x00ff00ff
			lower := (q[0]*(256-fx) + q[1]*fx) >> 8 & 0x00ff00ff
			texel := (upper*(256-fy) + lower*fy) >> 8 & 0x00ff00ff
			if alpha := texel >> 16; alpha != 0 {
				value := float32(texel&255)*(1./255)*light + over
				if alpha > 250 {
					lum[i] = value
					depth[i] = z
				} else {
					lum[i] += (value - lum[i]) * float32(alpha) * (1. / 255)
				}
			}
		}
		z += g.z
		light += g.light
		over += g.over
		u += du
		v += dv
	}
}
