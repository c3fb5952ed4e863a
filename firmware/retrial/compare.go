package retrial

import (
	"fmt"
	"math"
	"reflect"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/abuse"
)

// A Sentence is one thing that was held against the bundle.
type Sentence struct {
	Same bool
	Text string
}

func (s Sentence) String() string {
	if s.Same {
		return "same: " + s.Text
	}
	return "DIFFERS: " + s.Text
}

// most sentences of one kind: a whole film that was measured otherwise needs no more to be seen.
const most = 8

// Evidence decides the recorded evidence again. On the architecture that the bundle was made on every finding must be the same bit for bit; elsewhere
// floating-point numbers may be rounded otherwise, and verdict and reason must be the same.
func Evidence(c *abuse.Case, here abuse.Made) []Sentence {
	return decide(c, &c.Presentation, here.Arch == c.Made.Arch, "the recorded evidence")
}

// Frames holds what was measured again in the frames against what eye measured, and decides it. The frames themselves must be those of the recorded chain
// everywhere. exact says that the same models ran on the same architecture and execution provider: then every number must be the same bit for bit, too.
func Frames(c *abuse.Case, shown *access.Presentation, exact bool) []Sentence {
	return append(presentations(&c.Presentation, shown, exact), decide(c, shown, exact, "the frames, measured again")...)
}

func decide(c *abuse.Case, p *access.Presentation, exact bool, what string) (list []Sentence) {
	findings, d := c.Judge(p)
	if exact {
		list = compareFindings(c.Findings, abuse.Keep(findings), what)
	}
	text := fmt.Sprintf("%s: %v, %v", what, d.Verdict, d.Reason)
	if d.Verdict != c.Verdict || d.Reason != c.Reason {
		return append(list, Sentence{Text: fmt.Sprintf("%s; at the door: %v, %v", text, c.Verdict, c.Reason)})
	}
	return append(list, Sentence{true, text})
}

func compareFindings(then, now []abuse.Finding, what string) (list []Sentence) {
	known := map[string]abuse.Finding{}
	for _, f := range now {
		known[f.Criterion] = f
	}
	if len(then) == 0 {
		return []Sentence{{Text: what + ": the bundle holds no findings"}}
	}
	same := 0
	for _, f := range then {
		switch g, ok := known[f.Criterion]; {
		case !ok:
			list = append(list, Sentence{Text: fmt.Sprintf("%s: this program has no criterion %q", what, f.Criterion)})
		case g != f:
			list = append(list, Sentence{Text: fmt.Sprintf("%s: %s is %s, at the door it was %s", what, f.Criterion, tell(g), tell(f))})
		default:
			same++
		}
	}
	if same < len(then) {
		return list
	}
	return []Sentence{{true, fmt.Sprintf("%s: %d of %d findings bit for bit; this program asks %d", what, same, len(then), len(now))}}
}

func tell(f abuse.Finding) string {
	if !f.Asked {
		return "not asked"
	}
	return fmt.Sprintf("%v of %v (%v)", math.Float32frombits(f.Value), math.Float32frombits(f.Limit), f.Reason)
}

// anywhere reports whether a field of a frame is the same on every machine: no model and no floating-point number has a part in it.
func anywhere(field string) bool {
	switch field {
	case "Seq", "Stamp", "Exposure", "Chain", "Pixels":
		return true
	}
	return false
}

// presentations compares the frames of two presentations, and if exact all that was measured.
func presentations(then, now *access.Presentation, exact bool) (list []Sentence) {
	if len(then.Frames) == 0 {
		return []Sentence{{Text: "the frames: the evidence is of none"}}
	}
	if len(then.Frames) != len(now.Frames) {
		return []Sentence{{Text: fmt.Sprintf("the frames: %d were measured, %d at the door", len(now.Frames), len(then.Frames))}}
	}
	for i := range then.Frames {
		for _, name := range fields(reflect.ValueOf(then.Frames[i]), reflect.ValueOf(now.Frames[i])) {
			if !exact && !anywhere(name) {
				continue
			}
			list = append(list, Sentence{Text: fmt.Sprintf("the frames: %s of frame %d is another", name, then.Frames[i].Seq)})
		}
	}
	for _, name := range fields(reflect.ValueOf(*then), reflect.ValueOf(*now)) {
		if exact && name != "Frames" {
			list = append(list, Sentence{Text: fmt.Sprintf("the frames: %s is another", name)}) // the probe's numbers stay out of the text
		}
	}
	if len(list) > most {
		list = append(list[:most], Sentence{Text: fmt.Sprintf("the frames: and %d more", len(list)-most)})
	}
	switch {
	case len(list) > 0:
		return list
	case exact:
		return []Sentence{{true, fmt.Sprintf("the frames: %d, measured again, and the probe, bit for bit", len(now.Frames))}}
	}
	return []Sentence{{true, fmt.Sprintf("the frames: %d, those of the recorded chain", len(now.Frames))}}
}

// fields names the fields in which two values of one struct differ.
func fields(a, b reflect.Value) (names []string) {
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		if x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 {
			continue // a file does not tell none from nil
		}
		if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			names = append(names, a.Type().Field(i).Name)
		}
	}
	return names
}
