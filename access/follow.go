package access

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Follow is whether and how a door follows an unknown face over sessions that failed the checks against attacks. The zero Follow is off.
//
// What is followed is biometric data of people whom nobody asked: it needs a legal basis, which the policy names and door records at each start.
type Follow struct {
	On        bool          `cbor:"1,keyasint"`
	Basis     string        `cbor:"2,keyasint"` // the legal basis as the controller recorded it, at most MaxBasis bytes
	Keep      time.Duration `cbor:"3,keyasint"` // of a face, from its first session, in memory alone
	Threshold float32       `cbor:"4,keyasint"` // comparison score above which two probes are taken for one face
	Limit     uint8         `cbor:"5,keyasint"` // failed sessions of one face before it is flagged
	Rest      time.Duration `cbor:"6,keyasint"` // cool-down after a failed session of a face that is flagged
}

const (
	// MaxBasis bounds Follow.Basis, in bytes: it stands in a record with some words around it.
	MaxBasis = 120
	// mostFollowed is the longest that a face is followed (issue 5, B22).
	mostFollowed = day
	// leastThreshold is what two strangers reach once in some ten thousand comparisons (inference/model/calibration.json).
	leastThreshold = 0.4
	// mostRest is short: whoever comes next waits, too, and may be somebody else.
	mostRest = 10 * time.Second
)

// Validate refuses to follow anybody without a basis, for longer than a day, or by a score that strangers reach.
func (f Follow) Validate() error {
	if !f.On {
		return nil
	}
	switch {
	case f.Basis == "" || len(f.Basis) > MaxBasis || !utf8.ValidString(f.Basis):
		return fmt.Errorf("follow: a recorded legal basis of 1 to %d bytes wanted", MaxBasis)
	case f.Keep < time.Minute || f.Keep > mostFollowed:
		return fmt.Errorf("follow: faces kept for %v, outside 1m..%v", f.Keep, mostFollowed)
	case !(f.Threshold >= leastThreshold && f.Threshold < 1):
		return fmt.Errorf("follow: threshold %g outside %g..1", f.Threshold, float32(leastThreshold))
	case f.Limit < 2:
		return errors.New("follow: a face is flagged after 2 failed sessions or more")
	case f.Rest < 0 || f.Rest > mostRest:
		return fmt.Errorf("follow: cool-down %v outside 0..%v", f.Rest, mostRest)
	}
	return nil
}

// CorrelationID names a face that is followed, as long as it is: 128 random bits, made of nothing that anybody is or has.
type CorrelationID [16]byte

// String is the lower-case hexadecimal form, 32 characters.
func (c CorrelationID) String() string { return hex.EncodeToString(c[:]) }

// ParseCorrelationID reads the form that String writes.
func ParseCorrelationID(s string) (c CorrelationID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(c) || CorrelationID(b) == c {
		return c, fmt.Errorf("parse correlation id %q: want 32 hexadecimal digits, not all zero", s)
	}
	return CorrelationID(b), nil
}
