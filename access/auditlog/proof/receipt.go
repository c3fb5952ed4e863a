package proof

import (
	"crypto/ecdsa"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

const (
	receiptVersion = 1
	// MaxReceipt bounds a receipt in bytes: a record of 16 KiB, a proof of 64 hashes and a checkpoint fit.
	MaxReceipt = 32 << 10
	maxPath    = 64 // hashes of an inclusion proof: one for each level
)

// ErrNoReceipt means that the bytes are not of a receipt's form.
var ErrNoReceipt = errors.New("it is no receipt")

// Receipt is all that somebody needs, besides the kiosk's public key, to be sure that a record stands in the kiosk's log.
type Receipt struct {
	Version    uint8      `cbor:"1,keyasint"` // of this layout: 1
	Record     []byte     `cbor:"2,keyasint"` // deterministic CBOR of access.Record, as it stands in the log
	Seq        uint64     `cbor:"3,keyasint"` // its place, from 0
	Path       [][32]byte `cbor:"4,keyasint"` // inclusion proof, RFC 6962 section 2.1.1, leaf first
	Checkpoint []byte     `cbor:"5,keyasint"` // signed note of a tree that has the record
}

// Marshal is the receipt as a file has it. It sets the version.
func (r Receipt) Marshal() ([]byte, error) {
	r.Version = receiptVersion
	b, err := wire.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("marshal receipt: %w", err)
	}
	return b, nil
}

// Verified is a record whose place in a kiosk's log is proven, and the checkpoint that proves it.
type Verified struct {
	access.Record
	Seq        uint64
	Checkpoint Checkpoint
}

// VerifyReceipt returns the record only if the checkpoint is signed by the key and the proof leads from the record to its root. ErrNoReceipt: nothing of it
// could be looked at.
func VerifyReceipt(receipt []byte, key *ecdsa.PublicKey) (Verified, error) {
	v, err := verifyReceipt(receipt, key)
	if err != nil {
		return Verified{}, fmt.Errorf("verify receipt: %w", err)
	}
	return v, nil
}

func verifyReceipt(receipt []byte, key *ecdsa.PublicKey) (Verified, error) {
	if len(receipt) > MaxReceipt {
		return Verified{}, fmt.Errorf("%d bytes, at most %d", len(receipt), MaxReceipt)
	}
	var r Receipt
	if err := wire.Unmarshal(receipt, &r); err != nil {
		return Verified{}, fmt.Errorf("%w: %w", ErrNoReceipt, err)
	}
	if r.Version != receiptVersion {
		return Verified{}, fmt.Errorf("version %d, want %d", r.Version, receiptVersion)
	}
	if len(r.Path) > maxPath {
		return Verified{}, fmt.Errorf("path of %d hashes, at most %d", len(r.Path), maxPath)
	}
	c, err := OpenCheckpoint(r.Checkpoint, key)
	if err != nil {
		return Verified{}, err
	}
	if r.Seq >= c.Size {
		return Verified{}, fmt.Errorf("record %d is not among the %d of its checkpoint", r.Seq, c.Size)
	}
	path := make(tlog.RecordProof, len(r.Path))
	for i, h := range r.Path {
		path[i] = h
	}
	if err := tlog.CheckRecord(path, int64(c.Size), c.Root, int64(r.Seq), tlog.RecordHash(r.Record)); err != nil {
		return Verified{}, errors.New("record is not the one in the checkpoint's tree")
	}
	v := Verified{Seq: r.Seq, Checkpoint: c}
	return v, wire.Unmarshal(r.Record, &v.Record)
}
