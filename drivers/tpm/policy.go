package tpm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"
)

// Authority says whose approvals open the objects of a board. It is part of each object: another release key or another board is another object.
type Authority struct {
	Release *ecdsa.PublicKey // P-256; its private half is kept offline by the release role
	Board   []byte           // what binds approvals to this board: its serial number, its attestation key, …
}

// Policy is a state of the board that may be approved.
type Policy struct {
	PCRs    []PCR  // ascending, at least one
	Version uint64 // the firmware floor may be at most this, in counts of this board's FirmwareFloor
}

// Approval is a policy that the release role approved for one board. Everything that can be done with it needs no secret.
type Approval struct {
	Policy    Policy
	Board     []byte
	Signature []byte // ECDSA, ASN.1, over SHA-256(policy digest ‖ SHA-256(board))
}

// Approve signs a policy for a board. It is run offline, by the release role.
func Approve(release *ecdsa.PrivateKey, p Policy, board []byte) (Approval, error) {
	a := Approval{Policy: p, Board: board}
	hash, err := a.hash()
	if err != nil {
		return Approval{}, fmt.Errorf("approve policy: %w", err)
	}
	if a.Signature, err = ecdsa.SignASN1(rand.Reader, release, hash[:]); err != nil {
		return Approval{}, fmt.Errorf("approve policy: %w", err)
	}
	return a, nil
}

// Digest is the TPM's policy digest of PolicyPCR and PolicyNV with these values, computed without a TPM.
func (p Policy) Digest() ([sha256.Size]byte, error) {
	pcr, nv, err := p.commands()
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return digest(pcr, nv)
}

// commands are the two assertions of the policy, without a session.
func (p Policy) commands() (pcr tpm2.PolicyPCR, nv tpm2.PolicyNV, err error) {
	if len(p.PCRs) == 0 {
		return pcr, nv, errors.New("policy names no pcr")
	}
	values := sha256.New()
	var indices []int
	for i, r := range p.PCRs {
		if r.Index < 0 || r.Index >= pcrCount || i > 0 && r.Index <= p.PCRs[i-1].Index {
			return pcr, nv, fmt.Errorf("policy names pcr %d out of order or range", r.Index)
		}
		indices = append(indices, r.Index)
		values.Write(r.Value[:])
	}
	e, err := entryOf(FirmwareFloor)
	if err != nil {
		return pcr, nv, err
	}
	return tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: values.Sum(nil)}, Pcrs: selection(indices...)},
		tpm2.PolicyNV{
			NVIndex:   tpm2.NamedHandle{Handle: tpm2.TPMHandle(FirmwareFloor), Name: e.name(true)},
			OperandB:  tpm2.TPM2BOperand{Buffer: binary.BigEndian.AppendUint64(nil, p.Version)},
			Operation: tpm2.TPMEOUnsignedLE,
		}, nil
}

// hash is what the release role signs.
func (a Approval) hash() ([sha256.Size]byte, error) {
	d, err := a.Policy.Digest()
	return sha256.Sum256(append(d[:], reference(a.Board)...)), err
}

// reference is the policyRef of a board.
func reference(board []byte) []byte {
	h := sha256.Sum256(board)
	return h[:]
}

// public is the release key as a TPM loads it.
func (a Authority) public() (tpm2.TPMTPublic, error) {
	if a.Release == nil || a.Release.Curve != elliptic.P256() {
		return tpm2.TPMTPublic{}, errors.New("authority has no P-256 release key")
	}
	point, err := a.Release.Bytes() // 4 ‖ X ‖ Y, and on the curve
	if err != nil {
		return tpm2.TPMTPublic{}, fmt.Errorf("release key: %w", err)
	}
	p := signingTemplate(nil)
	p.ObjectAttributes = tpm2.TPMAObject{UserWithAuth: true, SignEncrypt: true}
	p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]}})
	return p, nil
}

// policy is the authPolicy of every key and sealed object: an approval of this authority, and the object's authorisation.
func (a Authority) policy() ([]byte, error) {
	key, err := a.public()
	if err != nil {
		return nil, err
	}
	name, err := tpm2.ObjectName(&key)
	if err != nil {
		return nil, err
	}
	d, err := digest(tpm2.PolicyAuthorize{KeySign: *name, PolicyRef: tpm2.TPM2BDigest{Buffer: reference(a.Board)}}, tpm2.PolicyAuthValue{})
	return d[:], err
}

func digest(commands ...interface {
	Update(*tpm2.PolicyCalculator) error
}) (d [sha256.Size]byte, err error) {
	c, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return d, err
	}
	for _, command := range commands {
		if err := command.Update(c); err != nil {
			return d, err
		}
	}
	copy(d[:], c.Hash().Digest)
	return d, nil
}

// tpmSignature turns an ASN.1 signature into the TPM's form.
func tpmSignature(der []byte) (tpm2.TPMTSignature, error) {
	var s struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &s); err != nil || len(rest) != 0 {
		return tpm2.TPMTSignature{}, errors.New("signature is not ASN.1")
	}
	if s.R.Sign() <= 0 || s.S.Sign() <= 0 || s.R.BitLen() > 256 || s.S.BitLen() > 256 {
		return tpm2.TPMTSignature{}, errors.New("signature is out of range")
	}
	return tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
		Hash:       tpm2.TPMAlgSHA256,
		SignatureR: tpm2.TPM2BECCParameter{Buffer: s.R.FillBytes(make([]byte, 32))},
		SignatureS: tpm2.TPM2BECCParameter{Buffer: s.S.FillBytes(make([]byte, 32))},
	})}, nil
}

// asn1Signature turns a TPM's ECDSA signature into ASN.1.
func asn1Signature(s tpm2.TPMTSignature) ([]byte, error) {
	e, err := s.Signature.ECDSA()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(e.SignatureR.Buffer), new(big.Int).SetBytes(e.SignatureS.Buffer)})
}
