// Package access is the pure core of Lintel: the words, the policy, the decision, the state machines of a walk-up and of an
// access point, and the audit record.
//
// Standard library only: no os, net, log, goroutine or time.Now. Everything that happens is an argument, everything that shall
// happen is a result, so that each decision can be replayed and every state machine walked through in a test.
package access

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// PersonID is the random 128-bit number that headquarters draws for a person. It names nobody; names live at headquarters only.
type PersonID [16]byte

// String is the lower-case hexadecimal form, 32 characters.
func (p PersonID) String() string { return hex.EncodeToString(p[:]) }

// IsZero reports whether p names no person.
func (p PersonID) IsZero() bool { return p == PersonID{} }

// ParsePersonID reads the form that String writes.
func ParsePersonID(s string) (PersonID, error) {
	var p PersonID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(p) {
		return PersonID{}, fmt.Errorf("parse person id %q: want 32 hexadecimal digits", s)
	}
	copy(p[:], b)
	if p.IsZero() {
		return PersonID{}, errors.New("parse person id: the zero id names nobody")
	}
	return p, nil
}

// SessionID names one walk-up at one kiosk: the boot counter and a number that rises within the boot.
type SessionID struct {
	Boot   uint64 `cbor:"1,keyasint"`
	Number uint64 `cbor:"2,keyasint"`
}

// String is boot/number in decimal.
func (s SessionID) String() string { return fmt.Sprintf("%d/%d", s.Boot, s.Number) }

// Verdict is the outcome of a walk-up. The zero Verdict denies.
type Verdict uint8

// To preserve the audit log's meaning, do not reorder or renumber.
const (
	Denied    Verdict = 0
	Granted   Verdict = 1
	Retry     Verdict = 2 // nothing was decided about anybody; the person may try again at once
	Uncertain Verdict = 3 // a second proof is needed
)

// String is the word used in logs and on the page; an unknown value reads as a denial with its number.
func (v Verdict) String() string {
	switch v {
	case Denied:
		return "denied"
	case Granted:
		return "granted"
	case Retry:
		return "retry"
	case Uncertain:
		return "uncertain"
	}
	return fmt.Sprintf("denied (verdict %d)", uint8(v))
}

// ProbeSize is the number of components of a probe of the default model bundle.
const ProbeSize = 512
