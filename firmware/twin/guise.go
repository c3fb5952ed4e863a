//go:build !kiosk

package twin

import (
	"cmp"
	"math"
	"time"
)

// guise is what an actor is made of, beyond its form and the person that it shows. The zero guise is what the form says.
type guise struct {
	glasses       bool
	width, height float64 // metres, of a sheet or the picture of a screen
	scale         float64 // of the face on it, 1: life-size
	bent          float64 // radius of the cylinder that a sheet lies on, metres; 0: flat
	glossy        bool
	eyesCut       bool
	headCut       bool
	dark          bool    // a screen whose light the camera does not see
	film          float64 // reflectance of what lies over a screen
	paint         float64 // contrast of a mask's colours, 1: as the photograph
	video         bool    // a screen plays a recording of a living face
}

// recording is what a screen plays: how an earlier session's lamp lit the face.
type recording struct {
	code  string // of 0 and 1, a chip each
	start time.Duration
}

// recordedDark is the share of a recording's full light that it has while its lamp was dark: the ambient light of that day.
const recordedDark = 0.25

// share is the light of the screen in a frame whose exposure ends at t, 1: full. Each chip of the recording lasts for one frame of the
// camera's rate; before and after them it shows the lit face.
func (r recording) share(t time.Duration) float64 {
	if r.code == "" {
		return 1
	}
	dark := 0.0
	for k, bit := range r.code {
		if bit == '0' {
			from := r.start + time.Duration(k)*interval
			shared := min(t, from+interval) - max(t-exposure, from)
			dark += float64(max(shared, 0)) / float64(exposure)
		}
	}
	return 1 - (1-recordedDark)*dark
}

// Coatings.
var (
	coatedPaper = gloss{strength: 0.04, sharpness: 60}
	glass       = gloss{strength: 0.04, sharpness: 400}
	lacquer     = gloss{strength: 0.03, sharpness: 25}
)

// finely is how many steps a sheet is divided into where a coating or a bend needs more than the lamp's fall-off does.
const finely = 36

// dress makes the body of an actor.
func (p *Person) dress(form Form, g guise) *body {
	switch form {
	case Print:
		return p.dressPrint(g)
	case Screen:
		return p.dressScreen(g)
	case Mask:
		return p.dressMask(g)
	}
	b := &body{mesh: p.relief, texture: p.head}
	for _, at := range eyes(p.nose) {
		b.glints = append(b.glints, glint{place: at, radius: corneaRadius, reach: corneaReach, strength: corneaStrength})
	}
	if g.glasses {
		b.texture = spectacles(p.head)
		for _, at := range eyes(p.nose) {
			at.z -= 0.012 // lenses sit before the eyes
			b.glints = append(b.glints, glint{place: at, radius: lensRadius, reach: lensReach, strength: lensStrength})
		}
	}
	return b
}

func (p *Person) dressPrint(g guise) *body {
	s := sheet{width: cmp.Or(g.width, printWidth), height: cmp.Or(g.height, printHeight), scale: cmp.Or(g.scale, 1), bent: g.bent, steps: 10}
	s.albedo = func(x, y, level float64) float64 { return printInk + (printPaper-printInk)*level }
	b := &body{}
	if g.glossy {
		b.gloss = coatedPaper
	}
	if g.glossy || g.bent > 0 {
		s.steps = finely
	}
	s.alpha = func(x, y float64) float64 {
		a := 1.0
		if g.headCut {
			a = headCover(x, y)
		}
		if g.eyesCut {
			a *= 1 - eyeHole(x, y)
		}
		return a
	}
	b.mesh, b.texture = p.newSheet(s)
	return b
}

func (p *Person) dressScreen(g guise) *body {
	w, h := cmp.Or(g.width, screenWidth), cmp.Or(g.height, screenHeight)
	s := sheet{width: w + 2*bezel, height: h + 2*bezel, scale: cmp.Or(g.scale, 1), steps: 10}
	s.albedo = func(x, y, level float64) float64 {
		switch {
		case x < -w/2 || x > w/2 || y < -h/2 || y > h/2:
			return 0.02
		case g.dark:
			return 0.03 // black glass
		case g.video:
			// The recording is of a head in the light of a lamp: what stands aslant is darker.
			u, v := x/s.scale, y/s.scale
			const d = 0.002
			sx := (height(u+d, v, p.nose) - height(u-d, v, p.nose)) / (2 * d)
			sy := (height(u, v+d, p.nose) - height(u, v-d, p.nose)) / (2 * d)
			return level / math.Sqrt(1+sx*sx+sy*sy)
		}
		return level
	}
	b := &body{emits: !g.dark, film: g.film}
	if g.glossy {
		b.gloss = glass
	}
	if g.glossy || g.film > 0 {
		s.steps = finely
	}
	b.mesh, b.texture = p.newSheet(s)
	return b
}

// dressMask is the head's relief in one material, painted or not; it ends where the head does.
func (p *Person) dressMask(g guise) *body {
	t := &texture{width: texWidth, height: texHeight, texel: make([]uint32, texWidth*texHeight)}
	for j := range t.height {
		y := texTop + (float64(j)+0.5)*texelPitch
		for i := range t.width {
			x := texLeft + (float64(i)+0.5)*texelPitch
			a := headCover(x, y)
			if g.eyesCut {
				a *= 1 - eyeHole(x, y)
			}
			if a > 0 {
				t.texel[j*t.width+i] = pack(skinAlbedo+(p.albedo(x, y)-skinAlbedo)*g.paint, a)
			}
		}
	}
	m := *p.relief
	m.solid = make([]bool, len(m.solid))
	m.findSolid(t)
	b := &body{mesh: &m, texture: t}
	if g.glossy {
		b.gloss = lacquer
	}
	return b
}

// headCover is the soft oval of face and hair.
func headCover(x, y float64) float64 {
	return 1 - smooth(0.90, 1.0, math.Hypot(x/0.090, (y+0.032)/0.142))
}

// eyeHole is 1 in the openings that somebody cuts to look through, 34 by 18 mm.
func eyeHole(x, y float64) float64 {
	return 1 - smooth(0.9, 1.1, math.Hypot((math.Abs(x)-canonical[1][0])/0.017, (y-canonical[1][1])/0.009))
}

// spectacles paints dark frames on a head: two rims, a bridge, the beginnings of the temples. The lenses take a little of the light.
func spectacles(head *texture) *texture {
	const (
		rim     = 0.0035 // metres
		frame   = 13     // reflectance 0.05 as a texel
		through = 0.85   // of the light, there and back
	)
	t := &texture{width: head.width, height: head.height, texel: append([]uint32(nil), head.texel...)}
	for j := range t.height {
		y := texTop + (float64(j)+0.5)*texelPitch
		for i := range t.width {
			x := math.Abs(texLeft + (float64(i)+0.5)*texelPitch)
			texel := &t.texel[j*t.width+i]
			// A superellipse, 50 by 38 mm.
			r := math.Pow(math.Pow(math.Abs(x-0.0325)/0.025, 3)+math.Pow(math.Abs(y+0.034)/0.019, 3), 1./3)
			edge := rim / 0.022
			bridge := x < 0.008 && math.Abs(y+0.040) < rim/2
			temple := x > 0.057 && x < 0.085 && math.Abs(y+0.042) < rim/2
			switch {
			case *texel>>16 == 0:
			case bridge || temple || r > 1 && r < 1+edge:
				*texel = *texel&0xff0000 | frame
			case r <= 1:
				*texel = *texel&0xff0000 | uint32(float64(*texel&0xff)*through)
			}
		}
	}
	return t
}
