//go:build !kiosk

package twin

// Sheets are what somebody may hold before the lens instead of a face, life-size.
const (
	printWidth, printHeight   = 0.297, 0.42 // metres, A3: the surroundings of the face are paper too
	screenWidth, screenHeight = 0.17, 0.24  // a tablet
	bezel                     = 0.012
	// printInk and printPaper bound the reflectance of the print; toner absorbs infrared, most other inks do not.
	printInk, printPaper = 0.06, 0.80
)

func (p *Person) newPrint() (*mesh, *texture) {
	return p.newSheet(printWidth, printHeight, func(x, y, level float64) float64 {
		return printInk + (printPaper-printInk)*level
	})
}

// newScreen is a tablet whose texture is what it emits; its frame is black.
func (p *Person) newScreen() (*mesh, *texture) {
	return p.newSheet(screenWidth+2*bezel, screenHeight+2*bezel, func(x, y, level float64) float64 {
		if x < -screenWidth/2 || x > screenWidth/2 || y < -screenHeight/2 || y > screenHeight/2 {
			return 0.02
		}
		return level
	})
}

// newSheet lays the photograph around the face on a flat rectangle whose middle is the nose. albedo gets the place in metres and
// the photograph's level normalised as for a head.
func (p *Person) newSheet(w, h float64, albedo func(x, y, level float64) float64) (*mesh, *texture) {
	t := &texture{width: int(w/texelPitch) + 4, height: int(h/texelPitch) + 4}
	t.texel = make([]uint32, t.width*t.height)
	for j := range t.height {
		for i := range t.width {
			x, y := (float64(i)-1.5)*texelPitch-w/2, (float64(j)-1.5)*texelPitch-h/2
			t.texel[j*t.width+i] = pack(albedo(x, y, p.albedo(x, y)), 1)
		}
	}
	// Ten steps are fine enough for the lamp's fall-off over the sheet.
	m := newMesh(even(-w/2, w/2, 10), even(-h/2, h/2, 10), func(x, y float64) float64 { return 0 })
	for i, p := range m.point {
		m.uv[i] = [2]float32{float32((p.x+w/2)/texelPitch + 1), float32((p.y+h/2)/texelPitch + 1)}
	}
	m.findSolid(t)
	return m, t
}
