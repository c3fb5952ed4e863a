package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// Use is what a key is for. Each has its own authorisation, and none does another's work.
type Use uint8

// The uses. The zero value is none.
const (
	_ Use = iota
	// Audit signs checkpoints. It is not restricted: a restricted key signs only digests that the TPM made from bytes it was shown, and a note would
	// have to go through it block by block for nothing: whoever may use the key may show it any bytes.
	Audit
	// TLS signs as a TLS 1.3 client.
	TLS
	// Exchange agrees on keys: HPKE.
	Exchange
)

func (u Use) kind() (kind, error) {
	switch u {
	case Audit:
		return kind{"audit", signingTemplate}, nil
	case TLS:
		return kind{"tls", signingTemplate}, nil
	case Exchange:
		return kind{"exchange", exchangeTemplate}, nil
	}
	return kind{}, fmt.Errorf("use %d is not known", u)
}

func p256(policy []byte, scheme tpm2.TPMTECCScheme) tpm2.TPMTPublic {
	p := tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgECC,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: objectAttributes(),
		AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			CurveID: tpm2.TPMECCNistP256, Scheme: scheme, KDF: tpm2.TPMTKDFScheme{Scheme: tpm2.TPMAlgNull}}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
	}
	p.ObjectAttributes.SensitiveDataOrigin = true
	return p
}

func signingTemplate(policy []byte) tpm2.TPMTPublic {
	p := p256(policy, tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA,
		Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})})
	p.ObjectAttributes.SignEncrypt = true
	return p
}

func exchangeTemplate(policy []byte) tpm2.TPMTPublic {
	p := p256(policy, tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull})
	p.ObjectAttributes.Decrypt = true
	return p
}

// CreateKey makes a P-256 key below the root, for one use, under Options.Authority.
func (t *TPM) CreateKey(u Use) (Blob, error) {
	k, err := u.kind()
	if err != nil {
		return nil, fmt.Errorf("create key: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := t.create(k, nil)
	if err != nil {
		return nil, fmt.Errorf("create %s key: %w", k.name, err)
	}
	return b, nil
}

// key is a key of this TPM and the approvals under which it is used.
type key struct {
	tpm       *TPM
	kind      kind
	blob      Blob
	approvals []Approval
	public    *ecdsa.PublicKey
}

func (t *TPM) key(u Use, b Blob, approvals []Approval) (key, error) {
	k, err := u.kind()
	if err != nil {
		return key{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _, contents, err := parse(k, b, t.options.Authority)
	if err == nil {
		err = t.load(k, b, func(tpm2.NamedHandle) error { return nil }) // whether it is this TPM's, now rather than at its first use
	}
	if err != nil {
		return key{}, fmt.Errorf("open %s key: %w", k.name, err)
	}
	public, err := publicKey(contents)
	return key{t, k, b, approvals, public}, err
}

func publicKey(p *tpm2.TPMTPublic) (*ecdsa.PublicKey, error) {
	any, err := tpm2.Pub(*p)
	if err != nil {
		return nil, err
	}
	public, ok := any.(*ecdsa.PublicKey)
	if !ok {
		return nil, ErrObject
	}
	return public, nil
}

func (k *key) sign(digest []byte, o crypto.SignerOpts) (signature []byte, err error) {
	if o == nil || o.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, fmt.Errorf("sign with %s key: it signs SHA-256 digests alone", k.kind.name)
	}
	k.tpm.mu.Lock()
	defer k.tpm.mu.Unlock()
	err = k.tpm.with(k.kind, k.blob, k.approvals, encryptIn(), func(h tpm2.AuthHandle) error {
		r, err := run(k.tpm, tpm2.Sign{
			KeyHandle:  h,
			Digest:     tpm2.TPM2BDigest{Buffer: digest},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck},
		})
		if err == nil {
			signature, err = asn1Signature(r.Signature)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign with %s key: %w", k.kind.name, err)
	}
	return signature, nil
}

// Signer is the audit key as a crypto.Signer.
type Signer struct{ key }

// AuditKey opens an audit key, for use under the approvals.
func (t *TPM) AuditKey(b Blob, approvals ...Approval) (*Signer, error) {
	k, err := t.key(Audit, b, approvals)
	if err != nil {
		return nil, err
	}
	return &Signer{k}, nil
}

// Public returns the *ecdsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// Sign signs a SHA-256 digest and returns the signature in ASN.1. The TPM draws the randomness; the reader is not used.
func (s *Signer) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return s.sign(digest, o)
}

// TLSSigner is the TLS key as a crypto.MessageSigner. It signs one kind of message alone, so that who may ask for signatures gets none over a
// checkpoint, a command or a certificate request.
type TLSSigner struct{ key }

// TLSKey opens a TLS key, for use under the approvals. A certificate for it is issued on Certify's word, not on a request that it signs.
func (t *TPM) TLSKey(b Blob, approvals ...Approval) (*TLSSigner, error) {
	k, err := t.key(TLS, b, approvals)
	if err != nil {
		return nil, err
	}
	return &TLSSigner{k}, nil
}

// Public returns the *ecdsa.PublicKey.
func (s *TLSSigner) Public() crypto.PublicKey { return s.public }

// Sign refuses: a digest does not show what it is of.
func (s *TLSSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("sign with tls key: it signs no digest, only a whole message")
}

// SignMessage signs the content of a TLS 1.3 client's CertificateVerify (RFC 8446, 4.4.3) and refuses every other message.
func (s *TLSSigner) SignMessage(_ io.Reader, message []byte, o crypto.SignerOpts) ([]byte, error) {
	if !clientCertificateVerify(message) {
		return nil, errors.New("sign with tls key: message is no TLS 1.3 client CertificateVerify")
	}
	digest := sha256.Sum256(message)
	return s.sign(digest[:], o)
}

func clientCertificateVerify(message []byte) bool {
	prefix := strings.Repeat(" ", 64) + "TLS 1.3, client CertificateVerify\x00"
	transcript, ok := bytes.CutPrefix(message, []byte(prefix))
	return ok && (len(transcript) == sha256.Size || len(transcript) == sha512.Size384)
}

// Exchanger is the HPKE key as an ecdh.KeyExchanger, as hpke.NewDHKEMPrivateKey takes it.
type Exchanger struct {
	key
	ecdh *ecdh.PublicKey
}

// ExchangeKey opens an HPKE key, for use under the approvals.
func (t *TPM) ExchangeKey(b Blob, approvals ...Approval) (*Exchanger, error) {
	k, err := t.key(Exchange, b, approvals)
	if err != nil {
		return nil, err
	}
	public, err := k.public.ECDH()
	if err != nil {
		return nil, fmt.Errorf("open exchange key: %w", err)
	}
	return &Exchanger{k, public}, nil
}

// PublicKey returns the public key.
func (e *Exchanger) PublicKey() *ecdh.PublicKey { return e.ecdh }

// Curve returns P-256.
func (e *Exchanger) Curve() ecdh.Curve { return ecdh.P256() }

// ECDH returns the 32 bytes of the shared X coordinate. The caller wipes them.
func (e *Exchanger) ECDH(remote *ecdh.PublicKey) (shared []byte, err error) {
	if remote == nil || remote.Curve() != ecdh.P256() {
		return nil, errors.New("agree on key: other side's key is not on P-256")
	}
	point := remote.Bytes()
	e.tpm.mu.Lock()
	defer e.tpm.mu.Unlock()
	err = e.tpm.with(e.kind, e.blob, e.approvals, encryptOut(), func(h tpm2.AuthHandle) error {
		c := &catching{Session: h.Auth}
		h.Auth = c
		_, err := run(e.tpm, tpm2.ECDHZGen{KeyHandle: h, InPoint: tpm2.New2B(tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]}})})
		if err != nil {
			return err
		}
		defer clear(c.plain)
		x, _, ok := cut2B(c.plain)
		if !ok || len(x) > 2+32 {
			return errors.New("tpm returned no point of P-256")
		}
		shared = make([]byte, 32)
		copy(shared[32-(len(x)-2):], x[2:])
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("agree on key: %w", err)
	}
	return shared, nil
}
