package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Introduction is who a kiosk is. Somebody carries it from the bench where the kiosk was provisioned to headquarters: that the attestation key lies in
// this kiosk's TPM nobody vouches for but them. All else follows from that key.
type Introduction struct {
	Kiosk       [32]byte `cbor:"1,keyasint"` // KioskID of the device and its audit key
	Attestation []byte   `cbor:"2,keyasint"` // public key, SubjectPublicKeyInfo
	Release     []byte   `cbor:"3,keyasint"` // the release role's, under whose approvals the keys below work, SubjectPublicKeyInfo
	Audit       Attested `cbor:"4,keyasint"`
	TLS         Attested `cbor:"5,keyasint"` // a certificate is issued for it on this attestation alone: it signs no request
	Exchange    Exchange `cbor:"6,keyasint"` // the first key for sealed content
	Door        string   `cbor:"7,keyasint"`
}

// Attested is a key of a kiosk's TPM and what its attestation key says of it. tpm.VerifyKey checks it against CertifyNonce of its use and number, with the
// release key and the device's id as authority.
type Attested struct {
	Blob        []byte `cbor:"1,keyasint"` // as the TPM made it
	Attestation []byte `cbor:"2,keyasint"` // TPMS_ATTEST
	Signature   []byte `cbor:"3,keyasint"` // ASN.1
}

// DeviceID is the id of the TPM that has this attestation key (SubjectPublicKeyInfo). It outlives provisioning.
func DeviceID(attestation []byte) [32]byte {
	return sha256.Sum256(append([]byte("lintel device 1\x00"), attestation...))
}

// KioskID is the id of a device as it was provisioned with this audit key (SubjectPublicKeyInfo). Provisioned anew it is another kiosk, and what was signed
// for the one before is for somebody else.
func KioskID(device [32]byte, audit []byte) [32]byte {
	return sha256.Sum256(append(append([]byte("lintel kiosk 1\x00"), device[:]...), audit...))
}

// KeyUse is what a kiosk's key is for, where its attestation must say so: to the TPM an audit key and a TLS key are alike.
type KeyUse uint8

// Append only.
const (
	AuditKey    KeyUse = 1
	TLSKey      KeyUse = 2
	ExchangeKey KeyUse = 3
)

// CertifyNonce is what an attestation of a kiosk's key is over: no key is attested in the place of one of another use, and no old exchange key as a
// newer one. The audit key and the TLS key, of which there is one each, have number 0.
func CertifyNonce(kiosk [32]byte, use KeyUse, number uint32) [32]byte {
	b := append([]byte("lintel certify 1\x00"), kiosk[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint32(append(b, byte(use)), number))
}

// Kind is KindIntroduction.
func (Introduction) Kind() Kind { return KindIntroduction }

// Validate holds it to its bounds. That its id is that of its keys shows once they are verified.
func (i Introduction) Validate() error {
	for _, key := range [][]byte{i.Attestation, i.Release} {
		if _, err := ParseKey(key); err != nil {
			return err
		}
	}
	for _, key := range []Attested{i.Audit, i.TLS} {
		if len(key.Blob) == 0 || len(key.Blob) > maxBlob || len(key.Attestation) > maxAttestation || len(key.Signature) > maxKey {
			return fmt.Errorf("a key of %d bytes, attested by %d and %d", len(key.Blob), len(key.Attestation), len(key.Signature))
		}
	}
	return errors.Join(i.Exchange.Validate(), checkText(i.Door, 1, maxName))
}
