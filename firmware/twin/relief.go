//go:build !kiosk

package twin

import (
	"math"
	"slices"
)

// mesh is a sheet of quads over the face's plane, lifted towards the camera.
type mesh struct {
	cols, rows int
	point      []vec // z away from the camera
	normal     []vec // unit, out of the body
	uv         [][2]float32
	body       []float64 // 1: follows the trunk, 0: follows the head
	solid      []bool    // per quad: some of it is visible
}

const (
	bodyReach = 1.5 // metres below the nose: the trunk goes on beyond the photograph
	maxSlope  = 2.5 // the silhouette of a height field would be infinitely steep
)

// neck is the point that a head turns about, behind the nose.
var neck = vec{0, 0.03, 0.09}

// height is how far the surface of a person stands towards the camera, metres, above the plane of the face. The sizes are those
// of an average adult head; the bumps are rough on purpose, for the lamp needs a nose, sockets and a chin and no portrait.
func height(x, y, nose float64) float64 {
	head := -0.085
	if e := 1 - x*x/(0.1*0.1) - (y+0.032)*(y+0.032)/(0.145*0.145); e > 0 {
		head += 0.095 * math.Sqrt(e)
	}
	along := smooth(-0.045, -0.002, y)                                          // the ridge grows from the brow to the tip
	nx := x - nose*along                                                        // and leans where the photographed nose points
	head += 0.021 * along * bell(nx, 0.008+0.005*along, max(y-0.006, 0), 0.009) // nose
	head -= 0.008 * (bell(x-0.0315, 0.015, y+0.036, 0.010) + bell(x+0.0315, 0.015, y+0.036, 0.010))
	head += 0.003 * bell(x, 0.05, y+0.058, 0.010)   // brow
	head += 0.004 * bell(x, 0.018, y-0.0365, 0.010) // lips
	head += 0.010 * bell(x, 0.018, y-0.074, 0.012)  // chin
	head += 0.004 * (bell(x-0.042, 0.018, y-0.002, 0.016) + bell(x+0.042, 0.018, y-0.002, 0.016))
	trunk := -0.09 + 0.07*smooth(0.09, 0.24, y) - 1.6*x*x
	// A soft maximum: the chin stands out over the neck without a tear.
	const k = 0.008
	return k * math.Log(math.Exp(head/k)+math.Exp(trunk/k))
}

func newRelief(nose float64, t *texture) *mesh {
	// Fine over the face, wide over hair and shoulders.
	xs := slices.Concat(even(-0.195, -0.105, 3), even(-0.105, 0.105, 28)[1:], even(0.105, 0.195, 3)[1:])
	ys := slices.Concat(even(-0.185, 0.115, 40), even(0.115, 0.30, 6)[1:], even(0.30, bodyReach, 3)[1:])
	m := newMesh(xs, ys, func(x, y float64) float64 { return height(x, y, nose) })
	for i, p := range m.point {
		m.body[i] = smooth(0.07, 0.17, p.y)
		m.uv[i] = [2]float32{
			float32((p.x - texLeft) / texelPitch),
			float32(min((p.y-texTop)/texelPitch, float64(t.height-3))),
		}
	}
	m.findSolid(t)
	return m
}

// even divides a..b into n steps.
func even(a, b float64, n int) []float64 {
	t := make([]float64, n+1)
	for i := range t {
		t[i] = a + (b-a)*float64(i)/float64(n)
	}
	return t
}

func newMesh(xs, ys []float64, h func(x, y float64) float64) *mesh {
	n := len(xs) * len(ys)
	m := &mesh{cols: len(xs), rows: len(ys), point: make([]vec, n), normal: make([]vec, n), uv: make([][2]float32, n),
		body: make([]float64, n), solid: make([]bool, n)}
	const d = 0.002
	slope := func(a, b float64) float64 { return min(max((b-a)/(2*d), -maxSlope), maxSlope) }
	for j, y := range ys {
		for i, x := range xs {
			at := j*m.cols + i
			m.point[at] = vec{x, y, -h(x, y)}
			m.normal[at] = vec{-slope(h(x-d, y), h(x+d, y)), -slope(h(x, y-d), h(x, y+d)), -1}.unit()
		}
	}
	return m
}

// findSolid marks the quads in which the texture covers anything; the others are never drawn.
func (m *mesh) findSolid(t *texture) {
	for j := range m.rows - 1 {
		for i := range m.cols - 1 {
			a, b := m.uv[j*m.cols+i], m.uv[(j+1)*m.cols+i+1]
			for v := int(a[1]); v <= int(b[1])+1 && v < t.height; v++ {
				for u := int(a[0]); u <= int(b[0])+1 && u < t.width; u++ {
					if t.texel[v*t.width+u]>>16 != 0 {
						m.solid[j*m.cols+i] = true
					}
				}
			}
		}
	}
}
