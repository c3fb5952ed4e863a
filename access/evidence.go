package access

import "time"

// Opened is what door remembers of a session that it opened: what eye's Presentation must fit.
type Opened struct {
	Session SessionID
	Nonce   [16]byte
	Camera  [32]byte      // of eye's Hello
	Bundle  [32]byte      // of eye's Hello
	Track   uint32        // the face that the session was opened for
	Start   time.Duration // CLOCK_MONOTONIC at which Observe was sent; no older frame belongs to the session
	Code    Code
	Chips   []Chip        // the lamp as it was switched
	Spread  time.Duration // how far the stamps of this camera may be off
}

// CaptureLimits bound the frames of a Presentation.
type CaptureLimits struct {
	MaxGap      time.Duration `cbor:"1,keyasint"` // between the stamps of two frames that follow each other
	MinFused    uint8         `cbor:"2,keyasint"` // frames that the probe must be fused from
	MinLiveness float32       `cbor:"3,keyasint"` // learned score below which the session is refused; 0 switches the check off, it can only deny
}

// Check tells whether a Presentation belongs to the session, holds together in itself and answers the lamp. ReasonNone means
// that a comparison may follow; nothing here says who it is. The first failed check ends it.
func Check(p *Presentation, o Opened, b Book, c CaptureLimits, l ChallengeLimits) Reason {
	switch {
	case p.Session != o.Session || p.Nonce != o.Nonce:
		return ReasonOtherSession
	case p.Camera != o.Camera:
		return ReasonOtherCamera
	case p.Bundle != o.Bundle:
		return ReasonOtherBundle
	case len(p.Frames) > MaxFrames || (len(p.Probe) != 0 && len(p.Probe) != ProbeSize):
		return ReasonMalformed
	case len(p.Frames) == 0:
		return ReasonFewFrames
	}
	for i, f := range p.Frames {
		if f.Stamp-f.Exposure < o.Start {
			return ReasonFrameStale
		}
		if f.Exposure <= 0 {
			return ReasonMalformed
		}
		if i > 0 {
			before := p.Frames[i-1]
			if f.Seq <= before.Seq || f.Stamp <= before.Stamp || f.Chain == before.Chain {
				return ReasonFrameOrder
			}
			if f.Stamp-before.Stamp > c.MaxGap {
				return ReasonFewFrames // a busy processor loses frames, too; what was in the gap nobody saw
			}
		}
		if f.Track == 0 || f.Track != o.Track {
			return ReasonTrackLost
		}
	}
	if r := b.Answered(o.Code, o.Chips, p.Frames, o.Spread, l); r != ReasonNone {
		return r
	}
	if c.MinLiveness > 0 && !(p.Liveness >= c.MinLiveness) {
		return ReasonLiveness
	}
	if len(p.Probe) == 0 || p.ProbeFrom < uint32(c.MinFused) {
		return ReasonNoProbe
	}
	return ReasonNone
}

// Attack reports whether a reason is the mark of an attack rather than of a bad moment. An attack is denied and raises a warning.
func (r Reason) Attack() bool {
	switch r {
	case ReasonMalformed, ReasonOtherSession, ReasonOtherCamera, ReasonOtherBundle, ReasonFrameOrder, ReasonFrameStale,
		ReasonNoAnswer, ReasonWrongAnswer, ReasonFlat, ReasonLiveness:
		return true
	}
	return false
}

// Own reports whether a reason lies in the person who was identified, so that the refusal counts towards their lockout. Being locked
// out is none: it must not prolong itself. Nor is what the door or the kiosk cannot do at the moment.
func (r Reason) Own() bool {
	switch r {
	case ReasonRevoked, ReasonSuspended, ReasonExpired, ReasonNotPermitted:
		return true
	}
	return false
}

// Again reports whether a failed check says nothing against the person, so that the walk-up ends in Retry.
func (r Reason) Again() bool {
	switch r {
	case ReasonNoProbe, ReasonTrackLost, ReasonFewFrames, ReasonTooBright, ReasonLeft, ReasonEyeLost, ReasonDeadline:
		return true
	}
	return false
}
