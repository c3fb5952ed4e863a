package people

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Person is what headquarters keeps of somebody. It prints as the id alone: names stand in no log.
type Person struct {
	ID         access.PersonID `cbor:"1,keyasint"`
	Generation uint64          `cbor:"2,keyasint"` // rises when somebody is enrolled again under the same id
	Name       string          `cbor:"3,keyasint"`
	Number     string          `cbor:"4,keyasint"` // elsewhere: staff number, badge; may be empty
	Groups     []string        `cbor:"5,keyasint"`
	Until      int64           `cbor:"6,keyasint"` // Unix seconds
	Extended   bool            `cbor:"7,keyasint"`
	Consent    string          `cbor:"8,keyasint"`
	Proofing   [32]byte        `cbor:"9,keyasint"`  // SHA-256 of the proofing record
	Bundle     [32]byte        `cbor:"10,keyasint"` // zero without references
	References [][]byte        `cbor:"11,keyasint"`
	At         [32]byte        `cbor:"12,keyasint"` // the kiosk that enrols them, which alone has their references; zero otherwise
	Issued     int64           `cbor:"13,keyasint"`
	Enroller   Signatory       `cbor:"14,keyasint"`
	Approver   Signatory       `cbor:"15,keyasint"` // zero where none was needed
	Order      [32]byte        `cbor:"16,keyasint"` // SHA-256 of the signed enrolment
	Approval   [32]byte        `cbor:"17,keyasint"` // and of its approval
	State      State           `cbor:"18,keyasint"`
	Serial     uint64          `cbor:"19,keyasint"` // of the newest standing; 0: none was given
	Standing   [32]byte        `cbor:"20,keyasint"` // SHA-256 of it
	Alike      []Likeness      `cbor:"21,keyasint"` // who looked like them when they were enrolled
	Batch      string          `cbor:"22,keyasint"` // of a bulk enrolment
	Earlier    [][32]byte      `cbor:"23,keyasint"` // orders that this record no longer rests on
	Void       uint64          `cbor:"24,keyasint"` // a generation that was signed and rejected, above this one; 0: none
	Origin     [][]byte        `cbor:"25,keyasint"` // references of the first enrolment, of who was enrolled again: every later one is held to them
}

// recall decodes a record of the vault, also one of an earlier version, which has fewer fields. Overlay costs forty times as much as Unmarshal.
func recall(plain []byte, record any) error {
	if wire.Unmarshal(plain, record) == nil {
		return nil
	}
	return wire.Overlay(plain, record)
}

// Signatory is an operator who signed.
type Signatory struct {
	Key  wire.KeyID `cbor:"1,keyasint"`
	Name string     `cbor:"2,keyasint"`
}

// Likeness is another person who may be taken for this one.
type Likeness struct {
	Person access.PersonID `cbor:"1,keyasint"`
	// Same says that the score was above the door's own threshold: either this is the same person under another name, or the door cannot tell the two.
	Same bool `cbor:"2,keyasint"`
}

// State is a person's standing, by the numbers of wire.Standing.
type State uint8

// The states.
const (
	Suspended State = 0
	Active    State = 1
	Revoked   State = 2
)

// String is the word for the state.
func (s State) String() string {
	switch s {
	case Suspended:
		return "suspended"
	case Active:
		return "active"
	case Revoked:
		return "revoked"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// String is the id.
func (p Person) String() string { return "person " + p.ID.String() }

// GoString is the id.
func (p Person) GoString() string { return p.String() }

// holds reports whether headquarters itself has references of the person.
func (p Person) holds() bool { return len(p.References) > 0 }

// next is the generation of the next enrolment.
func (p Person) next() uint64 { return max(p.Generation, p.Void) + 1 }

// supervisedUntil is when the kiosk stops waiting for somebody who is enrolled there.
func (p Person) supervisedUntil() time.Time { return time.Unix(p.Issued, 0).Add(supervisedFor) }

// Bounds of what is kept of a person.
const (
	maxName    = 128 // bytes
	maxNumber  = 64
	maxConsent = 128 // as in an order
	// MaxProofing is the largest proofing record, bytes.
	MaxProofing = 256 << 10
	// longest is how far ahead a permission may end: nobody is enrolled for ever.
	longest = 10 * 365 * 24 * time.Hour
)

// check holds to its bounds what an operator said of a person; wire's orders are held to theirs when they are signed.
func (r Request) check(now time.Time) error {
	var errs []error
	if err := checkText(r.Name, 1, maxName); err != nil {
		errs = append(errs, fmt.Errorf("name: %w", err))
	}
	if err := checkText(r.Number, 0, maxNumber); err != nil {
		errs = append(errs, fmt.Errorf("number: %w", err))
	}
	if strings.TrimSpace(r.Consent) == "" {
		errs = append(errs, errors.New("no consent or other legal basis is named"))
	} else if err := checkText(r.Consent, 1, maxConsent); err != nil {
		errs = append(errs, fmt.Errorf("consent: %w", err))
	}
	if len(r.Proofing) == 0 || len(r.Proofing) > MaxProofing {
		errs = append(errs, fmt.Errorf("proofing record of %d bytes, want 1 to %d: who checked that this is the person, and by what?", len(r.Proofing), MaxProofing))
	} else if len(bytes.TrimSpace(r.Proofing)) == 0 {
		errs = append(errs, errors.New("proofing record is blank: who checked that this is the person, and by what?"))
	}
	if !r.Until.After(now) || r.Until.Sub(now) > longest {
		errs = append(errs, errors.New("the permission must end in the future, within ten years"))
	}
	if r.At == [32]byte{} && len(r.Photos) == 0 {
		errs = append(errs, errors.New("no photograph, and no kiosk at which the person is enrolled"))
	}
	if r.At != [32]byte{} && len(r.Photos) > 0 {
		errs = append(errs, errors.New("a photograph and a kiosk: a supervised enrolment takes no photograph"))
	}
	return errors.Join(errs...)
}

// sortedGroups is the list sorted, each once, without empty ones.
func sortedGroups(groups []string) []string {
	groups = slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == "" })
	slices.Sort(groups)
	return slices.Compact(groups)
}

// checkText holds a text to so many bytes that can be shown. One that must say something is not blank.
func checkText(s string, least, most int) error {
	if len(s) < least || len(s) > most || !utf8.ValidString(s) {
		return fmt.Errorf("%d bytes, want %d to %d of UTF-8", len(s), least, most)
	}
	if least > 0 && strings.TrimSpace(s) == "" {
		return errors.New("it is blank")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return errors.New("it has characters that cannot be shown")
		}
	}
	return nil
}
