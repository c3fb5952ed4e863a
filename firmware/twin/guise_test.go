//go:build !kiosk

package twin

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

// brightest is the highest level within half metres of a place of the face.
func (p *picture) brightest(x, y, z, half float64) (most byte) {
	cx, cy, r := FrameWidth/2+focal*x/z, FrameHeight/2+focal*y/z, focal*half/z
	for j := int(cy - r); j <= int(cy+r); j++ {
		for i := int(cx - r); i <= int(cx+r); i++ {
			most = max(most, p.pix[j*FrameWidth+i])
		}
	}
	return most
}

func TestEyesGlintInTheLampAndMasksDoNot(t *testing.T) {
	p := drawn(t, 160)
	near := vec{0, 0, 0.5}
	over := func(b *body, lamp float64) int {
		skin := newPicture(t).draw(lighting{lamp: lamp}, placed{&body{mesh: b.mesh, texture: b.texture}, near, vec{}})
		got := newPicture(t).draw(lighting{lamp: lamp}, placed{b, near, vec{}})
		e := canonical[0]
		return int(got.brightest(e[0], e[1], near.z, 0.005)) - int(skin.brightest(e[0], e[1], near.z, 0.005))
	}
	if v := over(p.dress(Living, guise{}), 0.6); v < 15 {
		t.Errorf("an eye's glint is %d levels above the eye", v)
	}
	if v := over(p.dress(Living, guise{}), 0); v != 0 {
		t.Errorf("an eye glints in the dark by %d", v)
	}
	if v := over(p.dress(Mask, guise{paint: 1}), 0.6); v != 0 {
		t.Errorf("a mask's eye glints by %d", v)
	}
	behind := newPicture(t).draw(lighting{lamp: 1}, placed{p.dress(Living, guise{glasses: true}), vec{0, 0, 0.6}, vec{}}, placed{p.dress(Print, guise{}), vec{0, 0, 0.5}, vec{}})
	alone := newPicture(t).draw(lighting{lamp: 1}, placed{p.dress(Print, guise{}), vec{0, 0, 0.5}, vec{}})
	if !bytes.Equal(behind.pix[FrameWidth*200:FrameWidth*280], alone.pix[FrameWidth*200:FrameWidth*280]) {
		t.Error("eyes glint through a sheet of paper")
	}
}

func TestGlassesShowTheLampUntilTheHeadTurns(t *testing.T) {
	b := drawn(t, 160).dress(Living, guise{glasses: true})
	saturated := func(yaw float64) (n int) {
		for _, v := range newPicture(t).draw(lighting{lamp: 0.5}, placed{b, frontal, vec{yaw, 0, 0}}).pix {
			if v == 255 {
				n++
			}
		}
		return n
	}
	if n := saturated(0); n < 4 || n > 100 {
		t.Errorf("both lenses saturate %d pixels", n)
	}
	if n := saturated(40); n != 0 {
		t.Errorf("turned by 40 degrees they saturate %d", n)
	}
	frame := newPicture(t).draw(lighting{ambient: 1}, placed{b, frontal, vec{}}).mean(0, -0.040, 0.6, 0.003)
	skin := newPicture(t).draw(lighting{ambient: 1}, placed{drawn(t, 160).living(), frontal, vec{}}).mean(0, -0.040, 0.6, 0.003)
	if frame > skin/2 {
		t.Errorf("the bridge is as bright as skin: %.0f, %.0f", frame, skin)
	}
}

func TestSheetsAnswerAsTheirMaterial(t *testing.T) {
	p := drawn(t, 160)
	matte, side := p.dress(Print, guise{}), 0.06
	if flat, bent := response(t, matte, side, -0.1), response(t, p.dress(Print, guise{bent: 0.08}), side, -0.1); bent > 0.85*flat {
		t.Errorf("6 cm from the middle a bent sheet answers %.1f, a flat one %.1f", bent, flat)
	}
	// The lamp's image lies half-way up to the lamp, 2.5 cm above the middle of a sheet that hangs straight.
	glossy := response(t, p.dress(Print, guise{glossy: true}), 0, -0.025)
	if dull := response(t, matte, 0, -0.025); glossy < dull+10 {
		t.Errorf("in the lamp's image a glossy sheet answers %.1f, a matte one %.1f", glossy, dull)
	}
	if a, b := response(t, p.dress(Print, guise{glossy: true}), 0.12, 0.15), response(t, matte, 0.12, 0.15); math.Abs(a-b) > 3 {
		t.Errorf("far from it %.1f and %.1f", a, b)
	}
	if r := response(t, p.dress(Screen, guise{dark: true}), 0, 0.05); r < 0 || r > 10 {
		t.Errorf("black glass answers by %.1f", r)
	}
	if plain, film := response(t, p.dress(Screen, guise{}), 0.02, 0), response(t, p.dress(Screen, guise{film: 0.3}), 0.02, 0); math.Abs(plain) > 1 || film < 20 {
		t.Errorf("a screen answers by %.1f, under a film by %.1f", plain, film)
	}
	darker := p.dress(Living, guise{})
	darker.tint = 0.5
	if a, b := response(t, darker, 0, -0.07), response(t, p.living(), 0, -0.07); math.Abs(a/b-0.5) > 0.05 {
		t.Errorf("skin of half the reflectance answers %.1f, all of it %.1f", a, b)
	}
}

func TestWhatIsCutOutIsNotThere(t *testing.T) {
	p := drawn(t, 160)
	empty := newPicture(t).draw(lighting{ambient: 1})
	e := canonical[1]
	cut := newPicture(t).draw(lighting{ambient: 1}, placed{p.dress(Print, guise{eyesCut: true, headCut: true}), frontal, vec{}})
	for _, at := range [][2]float64{{e[0], e[1]}, {0.11, 0}, {0, 0.13}} {
		if a, b := cut.mean(at[0], at[1], 0.6, 0.006), empty.mean(at[0], at[1], 0.6, 0.006); math.Abs(a-b) > 2 {
			t.Errorf("at %v the sheet shows %.1f where the wall is %.1f", at, a, b)
		}
	}
	if a, b := cut.mean(0, 0.02, 0.6, 0.006), empty.mean(0, 0.02, 0.6, 0.006); math.Abs(a-b) < 10 {
		t.Errorf("nothing is left of the sheet: %.1f, wall %.1f", a, b)
	}
}

func TestRecordingFollowsItsOwnCode(t *testing.T) {
	r := recording{code: "101", start: time.Second}
	for at, want := range map[time.Duration]float64{
		0: 1, time.Second + interval/2: 1, time.Second + interval + interval/2: recordedDark, time.Second + 3*interval: 1, time.Minute: 1,
		time.Second + interval + exposure/2: (1 + recordedDark) / 2,
	} {
		if got := r.share(at); math.Abs(got-want) > 1e-6 {
			t.Errorf("at %v: %.3f, want %.3f", at, got, want)
		}
	}
	if (recording{}).share(time.Second) != 1 {
		t.Error("a screen without a recording is not at its full light")
	}
}

const everyone = minimal + `
person enrolled 1
glasses
reflectance 0.3
at 0s position 0.3 0 1.4
print of enrolled 1
size 0.2 0.3
scale 0.8
bent 0.2
glossy
cut eyes
cut head
shakes 0.01
at 0s position -0.1 0 0.7
screen of enrolled 1
dark
film 0.2
plays 1100 at 0.5s
at 0s position 0 0 0.9
mask of enrolled 1
paint 0.5
cut eyes
glossy
reflectance 0.6
follows
at 0s position 0.1 0 0.8
`

func TestParseDressing(t *testing.T) {
	s := scene(t, everyone)
	want := []Actor{
		{Form: Living, guise: guise{glasses: true}, reflectance: 0.3},
		{Form: Print, guise: guise{width: 0.2, height: 0.3, scale: 0.8, bent: 0.2, glossy: true, eyesCut: true, headCut: true}, shakes: 0.01},
		{Form: Screen, guise: guise{dark: true, film: 0.2, video: true}, recording: recording{"1100", 500 * time.Millisecond}},
		{Form: Mask, guise: guise{paint: 0.5, eyesCut: true, glossy: true}, reflectance: 0.6, follows: true},
	}
	for i, a := range s.Actors {
		w := want[i]
		if a.Form != w.Form || a.guise != w.guise || a.recording != w.recording || a.reflectance != w.reflectance || a.shakes != w.shakes || a.follows != w.follows {
			t.Errorf("actor %d: %+v", i, a)
		}
	}
	for text, want := range map[string]string{
		"glasses":                                                            "before any actor",
		"person enrolled 1\nbent 0.2":                                        `line 4: "bent" does not go with`,
		"person enrolled 1\nfollows":                                         "nobody is there to be followed",
		"mask of enrolled 1\ncut head":                                       `"head" cannot be cut`,
		"print of enrolled 1\ncut ears":                                      `"ears" cannot be cut`,
		"print of enrolled 1\ncut eyes\ncut eyes":                            "line 5: it has been cut already",
		"print of enrolled 1\nglossy\nglossy":                                "line 5: \"glossy\" stands twice",
		"print of enrolled 1\nsize 0.2":                                      "is not a number",
		"print of enrolled 1\nsize 0.2 2":                                    "number from 0.05 to 0.6",
		"print of enrolled 1\nbent 0.01":                                     "number from 0.05",
		"screen of enrolled 1\nplays 12 at 0s":                               "not a code",
		"screen of enrolled 1\nplays":                                        "not a code",
		"screen of enrolled 1\nplays 10":                                     `"at" should stand`,
		"screen of enrolled 1\nfilm 0.7":                                     "number from 0 to 0.6",
		"person enrolled 1\nreflectance 1":                                   "number from 0.1",
		"mask enrolled 1":                                                    `"of" should stand`,
		"screen of enrolled 1\nplays " + strings.Repeat("01", 33) + " at 0s": "not a code",
	} {
		if _, err := ParseScene("x", []byte(minimal+text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want ...%s...", text, err, want)
		}
	}
}

func TestStudioDrawsTheSameWithoutAClock(t *testing.T) {
	cast := Cast{Enrolled: []*Person{drawn(t, 160)}}
	draw := func(s *Studio, n int, l Light) []byte {
		pix := make([]byte, FrameWidth*FrameHeight)
		s.Draw(pix, time.Duration(n)*interval, uint64(n), l)
		return pix
	}
	open := func() *Studio {
		s := NewStudio(3)
		if err := s.Stage(scene(t, everyone), &cast); err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := open(), open()
	draw(a, 9, Light{}) // whatever was drawn before
	if !bytes.Equal(draw(a, 5, Light{Lamp: 0.5}), draw(b, 5, Light{Lamp: 0.5})) {
		t.Error("the same frame comes out in two ways")
	}
	if bytes.Equal(draw(a, 5, Light{Lamp: 0.5}), draw(a, 5, Light{})) || bytes.Equal(draw(a, 5, Light{}), draw(a, 25, Light{})) {
		t.Error("the lamp or the time changes nothing")
	}
	if !bytes.Equal(draw(a, 5, Light{Still: time.Second}), draw(b, 5, Light{Still: time.Second})) {
		t.Error("a still picture comes out in two ways")
	}
	if err := a.Stage(scene(t, minimal+"person stranger 1\nat 0s position 0 0 1"), &cast); err == nil {
		t.Error("a scene with somebody whom the cast has not was staged")
	}
	pix, n := make([]byte, FrameWidth*FrameHeight), 0
	if allocs := testing.AllocsPerRun(20, func() {
		b.Draw(pix, time.Duration(n)*interval, uint64(n), Light{Lamp: 0.5})
		n++
	}); allocs != 0 {
		t.Errorf("a frame costs %v allocations", allocs)
	}
}

// The wardrobe keeps what was made, and a scene's reflectance does not stick to it.
func TestWardrobeKeepsWhatWasMade(t *testing.T) {
	cast := Cast{Enrolled: []*Person{drawn(t, 160)}}
	s := NewStudio(1)
	for i, text := range []string{"print of enrolled 1\nglossy\nat 0s position 0 0 1", "print of enrolled 1\nglossy\nshakes 0.02\nat 0s position 0 0 0.7"} {
		if err := s.Stage(scene(t, minimal+text), &cast); err != nil || len(s.wardrobe) != 1 {
			t.Errorf("scene %d: %v, %d costumes", i, err, len(s.wardrobe))
		}
	}
	for i, r := range []string{"reflectance 0.25", "glossy"} {
		if err := s.Stage(scene(t, minimal+"mask of enrolled 1\n"+r+"\nat 0s position 0 0 1"), &cast); err != nil {
			t.Fatal(err)
		}
		if want := []float64{0.5, 0}[i]; s.show.bodies[0].tint != want {
			t.Errorf("scene %d: tint %v, want %v", i, s.show.bodies[0].tint, want)
		}
	}
}
