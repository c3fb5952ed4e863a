package wire

import (
	"errors"
	"fmt"
)

// What a kiosk says. None of it is signed as a whole: headquarters believes records as far as the checkpoints of the kiosk's audit key cover them, an
// exchange key as far as its TPM attests it, and acts on the rest only in ways that harm nobody when it is a lie.

// Greeting opens a conversation, and is repeated every minute: what the kiosk stands at, and a nonce for headquarters to sign.
type Greeting struct {
	Nonce    [16]byte `cbor:"1,keyasint"`
	Seq      uint64   `cbor:"2,keyasint"` // of the newest command that is applied
	Head     [32]byte `cbor:"3,keyasint"` // its Link
	Trust    uint64   `cbor:"4,keyasint"` // version
	Policy   uint64   `cbor:"5,keyasint"` // version
	Exchange uint32   `cbor:"6,keyasint"` // number of the newest exchange key
	Records  uint64   `cbor:"7,keyasint"` // in the audit log
	Cursor   uint64   `cbor:"8,keyasint"` // of them acknowledged
	Boot     uint64   `cbor:"9,keyasint"`
	Door     string   `cbor:"10,keyasint"`
	Bundle   [32]byte `cbor:"11,keyasint"` // model bundle
}

// Records are audit records in order, each with the very bytes that the log holds, and the newest checkpoint.
type Records struct {
	From       uint64   `cbor:"1,keyasint"` // sequence of the first
	Records    [][]byte `cbor:"2,keyasint"`
	Checkpoint []byte   `cbor:"3,keyasint"` // a signed note; empty: none yet
	Time       []byte   `cbor:"4,keyasint"` // the TPM's attestation of its clock that the checkpoint names; may be empty
	// Proof shows that the log up to the last of these records is the beginning of the checkpoint's (RFC 6962, 2.1.2), where the checkpoint covers more:
	// so each message of many can be believed by itself.
	Proof [][32]byte `cbor:"5,keyasint,omitempty"`
}

// Challenge is what an operator must sign to have this door released, a walk-up settled or an enrolment begun; it is good for ten seconds and once.
type Challenge struct {
	Request   [16]byte `cbor:"1,keyasint"` // what asked for it
	Challenge [32]byte `cbor:"2,keyasint"`
	Door      string   `cbor:"3,keyasint"`
	Waits     Session  `cbor:"4,keyasint"` // the walk-up that waits for an operator; zero: none
}

// Session names a walk-up at a kiosk: its boot, and a number that rises within it.
type Session struct {
	Boot   uint64 `cbor:"1,keyasint"`
	Number uint64 `cbor:"2,keyasint"`
}

// Exchange is the key that content for this kiosk is to be sealed to.
type Exchange struct {
	Number      uint32 `cbor:"1,keyasint"` // from 1, one more with each key
	Blob        []byte `cbor:"2,keyasint"` // as the TPM made it
	Attestation []byte `cbor:"3,keyasint"` // TPMS_ATTEST over it, by the kiosk's attestation key
	Signature   []byte `cbor:"4,keyasint"`
}

// Refusal tells an operator at once what the audit record proves later.
type Refusal struct {
	What Kind     `cbor:"1,keyasint"`
	Hash [32]byte `cbor:"2,keyasint"` // SHA-256 of what was refused
	Why  string   `cbor:"3,keyasint"` // a sentence
}

// Bounds of what a kiosk says.
const (
	MaxRecords     = 256 // in one message
	maxRecord      = 16 << 10
	maxCheckpoint  = 4 << 10
	maxAttestation = 2 << 10
	maxBlob        = 4 << 10
	maxProof       = 128 // hashes: two for each level
)

func (Greeting) Kind() Kind  { return KindGreeting }
func (Records) Kind() Kind   { return KindRecords }
func (Challenge) Kind() Kind { return KindChallenge }
func (Exchange) Kind() Kind  { return KindExchange }
func (Refusal) Kind() Kind   { return KindRefusal }

// Validate holds it to its bounds.
func (g Greeting) Validate() error {
	if g.Nonce == [16]byte{} || (g.Seq == 0) != (g.Head == [32]byte{}) || g.Cursor > g.Records {
		return errors.New("no nonce, or numbers that do not fit")
	}
	return checkText(g.Door, 1, maxName)
}

// Validate holds it to its bounds.
func (r Records) Validate() error {
	if len(r.Records) > MaxRecords || len(r.Checkpoint) > maxCheckpoint || len(r.Time) > maxAttestation || len(r.Proof) > maxProof {
		return fmt.Errorf("%d records, a checkpoint of %d bytes, a time of %d and a proof of %d hashes", len(r.Records), len(r.Checkpoint), len(r.Time), len(r.Proof))
	}
	for i, b := range r.Records {
		if len(b) == 0 || len(b) > maxRecord {
			return fmt.Errorf("record %d has %d bytes, want 1 to %d", i+1, len(b), maxRecord)
		}
	}
	return nil
}

// Validate holds it to its bounds.
func (c Challenge) Validate() error {
	if c.Request == [16]byte{} || c.Challenge == [32]byte{} {
		return errors.New("no request, or no challenge")
	}
	return checkText(c.Door, 1, maxName)
}

// Validate holds it to its bounds.
func (e Exchange) Validate() error {
	if e.Number == 0 || len(e.Blob) == 0 || len(e.Blob) > maxBlob || len(e.Attestation) > maxAttestation || len(e.Signature) > maxKey {
		return errors.New("no number, or parts of a wrong size")
	}
	return nil
}

// Validate holds it to its bounds.
func (r Refusal) Validate() error { return checkText(r.Why, 1, 256) }

// report is a message of a kiosk: its kind, and what it says.
type report struct {
	_    struct{} `cbor:",toarray"`
	Kind Kind
	Body Raw
}

// Report encodes what a kiosk says.
func Report(body Body) ([]byte, error) {
	if err := body.Validate(); err != nil {
		return nil, fmt.Errorf("report %v: %w", body.Kind(), err)
	}
	data, err := Marshal(body)
	if err == nil {
		data, err = Marshal(report{Kind: body.Kind(), Body: data})
	}
	if err == nil && len(data) > body.Kind().most() {
		err = fmt.Errorf("%d bytes, at most %d", len(data), body.Kind().most())
	}
	if err != nil {
		return nil, fmt.Errorf("report %v: %w", body.Kind(), err)
	}
	return data, nil
}

// Reported says of which kind a message of a kiosk is, before it is decoded.
func Reported(data []byte) (Kind, error) {
	r, err := reported(data)
	return r.Kind, err
}

func reported(data []byte) (r report, err error) {
	if err = Unmarshal(data, &r); err == nil && (r.Kind < KindGreeting || len(data) > r.Kind.most()) {
		err = fmt.Errorf("%v of %d bytes", r.Kind, len(data))
	}
	if err != nil {
		return report{}, fmt.Errorf("read report: %w", err)
	}
	return r, nil
}

// Read decodes a message of a kiosk.
func Read[T Body](data []byte) (T, error) {
	var body, none T
	r, err := reported(data)
	if err != nil {
		return none, err
	}
	if r.Kind != body.Kind() {
		return none, fmt.Errorf("read %v: it is a %v", body.Kind(), r.Kind)
	}
	if err = Unmarshal(r.Body, &body); err == nil {
		err = body.Validate()
	}
	if err != nil {
		return none, fmt.Errorf("read %v: %w", none.Kind(), err)
	}
	return body, nil
}
