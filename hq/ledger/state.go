package ledger

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/sync/wire"
)

const (
	stateVersion = 1
	maxState     = 128 << 10 // bytes: sixteen alarms, ten with a checkpoint each, and three more checkpoints take fewer than 80 KB
	maxKeyFile   = 1024      // bytes of a key in text; a P-256 key takes fewer than 300
)

// kept is what headquarters remembers of a kiosk besides its records. It is replaced whole.
type kept struct {
	Version uint8   `cbor:"1,keyasint"`
	Covered signed  `cbor:"2,keyasint"`  // newest checkpoint all of whose records are here
	Newest  signed  `cbor:"3,keyasint"`  // newest checkpoint
	Booted  uint64  `cbor:"4,keyasint"`  // boot of the last start that is recorded
	Alarms  []Alarm `cbor:"5,keyasint"`  // at most one of a kind
	Looked  uint64  `cbor:"6,keyasint"`  // records that were looked at for Booted and Strange
	Strange uint64  `cbor:"7,keyasint"`  // records that this program could not decode
	Clocked signed  `cbor:"10,keyasint"` // newest checkpoint by the TPM's clock, of those whose attestation came
	Pace    pace    `cbor:"11,keyasint"`

	Applied Applied `cbor:"8,keyasint"`
	Trust   uint64  `cbor:"9,keyasint"` // newest trust document that is recorded as in force
}

// Applied is the newest command of headquarters that a kiosk has carried out, by its own records; Seq 0: none.
type Applied struct {
	Seq  uint64   `cbor:"1,keyasint"`
	Link [32]byte `cbor:"2,keyasint"`
}

// signed is a checkpoint whose signature holds, with what the TPM attested of its clock under it.
type signed struct {
	Note     []byte `cbor:"1,keyasint"` // empty: there is none
	Attested bool   `cbor:"2,keyasint"`
	Clock    uint64 `cbor:"3,keyasint"` // ms
	Resets   uint32 `cbor:"4,keyasint"`
	Restarts uint32 `cbor:"5,keyasint"`

	proof.Checkpoint `cbor:"-"`
}

// attestation is how a kiosk encodes what its TPM attested of its clock.
type attestation struct {
	Body      []byte `cbor:"1,keyasint"`
	Signature []byte `cbor:"2,keyasint"`
}

var errForeign = errors.New("checkpoint is of another kiosk")

// openSigned verifies a checkpoint and, where it is the one that the checkpoint names, the attestation of the TPM's clock.
func openSigned(k Kiosk, note, time []byte) (signed, error) {
	s := signed{Note: note}
	var err error
	if s.Checkpoint, err = proof.OpenCheckpoint(note, k.Audit); err != nil {
		return signed{}, err
	}
	if s.Origin != k.origin() {
		return signed{}, fmt.Errorf("%w: it says %q", errForeign, s.Origin)
	}
	// A carrier can take the attestation away or exchange it: then this checkpoint says nothing about the clock, and is not fresh by it.
	if len(time) == 0 || sha256.Sum256(time) != s.Time {
		return s, nil
	}
	t, err := verifyTime(k.Attestation, s.Root, time)
	if err != nil {
		return signed{}, fmt.Errorf("clock of the TPM: %w", err)
	}
	s.Attested, s.Clock, s.Resets, s.Restarts = true, t.Clock, t.Resets, t.Restarts
	return s, nil
}

func verifyTime(key *ecdsa.PublicKey, root [32]byte, time []byte) (tpm.Time, error) {
	var a attestation
	if err := wire.Unmarshal(time, &a); err != nil {
		return tpm.Time{}, err
	}
	return tpm.VerifyTime(key, root[:], tpm.Attestation{Body: a.Body, Signature: a.Signature})
}

func (s signed) none() bool { return len(s.Note) == 0 }

// clock compares what the TPM attested: -1 when s was before t, 1 behind, 0 when nobody can tell.
func (s signed) clock(t signed) int {
	switch {
	case !s.Attested || !t.Attested:
		return 0
	case s.Resets != t.Resets:
		return order(uint64(s.Resets), uint64(t.Resets))
	case s.Restarts != t.Restarts:
		return order(uint64(s.Restarts), uint64(t.Restarts))
	}
	return order(s.Clock, t.Clock)
}

func order(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// later reports whether s was signed after t: more records, or as many and something else that only rises.
func (s signed) later(t signed) bool {
	return t.none() || s.Size > t.Size || s.Size == t.Size && (s.Counter > t.Counter || s.Counter == t.Counter && s.clock(t) > 0)
}

// loadState returns what is kept in a folder, whose checkpoints nobody has verified; the zero one, of version 0, when nothing is.
func loadState(dir string) (kept, error) {
	var s kept
	data, err := readBounded(dir, stateName, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := wire.Overlay(data, &s); err != nil {
		return kept{}, fmt.Errorf("%w: its state: %w", ErrDamaged, err)
	}
	if s.Version != stateVersion { // another program's: what it means is not known here, so it is not written over either
		return kept{}, fmt.Errorf("%w: its state is of version %d, this program knows %d", ErrDamaged, s.Version, stateVersion)
	}
	return s, nil
}

// readState returns what is kept in a folder, to be written on. Its checkpoints are verified again.
func readState(dir string, k Kiosk) (kept, error) {
	s, err := loadState(dir)
	if err != nil {
		return s, err
	}
	s.Version = stateVersion
	for _, c := range []*signed{&s.Covered, &s.Newest, &s.Clocked} {
		if c.none() {
			continue
		}
		opened, err := openSigned(k, c.Note, nil)
		if err != nil {
			return s, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		c.Checkpoint = opened.Checkpoint
	}
	return s, nil
}

func (f *folder) save(s kept) error {
	data, err := wire.Marshal(s)
	if err == nil && len(data) > maxState {
		err = fmt.Errorf("state of %d bytes, at most %d", len(data), maxState)
	}
	if err != nil {
		return err
	}
	return f.replace(stateName, data)
}

// readBounded reads a file of a kiosk's folder. One that is larger than the ledger writes it is damaged.
func readBounded(dir, name string, most int64) ([]byte, error) {
	data, err := bounded.File((&folder{dir: dir}).path(name), most)
	if _, large := errors.AsType[bounded.TooLarge](err); large {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return data, err
}

// trusts takes over what the record of a trust document says (EVENTS, 1107).
func (s *kept) trusts(detail string) {
	var version uint64
	if n, err := fmt.Sscanf(detail, "version %d", &version); err == nil && n == 1 {
		s.Trust = max(s.Trust, version)
	}
}

// applied takes over what the record of a command says. It begins with words that the kiosk never changes (EVENTS, 1102).
func (s *kept) applied(detail string) {
	var a Applied
	var link string
	if n, err := fmt.Sscanf(detail, "seq=%d link=%64x", &a.Seq, &link); err != nil || n != 2 || len(link) != len(a.Link) || a.Seq <= s.Applied.Seq {
		return
	}
	copy(a.Link[:], link)
	s.Applied = a
}
