package access

import (
	"errors"
	"fmt"
	"time"
)

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

	Interval time.Duration // between two frames of this camera; 0: unknown
	Doubted  bool          // the session of this face before this one ended in doubt: this one does not

	// MinLearned is the learned score below which the session is refused: what was measured for the policy's budget. 0: nothing was.
	MinLearned float32
	Shown      []PixelHash // of the frames of the last sessions, as Remember keeps them
}

// CaptureLimits bound the frames of a Presentation.
type CaptureLimits struct {
	MaxGap   time.Duration `cbor:"1,keyasint"` // between the stamps of two frames that follow each other
	MinFused uint8         `cbor:"2,keyasint"` // frames that the probe must be fused from
	// LearnedBudget is the share of living people whom the learned check may refuse, at most 0.01; 0 switches it off. The measured table of the model
	// bundle translates it; no threshold stands in code. It can only deny.
	LearnedBudget float64 `cbor:"3,keyasint"`
	MinOverlap    float32 `cbor:"4,keyasint"` // of the face's box from one frame to the next, 0..1
	MinTexture    float32 `cbor:"5,keyasint"` // median standard deviation of the face at a pinned scale, gray levels

	// Each of these is off when it is 0: it is measured all the same.
	MinNoise     float32 `cbor:"6,keyasint"`  // least that any lit frame differs from those around it, gray levels
	MaxRestless  float32 `cbor:"7,keyasint"`  // most that it may, gray levels
	MinReflected float32 `cbor:"8,keyasint"`  // cosine of the probe and that of the face in the lamp's light alone
	MinGlint     float32 `cbor:"9,keyasint"`  // how much more the highest point of the eyes answers the lamp than the eyes do, natural logarithm
	MinSway      float32 `cbor:"10,keyasint"` // of the head around an even movement, in distances between the eyes
	MinFlex      float32 `cbor:"11,keyasint"` // of the landmarks against each other, in distances between the eyes; tells nobody from anybody (docs/PAD.md)
}

// Validate refuses limits that would accept anything.
func (c CaptureLimits) Validate() error {
	switch {
	case c.MaxGap < 10*time.Millisecond || c.MaxGap > time.Second:
		return fmt.Errorf("capture limits: frame gap %v outside 10ms..1s", c.MaxGap)
	case c.MinFused == 0:
		return errors.New("capture limits: a probe needs at least one frame")
	case !(c.LearnedBudget >= 0 && c.LearnedBudget <= 0.01):
		return fmt.Errorf("capture limits: budget %g of the learned check outside 0..0.01", c.LearnedBudget)
	case !(c.MinOverlap >= 0.1 && c.MinOverlap <= 0.9):
		return errors.New("capture limits: MinOverlap outside 0.1..0.9")
	case !(c.MinTexture >= 1 && c.MinTexture <= 64):
		return errors.New("capture limits: MinTexture outside 1..64 gray levels")
	case !(c.MinNoise >= 0 && c.MinNoise <= 8):
		return errors.New("capture limits: MinNoise outside 0..8 gray levels")
	case !(c.MaxRestless == 0 || c.MaxRestless > c.MinNoise && c.MaxRestless <= 64):
		return errors.New("capture limits: MaxRestless is neither off nor between MinNoise and 64 gray levels")
	case !(c.MinReflected >= 0 && c.MinReflected <= 0.9):
		return errors.New("capture limits: MinReflected outside 0..0.9")
	case !(c.MinGlint >= 0 && c.MinGlint <= 2):
		return errors.New("capture limits: MinGlint outside 0..2")
	case !(c.MinSway >= 0 && c.MinSway <= 0.1 && c.MinFlex >= 0 && c.MinFlex <= 0.1):
		return errors.New("capture limits: MinSway or MinFlex outside 0..0.1 distances between the eyes")
	}
	return nil
}

// Check tells whether a Presentation belongs to the session, holds together in itself and answers the lamp. ReasonNone means
// that a comparison may follow; nothing here says who it is. The first failed criterion ends it.
func Check(p *Presentation, o Opened, b Book, c CaptureLimits, l ChallengeLimits) Reason {
	f := Examine(p, o, b, c, l)
	return f.First()
}

// Attack reports whether a reason is the mark of an attack rather than of a bad moment. An attack is denied and raises a warning.
func (r Reason) Attack() bool {
	switch r {
	case ReasonMalformed, ReasonOtherSession, ReasonOtherCamera, ReasonOtherBundle, ReasonFrameOrder, ReasonFrameStale,
		ReasonNoAnswer, ReasonWrongAnswer, ReasonFlat, ReasonLiveness, ReasonLateAnswer, ReasonEarlyAnswer, ReasonInverted, ReasonSpliced,
		ReasonNoRelief, ReasonNoTexture, ReasonPhase, ReasonRepeated,
		ReasonOtherReflected, ReasonNoNoise, ReasonNoGlint, ReasonMotionless, ReasonRigid:
		return true
	}
	return false
}

// Unanswered reports whether a reason is that the lamp was not answered as a living face in front of its surroundings does.
func (r Reason) Unanswered() bool {
	switch r {
	case ReasonNoAnswer, ReasonWrongAnswer, ReasonLateAnswer, ReasonEarlyAnswer, ReasonInverted, ReasonSpliced, ReasonFlat, ReasonNoRelief:
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
	case ReasonNoProbe, ReasonTrackLost, ReasonFewFrames, ReasonTooBright, ReasonLeft, ReasonEyeLost, ReasonDeadline,
		ReasonJump, ReasonReliefUnknown, ReasonReliefDoubt, ReasonUneven, ReasonNotHeld, ReasonRestless, ReasonCameraStalled, ReasonTooDark:
		return true
	}
	return false
}
