package abuse

import (
	"fmt"
	"math"
	"time"

	"github.com/lintel-access/lintel/access"
)

// A Report is what a reviewer reads first: the nine fields of an abuse report, said for a door. docs/PAD.md has the mapping.
type Report struct {
	Material   string   `cbor:"material type"`
	Path       []string `cbor:"API path"`
	Request    string   `cbor:"request id"`
	Session    string   `cbor:"session id"`
	Model      string   `cbor:"model version"`
	Conditions []string `cbor:"conditions"`
	Steps      []string `cbor:"steps"`
	Exploit    string   `cbor:"exploit image"`
	Impact     string   `cbor:"business impact"`
}

// Tell writes the Report of a Case. exploit says what there is of frames.
func (c *Case) Tell(exploit string) Report {
	return Report{
		Material: c.material(), Path: c.path(), Request: c.request(), Session: c.Opened.Session.String(),
		Model:      fmt.Sprintf("%s, SHA-256 %x, on %s", c.Made.Bundle, c.Opened.Bundle, c.Made.Provider),
		Conditions: c.conditions(), Steps: c.steps(), Exploit: exploit, Impact: c.impact(),
	}
}

// material is the species that a reason speaks for. It is a suspicion.
func (c *Case) material() string {
	const print = "unknown; a print is suspected"
	if c.Why == access.ReasonReliefDoubt || c.Why == access.ReasonReliefUnknown {
		return print // no mark of an attack; but whoever reviews it looks for a print first
	}
	switch c.Why.Material() {
	case access.MaterialSheet:
		return print
	case access.MaterialScreen:
		return "unknown; a screen or a frozen picture is suspected"
	case access.MaterialReplay:
		return "unknown; an injected or replayed stream is suspected"
	case access.MaterialForged:
		return "unknown; a forged stream or an eye that lies is suspected"
	case access.MaterialUnnamed:
		return "unknown; an attack of no known kind is suspected"
	}
	return "unknown; none is suspected"
}

func (c *Case) path() (lines []string) {
	for _, f := range c.Findings {
		value, limit := math.Float32frombits(f.Value), math.Float32frombits(f.Limit)
		switch {
		case !f.Asked:
			lines = append(lines, f.Criterion+": not asked")
		case value == 0 && limit == 0:
			lines = append(lines, fmt.Sprintf("%s: %s", f.Criterion, passed(f.Reason)))
		default:
			lines = append(lines, fmt.Sprintf("%s: %s, %.4g, at least %.4g wanted", f.Criterion, passed(f.Reason), value, limit))
		}
	}
	return append(lines, fmt.Sprintf("decision: %v, %v", c.Verdict, c.Reason))
}

func passed(r access.Reason) string {
	if r == access.ReasonNone {
		return "passed"
	}
	return r.String()
}

func (c *Case) request() string {
	if c.Record == 0 {
		return "it has no record of its own in the audit log"
	}
	return fmt.Sprintf("record %d of the audit log", c.Record-1)
}

func (c *Case) conditions() []string {
	lit, dark := c.ring(true), c.ring(false)
	return []string{
		fmt.Sprintf("light around the face: %.1f gray levels with the lamp, %.1f without", lit, dark),
		"board: " + c.Made.Board,
		fmt.Sprintf("camera: %s %q at %q, %s, a frame every %v", c.Made.Camera.Driver, c.Made.Camera.Card, c.Made.Camera.Bus, c.Made.Camera.Format, c.Made.Camera.Interval),
		fmt.Sprintf("exposure: %v; stamps stray up to %v", c.exposure(), c.Opened.Spread),
		fmt.Sprintf("policy: version %d, SHA-256 %x", c.Policy.Version, c.PolicyHash),
		fmt.Sprintf("program: %s, %s on %s", c.Made.By, c.Made.Go, c.Made.Arch),
		"clock: " + time.Unix(c.Wall, 0).UTC().Format(time.RFC3339) + ", for which nobody vouches",
	}
}

func (c *Case) exposure() time.Duration {
	if len(c.Presentation.Frames) == 0 {
		return 0
	}
	return c.Presentation.Frames[0].Exposure
}

// ring is the mean gray level around the face over the frames that ended in a chip of the kind.
func (c *Case) ring(lit bool) (mean float64) {
	n := 0
	for _, f := range c.Presentation.Frames {
		for _, chip := range c.Opened.Chips {
			if chip.Lit == lit && f.Stamp > chip.From && f.Stamp <= chip.To {
				mean += float64(f.Ring)
				n++
			}
		}
	}
	return mean / float64(max(n, 1))
}

func (c *Case) steps() []string {
	o, p := c.Opened, c.Presentation
	lines := []string{fmt.Sprintf("0 ms: session opened for face %d", o.Track)}
	if len(o.Chips) > 0 {
		code := make([]byte, 0, len(o.Chips))
		for _, chip := range o.Chips {
			if chip.Lit {
				code = append(code, '1')
			} else {
				code = append(code, '0')
			}
		}
		lines = append(lines, fmt.Sprintf("%.1f to %.1f ms: the lamp played %s (%d chips, profile %v)",
			c.since(o.Chips[0].From), c.since(o.Chips[len(o.Chips)-1].To), code, len(o.Chips), c.Bar.Profile))
	}
	if n := len(p.Frames); n > 0 {
		found := 0
		for _, f := range p.Frames {
			if f.Texture > 0 {
				found++
			}
		}
		lines = append(lines, fmt.Sprintf("%.1f to %.1f ms: %d frames, numbers %d to %d, the face found in %d", c.since(p.Frames[0].Stamp), c.since(p.Frames[n-1].Stamp), n,
			p.Frames[0].Seq, p.Frames[n-1].Seq, found))
	}
	return append(lines,
		fmt.Sprintf("presentation: a probe of %d frames", p.ProbeFrom),
		fmt.Sprintf("decided: %v, %v", c.Verdict, c.Reason),
		fmt.Sprintf("outcome: %v, %v", c.Outcome, c.Why))
}

func (c *Case) impact() string {
	what := "nobody was let in"
	if c.Outcome == access.Granted {
		what = "the door was released"
	}
	return fmt.Sprintf("door %q, profile %v: %v, %v; %s", c.Policy.Door, c.Bar.Profile, c.Outcome, c.Why, what)
}
