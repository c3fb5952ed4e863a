package face

import (
	"math"
	"testing"
)

func at(x, y, size float32) detection { return detection{Box{x, y, x + size, y + size}, .9} }

func TestTracksKeepTheirNumbers(t *testing.T) {
	var k tracker
	// Two people cross the frame in opposite directions, at different distances.
	a, b := float32(50), float32(500)
	first := k.update([]detection{at(a, 100, 100), at(b, 120, 60)})
	if len(first) != 2 || first[0].Track != 1 || first[1].Track != 2 || first[0].Seen != 1 {
		t.Fatalf("%+v", first)
	}
	for i := range 60 {
		a, b = a+7, b-7
		f := k.update([]detection{at(b, 120, 60), at(a, 100, 100)}) // in another order
		if len(f) != 2 || f[0].Track != 1 || f[1].Track != 2 || f[0].Seen != uint32(i+2) {
			t.Fatalf("look %d: %+v", i, f)
		}
	}
}

func TestTracksSurviveAShortAbsence(t *testing.T) {
	var k tracker
	k.update([]detection{at(100, 100, 100)})
	for range maxMissed {
		if f := k.update(nil); len(f) != 0 {
			t.Fatalf("a face that was not found was reported: %+v", f)
		}
	}
	if f := k.update([]detection{at(105, 100, 100)}); f[0].Track != 1 || f[0].Seen != 2 {
		t.Fatalf("after %d missed looks: %+v", maxMissed, f)
	}
	for range maxMissed + 1 {
		k.update(nil)
	}
	if f := k.update([]detection{at(105, 100, 100)}); f[0].Track != 2 || f[0].Seen != 1 {
		t.Fatalf("after %d missed looks the track must have ended: %+v", maxMissed+1, f)
	}
}

func TestTracksDoNotJump(t *testing.T) {
	for name, d := range map[string]detection{
		"elsewhere":            at(300, 100, 100),
		"much larger":          at(60, 60, 180),
		"not a number":         {Box{float32(math.NaN()), 0, 100, 100}, .9},
		"where they touch":     at(180, 100, 100),
		"far away, same place": at(130, 130, 40),
	} {
		var k tracker
		k.update([]detection{at(100, 100, 100)})
		if f := k.update([]detection{d}); len(f) != 1 || f[0].Track != 2 {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestForgetNeverReusesANumber(t *testing.T) {
	var k tracker
	k.update([]detection{at(100, 100, 100)})
	k.forget()
	if f := k.update([]detection{at(100, 100, 100)}); f[0].Track != 2 {
		t.Errorf("%+v", f)
	}
	k.last = math.MaxUint32
	if f := k.update([]detection{at(400, 100, 100)}); f[0].Track != 1 {
		t.Errorf("the number after the last is %d, want 1, as 0 means nobody", f[0].Track)
	}
}

func TestACrowdKeepsTheNearest(t *testing.T) {
	var k tracker
	var crowd []detection
	for i := range 40 {
		crowd = append(crowd, at(float32(i*100), 0, 20+float32(i)))
	}
	f := k.update(crowd)
	if len(f) != maxFaces || f[0].Box.Height() != 59 || f[maxFaces-1].Box.Height() != 44 {
		t.Errorf("%d faces, from %v down to %v", len(f), f[0].Box.Height(), f[len(f)-1].Box.Height())
	}
	if n := testing.AllocsPerRun(20, func() { k.update(crowd) }); n != 0 {
		t.Errorf("%v allocations a look", n)
	}
}

func TestChoose(t *testing.T) {
	const w, h = 640, 480
	seen := func(track, looks uint32, cx, cy, height float32) Face {
		return Face{Track: track, Seen: looks, Box: Box{cx - height/2, cy - height/2, cx + height/2, cy + height/2}}
	}
	centre := seen(1, 30, 320, 240, 150)
	for _, c := range []struct {
		name  string
		faces []Face
		held  uint32
		want  int
		hint  Hint
	}{
		{"nobody", nil, 0, -1, HintNobody},
		{"nobody any more", nil, 1, -1, HintNobody},
		{"one", []Face{centre}, 0, 0, HintNone},
		{"one at the border", []Face{seen(1, 30, 600, 240, 150)}, 0, 0, HintNone},
		{"nearer", []Face{seen(2, 30, 200, 240, 90), centre}, 0, 1, HintNone},
		{"equally near, one centred", []Face{centre, seen(2, 30, 590, 300, 150)}, 0, 0, HintNone},
		{"equally near, both aside", []Face{seen(1, 30, 200, 240, 150), seen(2, 30, 440, 240, 150)}, 0, 0, HintSeveral},
		{"nearly equally near", []Face{seen(1, 30, 240, 240, 150), seen(2, 30, 400, 240, 125)}, 0, 0, HintSeveral},
		{"just clear", []Face{seen(1, 30, 240, 240, 150), seen(2, 30, 400, 240, 115)}, 0, 0, HintNone},
		{"a passer-by crosses before the one who waits", []Face{seen(1, 1, 560, 240, 165), seen(2, 60, 320, 240, 130)}, 2, 1, HintNone},
		{"held though slightly smaller", []Face{seen(1, 30, 260, 240, 150), seen(2, 30, 380, 240, 145)}, 2, 1, HintSeveral},
		{"held but clearly farther", []Face{seen(1, 30, 320, 240, 200), seen(2, 30, 320, 240, 100)}, 2, 0, HintNone},
		{"box is not a number", []Face{{Track: 1, Box: Box{X1: float32(math.NaN()), Y1: float32(math.NaN())}}}, 0, -1, HintNobody},
	} {
		i, hint := Choose(c.faces, w, h, c.held)
		if i != c.want || hint != c.hint {
			t.Errorf("%s: %d with hint %d, want %d with %d", c.name, i, hint, c.want, c.hint)
		}
	}
}
