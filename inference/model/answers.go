package model

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"math"
)

//go:embed answers.json
var defaultAnswers []byte

// Answer is what the published, unprepared network gave on the CPU provider for one synthetic pattern.
type Answer struct {
	Role    Role     `json:"role"`
	Origin  Hash     `json:"origin"` // of the unprepared file that gave the answer
	Seed    uint32   `json:"seed"`   // of the pattern, see Pixels.Pattern
	Outputs []Sample `json:"outputs"`
}

// Sample is a part of one output, in the manifest's order of outputs.
type Sample struct {
	Indices []int     `json:"indices,omitempty"` // of the values below; absent: all
	Values  []float32 `json:"values"`

	// Largest allowed absolute difference, in the output's own unit: Proof for the prepared network on the CPU, Provider for
	// another execution provider, which may compute with 16-bit floats.
	Proof    float32 `json:"proof"`
	Provider float32 `json:"provider"`
}

// AnswerFile is the form in which they are kept.
type AnswerFile struct {
	Version int      `json:"version"` // of this format, 1
	Answers []Answer `json:"answers"`
}

// Answers returns the known answers of a role; Parse made sure that there is at least one.
func (m *Manifest) Answers(role Role) []Answer {
	var list []Answer
	for _, a := range m.answers {
		if a.Role == role {
			list = append(list, a)
		}
	}
	return list
}

func (m *Manifest) attach(data []byte) error {
	if got := Hash(sha256.Sum256(data)); got != m.AnswersSHA256 {
		return fmt.Errorf("read known answers: sha256 is %s, manifest says %s", got, m.AnswersSHA256)
	}
	var file AnswerFile
	if err := decodeStrict(data, &file); err != nil {
		return fmt.Errorf("read known answers: %w", err)
	}
	if file.Version != 1 {
		return fmt.Errorf("read known answers: format version %d, want 1", file.Version)
	}
	m.answers = file.Answers
	for _, s := range m.Specs {
		list := m.Answers(s.Role)
		if len(list) == 0 {
			return fmt.Errorf("read known answers: none for the role %q", s.Role)
		}
		for _, a := range list {
			if err := a.check(s); err != nil {
				return fmt.Errorf("read known answers: %s: %w", s.Role, err)
			}
		}
	}
	return nil
}

func (a Answer) check(s Spec) error {
	if a.Origin != s.Origin.SHA256 {
		return fmt.Errorf("they are of model %s, manifest says %s", a.Origin, s.Origin.SHA256)
	}
	if len(a.Outputs) != len(s.Outputs) {
		return fmt.Errorf("%d outputs, manifest says %d", len(a.Outputs), len(s.Outputs))
	}
	for i, o := range a.Outputs {
		n := s.Outputs[i].Len()
		if o.Indices == nil && len(o.Values) != n || o.Indices != nil && len(o.Values) != len(o.Indices) || len(o.Values) == 0 {
			return fmt.Errorf("output %d has %d values", i, len(o.Values))
		}
		for _, index := range o.Indices {
			if index < 0 || index >= n {
				return fmt.Errorf("output %d has no value %d", i, index)
			}
		}
		if !(o.Proof > 0 && o.Proof <= o.Provider) {
			return fmt.Errorf("output %d has no tolerance", i)
		}
	}
	return nil
}

// Distance is the largest absolute difference between an output and the sample. What is not a number is infinitely far.
func (o Sample) Distance(output []float32) float32 {
	var worst float32
	for i, want := range o.Values {
		at := i
		if o.Indices != nil {
			at = o.Indices[i]
		}
		d := float32(math.Abs(float64(output[at]) - float64(want)))
		if math.IsNaN(float64(d)) {
			return float32(math.Inf(1))
		}
		worst = max(worst, d)
	}
	return worst
}

// Pattern fills an input with the synthetic pattern of a seed: a bright oval with dark eyes and mouth on a slope of gray, with
// noise, so that all networks have something to say. It is computed in integers, so that every architecture has the same.
func (p Pixels) Pattern(seed uint32, dst []float32) {
	state := seed*2654435761 + 1
	next := func(n uint32) int { // xorshift32; 0..n-1
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		return int((state >> 8) % n)
	}
	side := min(p.Width, p.Height)
	cx, cy := p.Width/2+next(9)-4, p.Height/2+next(9)-4
	rx, ry := side*(26+next(10))/100, side*(36+next(8))/100
	skin, ground := 150+next(60), 30+next(60)
	inside := func(x, y, ox, oy, rx, ry int) bool {
		rx, ry = max(rx, 1), max(ry, 1)
		dx, dy := x-ox, y-oy
		return dx*dx*ry*ry+dy*dy*rx*rx <= rx*rx*ry*ry
	}
	plane := p.Width * p.Height
	for y := range p.Height {
		for x := range p.Width {
			level := ground + 40*x/p.Width
			if inside(x, y, cx, cy, rx, ry) {
				level = skin - 50*(x-cx)/rx/2
				switch {
				case inside(x, y, cx-rx*2/5, cy-ry/5, rx/5, ry/12), inside(x, y, cx+rx*2/5, cy-ry/5, rx/5, ry/12):
					level = 35
				case inside(x, y, cx-rx*2/5, cy-ry*2/5, rx/4, ry/24), inside(x, y, cx+rx*2/5, cy-ry*2/5, rx/4, ry/24):
					level -= 60
				case inside(x, y, cx, cy+ry/5, rx/6, ry/12):
					level -= 30
				case inside(x, y, cx, cy+ry/2, rx*2/5, ry/12):
					level -= 70
				}
			}
			level = min(max(level+next(17)-8, 0), 255)
			v := (float32(level) - p.Mean) * p.Scale
			for c := range p.Channels {
				dst[c*plane+y*p.Width+x] = v
			}
		}
	}
}
