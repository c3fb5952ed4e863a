package wire

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/veraison/go-cose"
)

// KeyID names a signing key: SHA-256 of its SubjectPublicKeyInfo.
type KeyID [32]byte

// IDOf is the name of a key, which must be ECDSA on P-256: there is no other in the house.
func IDOf(public crypto.PublicKey) (KeyID, error) {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return KeyID{}, fmt.Errorf("name key: %T is not ECDSA P-256", public)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return KeyID{}, fmt.Errorf("name key: %w", err)
	}
	return sha256.Sum256(spki), nil
}

// ParseKey reads a SubjectPublicKeyInfo and refuses what is not ECDSA on P-256 in its one encoding.
func ParseKey(spki []byte) (*ecdsa.PublicKey, error) {
	if len(spki) > maxKey {
		return nil, fmt.Errorf("parse key: %d bytes, at most %d", len(spki), maxKey)
	}
	any, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("parse key: %w", err)
	}
	id, err := IDOf(any)
	if err != nil {
		return nil, fmt.Errorf("parse key: %w", err)
	}
	if id != sha256.Sum256(spki) {
		return nil, errors.New("parse key: not the one encoding of its value")
	}
	return any.(*ecdsa.PublicKey), nil
}

const (
	maxKey      = 128 // bytes of a SubjectPublicKeyInfo; one of P-256 has 91
	contentType = "application/vnd.lintel+cbor"
)

// envelope is an untagged COSE_Sign1 (RFC 9052, 4.2) whose unprotected header is empty.
type envelope struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected struct{}
	Payload     []byte
	Signature   []byte
}

// protected is the whole of the protected header. It says what the payload is and who signed it; nothing else is possible.
type protected struct {
	Algorithm int64  `cbor:"1,keyasint"`
	Type      string `cbor:"3,keyasint"`
	Key       KeyID  `cbor:"4,keyasint"`
	Kind      Kind   `cbor:"-70001,keyasint"` // private use
}

// context is the external data of a signature. So an envelope for one kiosk is none for another, and one of this protocol none of any other that
// may come to use the same key.
type context struct {
	_        struct{} `cbor:",toarray"`
	Protocol string
	Kind     Kind
	Audience [32]byte
}

// Fleet is the audience of what is meant for every kiosk.
func Fleet() [32]byte { return [32]byte{} }

// Sign puts body into an envelope for one kiosk or Fleet, and signs it (ES256). It refuses what Open would refuse.
func Sign(key crypto.Signer, audience [32]byte, body Body) ([]byte, error) {
	data, err := sign(key, audience, body)
	if err != nil {
		return nil, fmt.Errorf("sign %v: %w", body.Kind(), err)
	}
	return data, nil
}

func sign(key crypto.Signer, audience [32]byte, body Body) ([]byte, error) {
	kind := body.Kind()
	if err := body.Validate(); err != nil {
		return nil, err
	}
	id, err := IDOf(key.Public())
	if err != nil {
		return nil, err
	}
	payload, err := Marshal(body)
	if err != nil {
		return nil, err
	}
	defer clear(payload)
	header, err := Marshal(protected{int64(cose.AlgorithmES256), contentType, id, kind})
	if err != nil {
		return nil, err
	}
	signer, err := cose.NewSigner(cose.AlgorithmES256, key)
	if err != nil {
		return nil, err
	}
	m, external, err := message(header, payload, kind, audience)
	if err != nil {
		return nil, err
	}
	if err := m.Sign(rand.Reader, external, signer); err != nil {
		return nil, err
	}
	data, err := Marshal(envelope{Protected: header, Payload: payload, Signature: m.Signature})
	if err == nil && len(data) > kind.most() {
		err = fmt.Errorf("%d bytes, at most %d", len(data), kind.most())
	}
	return data, err
}

// message is what go-cose signs and verifies.
func message(header, payload []byte, kind Kind, audience [32]byte) (m cose.UntaggedSign1Message, external []byte, err error) {
	m.Payload = payload
	if m.Headers.RawProtected, err = Marshal(header); err != nil { // a byte string around the map
		return m, nil, err
	}
	m.Headers.RawUnprotected = []byte{0xa0} // an empty map
	if err := m.Headers.UnmarshalFromRaw(); err != nil {
		return m, nil, err
	}
	external, err = Marshal(context{Protocol: "lintel wire 1", Kind: kind, Audience: audience})
	return m, external, err
}

// Claim is what an envelope says of itself. Nobody has vouched for it yet: it serves to look up the key, and for nothing else.
type Claim struct {
	Kind Kind
	Key  KeyID
}

// Peek reads the claim of an envelope and nothing of its payload. It refuses kinds that are not known and what is larger than its kind may be.
func Peek(data []byte) (Claim, error) {
	e, h, err := parse(data)
	if err != nil {
		return Claim{}, fmt.Errorf("read envelope: %w", err)
	}
	clear(e.Payload)
	return Claim{h.Kind, h.Key}, nil
}

// parse reads an envelope. After an error its copy of the payload is cleared.
func parse(data []byte) (e envelope, h protected, err error) {
	defer func() {
		if err != nil {
			clear(e.Payload)
		}
	}()
	if err := Unmarshal(data, &e); err != nil {
		return e, h, err
	}
	if err := Unmarshal(e.Protected, &h); err != nil {
		return e, h, err
	}
	switch {
	case h.Algorithm != int64(cose.AlgorithmES256) || h.Type != contentType:
		err = fmt.Errorf("algorithm %d, type %q", h.Algorithm, h.Type)
	case h.Kind.most() == 0:
		err = fmt.Errorf("kind %d is not known", uint16(h.Kind))
	case len(data) > h.Kind.most():
		err = fmt.Errorf("%v of %d bytes, at most %d", h.Kind, len(data), h.Kind.most())
	}
	return e, h, err
}

// Open verifies that an envelope is of T's kind, for this audience, by this key, and only then decodes what it says.
func Open[T Body](data []byte, key *ecdsa.PublicKey, audience [32]byte) (T, error) {
	var body T
	payload, err := verify(data, key, body.Kind(), audience)
	if err == nil {
		defer clear(payload)
		if err = Unmarshal(payload, &body); err == nil {
			err = body.Validate()
		}
	}
	if err != nil {
		var none T
		return none, fmt.Errorf("open %v: %w", none.Kind(), err)
	}
	return body, nil
}

var (
	// ErrForged means that the signature is not that of the key over these bytes, for this audience.
	ErrForged = errors.New("signature does not verify")
	// ErrMisdirected means that an envelope is of another kind, or of another key, than was asked for.
	ErrMisdirected = errors.New("envelope is not the one that was asked for")
)

func verify(data []byte, key *ecdsa.PublicKey, kind Kind, audience [32]byte) (payload []byte, err error) {
	e, h, err := parse(data)
	if err != nil {
		return nil, err
	}
	return e.verify(h, key, kind, audience)
}

// verify returns the payload of an envelope that verifies. Otherwise it clears it, for it may be biometric. That is our copy: go-cose makes one of what is
// signed, which nobody can clear.
func (e envelope) verify(h protected, key *ecdsa.PublicKey, kind Kind, audience [32]byte) (payload []byte, err error) {
	defer func() {
		if err != nil {
			clear(e.Payload)
		}
	}()
	id, err := IDOf(key)
	if err != nil {
		return nil, err
	}
	if h.Kind != kind || h.Key != id {
		return nil, ErrMisdirected
	}
	verifier, err := cose.NewVerifier(cose.AlgorithmES256, key)
	if err != nil {
		return nil, err
	}
	m, external, err := message(e.Protected, e.Payload, kind, audience)
	if err != nil {
		return nil, err
	}
	m.Signature = e.Signature
	if m.Verify(external, verifier) != nil {
		return nil, ErrForged
	}
	return e.Payload, nil
}
