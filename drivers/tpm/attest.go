package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// MaxNonce is the longest nonce of an attestation.
const MaxNonce = 32

// ErrAttestation means that an attestation is not by this key, not of the kind asked for, or not over this nonce or object.
var ErrAttestation = errors.New("attestation does not hold")

// Attestation is something that the TPM says of itself, signed by its attestation key.
type Attestation struct {
	Body      []byte // TPMS_ATTEST
	Signature []byte // ECDSA over SHA-256(Body), ASN.1
}

// Time is what the TPM attests of its clock.
type Time struct {
	Clock    uint64 // ms in which the TPM had power since it was last cleared
	Resets   uint32 // times it was reset since
	Restarts uint32 // times it was suspended since the last reset
	Safe     bool   // false: after a cut, Clock may repeat some seconds that were attested before
}

// AttestTime has the TPM sign its clock and reset counts together with the nonce. It needs Options.Endorsement.
func (t *TPM) AttestTime(nonce []byte) (Attestation, error) {
	return t.attest("time", nonce, t.getTime)
}

// Quote has the TPM sign a digest of its PCR values together with the nonce.
func (t *TPM) Quote(nonce []byte, pcrs ...int) (Attestation, error) {
	for _, i := range pcrs {
		if i < 0 || i >= pcrCount {
			return Attestation{}, fmt.Errorf("attest pcr %d: there is none", i)
		}
	}
	return t.attest("pcrs", nonce, func(data tpm2.TPM2BData) (tpm2.TPM2BAttest, tpm2.TPMTSignature, error) {
		r, err := run(t, tpm2.Quote{SignHandle: t.attester(), QualifyingData: data, InScheme: nullScheme(), PCRSelect: selection(pcrs...)})
		if err != nil {
			return tpm2.TPM2BAttest{}, tpm2.TPMTSignature{}, err
		}
		return r.Quoted, r.Signature, nil
	})
}

// Certify has the TPM sign that a key is its own and of which kind and policy, together with the nonce.
func (t *TPM) Certify(u Use, b Blob, nonce []byte) (Attestation, error) {
	k, err := u.kind()
	if err != nil {
		return Attestation{}, fmt.Errorf("attest key: %w", err)
	}
	return t.attest(k.name+" key", nonce, func(data tpm2.TPM2BData) (a tpm2.TPM2BAttest, s tpm2.TPMTSignature, err error) {
		err = t.load(k, b, func(h tpm2.NamedHandle) error {
			a, s, err = t.certify(h, k.name, data)
			return err
		})
		return a, s, err
	})
}

func (t *TPM) certify(h tpm2.NamedHandle, name string, data tpm2.TPM2BData) (tpm2.TPM2BAttest, tpm2.TPMTSignature, error) {
	r, err := run(t, tpm2.Certify{
		ObjectHandle:   tpm2.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: t.session(t.auth(name))},
		SignHandle:     t.attester(),
		QualifyingData: data,
		InScheme:       nullScheme(),
	})
	if err != nil {
		return tpm2.TPM2BAttest{}, tpm2.TPMTSignature{}, err
	}
	return r.CertifyInfo, r.Signature, nil
}

// attester is the attestation key, authorised for one command.
func (t *TPM) attester() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: t.attestation.Handle, Name: t.attestation.Name, Auth: t.session(t.auth("attestation"))}
}

func nullScheme() tpm2.TPMTSigScheme { return tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull} }

func (t *TPM) attest(what string, nonce []byte, do func(tpm2.TPM2BData) (tpm2.TPM2BAttest, tpm2.TPMTSignature, error)) (Attestation, error) {
	if len(nonce) > MaxNonce {
		return Attestation{}, fmt.Errorf("attest %s: nonce of %d bytes is longer than %d", what, len(nonce), MaxNonce)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	body, s, err := do(tpm2.TPM2BData{Buffer: nonce})
	if err != nil {
		return Attestation{}, fmt.Errorf("attest %s: %w", what, refusal(err, ErrSecret, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail))
	}
	signature, err := asn1Signature(s)
	return Attestation{body.Bytes(), signature}, err
}

// VerifyTime returns what AttestTime attested to this nonce.
func VerifyTime(key *ecdsa.PublicKey, nonce []byte, a Attestation) (Time, error) {
	said, err := verified(key, nonce, a, tpm2.TPMSTAttestTime)
	if err != nil {
		return Time{}, err
	}
	c := said.ClockInfo
	return Time{c.Clock, c.ResetCount, c.RestartCount, c.Safe}, nil
}

// VerifyQuote reports an error unless Quote attested exactly these values, in ascending order, to this nonce.
func VerifyQuote(key *ecdsa.PublicKey, nonce []byte, want []PCR, a Attestation) error {
	said, err := verified(key, nonce, a, tpm2.TPMSTAttestQuote)
	if err != nil {
		return err
	}
	quote, err := said.Attested.Quote()
	if err != nil {
		return ErrAttestation
	}
	pcr, _, err := Policy{PCRs: want}.commands()
	if err != nil {
		return err
	}
	if !bytes.Equal(tpm2.Marshal(quote.PCRSelect), tpm2.Marshal(pcr.Pcrs)) || !bytes.Equal(quote.PCRDigest.Buffer, pcr.PcrDigest.Buffer) {
		return fmt.Errorf("%w: %w", ErrAttestation, ErrPCR)
	}
	return nil
}

// VerifyKey returns the public key of a blob that Certify attested to this nonce, if it is of this use and under this authority.
func VerifyKey(key *ecdsa.PublicKey, nonce []byte, u Use, b Blob, by Authority, a Attestation) (*ecdsa.PublicKey, error) {
	k, err := u.kind()
	if err != nil {
		return nil, err
	}
	_, _, public, err := parse(k, b, by)
	if err != nil {
		return nil, err
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return nil, err
	}
	if err := verifyName(key, nonce, name.Buffer, a); err != nil {
		return nil, err
	}
	return publicKey(public)
}

// VerifyRoot reports an error unless the attestation of an Identity certifies its pin.
func VerifyRoot(key *ecdsa.PublicKey, pin Pin, a Attestation) error {
	return verifyName(key, pin[2:], pin[:], a)
}

func verifyName(key *ecdsa.PublicKey, nonce, name []byte, a Attestation) error {
	said, err := verified(key, nonce, a, tpm2.TPMSTAttestCertify)
	if err != nil {
		return err
	}
	if c, err := said.Attested.Certify(); err != nil || !bytes.Equal(c.Name.Buffer, name) {
		return ErrAttestation
	}
	return nil
}

// verified parses an attestation once its signature holds: what is not signed is not parsed.
func verified(key *ecdsa.PublicKey, nonce []byte, a Attestation, kind tpm2.TPMST) (*tpm2.TPMSAttest, error) {
	if hash := sha256.Sum256(a.Body); key == nil || !ecdsa.VerifyASN1(key, hash[:], a.Signature) {
		return nil, ErrAttestation
	}
	// A restricted key signs no foreign bytes that begin as an attestation does, and Unmarshal checks that these do.
	said, err := tpm2.Unmarshal[tpm2.TPMSAttest](a.Body)
	if err != nil || said.Type != kind || !bytes.Equal(said.ExtraData.Buffer, nonce) {
		return nil, ErrAttestation
	}
	return said, nil
}
