// Package proof checks what a kiosk's audit log claims, with nothing but the kiosk's public key: checkpoints (C2SP signed notes)
// and receipts (a record, its inclusion proof and a checkpoint). ../FORMAT.md is the layout.
//
// The package is pure: no file, no socket, no clock.
package proof

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// typeECDSA is the signature type of ECDSA keys in C2SP's signed-note.
const typeECDSA = 0x02

// verifier is a note.Verifier for ECDSA P-256 over SHA-256.
type verifier struct {
	name string
	key  *ecdsa.PublicKey
	spki []byte
}

// NewVerifier returns what golang.org/x/mod/sumdb/note needs to open the checkpoints of the kiosk called name. Its key hash is the
// first four bytes of SHA-256 over the public key in SPKI form, as C2SP's signed-note says for ECDSA keys.
func NewVerifier(name string, key *ecdsa.PublicKey) (note.Verifier, error) {
	return newVerifier(name, key)
}

func newVerifier(name string, key *ecdsa.PublicKey) (verifier, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return verifier{}, errors.New("public key is not ECDSA P-256")
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return verifier{}, err
	}
	return verifier{name, key, spki}, nil
}

func (v verifier) Name() string { return v.name }

func (v verifier) KeyHash() uint32 {
	sum := sha256.Sum256(v.spki)
	return binary.BigEndian.Uint32(sum[:])
}

func (v verifier) Verify(text, signature []byte) bool {
	sum := sha256.Sum256(text)
	return ecdsa.VerifyASN1(v.key, sum[:], signature)
}

// VerifierKey is the key of the kiosk called name in the form that tools for signed notes take: name+hash+base64.
func VerifierKey(name string, key *ecdsa.PublicKey) (string, error) {
	v, err := newVerifier(name, key)
	if err != nil {
		return "", fmt.Errorf("encode verifier key: %w", err)
	}
	return fmt.Sprintf("%s+%08x+%s", name, v.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{typeECDSA}, v.spki...))), nil
}

// maxVerifierKey bounds a verifier key in bytes: a name, a hash and a P-256 key take fewer than 300.
const maxVerifierKey = 512

// ParseVerifierKey reads the one form that VerifierKey writes: the kiosk's name and its public key.
func ParseVerifierKey(s string) (name string, key *ecdsa.PublicKey, err error) {
	if name, key, err = parseVerifierKey(s); err != nil {
		return "", nil, fmt.Errorf("parse verifier key: %w", err)
	}
	return name, key, nil
}

func parseVerifierKey(s string) (string, *ecdsa.PublicKey, error) {
	if len(s) > maxVerifierKey {
		return "", nil, fmt.Errorf("%d bytes, at most %d", len(s), maxVerifierKey)
	}
	parts := strings.SplitN(s, "+", 3)
	if len(parts) != 3 {
		return "", nil, errors.New("want name+hash+base64")
	}
	if err := (Checkpoint{Origin: parts[0]}).validate(); err != nil {
		return "", nil, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(b) == 0 || b[0] != typeECDSA {
		return "", nil, fmt.Errorf("%q is not base64 of an ECDSA key", parts[2])
	}
	parsed, err := x509.ParsePKIXPublicKey(b[1:])
	if err != nil {
		return "", nil, fmt.Errorf("%q is not a public key: %w", parts[2], err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return "", nil, fmt.Errorf("public key is %T, want ECDSA P-256", parsed)
	}
	again, err := VerifierKey(parts[0], key)
	if err != nil {
		return "", nil, err
	}
	if again != s {
		return "", nil, fmt.Errorf("hash %q is not of this key, or the key is not in its one form", parts[1])
	}
	return parts[0], key, nil
}

// signer is a note.Signer whose key may live in a TPM.
type signer struct {
	verifier
	private crypto.Signer
}

func newSigner(name string, key crypto.Signer) (signer, error) {
	if key == nil {
		return signer{}, errors.New("no key")
	}
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return signer{}, fmt.Errorf("key is %T, want ECDSA P-256", key.Public())
	}
	v, err := newVerifier(name, public)
	return signer{v, key}, err
}

// Sign checks its own signature: a signer that errs once in a while must not give away a note that nobody can open.
func (s signer) Sign(text []byte) ([]byte, error) {
	sum := sha256.Sum256(text)
	signature, err := s.private.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	if !s.Verify(text, signature) {
		return nil, errors.New("signer made a signature that its public key does not verify")
	}
	return signature, nil
}

// origin is the first line of a signed note: whom it claims to be of, nothing more.
func origin(signed []byte) string {
	line, _, _ := bytes.Cut(signed, []byte{'\n'})
	return string(line)
}
