package access

import (
	"math"
	"testing"
)

// Each check alone, with a limit of its own: what it refuses and by which name, and that it refuses nothing where the limit is 0.
//
// Control: C08
// Control: C27
func TestEachCheckOfTheStillFace(t *testing.T) {
	nan := float32(math.NaN())
	each := func(set func(f *FrameEvidence)) func(*Presentation) {
		return func(p *Presentation) {
			for i := range p.Frames {
				set(&p.Frames[i])
			}
		}
	}
	for _, tt := range []struct {
		name  string
		limit func(*CaptureLimits)
		bend  func(*Presentation)
		want  Reason
	}{
		{"no noise at all", func(c *CaptureLimits) { c.MinNoise = .2 }, each(func(f *FrameEvidence) { f.Restless = 0 }), ReasonNoNoise},
		{"less than a sensor's", func(c *CaptureLimits) { c.MinNoise = .2 }, each(func(f *FrameEvidence) { f.Restless = .19 }), ReasonNoNoise},
		{"noise that is no number", func(c *CaptureLimits) { c.MinNoise = .2 }, each(func(f *FrameEvidence) { f.Restless = nan }), ReasonNoNoise},
		{"a sensor's noise", func(c *CaptureLimits) { c.MinNoise = .2 }, each(func(f *FrameEvidence) { f.Restless = .21 }), ReasonNone},
		{"no noise in the dark", func(c *CaptureLimits) { c.MinNoise = .2 }, each(func(f *FrameEvidence) {
			if f.Level[0] < 100 {
				f.Level, f.Edge, f.Ring, f.Restless = [Patches]float32{5, 5, 5, 5, 5}, [Edges]float32{5, 5, 5, 5, 5}, 30, 0
			}
		}), ReasonNone},
		{"one still window", func(c *CaptureLimits) { c.MinNoise = .2 }, func(p *Presentation) { p.Frames[5].Restless = .1 }, ReasonNoNoise},
		{"first and last have no neighbours", func(c *CaptureLimits) { c.MinNoise = .2 }, func(p *Presentation) { p.Frames[0].Restless, p.Frames[11].Restless = 0, 0 }, ReasonNone},

		{"a cut", func(c *CaptureLimits) { c.MaxRestless = 14 }, func(p *Presentation) { p.Frames[6].Restless = 15 }, ReasonRestless},
		{"a step", func(c *CaptureLimits) { c.MaxRestless = 14 }, func(p *Presentation) { p.Frames[6].Restless = 13 }, ReasonNone},
		{"change that is no number", func(c *CaptureLimits) { c.MaxRestless = 14 }, func(p *Presentation) { p.Frames[6].Restless = nan }, ReasonRestless},

		{"another face", func(c *CaptureLimits) { c.MinReflected = .25 }, func(p *Presentation) { p.Reflected = make([]float32, ProbeSize); p.Reflected[1] = 1 }, ReasonOtherReflected},
		{"the opposite", func(c *CaptureLimits) { c.MinReflected = .25 }, func(p *Presentation) { p.Reflected[0] = -1 }, ReasonOtherReflected},
		{"no face", func(c *CaptureLimits) { c.MinReflected = .25 }, func(p *Presentation) { p.Reflected = nil }, ReasonOtherReflected},
		{"a face that is no number", func(c *CaptureLimits) { c.MinReflected = .25 }, func(p *Presentation) { p.Reflected[9] = nan }, ReasonOtherReflected},
		{"a face of another size", func(c *CaptureLimits) { c.MinReflected = .25 }, func(p *Presentation) { p.Reflected = p.Reflected[1:] }, ReasonMalformed},
		{"nearly the same", func(c *CaptureLimits) { c.MinReflected = .25 }, func(p *Presentation) { p.Reflected[0], p.Reflected[1] = .3, .95 }, ReasonNone},

		{"matte eyes", func(c *CaptureLimits) { c.MinGlint = .1 }, each(func(f *FrameEvidence) { f.EyePeak, f.EyeLevel = f.Level[0]*1.2, f.Level[0] }), ReasonNoGlint},
		{"wet eyes", func(c *CaptureLimits) { c.MinGlint = .1 }, each(func(f *FrameEvidence) {
			f.EyePeak, f.EyeLevel = f.Level[0], f.Level[0]
			if f.Level[0] > 100 {
				f.EyePeak *= 1.2
			}
		}), ReasonNone},
		{"eyes in darkness", func(c *CaptureLimits) { c.MinGlint = .1 }, each(func(f *FrameEvidence) { f.EyePeak, f.EyeLevel = 2, 2 }), ReasonNone},

		{"a fixed head", func(c *CaptureLimits) { c.MinSway = .01 }, func(p *Presentation) { p.Sway = .009 }, ReasonMotionless},
		{"a head", func(c *CaptureLimits) { c.MinSway = .01 }, func(p *Presentation) { p.Sway = .011 }, ReasonNone},
		{"a rigid face", func(c *CaptureLimits) { c.MinFlex = .01 }, func(p *Presentation) { p.Flex = .009 }, ReasonRigid},
		{"a face", func(c *CaptureLimits) { c.MinFlex = .01 }, func(p *Presentation) { p.Flex = .011 }, ReasonNone},
	} {
		off := CaptureLimits{MaxGap: DefaultPolicy().Capture.MaxGap, MinFused: 1, MinOverlap: .4, MinTexture: 3}
		on := off
		tt.limit(&on)
		if err := on.Validate(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		p, o, b := presented(t)
		tt.bend(p)
		if got := Check(p, o, b, on, testLimits); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if got := Check(p, o, b, off, testLimits); got != ReasonNone && got != ReasonMalformed {
			t.Errorf("%s, with the check switched off: %v", tt.name, got)
		}
	}
}

// Of too few lit frames nothing can be said.
func TestNoiseNeedsThreeWindows(t *testing.T) {
	p, o, b := presented(t)
	lit := 0
	for i := range p.Frames {
		f := &p.Frames[i]
		if f.Level[0] > 100 {
			if lit++; lit > 2 {
				f.Level = [Patches]float32{240, 240, 240, 240, 240} // clipped
			}
		} else {
			f.Level = [Patches]float32{10, 10, 10, 10, 10}
		}
	}
	f := Examine(p, o, b, DefaultPolicy().Capture, testLimits)
	if f[CriterionNoise].Reason != ReasonFewFrames || !f[CriterionNoise].Reason.Again() {
		t.Errorf("%+v", f[CriterionNoise])
	}
}

// Why nothing can be said of the noise: darkness loses no frame, and a face that was not aligned is no attack.
func TestNoiseThatIsNotMeasured(t *testing.T) {
	dim := func(p *Presentation) {
		for i := range p.Frames {
			f := &p.Frames[i]
			level := float32(1)
			if f.Level[0] > 100 {
				level = 12
			}
			f.Level = [Patches]float32{level, level, level, level, level}
		}
	}
	unaligned := func(p *Presentation) {
		for i := range p.Frames {
			p.Frames[i].Restless = -1
		}
	}
	for name, tt := range map[string]struct {
		bend func(*Presentation)
		want Reason
	}{
		"a face lit to 12 gray levels":   {dim, ReasonTooDark},
		"one window, the others dark":    {func(p *Presentation) { dim(p); p.Frames[5].Level = [Patches]float32{20, 20, 20, 20, 20} }, ReasonTooDark},
		"dark, and one frame clipped":    {func(p *Presentation) { dim(p); p.Frames[5].Level = [Patches]float32{250, 250, 250, 250, 250} }, ReasonFewFrames},
		"a face that cannot be aligned":  {unaligned, ReasonFewFrames},
		"not aligned, and dark":          {func(p *Presentation) { dim(p); unaligned(p) }, ReasonFewFrames},
		"all frames but one are missing": {func(p *Presentation) { p.Frames = p.Frames[:3] }, ReasonFewFrames},
	} {
		p, o, b := presented(t)
		tt.bend(p)
		f := Examine(p, o, b, DefaultPolicy().Capture, testLimits)
		if got := f[CriterionNoise].Reason; got != tt.want || !got.Again() || got.Attack() {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestLimitsOfTheStillFace(t *testing.T) {
	for name, bend := range map[string]func(*CaptureLimits){
		"negative noise": func(c *CaptureLimits) { c.MinNoise = -1 }, "noise of NaN": func(c *CaptureLimits) { c.MinNoise = float32(math.NaN()) },
		"all is restless": func(c *CaptureLimits) { c.MinNoise, c.MaxRestless = 2, 2 }, "restless for ever": func(c *CaptureLimits) { c.MaxRestless = 65 },
		"restless below nothing": func(c *CaptureLimits) { c.MaxRestless = -1 }, "the very same picture": func(c *CaptureLimits) { c.MinReflected = .95 },
		"negative cosine": func(c *CaptureLimits) { c.MinReflected = -.1 }, "blinding eyes": func(c *CaptureLimits) { c.MinGlint = 3 },
		"negative glint": func(c *CaptureLimits) { c.MinGlint = -.1 }, "leaps": func(c *CaptureLimits) { c.MinSway = .2 }, "grimaces": func(c *CaptureLimits) { c.MinFlex = .2 },
	} {
		c := DefaultPolicy().Capture
		if bend(&c); c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := DefaultPolicy().Capture.Validate(); err != nil {
		t.Error(err)
	}
}
