package wire

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The orders of named operators. A kiosk checks each one's signature and role itself, whoever brings it.

// ReferenceBytes is the size of one reference on the wire: 512 float32, little-endian, of length 1.
const ReferenceBytes = 4 * 512

// Bounds of orders.
const (
	maxReferences = 16
	maxGroups     = 16
	maxText       = 128 // bytes of a reference to a document
	MaxDocument   = 128 << 10
	// MaxPermission is how long an order that permits something may be good for.
	MaxPermission = 24 * time.Hour
)

// Enrolment makes a person known. It is biometric: outside the enroller's hands and the vaults it is always sealed.
type Enrolment struct {
	Person     [16]byte `cbor:"1,keyasint"`
	Generation uint64   `cbor:"2,keyasint"`  // from 1; a deleted person comes back only with a higher one
	Bundle     [32]byte `cbor:"3,keyasint"`  // of the model bundle that made the references
	References [][]byte `cbor:"4,keyasint"`  // of ReferenceBytes each, 1 to 16
	Until      int64    `cbor:"5,keyasint"`  // Unix seconds at which the permission ends; always set: nobody is enrolled for ever
	Groups     []string `cbor:"6,keyasint"`  // of the policy's words, sorted, none twice
	Consent    string   `cbor:"7,keyasint"`  // reference to the consent or legal basis
	Proofing   [32]byte `cbor:"8,keyasint"`  // SHA-256 of the proofing record
	Issued     int64    `cbor:"9,keyasint"`  // Unix seconds
	Extended   bool     `cbor:"10,keyasint"` // needs the door's longer times
}

// Deletion has a person forgotten, everywhere and for good up to that generation. It never expires.
type Deletion struct {
	Person     [16]byte `cbor:"1,keyasint"`
	Generation uint64   `cbor:"2,keyasint"`
	Issued     int64    `cbor:"3,keyasint"`
}

// Standing says what a person may do. The highest Serial of a generation counts.
type Standing struct {
	Person     [16]byte `cbor:"1,keyasint"`
	Generation uint64   `cbor:"2,keyasint"`
	Serial     uint64   `cbor:"3,keyasint"` // from 1
	State      uint8    `cbor:"4,keyasint"` // 0 suspended, 1 active, 2 revoked, as in the vault
	Issued     int64    `cbor:"5,keyasint"`
}

// Lockdown sets or lifts the lockdown of every door that it reaches. The highest Version counts.
type Lockdown struct {
	Version uint64 `cbor:"1,keyasint"` // from 1
	On      bool   `cbor:"2,keyasint"`
	Issued  int64  `cbor:"3,keyasint"`
}

// Disable has nobody recognised, or ends that. Who is inside can leave. The highest Version counts.
type Disable struct {
	Version uint64 `cbor:"1,keyasint"` // from 1
	On      bool   `cbor:"2,keyasint"`
	Issued  int64  `cbor:"3,keyasint"`
}

// Policy puts a policy document in force. The highest Version counts, and one that is not valid replaces nothing.
type Policy struct {
	Version  uint64 `cbor:"1,keyasint"` // from 1
	Document []byte `cbor:"2,keyasint"`
	Issued   int64  `cbor:"3,keyasint"`
}

// Supervised lets a person be enrolled at one kiosk, where somebody stands who knows them. By itself it does nothing: it takes a Begin.
type Supervised struct {
	Person     [16]byte `cbor:"1,keyasint"`
	Generation uint64   `cbor:"2,keyasint"`
	Until      int64    `cbor:"3,keyasint"`
	Groups     []string `cbor:"4,keyasint"`
	Consent    string   `cbor:"5,keyasint"`
	Proofing   [32]byte `cbor:"6,keyasint"`
	Issued     int64    `cbor:"7,keyasint"`
	NotAfter   int64    `cbor:"8,keyasint"` // Unix seconds: from then on nothing begins it
	Extended   bool     `cbor:"9,keyasint"`
}

// Decommission wipes one kiosk: it is never for the fleet.
type Decommission struct {
	Issued int64 `cbor:"1,keyasint"`
}

// Approval is a second operator's word for what another one has signed.
type Approval struct {
	Order  [32]byte `cbor:"1,keyasint"` // SHA-256 of the envelope that is approved
	Issued int64    `cbor:"2,keyasint"`
}

// Action is what a release asks a door for.
type Action uint8

// Append only.
const (
	ActionRelease Action = 1 // open once
	ActionConfirm Action = 2 // settle the walk-up that waits for an operator
)

// Release opens one door once. It is an operator's answer to a challenge that the kiosk made a few seconds ago and keeps in memory alone.
type Release struct {
	Challenge [32]byte `cbor:"1,keyasint"`
	Door      string   `cbor:"2,keyasint"`
	Action    Action   `cbor:"3,keyasint"`
	Session   Session  `cbor:"4,keyasint"` // ActionConfirm: the walk-up that the challenge named, and no other; else zero
}

// Begin has the next walk-up, and no later one, enrol a person, as an enroller's answer to a challenge: whoever keeps a supervised enrolment back chooses
// neither the moment nor who stands there.
type Begin struct {
	Challenge [32]byte `cbor:"1,keyasint"`
	Order     []byte   `cbor:"2,keyasint"` // the envelope of a Supervised
}

func (Enrolment) Kind() Kind    { return KindEnrolment }
func (Deletion) Kind() Kind     { return KindDeletion }
func (Standing) Kind() Kind     { return KindStanding }
func (Lockdown) Kind() Kind     { return KindLockdown }
func (Disable) Kind() Kind      { return KindDisable }
func (Policy) Kind() Kind       { return KindPolicy }
func (Supervised) Kind() Kind   { return KindSupervised }
func (Decommission) Kind() Kind { return KindDecommission }
func (Approval) Kind() Kind     { return KindApproval }
func (Release) Kind() Kind      { return KindRelease }
func (Begin) Kind() Kind        { return KindBegin }

// Validate holds it to its bounds.
func (e Enrolment) Validate() error {
	if len(e.References) == 0 || len(e.References) > maxReferences {
		return fmt.Errorf("%d references, want 1 to %d", len(e.References), maxReferences)
	}
	for i, r := range e.References {
		if len(r) != ReferenceBytes {
			return fmt.Errorf("reference %d has %d bytes, want %d", i+1, len(r), ReferenceBytes)
		}
	}
	if e.Bundle == [32]byte{} {
		return errors.New("no model bundle is named")
	}
	return errors.Join(checkPerson(e.Person, e.Generation), checkBasis(e.Until, e.Groups, e.Consent, e.Proofing), checkIssued(e.Issued))
}

// Validate holds it to its bounds.
func (d Deletion) Validate() error {
	return errors.Join(checkPerson(d.Person, d.Generation), checkIssued(d.Issued))
}

// Validate holds it to its bounds.
func (s Standing) Validate() error {
	if s.Serial == 0 || s.State > 2 {
		return fmt.Errorf("serial %d, state %d", s.Serial, s.State)
	}
	return errors.Join(checkPerson(s.Person, s.Generation), checkIssued(s.Issued))
}

// Validate holds it to its bounds.
func (l Lockdown) Validate() error { return checkVersion(l.Version, l.Issued) }

// Validate holds it to its bounds.
func (d Disable) Validate() error { return checkVersion(d.Version, d.Issued) }

// Validate holds it to its bounds; what the document says is for access to judge.
func (p Policy) Validate() error {
	if len(p.Document) == 0 || len(p.Document) > MaxDocument {
		return fmt.Errorf("document of %d bytes, want 1 to %d", len(p.Document), MaxDocument)
	}
	return checkVersion(p.Version, p.Issued)
}

// Validate holds it to its bounds.
func (s Supervised) Validate() error {
	if s.NotAfter <= s.Issued || s.NotAfter-s.Issued > int64(MaxPermission/time.Second) {
		return fmt.Errorf("good from %d until %d, at most %v", s.Issued, s.NotAfter, MaxPermission)
	}
	return errors.Join(checkPerson(s.Person, s.Generation), checkBasis(s.Until, s.Groups, s.Consent, s.Proofing), checkIssued(s.Issued))
}

// Validate holds it to its bounds.
func (d Decommission) Validate() error { return checkIssued(d.Issued) }

// Validate holds it to its bounds.
func (a Approval) Validate() error {
	if a.Order == [32]byte{} {
		return errors.New("no order is named")
	}
	return checkIssued(a.Issued)
}

// Validate holds it to its bounds.
func (r Release) Validate() error {
	if r.Challenge == [32]byte{} {
		return errors.New("no challenge")
	}
	if r.Action != ActionRelease && r.Action != ActionConfirm {
		return fmt.Errorf("action %d is not known", r.Action)
	}
	if (r.Action == ActionConfirm) != (r.Session != Session{}) {
		return errors.New("a walk-up to settle and an action that do not fit")
	}
	return checkText(r.Door, 1, maxName)
}

// Validate holds it to its bounds.
func (b Begin) Validate() error {
	if b.Challenge == [32]byte{} || len(b.Order) == 0 || len(b.Order) > KindSupervised.most() {
		return fmt.Errorf("no challenge, or an order of %d bytes", len(b.Order))
	}
	return nil
}

func checkPerson(id [16]byte, generation uint64) error {
	if id == [16]byte{} || generation == 0 {
		return errors.New("no person, or no generation")
	}
	return nil
}

func checkIssued(at int64) error {
	if at <= 0 {
		return errors.New("no date")
	}
	return nil
}

func checkVersion(version uint64, issued int64) error {
	if version == 0 {
		return errors.New("no version")
	}
	return checkIssued(issued)
}

// checkBasis refuses an enrolment that says neither why nor until when.
func checkBasis(until int64, groups []string, consent string, proofing [32]byte) error {
	if until <= 0 {
		return errors.New("no end of the permission")
	}
	if err := checkText(consent, 1, maxText); err != nil {
		return fmt.Errorf("consent: %w", err)
	}
	if strings.TrimSpace(consent) == "" {
		return errors.New("consent: it is blank")
	}
	if proofing == [32]byte{} {
		return errors.New("no proofing record")
	}
	if len(groups) > maxGroups {
		return fmt.Errorf("%d groups, at most %d", len(groups), maxGroups)
	}
	for i, g := range groups {
		if err := checkText(g, 1, maxName); err != nil {
			return fmt.Errorf("group %d: %w", i+1, err)
		}
		if i > 0 && groups[i-1] >= g {
			return errors.New("groups are not sorted, or one stands twice")
		}
	}
	return nil
}

// checkText refuses what could not be shown in one line of a report.
func checkText(s string, least, most int) error {
	if len(s) < least || len(s) > most || !utf8.ValidString(s) {
		return fmt.Errorf("%d bytes, want %d to %d of UTF-8", len(s), least, most)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return errors.New("it has characters that cannot be shown")
		}
	}
	return nil
}

// Takes reports whether an order does nothing but take something away, and when it was signed by its own word. Such orders never expire: neither by their
// own date nor with the grant of whoever signed them.
func Takes(order Body) (issued int64, takes bool) {
	switch o := order.(type) {
	case Deletion:
		return o.Issued, true
	case Standing:
		return o.Issued, o.State != standingActive
	case Lockdown:
		return o.Issued, o.On
	case Disable:
		return o.Issued, o.On
	}
	return 0, false
}

// standingActive is the State of a Standing that gives something back.
const standingActive = 1
