//go:build !kiosk

package twin

import (
	"bytes"
	"image"
	"math"
	"testing"
	"time"
)

// drawnPoints are the five points of drawnFace, in pixels.
var drawnPoints = [5][2]float64{{168, 200}, {232, 200}, {200, 236}, {174, 273}, {226, 273}}

// drawnFace is a synthetic photograph: no person is in it. level is the gray of the skin.
func drawnFace(level uint8) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, 400, 500))
	for y := range 500 {
		for x := range 400 {
			fx, fy := float64(x-200), float64(y-220)
			v := uint8(90)
			switch {
			case math.Hypot(math.Abs(fx)-32, fy+20) < 8, math.Hypot(fx/26, (fy-53)/6) < 1:
				v = 30
			case math.Hypot(fx/75, fy/105) < 1:
				v = level
			case y > 320:
				v = 60
			}
			m.Pix[y*m.Stride+x] = v
		}
	}
	return m
}

func drawn(t testing.TB, level uint8) *Person {
	t.Helper()
	p, err := NewPerson("drawn", drawnFace(level), drawnPoints)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Person) living() *body { return &body{mesh: p.relief, texture: p.head} }

type picture struct {
	t   testing.TB
	r   *renderer
	pix []byte
}

func newPicture(t testing.TB) *picture {
	return &picture{t, newRenderer(1), make([]byte, FrameWidth*FrameHeight)}
}

func (p *picture) draw(l lighting, things ...placed) *picture {
	l.gain = 1
	p.r.draw(p.pix, things, l, 0, 1)
	return p
}

// mean gray level of a patch around a place of the face in front of the lens at distance z, metres.
func (p *picture) mean(x, y, z, size float64) float64 {
	cx, cy, half := FrameWidth/2+focal*x/z, FrameHeight/2+focal*y/z, focal*size/z/2
	sum, n := 0.0, 0.0
	for j := int(cy - half); j <= int(cy+half); j++ {
		for i := int(cx - half); i <= int(cx+half); i++ {
			sum += float64(p.pix[j*FrameWidth+i])
			n++
		}
	}
	return sum / n
}

var frontal = vec{0, 0, 0.6}

func TestFaceFillsTheRightNumberOfPixels(t *testing.T) {
	// The drawn oval of skin is 150 photograph pixels wide where the eyes are 64 apart: 0.148 m, 148 pixels at 0.6 m.
	for _, z := range []float64{0.6, 1.2} {
		p := newPicture(t).draw(lighting{ambient: 1.5}, placed{drawn(t, 200).living(), vec{0, 0, z}, vec{}})
		row := p.pix[int(FrameHeight/2-0.02*focal/z)*FrameWidth:][:FrameWidth]
		wide := 0
		for _, v := range row {
			if v > 60 {
				wide++
			}
		}
		if want := 0.148 * focal / z; math.Abs(float64(wide)-want) > 0.06*want {
			t.Errorf("at %v m the face is %d pixels wide, want about %.0f", z, wide, want)
		}
	}
}

func TestLevelsOfAFace(t *testing.T) {
	for _, skin := range []uint8{110, 200} { // a dark and a bright photograph give the same person
		a := drawn(t, skin).living()
		level := func(l lighting) float64 {
			return newPicture(t).draw(l, placed{a, frontal, vec{}}).mean(0.01, -0.02, 0.6, 0.10)
		}
		for name, c := range map[string]struct {
			got, low, high float64
		}{
			"ambient":         {level(lighting{ambient: 1}), 50, 70},
			"ambient, lit":    {level(lighting{ambient: 1, lamp: 1}), 130, 170},
			"half lit":        {level(lighting{ambient: 1, lamp: 0.5}), 90, 120},
			"darkness":        {level(lighting{ambient: 0.02}), 0, 4},
			"darkness, lit":   {level(lighting{ambient: 0.02, lamp: 1}), 70, 110},
			"sun in the face": {level(lighting{ambient: 2, sun: 5, sunFrom: vec{0.2, -0.4, -0.9}.unit()}), 225, 256},
		} {
			if c.got < c.low || c.got > c.high {
				t.Errorf("skin %d, %s: level %.1f outside %v..%v", skin, name, c.got, c.low, c.high)
			}
		}
	}
}

func TestLampFallsOffWithTheSquareOfDistance(t *testing.T) {
	l := lighting{lamp: 1}
	normal := vec{0, 0, -1}
	near, far := l.at(lampPlace.add(vec{0, 0, 0.6}), normal), l.at(lampPlace.add(vec{0, 0, 1.2}), normal)
	if r := near / far; math.Abs(r-4) > 1e-9 {
		t.Errorf("twice the distance divides by %v", r)
	}
	if v := l.at(vec{0, 0, 0.6}, vec{0, 0, 1}); v != 0 {
		t.Errorf("a surface that faces away is lit: %v", v)
	}
	if v := l.at(vec{0, 0, 0.6}, vec{1, 0, -1}.unit()); v >= near {
		t.Errorf("a slanting surface is as bright as a facing one: %v, %v", v, near)
	}
}

// response is lit minus dark over a patch, in units of what the patch reflects.
func response(t *testing.T, b *body, x, y float64) float64 {
	thing := placed{b, frontal, vec{}}
	p := newPicture(t)
	dark := p.draw(lighting{ambient: 0.5}, thing).mean(x, y, 0.6, 0.008)
	lit := p.draw(lighting{ambient: 0.5, lamp: 0.6}, thing).mean(x, y, 0.6, 0.008)
	return lit - dark
}

func TestLampShowsTheReliefOfAHeadAndNotOfASheet(t *testing.T) {
	p := drawn(t, 160)
	head := p.living()
	flat := p.dress(Print, guise{})
	places := map[string]vec{"ridge of the nose": {0, -0.008, 0}, "forehead": {0, -0.075, 0}, "cheek's edge": {0.062, 0.005, 0}, "other edge": {-0.062, 0.005, 0}}
	of := func(b *body) map[string]float64 {
		m := map[string]float64{}
		for name, at := range places {
			m[name] = response(t, b, at.x, at.y)
		}
		return m
	}
	h, f := of(head), of(flat)
	for _, front := range []string{"ridge of the nose", "forehead"} {
		for _, edge := range []string{"cheek's edge", "other edge"} {
			if h[front] < 1.25*h[edge] {
				t.Errorf("head: %s %.1f, %s %.1f", front, h[front], edge, h[edge])
			}
			if r := f[front] / f[edge]; r < 0.93 || r > 1.07 {
				t.Errorf("print: %s %.1f, %s %.1f: more than fall-off", front, f[front], edge, f[edge])
			}
		}
	}
}

func TestScreenIgnoresTheLamp(t *testing.T) {
	p := drawn(t, 160)
	b := p.dress(Screen, guise{})
	if r := response(t, b, 0, -0.01); math.Abs(r) > 1 {
		t.Errorf("the screen answers the lamp by %.1f levels", r)
	}
	if v := newPicture(t).draw(lighting{}, placed{b, frontal, vec{}}).mean(0, -0.02, 0.6, 0.02); v < 40 {
		t.Errorf("the screen does not emit: %.1f", v)
	}
}

func TestBackgroundHardlyAnswersTheLamp(t *testing.T) {
	p := newPicture(t)
	dark := p.draw(lighting{ambient: 1}).mean(0, 0, 1, 0.4)
	lit := p.draw(lighting{ambient: 1, lamp: 1}).mean(0, 0, 1, 0.4)
	if d := lit - dark; d < 0.3 || d > 6 {
		t.Errorf("the wall answers the lamp by %.2f levels", d)
	}
	if dark < 10 || dark > 60 {
		t.Errorf("the corridor has level %.1f", dark)
	}
}

func TestTheNearerOneHidesTheFarther(t *testing.T) {
	near, far := placed{drawn(t, 200).living(), vec{0, 0, 0.6}, vec{}}, placed{drawn(t, 200).living(), vec{0, 0, 1.2}, vec{}}
	alone := newPicture(t).draw(lighting{ambient: 1}, near).mean(0, -0.03, 0.6, 0.08)
	both := newPicture(t).draw(lighting{ambient: 1}, far, near).mean(0, -0.03, 0.6, 0.08)
	if math.Abs(alone-both) > 0.5 {
		t.Errorf("somebody behind changes the face in front from %.1f to %.1f", alone, both)
	}
}

func TestNoise(t *testing.T) {
	r := newRenderer(3)
	for i := range r.canvas.lum {
		r.canvas.lum[i] = 100
	}
	dst := make([]byte, FrameWidth*FrameHeight)
	r.sensor.expose(dst, &r.canvas, 5)
	var sum, square float64
	for _, v := range dst {
		sum += float64(v)
		square += float64(v) * float64(v)
	}
	n := float64(len(dst))
	mean, sigma := sum/n, math.Sqrt(square/n-sum/n*sum/n)
	want := math.Hypot(readNoise, math.Sqrt(100.0*255/fullWell))
	if math.Abs(mean-100) > 0.1 || math.Abs(sigma-want) > 0.15 { // rounding to whole levels adds a little
		t.Errorf("level %.2f, noise %.2f; want 100 and %.2f", mean, sigma, want)
	}
}

func TestSameSeedSamePicture(t *testing.T) {
	thing := placed{drawn(t, 160).living(), frontal, vec{10, 0, 0}}
	a := newPicture(t).draw(lighting{ambient: 1}, thing).pix
	b := newPicture(t).draw(lighting{ambient: 1}, thing).pix
	if !bytes.Equal(a, b) {
		t.Error("the same seed gave two pictures")
	}
	r := newRenderer(2)
	r.draw(b, []placed{thing}, lighting{ambient: 1, gain: 1}, 0, 1)
	if bytes.Equal(a, b) {
		t.Error("two seeds gave one picture")
	}
}

// Whatever the pose, nothing is drawn outside the canvas or the texture: this would panic.
func TestEveryPoseIsDrawn(t *testing.T) {
	p := drawn(t, 160)
	out := newPicture(t)
	for _, b := range []*body{
		p.living(), p.dress(Print, guise{}), p.dress(Living, guise{glasses: true}), p.dress(Print, guise{width: 0.15, height: 0.2, scale: 0.5, bent: 0.06, glossy: true, eyesCut: true}),
		p.dress(Screen, guise{glossy: true, film: 0.3, video: true}), p.dress(Mask, guise{glossy: true, eyesCut: true, headCut: true}),
	} {
		for _, z := range []float64{0.3, 0.6, 5} {
			for _, x := range []float64{-3, -0.3, 0, 0.3} {
				for yaw := -90.0; yaw <= 90; yaw += 45 {
					for roll := -90.0; roll <= 90; roll += 90 {
						out.draw(lighting{ambient: 1, lamp: 1}, placed{b, vec{x, x / 2, z}, vec{yaw, -yaw / 2, roll}})
					}
				}
			}
		}
	}
}

func TestDrawDoesNotAllocate(t *testing.T) {
	p := newPicture(t)
	things := []placed{{drawn(t, 160).living(), frontal, vec{}}}
	if n := testing.AllocsPerRun(5, func() { p.r.draw(p.pix, things, lighting{ambient: 1, gain: 1}, 0, 1) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestNewPersonRefuses(t *testing.T) {
	face := drawnFace(160)
	swapped, outside, together := drawnPoints, drawnPoints, drawnPoints
	swapped[0], swapped[1] = swapped[1], swapped[0]
	outside[4] = [2]float64{1e9, 3}
	together[1] = [2]float64{170, 200}
	nan := drawnPoints
	nan[2] = [2]float64{math.NaN(), 3}
	for name, points := range map[string][5][2]float64{"swapped eyes": swapped, "outside": outside, "tiny": together, "nan": nan, "zero": {}} {
		if _, err := NewPerson(name, face, points); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewPerson("nobody", nil, drawnPoints); err == nil {
		t.Error("no photograph: accepted")
	}
}

func BenchmarkDraw(b *testing.B) {
	p := newPicture(b)
	things := []placed{{drawn(b, 160).living(), vec{0.3, 0, 1.2}, vec{}}, {drawn(b, 160).living(), frontal, vec{8, 2, 3}}}
	for n := range 3 {
		b.Run([]string{"nobody", "one", "two"}[n], func(b *testing.B) {
			for b.Loop() {
				p.r.draw(p.pix, things[2-n:], lighting{ambient: 1, lamp: 0.5, gain: 1}, time.Second, 1)
			}
		})
	}
}
