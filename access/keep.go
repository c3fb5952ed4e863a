package access

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Selection says which walk-ups are kept for reviewers. The zero Selection is none.
type Selection uint8

// Append only: the numbers stand in policies.
const (
	SelectNone    Selection = 0
	SelectAttacks Selection = 1 // that ended with the mark of an attack
	SelectFailed  Selection = 2 // that did not end in a grant
	SelectAll     Selection = 3 // grants, too: while a site is measured, for it keeps evidence of everybody who enters
)

// Evidence says which walk-ups are kept as abuse bundles, for whom and for how long. The zero Evidence keeps nothing.
type Evidence struct {
	Select Selection `cbor:"1,keyasint"`
	// Frames keeps the frames, too: biometric data of whoever stood there. Without it a bundle holds what was measured, and the probe.
	Frames bool `cbor:"2,keyasint"`
	// Reviewers are the age X25519 recipients that bundles are encrypted to. Nobody else can read one, the kiosk included.
	Reviewers []string      `cbor:"3,keyasint"`
	Keep      time.Duration `cbor:"4,keyasint"` // after which a bundle is removed
	MaxBytes  uint64        `cbor:"5,keyasint"` // of all bundles together; the oldest go first
}

// Bounds of Evidence.
const (
	MaxReviewers = 4
	// RecipientBytes is the length of every age X25519 recipient: bech32 of 32 bytes under the name "age".
	RecipientBytes = 62
	minEvidence    = 1 << 20
	minFramed      = 32 << 20  // the frames of one session may be as many (firmware/ipc); less would keep few or none
	maxEvidence    = 256 << 20 // half of the storage of a kiosk, docs/ARCHITECTURE.md
	mostReviewed   = 90 * day
)

// Validate refuses evidence that nobody could read, that is kept for ever, or that could fill the disk.
func (e Evidence) Validate() error {
	switch {
	case e.Select > SelectAll:
		return fmt.Errorf("evidence: selection %d is unknown", e.Select)
	case e.Select == SelectNone:
		return nil
	case len(e.Reviewers) == 0 || len(e.Reviewers) > MaxReviewers:
		return fmt.Errorf("evidence: %d reviewers, want 1 to %d", len(e.Reviewers), MaxReviewers)
	case e.Keep < leastKept || e.Keep > mostReviewed:
		return fmt.Errorf("evidence is kept for %v, outside %v..%v", e.Keep, leastKept, mostReviewed)
	case e.MaxBytes < minEvidence || e.MaxBytes > maxEvidence:
		return fmt.Errorf("evidence of %d bytes, outside %d..%d", e.MaxBytes, minEvidence, maxEvidence)
	}
	if e.Frames && e.MaxBytes < minFramed {
		return fmt.Errorf("evidence of %d bytes, want %d or more where frames are kept", e.MaxBytes, minFramed)
	}
	for _, r := range e.Reviewers {
		if len(r) != RecipientBytes || !strings.HasPrefix(r, "age1") {
			return errors.New("evidence: a reviewer is no age X25519 recipient")
		}
	}
	return nil
}

// Selects tells whether a walk-up that was decided so is kept.
func (e Evidence) Selects(d Decision) bool {
	switch e.Select {
	case SelectAttacks:
		return d.Reason.Attack()
	case SelectFailed:
		return d.Verdict != Granted
	case SelectAll:
		return true
	}
	return false
}
