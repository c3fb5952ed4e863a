package vault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/sync/wire"
)

// Receipt says that a person was deleted and cannot come back with this generation or an earlier one. The roof signs its encoding.
type Receipt struct {
	// Person is HMAC-SHA256 of the id under the kiosk's subject key; its first 16 bytes are the subject in the audit log.
	Person     [32]byte `cbor:"1,keyasint"`
	Generation uint64   `cbor:"2,keyasint"` // the highest that ended
	Counter    uint64   `cbor:"3,keyasint"` // the TPM's, after it rose for the deletion; 0 from a plain vault
}

// maxReceipt bounds an encoded receipt in bytes; the longest has 56.
const maxReceipt = 64

// receiptDomain is signed in front of a receipt: no such signature is one of anything else. FORMAT.md has it, too.
const receiptDomain = "lintel deletion receipt 1\x00"

// Encode is deterministic CBOR.
func (r Receipt) Encode() ([]byte, error) {
	b, err := wire.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return b, nil
}

// ReceiptDigest is what the kiosk's audit key signs for an encoded receipt.
func ReceiptDigest(receipt []byte) [32]byte {
	return sha256.Sum256(append([]byte(receiptDomain), receipt...))
}

// VerifyReceipt returns the receipt that the kiosk with this audit key signed: ECDSA P-256 over ReceiptDigest, ASN.1. A receipt for which no
// counter rose proves nothing and is refused. That it is of the person who was to be deleted, and not of another, only the holder of the
// kiosk's subject key can tell.
func VerifyReceipt(key *ecdsa.PublicKey, receipt, signature []byte) (Receipt, error) {
	r, err := verifyReceipt(key, receipt, signature)
	if err != nil {
		return Receipt{}, fmt.Errorf("verify receipt: %w", err)
	}
	return r, nil
}

func verifyReceipt(key *ecdsa.PublicKey, receipt, signature []byte) (r Receipt, err error) {
	if key == nil || key.Curve != elliptic.P256() {
		return r, errors.New("the key is not of P-256")
	}
	if len(receipt) > maxReceipt {
		return r, fmt.Errorf("%d bytes, at most %d", len(receipt), maxReceipt)
	}
	if len(signature) == 0 {
		return r, errors.New("it is not signed")
	}
	digest := ReceiptDigest(receipt)
	if !ecdsa.VerifyASN1(key, digest[:], signature) {
		return r, errors.New("the signature is not of this kiosk and this receipt")
	}
	if err := wire.Unmarshal(receipt, &r); err != nil {
		return r, err
	}
	if r.Person == [32]byte{} || r.Generation == 0 || r.Counter == 0 {
		return r, errors.New("no person, no generation or no counter")
	}
	return r, nil
}
