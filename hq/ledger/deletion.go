package ledger

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

// Deletion is the proof, for whoever has neither ledger nor kiosk, that a kiosk has carried out an operator's order to forget a person: the kiosk signed
// for the record that names the command, the command's link covers its orders, and the order is among them.
type Deletion struct {
	Kind     string     `cbor:"1,keyasint"` // DeletionKind
	Kiosk    [32]byte   `cbor:"2,keyasint"`
	Seq      uint64     `cbor:"3,keyasint"` // of the command
	Previous [32]byte   `cbor:"4,keyasint"`
	Orders   [][32]byte `cbor:"5,keyasint"` // SHA-256 of the command's orders
	Order    []byte     `cbor:"6,keyasint"` // the deletion, as it was signed
	Receipt  []byte     `cbor:"7,keyasint"` // of the kiosk's record that the command is applied
}

// DeletionKind is what such a proof begins with.
const DeletionKind = "lintel deletion proof 1"

// MaxDeletion is the largest proof that is read, bytes.
const MaxDeletion = proof.MaxReceipt + 8<<10

// Verify checks the proof with the kiosk's audit key and the key of the operator who signed the deletion, and returns who was forgotten.
func (d Deletion) Verify(kiosk, operator *ecdsa.PublicKey) (who wire.Deletion, at proof.Verified, err error) {
	who, at, err = d.verify(kiosk, operator)
	if err != nil {
		return wire.Deletion{}, proof.Verified{}, fmt.Errorf("verify deletion: %w", err)
	}
	return who, at, nil
}

func (d Deletion) verify(kiosk, operator *ecdsa.PublicKey) (who wire.Deletion, at proof.Verified, err error) {
	if d.Kind != DeletionKind {
		return who, at, errors.New("it is no proof of a deletion")
	}
	if at, err = proof.VerifyReceipt(d.Receipt, kiosk); err != nil {
		return who, at, err
	}
	said, ok := ReadDone(at.Record)
	link := wire.Command{Seq: d.Seq, Previous: d.Previous, Content: wire.ContentOfHashes(d.Orders)}.Link(d.Kiosk)
	switch {
	case !ok:
		return who, at, errors.New("the record does not say that a command was applied")
	case at.Checkpoint.Origin != (Kiosk{ID: d.Kiosk}).origin():
		return who, at, fmt.Errorf("the record is of %q", at.Checkpoint.Origin)
	case said.Seq != d.Seq || said.Link != fmt.Sprintf("%x", link):
		return who, at, errors.New("the kiosk applied another command")
	case !said.Told || said.Orders != len(d.Orders) || said.Refused != 0:
		return who, at, errors.New("the kiosk did not carry out every order of the command")
	case !slices.Contains(d.Orders, sha256.Sum256(d.Order)):
		return who, at, errors.New("the order is not one of the command's")
	}
	who, err = wire.Open[wire.Deletion](d.Order, operator, wire.Fleet())
	return who, at, err
}
