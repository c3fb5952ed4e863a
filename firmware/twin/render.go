//go:build !kiosk

package twin

import (
	"cmp"
	"math"
	"time"
)

// The simulated camera. Its shutter is global, as on the infrared sensors made for kiosks; a rolling one would need a lamp level
// per row.
const (
	FrameWidth, FrameHeight = 640, 480
	focal                   = 600.0            // pixels: 56 degrees across, a face of 0.15 m at 0.6 m is 150 pixels wide
	interval                = time.Second / 30 // unless the board is told otherwise
	exposure                = 8 * time.Millisecond
	// ambientLevel is the gray level of a white surface in normal indoor light; a face shows at about 60.
	ambientLevel = 120.0
	// lampPower is the gray level times square metres that the lamp gives a white surface facing it: 0.6 m away a face rises by
	// about 90 levels.
	lampPower = 72.0
	// emission is the gray level of a screen's white. It does not depend on any light outside.
	emission = 150.0
	nearest  = 0.15 // metres; what is nearer is not drawn
)

// lampPlace is where the lamp sits: above the lens.
var lampPlace = vec{0, -0.05, 0}

// sky is the direction that ambient light comes from for the most part: above and before the person.
var sky = vec{0, -0.6, -0.8}

// body is something that a scene can place: its shape, its picture, and what it does with light.
type body struct {
	mesh    *mesh
	texture *texture
	emits   bool    // the picture shines by itself
	tint    float64 // what its reflectance, or its own light, is multiplied by; 0 counts as 1
	film    float64 // reflectance of a milky film over the picture
	gloss   gloss
	glints  []glint
}

// lighting of one frame.
type lighting struct {
	ambient float64    // 1: normal indoor light
	sun     float64    // in the same unit, from sunFrom
	sunFrom vec        // unit
	lamp    float64    // 0..1, the share of the exposure with the lamp on
	pair    [2]float64 // the same of two lamps beside the lens
	gain    float64    // of the camera, 1: normal
	open    float64    // exposure, 1: normal; 0 counts as 1
}

// placed is a body at its place in one frame.
type placed struct {
	body *body
	at   vec // the nose's place
	turn vec // yaw, pitch, roll in degrees
}

// renderer draws frames. It allocates nothing after newRenderer and is used by one goroutine.
type renderer struct {
	canvas   canvas
	backdrop *backdrop
	sensor   *sensor
	corners  []corner
	seed     uint64
}

func newRenderer(seed uint64) *renderer {
	n := FrameWidth * FrameHeight
	return &renderer{
		canvas:   canvas{width: FrameWidth, height: FrameHeight, lum: make([]float32, n), depth: make([]float32, n)},
		backdrop: newBackdrop(seed), sensor: newSensor(seed, FrameWidth),
		corners: make([]corner, 0, 4096), seed: seed,
	}
}

// draw renders one frame into dst. t is the time within the scene and moves camera and bodies a little; things are drawn in
// order, so the caller puts the farthest first.
func (r *renderer) draw(dst []byte, things []placed, l lighting, t time.Duration, frame uint64) {
	shakeX, shakeY := 0.6*drift(r.seed, 1, t), 0.6*drift(r.seed, 2, t)
	r.backdrop.paint(&r.canvas, shakeX, shakeY, float32(l.ambient+0.5*l.sun), float32(l.far()))
	if len(things) > 0 {
		far := r.canvas.depth
		for i := range far {
			far[i] = math.MaxFloat32
		}
	}
	for i := range things {
		r.place(&things[i], l, shakeX, shakeY)
	}
	if r.sensor.gain != l.gain {
		r.sensor.setGain(l.gain)
	}
	r.sensor.open = float32(cmp.Or(l.open, 1))
	r.sensor.expose(dst, &r.canvas, r.seed^frame*0x9e3779b97f4a7c15)
}

// place projects one body and draws its facets.
func (r *renderer) place(p *placed, l lighting, shakeX, shakeY float64) {
	m := p.body.mesh
	if p.at.z < nearest+0.2 {
		return
	}
	head, tint := turned(p.turn), cmp.Or(p.body.tint, 1)
	trunk := turned(p.turn.scale(0.25)) // shoulders follow a turning head a little
	r.corners = r.corners[:0]
	for i, local := range m.point {
		arm := local.sub(neck)
		point, normal := head.apply(arm), head.apply(m.normal[i])
		if k := m.body[i]; k > 0 {
			point = point.mix(trunk.apply(arm), k)
			normal = normal.mix(trunk.apply(m.normal[i]), k).unit()
		}
		point = point.add(neck).add(p.at)
		light, over := emission*tint, p.body.gloss.off(&l, point, normal)
		if !p.body.emits {
			light = l.at(point, normal) * tint
		} else if p.body.film > 0 {
			over += p.body.film * l.at(point, normal)
		}
		r.corners = append(r.corners, corner{
			x: float32(FrameWidth/2 - shakeX + focal*point.x/point.z), y: float32(FrameHeight/2 - shakeY + focal*point.y/point.z),
			z: float32(point.z), u: m.uv[i][0], v: m.uv[i][1], light: float32(light), over: float32(over),
		})
	}
	for j := range m.rows - 1 {
		for i := range m.cols - 1 {
			if at := j*m.cols + i; m.solid[at] {
				a, b, c, d := &r.corners[at], &r.corners[at+1], &r.corners[at+m.cols], &r.corners[at+m.cols+1]
				r.canvas.triangle(a, b, d, p.body.texture)
				r.canvas.triangle(a, d, c, p.body.texture)
			}
		}
	}
	for i := range p.body.glints {
		for k, from := range emitters {
			if share := l.share(k); share > 0 {
				r.canvas.splat(&p.body.glints[i], head, p.at, from, share, shakeX, shakeY)
			}
		}
	}
}

// at is the gray level of a white surface at point that faces along normal: ambient light, sun, and each lamp by the inverse
// square of its distance and the cosine of its angle. Nothing casts a shadow on anything else.
func (l *lighting) at(point, normal vec) float64 {
	light := l.ambient * ambientLevel * (0.68 + 0.4*max(normal.dot(sky), 0))
	light += l.sun * ambientLevel * max(normal.dot(l.sunFrom), 0)
	for i := range emitters {
		share := l.share(i)
		if share == 0 {
			continue
		}
		ray := emitters[i].place.sub(point)
		if cos := normal.dot(ray); cos > 0 {
			d2 := ray.dot(ray)
			light += share * emitters[i].power * cos / (d2 * math.Sqrt(d2))
		}
	}
	return light
}

// drift is slow smooth motion of about -1..1, another one for each seed and axis: nobody stands still, and no camera does.
func drift(seed uint64, axis int, t time.Duration) float64 {
	h := (seed + uint64(axis)*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	phase := func(k uint) float64 { return float64(h>>k&0xffff) / 0x10000 * 2 * math.Pi }
	s := t.Seconds() * 2 * math.Pi
	return 0.55*math.Sin(0.31*s+phase(0)) + 0.30*math.Sin(0.83*s+phase(16)) + 0.15*math.Sin(1.9*s+phase(32))
}
