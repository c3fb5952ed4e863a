package auditlog

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/access/auditlog/proof"
)

// ErrCutOff means that the log does not contain what the TPM, or a checkpoint that this kiosk signed, remembers of it: somebody cut
// it off, changed it or put an older one back. A power cut cannot do that (FORMAT.md says why).
var ErrCutOff = errors.New("audit log is not the one that is remembered")

// advice is what the operator should do about ErrCutOff.
const advice = "delete nothing, copy the folder as evidence, compare it with the checkpoints at headquarters, then provision the anchor anew"

// Anchor remembers where the log once was, in a place that putting an old disk back does not change: NV of the TPM.
type Anchor interface {
	// ReadAnchor returns what WriteAnchor was last given, and nothing when it was never called.
	ReadAnchor() ([]byte, error)
	// WriteAnchor replaces it, durably and whole. It is AnchorBytes long.
	WriteAnchor([]byte) error
}

// Merkle says how the log is hashed, signed and anchored. Without Key there are no checkpoints, without Anchor the log may be cut
// off unseen as far back as headquarters' own checkpoints allow.
type Merkle struct {
	Origin  string        // the kiosk's id: first line of each checkpoint
	Key     crypto.Signer // audit key, ECDSA P-256
	Anchor  Anchor
	Counter func() (uint64, error) // NV counter that a checkpoint names; 0 without
	// Attest has the TPM sign its clock over the root and returns SHA-256 of the attestation, which the caller keeps.
	Attest func(ctx context.Context, root [32]byte) ([32]byte, error)
}

const (
	anchorMagic = "LNTLANC1"
	// AnchorBytes is the length of an anchor.
	AnchorBytes = 48
)

func encodeAnchor(size uint64, root tlog.Hash) []byte {
	b := binary.BigEndian.AppendUint64([]byte(anchorMagic), size)
	return append(b, root[:]...)
}

// parseAnchor reads an anchor; nothing, or NV that was never written, is size 0.
func parseAnchor(b []byte) (size uint64, root tlog.Hash, err error) {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return 0, root, nil
	}
	if len(b) != AnchorBytes || string(b[:8]) != anchorMagic {
		return 0, root, fmt.Errorf("anchor of %d bytes is not one of this log", len(b))
	}
	copy(root[:], b[16:])
	return binary.BigEndian.Uint64(b[8:]), root, nil
}

// remembered holds the log to what the anchor and the stored checkpoint say. It changes nothing on disk.
func (l *Log) remembered(r *Recovery) error {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	m := l.merkle
	if m.Anchor != nil {
		b, err := m.Anchor.ReadAnchor()
		if err != nil {
			return fmt.Errorf("read anchor: %w", err)
		}
		size, root, err := parseAnchor(b)
		if err != nil {
			return fmt.Errorf("read anchor: %w", err)
		}
		if err := l.contains("the TPM", size, root); err != nil {
			return err
		}
	}
	if m.Key == nil {
		return nil
	}
	public, ok := m.Key.Public().(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("audit key is %T, want ECDSA P-256", m.Key.Public())
	}
	signed, err := readCheckpoint(l.out.path(checkpointName))
	if err != nil || signed == nil {
		return err
	}
	c, err := proof.OpenCheckpoint(signed, public)
	if err != nil || c.Origin != m.Origin {
		r.Notes = append(r.Notes, "stored checkpoint is not one of this kiosk's key; it is not believed")
		return nil
	}
	if err := l.contains("the last signed checkpoint", c.Size, c.Root); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signed, l.signedSize = signed, c.Size
	return nil
}

// contains proves that the tree of size leaves with this root is what this log once was.
func (l *Log) contains(who string, size uint64, root tlog.Hash) error {
	now, top, err := l.tree.root()
	if err != nil {
		return err
	}
	if size > now {
		return fmt.Errorf("%w: it has %d records, %s remembers %d: %s", ErrCutOff, now, who, size, advice)
	}
	if size == 0 {
		return nil
	}
	p, err := tlog.ProveTree(int64(now), int64(size), l.tree)
	if err != nil {
		return err
	}
	if tlog.CheckTree(p, int64(now), top, int64(size), root) != nil {
		return fmt.Errorf("%w: its first %d records are not those that %s remembers: %s", ErrCutOff, size, who, advice)
	}
	return nil
}
