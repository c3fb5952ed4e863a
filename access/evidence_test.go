package access

import (
	"math"
	"slices"
	"testing"
	"time"
)

// Every way of not answering the lamp is an attack, and says so.
func TestUnansweredIsAnAttack(t *testing.T) {
	n := 0
	for r := range Reason(len(reasonNames)) {
		if r.Unanswered() {
			if n++; !r.Attack() || r.Again() {
				t.Errorf("%v: attack %v, again %v", r, r.Attack(), r.Again())
			}
		}
		if r.Attack() && r.Again() {
			t.Errorf("%v is an attack and a bad moment", r)
		}
	}
	if n != 8 {
		t.Errorf("%d ways", n)
	}
}

// presented is a presentation that passes, and what it is checked against.
func presented(t *testing.T) (*Presentation, Opened, Book) {
	t.Helper()
	b := book(t)
	code, err := b.Code(42)
	if err != nil {
		t.Fatal(err)
	}
	o := Opened{
		Session: SessionID{Boot: 3, Number: 9}, Nonce: [16]byte{1}, Camera: [32]byte{2}, Bundle: [32]byte{3}, Track: 1,
		Start: time.Second - 100*time.Millisecond, Interval: testInterval, Code: code, Chips: chips(code),
		MinLearned: 0.5,
	}
	p := &Presentation{
		Session: o.Session, Nonce: o.Nonce, Camera: o.Camera, Bundle: o.Bundle,
		Frames: answers(code, head(code)), Probe: make([]float32, ProbeSize), ProbeFrom: 6, Liveness: 0.9,
	}
	p.Probe[0] = 1
	p.Reflected = slices.Clone(p.Probe)
	return p, o, b
}

// Control: A14
// Control: A17
// Control: B05
// Control: C09
func TestCheckRefusesEachBrokenPresentation(t *testing.T) {
	limits := CaptureLimits{MaxGap: 150 * time.Millisecond, MinFused: 2, LearnedBudget: 0.01, MinOverlap: 0.4, MinTexture: 3}
	tests := []struct {
		name string
		bend func(*Presentation)
		want Reason
	}{
		{"nothing bent", func(*Presentation) {}, ReasonNone},
		{"session number", func(p *Presentation) { p.Session.Number++ }, ReasonOtherSession},
		{"boot", func(p *Presentation) { p.Session.Boot-- }, ReasonOtherSession},
		{"nonce", func(p *Presentation) { p.Nonce[15]++ }, ReasonOtherSession},
		{"camera", func(p *Presentation) { p.Camera[0]++ }, ReasonOtherCamera},
		{"bundle", func(p *Presentation) { p.Bundle[0]++ }, ReasonOtherBundle},
		{"no frames", func(p *Presentation) { p.Frames = nil }, ReasonFewFrames},
		{"too many frames", func(p *Presentation) { p.Frames = make([]FrameEvidence, MaxFrames+1) }, ReasonMalformed},
		{"short probe", func(p *Presentation) { p.Probe = p.Probe[:100] }, ReasonMalformed},
		{"frame from before the session", func(p *Presentation) { p.Frames[0].Stamp -= 200 * time.Millisecond }, ReasonFrameStale},
		{"frame without exposure", func(p *Presentation) { p.Frames[3].Exposure = 0 }, ReasonMalformed},
		{"more light from some frame on", func(p *Presentation) { p.Frames[6].Taken = 2 }, ReasonNotHeld},
		{"longer exposure from some frame on", func(p *Presentation) { p.Frames[6].Exposure++ }, ReasonNotHeld},
		{"frame twice", func(p *Presentation) { p.Frames[5] = p.Frames[4] }, ReasonFrameOrder},
		{"frames swapped", func(p *Presentation) { p.Frames[5], p.Frames[4] = p.Frames[4], p.Frames[5] }, ReasonFrameOrder},
		{"chain repeated", func(p *Presentation) { p.Frames[5].Chain = p.Frames[4].Chain }, ReasonFrameOrder},
		{"gap", func(p *Presentation) {
			for i := 6; i < len(p.Frames); i++ {
				p.Frames[i].Stamp += 160 * time.Millisecond
			}
		}, ReasonFewFrames},
		{"another face half-way", func(p *Presentation) {
			for i := 6; i < len(p.Frames); i++ {
				p.Frames[i].Track = 2
			}
		}, ReasonTrackLost},
		{"another face from the start", func(p *Presentation) {
			for i := range p.Frames {
				p.Frames[i].Track = 2
			}
		}, ReasonTrackLost},
		{"who has left in the middle", func(p *Presentation) {
			for i := 6; i < len(p.Frames); i++ {
				p.Frames[i].Texture, p.Frames[i].Level = 0, [Patches]float32{30, 30, 30, 30, 30}
			}
		}, ReasonTrackLost},
		{"a face that is found in the light alone", func(p *Presentation) {
			for i := range p.Frames {
				if p.Frames[i].Level[0] < 100 {
					p.Frames[i].Texture = 0
				}
			}
		}, ReasonNone},
		{"no face in one frame", func(p *Presentation) { p.Frames[2].Track = 0 }, ReasonTrackLost},
		{"learned check", func(p *Presentation) { p.Liveness = 0.2 }, ReasonLiveness},
		{"no texture", func(p *Presentation) {
			for i := range p.Frames {
				p.Frames[i].Texture = 1
			}
		}, ReasonNoTexture},
		{"texture that is no number", func(p *Presentation) {
			for i := range p.Frames {
				p.Frames[i].Texture = float32(math.NaN())
			}
		}, ReasonTrackLost},
		{"a face elsewhere", func(p *Presentation) { p.Frames[6].Box = Box{400, 0, 500, 100} }, ReasonJump},
		{"a frame off the camera's beat", func(p *Presentation) { p.Frames[6].Stamp += 12 * time.Millisecond }, ReasonPhase},
		{"no probe", func(p *Presentation) { p.Probe = nil }, ReasonNoProbe},
		{"probe of one frame", func(p *Presentation) { p.ProbeFrom = 1 }, ReasonNoProbe},
	}
	for _, tt := range tests {
		p, o, b := presented(t)
		tt.bend(p)
		if got := Check(p, o, b, limits, testLimits); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestReasonsAreOfOneKind(t *testing.T) {
	for r := range Reason(len(reasonNames) + 1) {
		if r.Attack() && r.Again() || r.Own() && (r.Attack() || r.Again()) {
			t.Errorf("%v is more than one of an attack, a bad moment and the person's own", r)
		}
	}
}
