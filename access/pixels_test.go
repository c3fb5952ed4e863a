package access

import "testing"

// Control: A20
func TestNoFrameComesTwice(t *testing.T) {
	check := func(bend func(*Presentation, *Opened)) Reason {
		p, o, b := presented(t)
		bend(p, &o)
		return Check(p, o, b, DefaultPolicy().Capture, testLimits)
	}
	for _, tt := range []struct {
		name string
		bend func(*Presentation, *Opened)
		want Reason
	}{
		{"none twice", func(*Presentation, *Opened) {}, ReasonNone},
		{"the one before", func(p *Presentation, _ *Opened) { p.Frames[7].Pixels = p.Frames[6].Pixels }, ReasonRepeated},
		{"an early one", func(p *Presentation, _ *Opened) { p.Frames[11].Pixels = p.Frames[0].Pixels }, ReasonRepeated},
		{"of an earlier session", func(p *Presentation, o *Opened) { o.Shown = Remember(nil, p.Frames[3:4]) }, ReasonRepeated},
		{"others of earlier sessions", func(p *Presentation, o *Opened) { o.Shown = []PixelHash{{99}, {98}} }, ReasonNone},
		{"none reported", func(p *Presentation, _ *Opened) {
			for i := range p.Frames {
				p.Frames[i].Pixels = PixelHash{}
			}
		}, ReasonRepeated},
	} {
		if got := check(tt.bend); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A sensor that clips makes the same picture again and again: it says nothing of who sent it.
func TestBlankFramesMayRepeat(t *testing.T) {
	for level, want := range map[float32]int{0: 0, .5: 0, 2: 3, 128: 3, 253: 3, 255: 0} {
		frames := make([]FrameEvidence, 4)
		for i := range frames {
			frames[i].Ring = level
			for k := range frames[i].Level {
				frames[i].Level[k] = level
			}
		}
		if got := (Opened{}).repeated(frames); got != want {
			t.Errorf("four frames of level %v: %d repeated, want %d", level, got, want)
		}
		if got := len(Remember(nil, frames)); (got == 0) != (want == 0) {
			t.Errorf("of level %v %d frames are remembered", level, got)
		}
	}
	if !(&FrameEvidence{Ring: 0}).blank() || (&FrameEvidence{Ring: 40}).blank() {
		t.Error("a frame is judged by a part of it")
	}
}

func TestRememberIsBounded(t *testing.T) {
	var shown []PixelHash
	for s := range 40 {
		frames := make([]FrameEvidence, MaxFrames)
		for i := range frames {
			frames[i].Ring, frames[i].Pixels = 40, PixelHash{byte(s), byte(i)}
		}
		shown = Remember(shown, frames)
	}
	if len(shown) != MaxShown || shown[MaxShown-1] != (PixelHash{39, MaxFrames - 1}) || shown[0] != (PixelHash{40 - MaxShown/MaxFrames, 0}) {
		t.Errorf("%d are remembered, from %v to %v", len(shown), shown[0], shown[len(shown)-1])
	}
}
