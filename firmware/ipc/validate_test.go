package ipc

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Of a presentation that is refused no probe stays in memory.
func TestRefusedPresentationIsWiped(t *testing.T) {
	p := fullPresentation()
	probe, reflected := p.Probe, p.Reflected
	if len(probe) != access.ProbeSize || len(reflected) != access.ProbeSize {
		t.Fatalf("probes of %d and %d components", len(probe), len(reflected))
	}
	forget(&p)
	for i, v := range append(probe, reflected...) {
		if v != 0 {
			t.Fatalf("component %d of the probes is still in memory", i)
		}
	}
	if p.Frames != nil || p.Probe != nil || p.Reflected != nil {
		t.Error("the message still holds something")
	}
}

// Control: A26
func TestPresentationBounds(t *testing.T) {
	tests := []struct {
		name string
		bend func(*access.Presentation)
	}{
		{"65 frames", func(p *access.Presentation) { p.Frames = append(p.Frames, p.Frames[0]) }},
		{"511 components", func(p *access.Presentation) { p.Probe = p.Probe[1:] }},
		{"513 components", func(p *access.Presentation) { p.Probe = append(p.Probe, 0) }},
		{"longer than 1", func(p *access.Presentation) { p.Probe[0] = 1 }},
		{"zero vector", func(p *access.Presentation) { p.Probe = make([]float32, access.ProbeSize) }},
		{"NaN component", func(p *access.Presentation) { p.Probe[0] = float32(math.NaN()) }},
		{"from no frame", func(p *access.Presentation) { p.ProbeFrom = 0 }},
		{"from too many frames", func(p *access.Presentation) { p.ProbeFrom = access.MaxFrames + 1 }},
		{"absent but from a frame", func(p *access.Presentation) { p.Probe = nil }},
		{"liveness above 1", func(p *access.Presentation) { p.Liveness = 1.01 }},
		{"liveness below 0", func(p *access.Presentation) { p.Liveness = -0.5 }},
		{"unknown hint", func(p *access.Presentation) { p.Hint = access.HintSeveral + 1 }},
		{"negative stamp", func(p *access.Presentation) { p.Frames[63].Stamp = -1 }},
		{"negative exposure", func(p *access.Presentation) { p.Frames[0].Exposure = -1 }},
		{"box inside out", func(p *access.Presentation) { p.Frames[0].Box = access.Box{X0: 2, X1: 1} }},
		{"box far away", func(p *access.Presentation) { p.Frames[0].Box.Y1 = 1e9 }},
		{"NaN box", func(p *access.Presentation) { p.Frames[0].Box.Y1 = float32(math.NaN()) }},
		{"level 256", func(p *access.Presentation) { p.Frames[0].Level[4] = 256 }},
		{"negative level", func(p *access.Presentation) { p.Frames[0].Level[0] = -1 }},
		{"NaN ring", func(p *access.Presentation) { p.Frames[0].Ring = float32(math.NaN()) }},
		{"texture", func(p *access.Presentation) { p.Frames[0].Texture = 300 }},
		{"another face of 511 components", func(p *access.Presentation) { p.Reflected = p.Reflected[1:] }},
		{"another face longer than 1", func(p *access.Presentation) { p.Reflected[0] = 1 }},
		{"another face of NaN", func(p *access.Presentation) { p.Reflected[511] = float32(math.NaN()) }},
		{"negative movement", func(p *access.Presentation) { p.Sway = -1 }},
		{"NaN movement", func(p *access.Presentation) { p.Flex = float32(math.NaN()) }},
		{"movement without end", func(p *access.Presentation) { p.Flex = float32(math.Inf(1)) }},
		{"restless below nothing", func(p *access.Presentation) { p.Frames[0].Restless = -0.5 }},
		{"restless beyond white", func(p *access.Presentation) { p.Frames[0].Restless = 256 }},
		{"NaN eye", func(p *access.Presentation) { p.Frames[0].EyePeak = float32(math.NaN()) }},
		{"negative eye", func(p *access.Presentation) { p.Frames[0].EyeLevel = -1 }},
		{"unknown frame hint", func(p *access.Presentation) { p.Frames[0].Hint = 200 }},
	}
	whole := fullPresentation()
	if err := ValidatePresentation(&whole); err != nil {
		t.Fatal(err)
	}
	if err := ValidatePresentation(new(access.Presentation)); err != nil {
		t.Fatalf("without frame and probe: %v", err)
	}
	unaligned := fullPresentation()
	unaligned.Frames[0].Restless = -1
	if err := ValidatePresentation(&unaligned); err != nil {
		t.Errorf("a frame that was not measured: %v", err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := fullPresentation()
			tt.bend(&p)
			if ValidatePresentation(&p) == nil {
				t.Error("accepted")
			}
			if _, err := (&Conn{role: Eye, in: fromDoor}).pack(KindPresentation, 0, p); err == nil {
				t.Error("sent")
			}
		})
	}
}

func TestMessageBounds(t *testing.T) {
	long := strings.Repeat("x", maxSentence+1)
	for name, v := range map[string]any{
		"long camera":         Hello{Name: long},
		"unknown blindness":   Hello{Blind: blindnessEnd},
		"many providers":      Hello{Degraded: make([]string, maxDropped+1)},
		"long provider":       Hello{Degraded: []string{long}},
		"not UTF-8":           Hello{Provider: "\xff"},
		"negative stamp":      Approach{Stamp: -1},
		"negative cost":       Approach{Process: -1},
		"negative deadline":   Observe{Deadline: -1},
		"many reviewers":      Observe{Reviewers: make([]string, access.MaxReviewers+1)},
		"long reviewer":       Observe{Reviewers: []string{long}},
		"part far away":       Seal{From: maxSealed + 1},
		"frames too long":     Sealed{Size: maxSealed + 1, Part: make([]byte, 1)},
		"part beyond the end": Sealed{From: 2, Size: 2, Part: make([]byte, 1)},
		"long part":           Sealed{Size: maxSealed, Part: make([]byte, MaxPart+1)},
		"part of nothing":     Sealed{Size: 9},
		"something of none":   Sealed{Part: make([]byte, 1)},
		"negative until":      Conclude{Until: -1},
		"gauge before time":   Gauge{Until: -1},
		"many glimpses":       Gauged{make([]access.Glimpse, access.MaxGlimpses+1)},
		"glimpse of NaN":      Gauged{[]access.Glimpse{{Level: float32(math.NaN())}}},
		"glimpse before time": Gauged{[]access.Glimpse{{Stamp: -1}}},
		"late beyond measure": Timing{maxTiming + 1, 1},
		"early beyond it":     Timing{-maxTiming - 1, 1},
		"no exposure":         Timing{0, 0},
		"enrol nobody":        Enrol{Within: time.Second},
		"enrol for ever":      Enrol{Person: access.PersonID{1}, Within: maxEnrol + 1},
		"lease before 1970":   Enrol{access.PersonID{1}, time.Second, -1},
		"enrol for no time":   Enrol{Person: access.PersonID{1}},
		"enrolled nobody":     Enrolled{},
		"revoke nobody":       Revoke{},
		"suspend nobody":      Suspend{},
		"resume nobody":       Resume{},
		"delete nobody":       Delete{},
		"long to sign":        SignTLS{make([]byte, maxVerify+1)},
		"long TLS signature":  Signature{make([]byte, maxSignature+1)},
		"deleted unproved":    Deleted{Signature: make([]byte, 64)},
		"long receipt":        Deleted{Receipt: make([]byte, maxReceipt+1)},
		"long signature":      Deleted{make([]byte, 1), make([]byte, maxProof+1)},
		"cursor ahead":        Outbox{1, 2},
		"long failure":        Failure{long},
		"many degraded modes": Status{Degraded: make([]string, maxDegraded+1)},
		"long degraded mode":  Status{Degraded: []string{long}},
		"many decisions":      Status{Decisions: make([]Outcome, maxOutcomes+1)},
		"negative decision":   Status{Decisions: []Outcome{{Decided: -1}}},
		"many recurrences":    Status{Waiting: make([]Recurrence, MaxRecurrences+1)},
		"long materials":      Status{Waiting: []Recurrence{{Materials: long}}},
		"recurred before":     Status{Waiting: []Recurrence{{First: -1}}},
		"review of nothing":   Review{},
		"long review":         Review{make([]byte, maxReview+1)},
		"long indication":     Status{Indication: access.Indication{Text: long}},
		"bad sighting":        Status{Sighting: Approach{Level: 256}},
		"no message":          time.Second,
	} {
		if validate(v) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// After an error nothing of the packet is left to be used by mistake.
func TestDecodeLeavesNothing(t *testing.T) {
	raw, err := wire.Marshal(Revoke{})
	if err != nil {
		t.Fatal(err)
	}
	r := Revoke{access.PersonID{9}}
	if err := Decode(Message{KindRevoke, 1, raw}, &r); err == nil || !r.Person.IsZero() {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := Decode(Message{KindOK, 1, raw}, nil); err == nil {
		t.Fatal("a body where none may be")
	}
}

func FuzzAdmit(f *testing.F) {
	for kind, body := range largest() {
		for _, role := range []Role{Eye, Link, Desk} {
			if packet, err := (&Conn{role: role, in: fromDoor}).pack(kind, 1, body); err == nil {
				f.Add(uint8(role), packet)
			}
		}
	}
	f.Add(uint8(Eye), []byte{0x84, 0x01, 0x10, 0x00, 0xa0})
	f.Add(uint8(Desk), []byte{0x9f, 0xff})
	f.Fuzz(func(t *testing.T, role uint8, packet []byte) {
		for _, way := range []direction{toDoor, fromDoor} {
			c := &Conn{role: Role(role), in: way}
			m, err := c.admit(packet, 0, time.Time{})
			if err != nil {
				continue
			}
			v := decoded(m.Kind)
			if Decode(m, v) != nil {
				continue
			}
			// What was accepted is what the other end would have sent.
			again, err := (&Conn{role: Role(role), in: toDoor + fromDoor - way}).pack(m.Kind, m.ID, v)
			if err != nil || string(again) != string(packet) {
				t.Fatalf("%v: %x came back as %x, %v", m.Kind, packet, again, err)
			}
		}
	})
}
