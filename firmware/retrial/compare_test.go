package retrial

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
)

// judged is a case that came to what its evidence comes to.
func judged() *abuse.Case {
	c := &abuse.Case{Policy: access.DefaultPolicy(), Bar: access.Bar{Profile: access.Office}, Made: abuse.Here("test")}
	for i := range 3 {
		f := access.FrameEvidence{Seq: uint64(i + 4), Stamp: time.Duration(i) * time.Second, Exposure: time.Millisecond, Ring: 40}
		f.Chain[0], f.Pixels[0] = byte(i+1), byte(i+1)
		c.Presentation.Frames = append(c.Presentation.Frames, f)
	}
	f, d := c.Judge(&c.Presentation)
	c.Findings, c.Verdict, c.Reason = abuse.Keep(f), d.Verdict, d.Reason
	return c
}

func differ(list []Sentence) (all []string) {
	for _, s := range list {
		if !s.Same {
			all = append(all, s.String())
		}
	}
	return all
}

// On every machine the frames are those of the recorded chain, or it is said; what models measured in them is held to the bit only where it can be.
//
// Control: B29
func TestFramesAreThoseOfTheChain(t *testing.T) {
	for name, c := range map[string]struct {
		bend            func(*access.Presentation)
		anywhere, exact string // what is said; empty: all is the same
	}{
		"the same":         {func(*access.Presentation) {}, "", ""},
		"another picture":  {func(p *access.Presentation) { p.Frames[1].Pixels[3] ^= 1 }, "Pixels of frame 5", "Pixels of frame 5"},
		"another chain":    {func(p *access.Presentation) { p.Frames[2].Chain[9] ^= 1 }, "Chain of frame 6", "Chain of frame 6"},
		"another number":   {func(p *access.Presentation) { p.Frames[0].Seq++ }, "Seq of frame 4", "Seq of frame 4"},
		"another time":     {func(p *access.Presentation) { p.Frames[0].Stamp++ }, "Stamp of frame 4", "Stamp of frame 4"},
		"another exposure": {func(p *access.Presentation) { p.Frames[0].Exposure++ }, "Exposure of frame 4", "Exposure of frame 4"},
		"one less":         {func(p *access.Presentation) { p.Frames = p.Frames[:2] }, "2 were measured, 3", "2 were measured, 3"},
		"none":             {func(p *access.Presentation) { p.Frames = nil }, "0 were measured, 3", "0 were measured, 3"},
		"rounded":          {func(p *access.Presentation) { p.Frames[1].Ring += .5 }, "", "Ring of frame 5"},
		"another probe":    {func(p *access.Presentation) { p.Probe = []float32{1} }, "", "Probe is another"},
	} {
		then := judged()
		shown := then.Presentation
		shown.Frames = slices.Clone(shown.Frames)
		c.bend(&shown)
		for exact, want := range map[bool]string{false: c.anywhere, true: c.exact} {
			got := strings.Join(differ(presentations(&then.Presentation, &shown, exact)), "\n")
			if (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s, exact %v: %q, want %q", name, exact, got, want)
			}
			if all := strings.Join(differ(Frames(then, &shown, exact)), "\n"); !strings.Contains(all, got) {
				t.Errorf("%s, exact %v: Frames keeps to itself that %q", name, exact, got)
			}
		}
	}
	if all := differ(Frames(judged(), &judged().Presentation, false)); all != nil {
		t.Errorf("the same frames: %q", all)
	}
	if all := differ(Frames(&abuse.Case{}, &access.Presentation{}, false)); len(all) == 0 {
		t.Error("a film that no evidence is of is taken for the same")
	}
}

// A bundle from which the findings were left out does not come out as they did.
func TestNoFindingsAreNotTheSame(t *testing.T) {
	c := judged()
	if all := differ(Evidence(c, abuse.Here("test"))); all != nil {
		t.Errorf("the same evidence: %q", all)
	}
	c.Findings = nil
	if all := differ(Evidence(c, abuse.Here("test"))); len(all) == 0 || !strings.Contains(all[0], "no findings") {
		t.Errorf("no findings: %q", all)
	}
}
