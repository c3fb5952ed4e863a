package face

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/lintel-access/lintel/inference/gray"
)

var template = [5]Point{{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.7299, 92.2041}}

func place(t gray.Transform, q [5]Point) (out [5]Point) {
	for i := range q {
		x, y := t.Apply(float64(q[i].X), float64(q[i].Y))
		out[i] = Point{float32(x), float32(y)}
	}
	return out
}

func TestSimilarityRecoversTheTransform(t *testing.T) {
	for _, want := range []gray.Transform{{A: 1}, {A: 2, X0: 5, Y0: -7}, {A: .9, B: .4, X0: 300, Y0: 200}, {A: -1.5, B: .1, X0: 400, Y0: 400}, {A: 0, B: 3}} {
		q := place(want, template)
		got, ok := similarity(&template, &q)
		if d := math.Abs(got.A-want.A) + math.Abs(got.B-want.B) + (math.Abs(got.X0-want.X0)+math.Abs(got.Y0-want.Y0))/100; !ok || d > 1e-4 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// With noisy points no neighbour of the solution has smaller squared distances.
func TestSimilarityIsTheLeast(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	q := place(gray.Transform{A: 1.7, B: .3, X0: 200, Y0: 150}, template)
	for i := range q {
		q[i].X += float32(r.NormFloat64() * 3)
		q[i].Y += float32(r.NormFloat64() * 3)
	}
	distance := func(t gray.Transform) (sum float64) {
		for i, p := range place(t, template) {
			sum += math.Pow(float64(p.X-q[i].X), 2) + math.Pow(float64(p.Y-q[i].Y), 2)
		}
		return sum
	}
	best, ok := similarity(&template, &q)
	if !ok {
		t.Fatal("no solution")
	}
	least := distance(best)
	for range 500 {
		n := best
		n.A += r.NormFloat64() * .01
		n.B += r.NormFloat64() * .01
		n.X0 += r.NormFloat64()
		n.Y0 += r.NormFloat64()
		if distance(n) < least-1e-3 {
			t.Fatalf("%+v is nearer than %+v", n, best)
		}
	}
}

func TestSimilarityRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	var one [5]Point
	far := place(gray.Transform{A: 1, X0: 1e8}, template)
	for name, q := range map[string][5]Point{
		"one point": one, "NaN": {{nan, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}}, "infinite": {{inf, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}}, "far": far,
	} {
		if got, ok := similarity(&template, &q); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, ok := similarity(&one, &template); ok {
		t.Error("a template of one point was accepted")
	}
}

func TestPose(t *testing.T) {
	// A head model in eye distances: eyes, nose tip in front, mouth; turned and seen from far away.
	head := [5][3]float64{{-.5, 0, 0}, {.5, 0, 0}, {0, noseHeight * eyesMouth, noseDepth}, {-.4, eyesMouth, 0}, {.4, eyesMouth, 0}}
	see := func(yaw, pitch, roll float64) (q [5]Point) {
		const rad = math.Pi / 180
		for i, p := range head {
			x, y, z := p[0], p[1]-.5, p[2]
			x, z = x*math.Cos(yaw*rad)+z*math.Sin(yaw*rad), z*math.Cos(yaw*rad)-x*math.Sin(yaw*rad)
			y, _ = y*math.Cos(pitch*rad)-z*math.Sin(pitch*rad), z
			x, y = x*math.Cos(roll*rad)-y*math.Sin(roll*rad), y*math.Cos(roll*rad)+x*math.Sin(roll*rad)
			q[i] = Point{float32(320 + 60*x), float32(240 + 60*y)}
		}
		return q
	}
	for _, want := range [][3]float64{{0, 0, 0}, {25, 0, 0}, {-25, 0, 0}, {0, 20, 0}, {0, -20, 0}, {0, 0, 15}, {0, 0, -15}, {20, 0, 10}} {
		q := see(want[0], want[1], want[2])
		eyes, yaw, pitch, roll := pose(&q)
		for i, got := range []float32{yaw, pitch, roll} {
			if math.Abs(float64(got)-want[i]) > 5 {
				t.Errorf("turned by %v: yaw %.1f pitch %.1f roll %.1f", want, yaw, pitch, roll)
				break
			}
		}
		if eyes < 57 || eyes > 63 {
			t.Errorf("turned by %v: %v pixels between the eyes, want 60", want, eyes)
		}
	}
	var none [5]Point
	if _, yaw, _, _ := pose(&none); yaw != 90 {
		t.Errorf("points that coincide have yaw %v", yaw)
	}
}

func TestHintNamesTheFirstBrokenRule(t *testing.T) {
	l := DefaultLimits()
	good := Face{Eyes: 60, Level: 120, Sharpness: .2, Visible: 1}
	nan := float32(math.NaN())
	for _, c := range []struct {
		name   string
		change func(*Face)
		want   Hint
	}{
		{"good", func(*Face) {}, HintNone},
		{"far", func(f *Face) { f.Eyes = l.FarEyes - 1 }, HintTooFar},
		{"close", func(f *Face) { f.Eyes = l.NearEyes + 1 }, HintTooClose},
		{"dark", func(f *Face) { f.Level = l.Dark - 1 }, HintTooDark},
		{"saturated", func(f *Face) { f.Clipped = l.Clipped + .01 }, HintSaturated},
		{"turned right", func(f *Face) { f.Yaw = l.Yaw + 1 }, HintTurned},
		{"turned left", func(f *Face) { f.Yaw = -l.Yaw - 1 }, HintTurned},
		{"looking up", func(f *Face) { f.Pitch = l.Pitch + 1 }, HintTurned},
		{"tilted", func(f *Face) { f.Roll = -l.Roll - 1 }, HintTurned},
		{"blurred", func(f *Face) { f.Sharpness = l.Sharpness / 2 }, HintBlurred},
		{"cut off", func(f *Face) { f.Visible = l.Visible - .01 }, HintCutOff},
		{"far and dark", func(f *Face) { f.Eyes, f.Level = 5, 5 }, HintTooFar},
		{"not a number", func(f *Face) { f.Sharpness = nan }, HintBlurred},
		{"no eyes", func(f *Face) { f.Eyes = nan }, HintTooClose},
	} {
		f := good
		c.change(&f)
		if got := l.hint(&f); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
		if got := (&Limits{}).hint(&f); got != HintNone {
			t.Errorf("%s, without limits: %d", c.name, got)
		}
	}
}

func TestQualityFallsWithEachFault(t *testing.T) {
	good := Face{Eyes: 60, Level: 120, Sharpness: .2, Visible: 1}
	if q := quality(&good); q != 1 {
		t.Errorf("a good face has %v", q)
	}
	for name, change := range map[string]func(*Face){
		"small": func(f *Face) { f.Eyes = 30 }, "turned": func(f *Face) { f.Yaw = 25 }, "nodding": func(f *Face) { f.Pitch = -25 },
		"blurred": func(f *Face) { f.Sharpness = .03 }, "clipped": func(f *Face) { f.Clipped = .3 },
	} {
		f := good
		change(&f)
		if q := quality(&f); !(q > 0 && q < .95) {
			t.Errorf("%s: %v", name, q)
		}
	}
	bad := Face{Eyes: float32(math.NaN())}
	if q := quality(&bad); q != 0 {
		t.Errorf("not a number: %v", q)
	}
}

func TestLight(t *testing.T) {
	const n = 112
	flat, stripes, soft, bright := make([]float32, n*n), make([]float32, n*n), make([]float32, n*n), make([]float32, n*n)
	for i := range flat {
		flat[i] = 90
		stripes[i] = 120 + 60*float32(i/2%2)
		soft[i] = 120 + 30*float32(math.Sin(float64(i%n)/8))
		bright[i] = 240 + 15*float32(i%2)
	}
	if level, clipped, sharp := light(flat, n, n); level != 90 || clipped != 0 || sharp != 0 {
		t.Errorf("flat: %v %v %v", level, clipped, sharp)
	}
	_, _, sharp := light(stripes, n, n)
	_, _, blurred := light(soft, n, n)
	if sharp < 10*blurred {
		t.Errorf("stripes have sharpness %v, a soft wave %v", sharp, blurred)
	}
	if _, clipped, _ := light(bright, n, n); math.Abs(float64(clipped)-.5) > .01 {
		t.Errorf("half the pixels are saturated, measured %v", clipped)
	}
}
