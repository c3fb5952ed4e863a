package face

import (
	"math"

	"github.com/lintel-access/lintel/inference/gray"
)

// Hint is a named quality rule that a face breaks, zero when it breaks none. The numbers are those of access.Hint, which inference may
// not import; the roof converts one into the other and its test holds the two lists together.
type Hint uint8

// Append only: the numbers stand in audit records.
const (
	HintNone      Hint = 0
	HintNobody    Hint = 1
	HintTooFar    Hint = 2
	HintTooClose  Hint = 3
	HintTooDark   Hint = 4
	HintSaturated Hint = 5
	HintBlurred   Hint = 6
	HintTurned    Hint = 7
	HintCutOff    Hint = 8
	HintSeveral   Hint = 9
)

// Limits are the thresholds of the quality rules. The zero value of a field switches its rule off.
//
// The effects in the comments were measured on photographs that were made worse step by step (LFW and NUAA in gray): "score" is the
// cosine between the probes of the worse and of the untouched photograph, which says how much of the margin to strangers is left.
type Limits struct {
	NearEyes  float32 // px between the eyes; more is too close
	FarEyes   float32 // px between the eyes; less is too far
	Dark      float32 // mean gray level of the face, 0..255; less is too dark
	Clipped   float32 // share of saturated pixels of the face, 0..1; more is saturated
	Sharpness float32 // mean squared Laplacian of the aligned face over its variance; less is blurred
	Yaw       float32 // degrees either way; more is turned
	Pitch     float32 // degrees either way
	Roll      float32 // degrees either way
	Visible   float32 // share of the aligned face that lies inside the frame, 0..1; less is cut off
}

// DefaultLimits suit a 640x480 camera of 60 to 80 degrees at a door.
func DefaultLimits() Limits {
	return Limits{
		NearEyes:  140, // the face fills 420 of 480 lines, and the ring around the head reaches both borders
		FarEyes:   28,  // score .999 at 38 px, .984 (worst .91) at 25 px, .96 (worst .85) at 19 px
		Dark:      25,  // score .93 at a level of 38, .68 at 13, before any sensor noise
		Clipped:   0.35,
		Sharpness: 0.018, // a 5x5 mean at 46 px between the eyes (score .92) has .022, a 7x7 mean (.78) .011; 1 % of LFW is below
		Yaw:       35,    // the outer twentieths of press photographs are beyond 31 degrees
		Pitch:     32,
		Roll:      25,
		Visible:   0.9,
	}
}

// clippedLevel is the gray level from which a pixel counts as saturated: sensors and their gamma rarely reach 255 evenly.
const clippedLevel = 250

// assess fills pose, light, sharpness, Quality and Hint of f from its points and the aligned face in p.aligned.
func (p *Pipeline) assess(src gray.Plane, f *Face, t gray.Transform) {
	f.Eyes, f.Yaw, f.Pitch, f.Roll = pose(&f.Points)
	w, h := p.parts.ExtractorInput.Width, p.parts.ExtractorInput.Height
	f.Level, f.Clipped, f.Sharpness = light(p.aligned, w, h)
	f.Visible = visible(src, t, w, h)
	f.Hint = p.limits.hint(f)
	f.Quality = quality(f)
}

// Noses of adults stand 0.45 of the distance between the eyes in front of the plane of eyes and mouth; the eyes are 1.05 of that
// distance above the mouth, and in a frontal view the nose tip lies 0.52 of the way down (medians over frontal press photographs).
const (
	noseDepth  = 0.45
	eyesMouth  = 1.05
	noseHeight = 0.52
)

// pose estimates the distance between the eyes in pixels and the turn of the head in degrees from where the nose tip lies between
// eyes and mouth. It is coarse (some five degrees) and meant for a gate, not for a measurement.
func pose(q *[5]Point) (eyes, yaw, pitch, roll float32) {
	ex, ey := float64(q[1].X-q[0].X), float64(q[1].Y-q[0].Y)
	mx, my := float64(q[0].X+q[1].X)/2, float64(q[0].Y+q[1].Y)/2
	lx, ly := float64(q[3].X+q[4].X)/2-mx, float64(q[3].Y+q[4].Y)/2-my
	nx, ny := float64(q[2].X)-mx, float64(q[2].Y)-my
	d := math.Hypot(ex, ey)
	down := math.Hypot(lx, ly)
	if !(d > 0 && down > 0) {
		return float32(d), 90, 90, 180
	}
	// The face's own axes: along from eye to eye, and down from the eyes to the mouth.
	along := (nx*ex + ny*ey) / d
	straight := (lx*ex + ly*ey) / d
	share := (nx*lx + ny*ly) / (down * down)
	const deg = 180 / math.Pi
	yaw = float32(deg * math.Atan((along-straight*share)/d/noseDepth))
	pitch = float32(deg * math.Atan((noseHeight-share)*eyesMouth/noseDepth))
	roll = float32(deg * math.Atan2(ey, ex))
	// A turned head narrows the distance between the eyes; the true one says how far away the person is.
	return float32(d / max(.5, math.Cos(float64(yaw)/deg))), yaw, pitch, roll
}

// light measures the middle of an aligned face, from brow to chin and cheek to cheek: mean level, share of saturated pixels, and the
// mean squared Laplacian over the variance, which falls when the face is out of focus or smeared and hardly changes with contrast.
func light(gray []float32, w, h int) (level, clipped, sharpness float32) {
	x0, x1, y0, y1 := w*24/112, w*88/112, h*30/112, h*104/112
	var sum, sum2, lap float32
	var high int
	for y := y0; y < y1; y++ {
		up, row, low := gray[(y-1)*w+x0-1:][:x1-x0+2], gray[y*w+x0-1:][:x1-x0+2], gray[(y+1)*w+x0-1:][:x1-x0+2]
		var s, s2, l2 float32
		for i := 1; i < len(row)-1; i++ {
			v := row[i]
			l := up[i] + low[i] + row[i-1] + row[i+1] - 4*v
			s += v
			s2 += v * v
			l2 += l * l
			if v >= clippedLevel {
				high++
			}
		}
		sum, sum2, lap = sum+s, sum2+s2, lap+l2
	}
	n := float32((x1 - x0) * (y1 - y0))
	level = sum / n
	variance := max(sum2/n-level*level, 1)
	return level, float32(high) / n, lap / n / variance
}

// visible is the share of a grid of positions of the aligned face that lie inside the frame.
func visible(src gray.Plane, t gray.Transform, w, h int) float32 {
	const grid = 8
	in := 0
	for j := range grid {
		for i := range grid {
			x, y := t.Apply((float64(i)+.5)*float64(w)/grid, (float64(j)+.5)*float64(h)/grid)
			if x >= 0 && y >= 0 && x <= float64(src.W) && y <= float64(src.H) {
				in++
			}
		}
	}
	return float32(in) / (grid * grid)
}

// hint is the first rule that f breaks, in the order in which a person can mend them.
func (l *Limits) hint(f *Face) Hint {
	over := func(v, limit float32) bool { return limit > 0 && !(v <= limit && v >= -limit) }
	under := func(v, limit float32) bool { return limit > 0 && !(v >= limit) }
	switch {
	case over(f.Eyes, l.NearEyes):
		return HintTooClose
	case under(f.Eyes, l.FarEyes):
		return HintTooFar
	case under(f.Visible, l.Visible):
		return HintCutOff
	case under(f.Level, l.Dark):
		return HintTooDark
	case over(f.Clipped, l.Clipped):
		return HintSaturated
	case over(f.Yaw, l.Yaw) || over(f.Pitch, l.Pitch) || over(f.Roll, l.Roll):
		return HintTurned
	case under(f.Sharpness, l.Sharpness):
		return HintBlurred
	}
	return HintNone
}

// quality is how much a frame is worth beside others of the same face, 0..1: a product of how large, how frontal, how sharp and how
// well exposed the face is, each falling from 1 where accuracy begins to suffer.
func quality(f *Face) float32 {
	const (
		floor     = 0.05 // no frame that passed the rules is worth nothing
		smallEyes = 15   // px, worth nothing
		fullEyes  = 45   // px; more adds no detail to an extractor input of 35 px between the eyes
		fullSharp = 0.06
		turn      = 60 // degrees at which nothing of a frontal face is left
	)
	part := func(v float32) float32 { return max(floor, min(v, 1)) }
	q := part((f.Eyes-smallEyes)/(fullEyes-smallEyes)) *
		part(1-(f.Yaw*f.Yaw+f.Pitch*f.Pitch)/(turn*turn)) *
		part(f.Sharpness/fullSharp) *
		part(1-f.Clipped)
	if !(q > 0) {
		return 0 // NaN
	}
	return q
}
