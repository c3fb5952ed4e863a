package vault

import (
	"errors"
	"fmt"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// State is what a person may do. The zero State permits nothing.
type State uint8

// Append only: the numbers stand in the vault.
const (
	Suspended State = 0
	Active    State = 1
	Revoked   State = 2
	// Expired is how a person whose lease has ended is read; it is never stored, and Put refuses it.
	Expired State = 3
)

// String is the participle; an unknown value prints its number.
func (s State) String() string {
	switch s {
	case Suspended:
		return "suspended"
	case Active:
		return "active"
	case Revoked:
		return "revoked"
	case Expired:
		return "expired"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Person is one enrolled person as the vault keeps them.
type Person struct {
	ID         access.PersonID
	State      State
	Generation uint64 // of the enrolment, 1 or more; a deleted person comes back only with a higher one
	References []Reference
	// Until ends the lease, in Unix seconds; 0 is no lease. Without trusted time a lease runs on powered hours, at most 72 of them
	// summed over restarts, then counts as ended until time is trusted again. Only a sealed vault keeps leases.
	Until int64
	// Groups are the policy's words for this person, at most MaxGroups. Only a sealed vault keeps them, and Extended.
	Groups   []string
	Extended bool // needs the door's longer times
	// Foreign is how many references were left out because they belong to another model bundle: a comparison with them would mean
	// nothing. Put ignores it.
	Foreign int
}

// Reference is one template of a person, with what it was made by.
type Reference struct {
	Template Template
	Bundle   [32]byte // SHA-256 of the model bundle's manifest
	Created  uint64   // boot counter when it was made
	Quality  float32  // 0..1
}

// Lockout is what a door remembers of failures, so that a power cut does not forgive them.
type Lockout struct {
	Boot     uint64          `cbor:"1,keyasint"` // in whose clock the stamps are
	Failures []time.Duration `cbor:"2,keyasint"` // CLOCK_MONOTONIC, oldest first, at most MaxFailures
	// Locked says that the lockout is in force. Entering and leaving it raise the counter of a sealed vault; single failures do not.
	Locked bool `cbor:"3,keyasint,omitempty"`
}

// Bounds of what is stored and of what is believed on reading.
const (
	MaxReferences = 16  // of one person
	MaxFailures   = 256 // of one door
	MaxGroups     = 16  // of one person
	maxGroup      = 64  // bytes of a group's name
	maxDoor       = 64  // bytes of a door's name
)

type personRecord struct {
	State      State             `cbor:"1,keyasint"`
	Generation uint64            `cbor:"2,keyasint"`
	References []referenceRecord `cbor:"3,keyasint"`
}

type referenceRecord struct {
	Template []byte   `cbor:"1,keyasint"`
	Bundle   [32]byte `cbor:"2,keyasint"`
	Created  uint64   `cbor:"3,keyasint"`
	Quality  float32  `cbor:"4,keyasint"`
}

func (r personRecord) validate() error {
	if r.State > Revoked {
		return fmt.Errorf("%v cannot be stored", r.State)
	}
	if r.Generation == 0 {
		return errors.New("generation 0")
	}
	if len(r.References) > MaxReferences {
		return fmt.Errorf("%d references, at most %d", len(r.References), MaxReferences)
	}
	for _, ref := range r.References {
		if !(ref.Quality >= 0 && ref.Quality <= 1) {
			return errors.New("quality outside 0..1")
		}
	}
	return nil
}

// storable refuses what a book could only refuse halfway.
func (p Person) storable() error {
	for _, ref := range p.References {
		if ref.Template.components == nil || ref.Template.turn != 0 {
			return errors.New("a template is empty, or of a sealed vault")
		}
	}
	return newSealedPerson(p, 0, 0).validate()
}

func encodePerson(p Person) ([]byte, error) {
	r := personRecord{State: p.State, Generation: p.Generation}
	for _, ref := range p.References {
		t, err := ref.Template.encode()
		if err != nil {
			return nil, err
		}
		r.References = append(r.References, referenceRecord{t, ref.Bundle, ref.Created, ref.Quality})
	}
	if err := r.validate(); err != nil {
		return nil, err
	}
	return wire.Marshal(r)
}

func decodeRecord(value []byte) (personRecord, error) {
	var r personRecord
	if err := wire.Unmarshal(value, &r); err != nil {
		return personRecord{}, err
	}
	return r, r.validate()
}

// decodePerson leaves out the references of other bundles.
func decodePerson(key, value []byte, bundle [32]byte) (Person, error) {
	id, err := parseKey(key)
	if err != nil {
		return Person{}, err
	}
	r, err := decodeRecord(value)
	if err != nil {
		return Person{}, err
	}
	p := Person{ID: id, State: r.State, Generation: r.Generation}
	for _, ref := range r.References {
		if ref.Bundle != bundle {
			p.Foreign++
			continue
		}
		t, err := decodeTemplate(ref.Template)
		if err != nil {
			return Person{}, err
		}
		p.References = append(p.References, Reference{t, ref.Bundle, ref.Created, ref.Quality})
	}
	return p, nil
}

func parseKey(key []byte) (access.PersonID, error) {
	var id access.PersonID
	if len(key) != len(id) {
		return id, fmt.Errorf("person's key of %d bytes, want %d", len(key), len(id))
	}
	copy(id[:], key)
	return id, nil
}

func (l Lockout) validate() error {
	if len(l.Failures) > MaxFailures {
		return fmt.Errorf("%d failures, at most %d", len(l.Failures), MaxFailures)
	}
	last := time.Duration(0)
	for _, at := range l.Failures {
		if at < last {
			return errors.New("failures out of order")
		}
		last = at
	}
	return nil
}
