package access

import (
	"math"
	"strings"
	"testing"
	"time"
)

// Every mark of an attack is of a material, and nothing else is.
//
// Control: B20
func TestEveryAttackHasAMaterial(t *testing.T) {
	want := map[Reason]Material{
		ReasonFlat: MaterialSheet, ReasonNoRelief: MaterialSheet,
		ReasonNoAnswer: MaterialScreen, ReasonNoTexture: MaterialScreen,
		ReasonWrongAnswer: MaterialReplay, ReasonLateAnswer: MaterialReplay, ReasonEarlyAnswer: MaterialReplay, ReasonInverted: MaterialReplay,
		ReasonSpliced: MaterialReplay, ReasonRepeated: MaterialReplay,
		ReasonMalformed: MaterialForged, ReasonOtherSession: MaterialForged, ReasonOtherCamera: MaterialForged, ReasonOtherBundle: MaterialForged,
		ReasonFrameOrder: MaterialForged, ReasonFrameStale: MaterialForged, ReasonPhase: MaterialForged, ReasonNoNoise: MaterialForged,
		ReasonLiveness: MaterialUnnamed, ReasonOtherReflected: MaterialUnnamed, ReasonNoGlint: MaterialUnnamed, ReasonMotionless: MaterialUnnamed,
		ReasonRigid: MaterialUnnamed,
	}
	for r := range Reason(len(reasonNames) + 1) {
		if r.Material() != want[r] || (want[r] != MaterialNone) != r.Attack() {
			t.Errorf("%v is an attack: %v; of material %v, want %v", r, r.Attack(), r.Material(), want[r])
		}
	}
	for m := range Material(materials) {
		if strings.HasPrefix(m.String(), "unknown") {
			t.Errorf("material %d has no name", m)
		}
	}
}

// What was presented is remembered by material, for the window, and nothing of it is anybody's.
//
// Control: B20
func TestMaterialsAreRemembered(t *testing.T) {
	p := DefaultPolicy()
	p.MaterialLimit, p.FailureWindow = 2, time.Hour
	var tried Tried
	at := func(m Material, minute int) bool { return tried.Note(m, time.Duration(minute)*time.Minute, p) }
	for _, tt := range []struct {
		m      Material
		minute int
		again  bool
	}{
		{MaterialSheet, 1, false}, {MaterialSheet, 2, false}, {MaterialScreen, 3, false}, {MaterialSheet, 3, true}, {MaterialScreen, 4, false},
		{MaterialSheet, 4, true}, {MaterialNone, 5, false}, {MaterialNone, 6, false}, {MaterialNone, 7, false}, {materials, 8, false},
		{MaterialSheet, 63, true},   // after those of minutes 3 and 4; the two before are an hour old
		{MaterialSheet, 126, false}, // none within the hour
		{MaterialSheet, 127, false}, {MaterialSheet, 128, true},
	} {
		if got := at(tt.m, tt.minute); got != tt.again {
			t.Errorf("%v in minute %d: again %v", tt.m, tt.minute, got)
		}
	}
	p.MaterialLimit = maxMaterialLimit
	for i := range 3 * maxMaterialLimit {
		if got := at(MaterialReplay, 200+i%2); got != (i >= maxMaterialLimit) {
			t.Fatalf("at the highest limit, presentation %d: again %v", i+1, got)
		}
	}
}

// Nobody is followed by default, without a basis, for longer than a day, or by a score that strangers reach.
//
// Control: B22
func TestFollowingNeedsABasis(t *testing.T) {
	if DefaultPolicy().Follow.On {
		t.Error("the embedded default follows faces")
	}
	good := Follow{On: true, Basis: "works agreement 7/2026", Keep: 12 * time.Hour, Threshold: 0.5, Limit: 4, Rest: 5 * time.Second}
	accepts := func(f Follow) bool {
		p := DefaultPolicy()
		p.Follow = f
		return p.Validate() == nil
	}
	if !accepts(good) {
		t.Fatal("a policy with a basis is refused")
	}
	for name, bend := range map[string]func(*Follow){
		"no basis":      func(f *Follow) { f.Basis = "" },
		"long basis":    func(f *Follow) { f.Basis = strings.Repeat("x", MaxBasis+1) },
		"no text":       func(f *Follow) { f.Basis = "\xff" },
		"no time":       func(f *Follow) { f.Keep = 0 },
		"25 h":          func(f *Follow) { f.Keep = 25 * time.Hour },
		"no threshold":  func(f *Follow) { f.Threshold = 0 },
		"threshold 1":   func(f *Follow) { f.Threshold = 1 },
		"threshold NaN": func(f *Follow) { f.Threshold = float32(math.NaN()) },
		"limit 1":       func(f *Follow) { f.Limit = 1 },
		"rest of 11 s":  func(f *Follow) { f.Rest = 11 * time.Second },
		"rest before":   func(f *Follow) { f.Rest = -1 },
	} {
		f := good
		if bend(&f); accepts(f) {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, bend := range map[string]func(*Policy){
		"no quota": func(p *Policy) { p.Quota = 0 }, "quota 11": func(p *Policy) { p.Quota = 11 },
		"no material limit": func(p *Policy) { p.MaterialLimit = 0 }, "material limit 21": func(p *Policy) { p.MaterialLimit = 21 },
	} {
		p := DefaultPolicy()
		if bend(&p); p.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCorrelationIDs(t *testing.T) {
	c := CorrelationID{1, 15: 255}
	if again, err := ParseCorrelationID(c.String()); err != nil || again != c {
		t.Errorf("%v came back as %v, %v", c, again, err)
	}
	for _, s := range []string{"", "zz", c.String()[1:], c.String() + "00", CorrelationID{}.String()} {
		if _, err := ParseCorrelationID(s); err == nil {
			t.Errorf("%q: accepted", s)
		}
	}
}
