//go:build !kiosk

package twin

import "math"

// Light that a surface throws back as a mirror does. It follows the lamp and knows nothing of the picture underneath.

// gloss is the coating of a flat thing. The zero gloss is matte.
type gloss struct {
	// strength is the share of the light that is mirrored, by Fresnel's law about 0.04 for lacquer, plastic and glass at steep angles.
	strength float64
	// sharpness is the exponent of the lobe: 60 is a coated paper, 400 the glass of a screen.
	sharpness float64
}

// off is the gray level that the lamps' mirror images add at point: a Blinn lobe each, of the energy that a mirror of that strength has.
func (g gloss) off(l *lighting, point, normal vec) (sum float64) {
	if g.strength == 0 {
		return 0
	}
	for i := range emitters {
		share := l.share(i)
		if share == 0 {
			continue
		}
		ray := emitters[i].place.sub(point)
		cos := normal.dot(ray.unit())
		half := normal.dot(ray.unit().add(point.scale(-1).unit()).unit())
		if cos > 0 && half > 0 {
			sum += share * emitters[i].power / ray.dot(ray) * cos * g.strength * (g.sharpness + 8) / 8 * math.Pow(half, g.sharpness)
		}
	}
	return sum
}

// glint is a small curved mirror on a body: the cornea of an eye, the lens of a pair of glasses. It shows the lamp as a point.
type glint struct {
	place    vec     // of its middle in the body's coordinates; it looks along -z there
	radius   float64 // of its curvature, metres
	reach    float64 // half its width, metres: the mirrored lamp must lie within
	strength float64 // share of the light that it mirrors
}

// The eye's outer surface is a sphere of 7.8 mm and mirrors 2.5 % (its refractive index is 1.376); the part of it that lies free is
// about 11 mm wide. Lenses of glasses have a base curve of about 90 mm and, coated for visible light, mirror about 3 % of the infrared.
const (
	corneaRadius, corneaReach, corneaStrength = 0.0078, 0.0055, 0.025
	lensRadius, lensReach, lensStrength       = 0.09, 0.018, 0.03
	lampWidth                                 = 0.02 // metres, of the lamp's emitting face
)

// eyes are the places of both eyes on the relief.
func eyes(nose float64) [2]vec {
	var at [2]vec
	for i, x := range [2]float64{canonical[0][0], canonical[1][0]} {
		at[i] = vec{x, canonical[0][1], -height(x, canonical[0][1], nose)}
	}
	return at
}

// splat adds a lamp's mirror image in a glint to the picture, where nothing nearer hides it. A sphere of radius R that mirrors a share F of an
// irradiance E sends F·E·R²/4 into each direction, a white matte pixel of the area a sends E·a/π.
func (c *canvas) splat(g *glint, head rotation, at vec, from emitter, share, shakeX, shakeY float64) {
	world := head.apply(g.place.sub(neck)).add(neck).add(at)
	half := from.place.sub(world).unit().add(world.scale(-1).unit()).unit()
	back := rotation{{head[0].x, head[1].x, head[2].x}, {head[0].y, head[1].y, head[2].y}, {head[0].z, head[1].z, head[2].z}}
	local := back.apply(half)
	dx, dy := g.radius*local.x, g.radius*local.y
	if local.z >= 0 || dx*dx+dy*dy > g.reach*g.reach {
		return
	}
	world = world.add(head.apply(vec{dx, dy, 0}))
	x, y := FrameWidth/2-shakeX+focal*world.x/world.z, FrameHeight/2-shakeY+focal*world.y/world.z
	ix, iy := int(math.Floor(x)), int(math.Floor(y))
	const r = 4 // pixels: no glint is wider
	if ix < r || iy < r || ix >= c.width-r || iy >= c.height-r || c.depth[iy*c.width+ix] < float32(world.z)-0.006 {
		return
	}
	pixel := focal / world.z // per metre
	ray := from.place.sub(world)
	sum := share * from.power / ray.dot(ray) * g.strength * math.Pi / 4 * g.radius * g.radius * pixel * pixel
	sigma := max(0.45, lampWidth*g.radius/2/world.z*pixel/2) // half a pixel of the lens at least
	for j := -r; j <= r; j++ {
		for i := -r; i <= r; i++ {
			u, v := float64(ix+i)+0.5-x, float64(iy+j)+0.5-y
			w := math.Exp(-(u*u+v*v)/(2*sigma*sigma)) / (2 * math.Pi * sigma * sigma)
			c.lum[(iy+j)*c.width+ix+i] += float32(sum * w)
		}
	}
}
