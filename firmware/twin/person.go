//go:build !kiosk

package twin

import (
	"fmt"
	"image"
	"math"
	"math/cmplx"
)

// The face's own coordinates, metres: origin at the nose tip's place in the plane of the face, x right and y down as seen by the
// camera. Eyes 63 mm apart (the adult mean); the rest follows the proportions of the 112-pixel alignment template, so that a
// photograph posed frontally comes out as it was taken.
var canonical = [5][2]float64{{-0.0315, -0.036}, {0.0315, -0.036}, {0, 0}, {-0.026, 0.0365}, {0.026, 0.0365}}

const (
	texelPitch = 0.0008 // metres; at the closest pose one texel is about one pixel
	texLeft    = -0.24  // metres; the picture of a person reaches over the shoulders
	texTop     = -0.20
	texWidth   = 600
	texHeight  = 650
	// skinAlbedo is the mean reflectance every face is brought to, so that people differ in their features and not in how
	// brightly they were photographed.
	skinAlbedo  = 0.5
	clothAlbedo = 0.26
	// photograph limits: smaller faces have no features left, larger pictures are a mistake
	minEyes   = 16 // pixels between the eyes
	maxPixels = 64 << 20
)

// texture holds albedo in bits 0..7 and alpha in bits 16..23 of every texel, so that one interpolation serves both.
type texture struct {
	width, height int
	texel         []uint32
}

// Person is somebody who can walk through scenes: a photograph of a face, cut out and laid over a relief.
type Person struct {
	Name   string
	photo  *image.Gray
	turn   complex128 // takes the canonical face to the photograph, with shift
	shift  complex128
	gain   float64 // albedo per gray level of the photograph
	nose   float64 // x of the photographed nose tip, metres
	head   *texture
	relief *mesh
}

// NewPerson cuts a person out of a photograph. points are, in pixels of the photograph, the eye on the picture's left, the eye on
// its right, the nose tip and the mouth corners left and right.
func NewPerson(name string, photo *image.Gray, points [5][2]float64) (*Person, error) {
	if photo == nil || photo.Rect.Empty() || photo.Rect.Dx()*photo.Rect.Dy() > maxPixels {
		return nil, fmt.Errorf("cut out %q: no photograph or one of more than %d pixels", name, maxPixels)
	}
	for _, p := range points {
		if !(image.Pt(int(p[0]), int(p[1])).In(photo.Rect)) || math.IsNaN(p[0]+p[1]) {
			return nil, fmt.Errorf("cut out %q: point %.0f,%.0f lies outside the photograph", name, p[0], p[1])
		}
	}
	if points[1][0]-points[0][0] < minEyes {
		return nil, fmt.Errorf("cut out %q: the eyes are less than %d pixels apart or in the wrong order", name, minEyes)
	}
	p := &Person{Name: name, photo: photo}
	p.turn, p.shift = similarity(points)
	if p.turn == 0 {
		return nil, fmt.Errorf("cut out %q: the five points do not form a face", name)
	}
	nose := (complex(points[2][0], points[2][1]) - p.shift) / p.turn
	p.nose = min(max(real(nose), -0.018), 0.018)
	p.gain = skinAlbedo / max(p.faceMean(), 8)
	p.head = p.cutHead()
	p.relief = newRelief(p.nose, p.head)
	return p, nil
}

// similarity is the least-squares turn, scale and shift that take the canonical face to the photograph, as complex numbers.
func similarity(points [5][2]float64) (turn, shift complex128) {
	var c, q complex128
	for i := range points {
		c += complex(canonical[i][0], canonical[i][1]) / 5
		q += complex(points[i][0], points[i][1]) / 5
	}
	var num complex128
	var den float64
	for i := range points {
		d := complex(canonical[i][0], canonical[i][1]) - c
		num += cmplx.Conj(d) * (complex(points[i][0], points[i][1]) - q)
		den += real(d)*real(d) + imag(d)*imag(d)
	}
	turn = num / complex(den, 0)
	return turn, q - turn*c
}

// faceMean is the mean gray level over the oval of skin between brows, cheeks and chin.
func (p *Person) faceMean() float64 {
	var sum, n float64
	for y := -0.06; y <= 0.07; y += 0.002 {
		for x := -0.05; x <= 0.05; x += 0.002 {
			if x*x/(0.05*0.05)+y*y/(0.07*0.07) <= 1 {
				sum += p.sample(x, y, 0.002)
				n++
			}
		}
	}
	return sum / n
}

// sample is the photograph's gray level at a place of the face, averaged over pitch metres; beyond the photograph its edge goes on.
func (p *Person) sample(x, y, pitch float64) float64 {
	n := min(max(int(math.Ceil(cmplx.Abs(p.turn)*pitch/1.5)), 1), 8)
	sum := 0.0
	for j := range n {
		for i := range n {
			dx := (float64(i)+0.5)/float64(n) - 0.5
			dy := (float64(j)+0.5)/float64(n) - 0.5
			sum += bilinear(p.photo, p.turn*complex(x+dx*pitch, y+dy*pitch)+p.shift)
		}
	}
	return sum / float64(n*n)
}

func bilinear(m *image.Gray, at complex128) float64 {
	b := m.Rect
	fx := min(max(real(at), float64(b.Min.X)), float64(b.Max.X-1)-1e-6)
	fy := min(max(imag(at), float64(b.Min.Y)), float64(b.Max.Y-1)-1e-6)
	ix, iy := int(fx), int(fy)
	kx, ky := fx-float64(ix), fy-float64(iy)
	level := func(x, y int) float64 { return float64(m.Pix[m.PixOffset(min(x, b.Max.X-1), min(y, b.Max.Y-1))]) }
	top := level(ix, iy)*(1-kx) + level(ix+1, iy)*kx
	low := level(ix, iy+1)*(1-kx) + level(ix+1, iy+1)*kx
	return top*(1-ky) + low*ky
}

// cutHead resamples the photograph to the face's coordinates and fades it out around hair and shoulders.
func (p *Person) cutHead() *texture {
	t := &texture{width: texWidth, height: texHeight, texel: make([]uint32, texWidth*texHeight)}
	for j := range t.height {
		y := texTop + (float64(j)+0.5)*texelPitch
		for i := range t.width {
			x := texLeft + (float64(i)+0.5)*texelPitch
			a := cover(x, y)
			if a == 0 {
				continue
			}
			// Lower down a group photograph shows other people's arms and hair: plain cloth takes over.
			k := smooth(0.15, 0.22, y)
			albedo := p.albedo(x, y)*(1-k) + (clothAlbedo+0.05*ripple(x*25, y*8, 1))*k
			t.texel[j*t.width+i] = pack(albedo, a)
		}
	}
	return t
}

func (p *Person) albedo(x, y float64) float64 {
	return min(p.sample(x, y, texelPitch)*p.gain, 1)
}

func pack(albedo, alpha float64) uint32 {
	return uint32(min(max(albedo, 0), 1)*255) | uint32(alpha*255)<<16
}

// cover is the soft silhouette: an oval for face and hair, a neck, shoulders.
func cover(x, y float64) float64 {
	half := 0.055 + 0.125*smooth(0.075, 0.16, y)
	body := (1 - smooth(half-0.010, half, math.Abs(x))) * smooth(0.05, 0.06, y)
	return max(headCover(x, y), body)
}
