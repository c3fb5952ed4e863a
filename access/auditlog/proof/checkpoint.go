package proof

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Bounds of what is believed on reading.
const (
	MaxCheckpoint = 4096    // bytes of a signed checkpoint; one of ours has fewer than 500
	MaxSize       = 1 << 48 // records of a log: more than any kiosk writes, and tlog's arithmetic has room
	maxOrigin     = 128     // bytes
)

// Checkpoint says which records a log had at one moment.
type Checkpoint struct {
	Origin  string    // the kiosk's id
	Size    uint64    // records
	Root    tlog.Hash // of the Merkle tree over them, RFC 6962
	Counter uint64    // the TPM's counter when it was signed
	// Time is SHA-256 of the TPM's attestation of its clock; zero when there is none.
	Time [32]byte
}

// The names of the extension lines.
const (
	lineCounter = "counter "
	lineTime    = "time "
)

func (c Checkpoint) validate() error {
	badRune := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '+' }
	if c.Origin == "" || len(c.Origin) > maxOrigin || !utf8.ValidString(c.Origin) || strings.ContainsFunc(c.Origin, badRune) {
		return fmt.Errorf("origin %q is not a key name", c.Origin)
	}
	if c.Size > MaxSize {
		return fmt.Errorf("%d records, at most %d", c.Size, uint64(MaxSize))
	}
	return nil
}

// text is the one form of a checkpoint: what is signed.
func (c Checkpoint) text() string {
	s := fmt.Sprintf("%s\n%d\n%s\n%s%d\n", c.Origin, c.Size, c.Root, lineCounter, c.Counter)
	if c.Time != [32]byte{} {
		s += lineTime + base64.StdEncoding.EncodeToString(c.Time[:]) + "\n"
	}
	return s
}

// Sign returns the checkpoint as a signed note. The key is ECDSA P-256 and its signatures are ASN.1, as crypto.Signer says.
func (c Checkpoint) Sign(key crypto.Signer) ([]byte, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	s, err := newSigner(c.Origin, key)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: c.text()}, s)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return signed, nil
}

// OpenCheckpoint verifies a signed checkpoint and returns what it says. Its origin is whatever the key's holder wrote: compare it
// where it matters.
func OpenCheckpoint(signed []byte, key *ecdsa.PublicKey) (Checkpoint, error) {
	c, err := openCheckpoint(signed, key)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("open checkpoint: %w", err)
	}
	return c, nil
}

func openCheckpoint(signed []byte, key *ecdsa.PublicKey) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%d bytes, at most %d", len(signed), MaxCheckpoint)
	}
	v, err := NewVerifier(origin(signed), key)
	if err != nil {
		return Checkpoint{}, err
	}
	n, err := note.Open(signed, note.VerifierList(v))
	var unsigned *note.UnverifiedNoteError
	if errors.As(err, &unsigned) {
		return Checkpoint{}, fmt.Errorf("it calls itself of %q and is signed by another key: %w", v.Name(), err)
	}
	if err != nil {
		return Checkpoint{}, err
	}
	return parseCheckpoint(n.Text)
}

// ClaimedCheckpoint returns what a checkpoint says without asking who signed it. That is enough to look for what a receipt must
// prove, and for nothing else.
func ClaimedCheckpoint(signed []byte) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("read checkpoint: %d bytes, at most %d", len(signed), MaxCheckpoint)
	}
	_, err := note.Open(signed, note.VerifierList())
	var n *note.UnverifiedNoteError
	if !errors.As(err, &n) { // without a verifier no note ever opens
		return Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	c, err := parseCheckpoint(n.Note.Text)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	return c, nil
}

// parseCheckpoint reads what text writes and nothing else.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 4 || len(lines) > 5 {
		return Checkpoint{}, fmt.Errorf("%d lines, want 4 or 5", len(lines))
	}
	c := Checkpoint{Origin: lines[0]}
	var err error
	if c.Size, err = strconv.ParseUint(lines[1], 10, 64); err != nil {
		return Checkpoint{}, fmt.Errorf("size %q is not a number", lines[1])
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return Checkpoint{}, fmt.Errorf("root %q is not a hash", lines[2])
	}
	if c.Counter, err = strconv.ParseUint(strings.TrimPrefix(lines[3], lineCounter), 10, 64); err != nil {
		return Checkpoint{}, fmt.Errorf("line %q is not the counter", lines[3])
	}
	if len(lines) == 5 {
		sum, err := tlog.ParseHash(strings.TrimPrefix(lines[4], lineTime))
		if err != nil {
			return Checkpoint{}, fmt.Errorf("line %q is not the time", lines[4])
		}
		c.Time = sum
	}
	if c.text() != text {
		return Checkpoint{}, errors.New("it is not in the one form that a checkpoint has")
	}
	return c, c.validate()
}
