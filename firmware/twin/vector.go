//go:build !kiosk

package twin

import "math"

// vec is a point or direction in camera coordinates, metres: x right and y down in the picture, z away from the lens.
type vec struct{ x, y, z float64 }

func (a vec) add(b vec) vec            { return vec{a.x + b.x, a.y + b.y, a.z + b.z} }
func (a vec) sub(b vec) vec            { return vec{a.x - b.x, a.y - b.y, a.z - b.z} }
func (a vec) scale(k float64) vec      { return vec{a.x * k, a.y * k, a.z * k} }
func (a vec) dot(b vec) float64        { return a.x*b.x + a.y*b.y + a.z*b.z }
func (a vec) mix(b vec, k float64) vec { return a.scale(1 - k).add(b.scale(k)) }

func (a vec) unit() vec {
	l := math.Sqrt(a.dot(a))
	if l == 0 {
		return vec{}
	}
	return a.scale(1 / l)
}

// rotation turns a head: rows of the matrix.
type rotation [3]vec

func (r rotation) apply(v vec) vec { return vec{r[0].dot(v), r[1].dot(v), r[2].dot(v)} }

// turned is the rotation by yaw (towards the right edge of the picture), then pitch (down), then roll (clockwise), in degrees.
func turned(a vec) rotation {
	sy, cy := math.Sincos(a.x * math.Pi / 180)
	sp, cp := math.Sincos(a.y * math.Pi / 180)
	sr, cr := math.Sincos(a.z * math.Pi / 180)
	// The face looks along -z. Yaw moves -z towards +x, pitch moves -z towards +y, roll moves +x towards +y.
	yaw := rotation{{cy, 0, -sy}, {0, 1, 0}, {sy, 0, cy}}
	pitch := rotation{{1, 0, 0}, {0, cp, -sp}, {0, sp, cp}}
	roll := rotation{{cr, -sr, 0}, {sr, cr, 0}, {0, 0, 1}}
	return roll.times(pitch.times(yaw))
}

func (r rotation) times(q rotation) rotation {
	var m rotation
	for i, row := range r {
		m[i] = vec{
			row.x*q[0].x + row.y*q[1].x + row.z*q[2].x,
			row.x*q[0].y + row.y*q[1].y + row.z*q[2].y,
			row.x*q[0].z + row.y*q[1].z + row.z*q[2].z,
		}
	}
	return m
}

// smooth rises from 0 at a to 1 at b without a corner.
func smooth(a, b, x float64) float64 {
	t := min(max((x-a)/(b-a), 0), 1)
	return t * t * (3 - 2*t)
}

// bell is 1 at the origin and falls to 0.6 at one sigma on each axis.
func bell(x, sx, y, sy float64) float64 {
	return math.Exp(-(x*x/(sx*sx) + y*y/(sy*sy)) / 2)
}
