// Package abuse makes one file of a walk-up that somebody shall look at again: what the kiosk saw, measured and decided, encrypted to reviewers. The
// file can be decided anew by the same code (Judge), on any machine, as often as anybody likes.
//
//	door:  Case ─ Tell ─► Report ┐
//	                             ├─ Writer ─► one file ─ Open ─► Case, Film ─ Judge ─► findings, decision
//	eye:   frames ─ Seal ─► film ┘
//
// Nobody on the kiosk can read a bundle again, and door never sees the frames: eye encrypts them. A bundle is not signed: the audit record of the walk-up
// holds the last link of its frames' chain, and the one that the bundle was made its SHA-256.
package abuse

import (
	"math"
	"runtime"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/frames"
)

// A Case is all that the decision on one walk-up rested on. It holds a probe: Wipe it.
//
// Fields are named in the file by their Go names, and a file may lack some: what is added later keeps its default when an older file is read.
type Case struct {
	Opened       access.Opened
	Presentation access.Presentation
	Bar          access.Bar // that the session had to clear: its profile's book is the one of the code
	MinFused     uint8      // that was in force: more than the policy's for a second look
	Policy       access.Policy
	PolicyHash   [32]byte
	Findings     []Finding
	// Question is what the decision answered. Its people are the pseudonyms of the audit log. No reference of anybody is in a bundle: the comparison is
	// not made again, the recorded scores are decided on again.
	Question access.Question
	Verdict  access.Verdict // that Question was answered by
	Reason   access.Reason
	Outcome  access.Verdict // that the walk-up came to in the end
	Why      access.Reason
	Wall     int64  // Unix seconds, by the machine's own clock
	Record   uint64 // index of the walk-up's audit record, from 1; 0: it has none of its own
	Made     Made
}

// Made says by what a Case was made.
type Made struct {
	By       string // program and kiosk, or laboratory
	Go       string // runtime.Version
	Arch     string // runtime.GOARCH
	Provider string // execution provider that eye measured with
	Bundle   string // name of the model bundle; its hash stands in Opened
	Board    string
	Camera   frames.Camera // as eye described it
}

// Here says what this program runs on.
func Here(by string) Made { return Made{By: by, Go: runtime.Version(), Arch: runtime.GOARCH} }

// A Finding is one of access.Findings as a file holds it: by the criterion's name, for their numbers change, and with its numbers as bits, for some are
// none and all shall be the same again.
type Finding struct {
	Criterion    string
	Asked        bool
	Value, Limit uint32 // IEEE 754 bits
	Reason       access.Reason
}

// Keep makes a file's form of findings.
func Keep(f access.Findings) []Finding {
	list := make([]Finding, 0, len(f))
	for c, x := range f {
		list = append(list, Finding{access.Criterion(c).String(), x.Asked, math.Float32bits(x.Value), math.Float32bits(x.Limit), x.Reason})
	}
	return list
}

// first is access.Findings.First of the recorded ones.
func (c *Case) first() access.Reason {
	for _, f := range c.Findings {
		if f.Reason != access.ReasonNone {
			return f.Reason
		}
		if !f.Asked {
			return access.ReasonNotReady
		}
	}
	return access.ReasonNone
}

// Wipe forgets the probes.
func (c *Case) Wipe() { c.Presentation.Wipe() }

// Judge decides the evidence of a presentation anew, by this program's code: that of the Case, or one that was measured again.
func (c *Case) Judge(p *access.Presentation) (access.Findings, access.Decision) {
	book, err := c.Bar.Profile.BookFor(c.Opened.Code.Two())
	if err != nil {
		return access.Findings{}, access.Decision{Reason: access.ReasonNotReady}
	}
	capture := c.Policy.Capture
	capture.MinFused = c.MinFused
	challenge := c.Policy.Challenge
	challenge.NeedRelief = c.Bar.NeedRelief
	f := access.Examine(p, c.Opened, book, capture, challenge)
	q := c.Question
	switch now := f.First(); {
	case now != access.ReasonNone:
		q = access.Question{Session: q.Session, Checked: true, Check: now}
	case q.Check == c.first():
		q.Check = access.ReasonNone // it was the evidence that failed then; any other reason lay elsewhere and stands
	}
	return f, access.Decide(c.Policy, q)
}

// since is a time of the walk-up in milliseconds from its start.
func (c *Case) since(at time.Duration) float64 { return float64(at-c.Opened.Start) / 1e6 }
