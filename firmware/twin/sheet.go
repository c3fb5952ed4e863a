//go:build !kiosk

package twin

import "math"

// Sheets are what somebody may hold before the lens instead of a face.
const (
	printWidth, printHeight   = 0.297, 0.42 // metres, A3: the surroundings of the face are paper too
	screenWidth, screenHeight = 0.17, 0.24  // a tablet
	bezel                     = 0.012
	// printInk and printPaper bound the reflectance of the print; toner absorbs infrared, most other inks do not.
	printInk, printPaper = 0.06, 0.80
)

// sheet is a rectangle with the photograph around the face on it, the nose in its middle.
type sheet struct {
	width, height float64
	scale         float64 // of the face, 1: life-size
	bent          float64 // radius of the upright cylinder that it lies on, the middle nearest to the lens; 0: flat
	steps         int     // of its mesh
	// albedo gets the place on the sheet in metres and the photograph's level, normalised as for a head.
	albedo func(x, y, level float64) float64
	// alpha gets the place on the face, in metres of a life-size one; nil: all of the sheet is there.
	alpha func(x, y float64) float64
}

func (p *Person) newSheet(s sheet) (*mesh, *texture) {
	t := &texture{width: int(s.width/texelPitch) + 4, height: int(s.height/texelPitch) + 4}
	t.texel = make([]uint32, t.width*t.height)
	for j := range t.height {
		for i := range t.width {
			x, y := (float64(i)-1.5)*texelPitch-s.width/2, (float64(j)-1.5)*texelPitch-s.height/2
			u, v, a := x/s.scale, y/s.scale, 1.0
			if s.alpha != nil {
				a = s.alpha(u, v)
			}
			level := min(p.sample(u, v, texelPitch/s.scale)*p.gain, 1)
			t.texel[j*t.width+i] = pack(s.albedo(x, y, level), a)
		}
	}
	// Ten steps are fine enough for the lamp's fall-off over a flat matte sheet.
	m := newMesh(even(-s.width/2, s.width/2, s.steps), even(-s.height/2, s.height/2, s.steps), func(x, y float64) float64 { return 0 })
	for i, p := range m.point {
		m.uv[i] = [2]float32{float32((p.x+s.width/2)/texelPitch + 1), float32((p.y+s.height/2)/texelPitch + 1)}
		if s.bent > 0 {
			sin, cos := math.Sincos(p.x / s.bent)
			m.point[i] = vec{s.bent * sin, p.y, s.bent * (1 - cos)}
			m.normal[i] = vec{sin, 0, -cos}
		}
	}
	m.findSolid(t)
	return m, t
}
