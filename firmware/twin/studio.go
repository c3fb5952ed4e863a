//go:build !kiosk

package twin

import (
	"time"

	"github.com/lintel-access/lintel/firmware/frames"
)

// Studio draws the frames of scenes in a time of the caller's: no clock, no goroutine, no socket. The same scene, cast and arguments
// give the same pictures. It is used by one goroutine; a Cast may be shared by several studios.
type Studio struct {
	renderer *renderer
	seed     uint64
	wardrobe wardrobe
	show     *show
	things   []placed
}

// NewStudio makes a studio whose backdrop and noise come from seed.
func NewStudio(seed uint64) *Studio {
	return &Studio{renderer: newRenderer(seed), seed: seed, wardrobe: wardrobe{}, things: make([]placed, 0, maxActors)}
}

// Stage takes the scene that the next frames are of.
func (s *Studio) Stage(scene *Scene, cast *Cast) (err error) {
	s.show, err = stage(scene, cast, s.wardrobe)
	s.renderer.seed = s.seed ^ scene.seed*0x9e3779b97f4a7c15
	return err
}

// Light is what a frame is drawn in.
type Light struct {
	Lamp float64    // share of the exposure in which the lamp was on, 0..1
	Pair [2]float64 // the same of the left and the right lamp of a board with two
	// Still, when not zero, stops everything that moves at that time of the scene: a photograph that only the light changes.
	Still time.Duration
	// Camera is how the camera takes light in; zero: normally.
	Camera frames.Light
}

// Draw draws the frame whose exposure ends at t of the staged scene into dst, FrameWidth x FrameHeight gray bytes. seq picks its noise.
// Nothing is allocated.
func (s *Studio) Draw(dst []byte, t time.Duration, seq uint64, l Light) {
	if l.Still != 0 {
		t = l.Still
	}
	s.things = s.show.place(s.things[:0], t, s.renderer.seed)
	light := s.show.light()
	light.lamp, light.pair = l.Lamp, l.Pair
	light.by(l.Camera)
	s.renderer.draw(dst, s.things, light, t, seq)
}

// Exposure is how long the simulated camera gathers light for a frame, normally.
const Exposure = exposure

// Least and Most are what the simulated camera can be told to take in: an eighth of its normal exposure, and eight times its normal gain.
var (
	Least = frames.Light{Exposure: exposure / 8, Gain: 1}
	Most  = frames.Light{Exposure: exposure, Gain: 8}
)

// by takes the light in as the camera was told to.
func (l *lighting) by(c frames.Light) {
	if c.Exposure > 0 {
		l.open = float64(c.Exposure) / float64(exposure)
	}
	if c.Gain > 0 {
		l.gain *= float64(c.Gain)
	}
}
