package draft

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/lintel-access/lintel/sync/wire"
)

// A file is a line that says what it holds, and then items: four bytes of length, big-endian, and an item in the deterministic CBOR of sync/wire.
const (
	draftsLine = "lintel drafts 1\n"
	signedLine = "lintel signed orders 1\n"
	maxItem    = 256 << 10 // bytes: a policy, or 16 references twice
	// MaxItems is how many drafts a file holds: a bulk enrolment's.
	MaxItems = 10_000
)

// ErrFile means that a file is not of the kind that was asked for.
var ErrFile = errors.New("this is not such a file")

// Write writes drafts.
func Write(out io.Writer, drafts []Draft) error { return write(out, draftsLine, drafts) }

// Read reads what Write wrote.
func Read(in io.Reader) ([]Draft, error) { return read[Draft](in, draftsLine) }

// WriteSigned writes envelopes.
func WriteSigned(out io.Writer, all []Signed) error { return write(out, signedLine, all) }

// ReadSigned reads what WriteSigned wrote.
func ReadSigned(in io.Reader) ([]Signed, error) { return read[Signed](in, signedLine) }

func write[T any](out io.Writer, line string, items []T) error {
	if len(items) == 0 || len(items) > MaxItems {
		return fmt.Errorf("write drafts: %d of them, want 1 to %d", len(items), MaxItems)
	}
	w := bufio.NewWriter(out)
	w.WriteString(line) // Flush says what went wrong
	for _, i := range items {
		data, err := wire.Marshal(i)
		if err != nil {
			return fmt.Errorf("write drafts: %w", err)
		}
		if len(data) > maxItem {
			return fmt.Errorf("write drafts: one of %d bytes, at most %d", len(data), maxItem)
		}
		w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		w.Write(data)
	}
	return w.Flush()
}

func read[T any](in io.Reader, line string) (items []T, err error) {
	r := bufio.NewReader(in)
	head := make([]byte, len(line))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != line {
		return nil, fmt.Errorf("read drafts: %w", ErrFile)
	}
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); errors.Is(err, io.EOF) && len(items) > 0 {
			return items, nil
		} else if err != nil {
			return nil, fmt.Errorf("read drafts: %w", err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > maxItem || len(items) == MaxItems {
			return nil, fmt.Errorf("read drafts: one of %d bytes, or more than %d", n, MaxItems)
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, fmt.Errorf("read drafts: %w", err)
		}
		var item T
		if err := wire.Unmarshal(data, &item); err != nil {
			return nil, fmt.Errorf("read drafts: %w", err)
		}
		items = append(items, item)
	}
}
