package auditlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
)

const (
	cursorName  = "cursor"
	cursorMagic = "LNTLCUR1"
	cursorSize  = 20
)

func encodeCursor(n uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte(cursorMagic), n)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

// readCursor returns 0 with the reason when there is a cursor that cannot be believed.
func readCursor(path string) (uint64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read cursor: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, cursorSize+1))
	if err != nil {
		return 0, fmt.Errorf("read cursor: %w", err)
	}
	if len(b) != cursorSize {
		return 0, fmt.Errorf("read cursor: %d bytes, want %d", len(b), cursorSize)
	}
	n := binary.BigEndian.Uint64(b[len(cursorMagic):])
	if string(encodeCursor(n)) != string(b) {
		return 0, errors.New("read cursor: magic or checksum is wrong")
	}
	return n, nil
}

// Cursor is how many records, from the first on, headquarters has acknowledged.
func (l *Log) Cursor() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor
}

// Acknowledge moves the cursor to upTo, durably. It never moves back and never past the head.
func (l *Log) Acknowledge(upTo uint64) error {
	l.disk.Lock()
	defer l.disk.Unlock()
	if err := l.failed(); err != nil {
		return fmt.Errorf("move cursor: %w", err)
	}
	if at, head := l.Cursor(), l.Head(); upTo < at || upTo > head {
		return fmt.Errorf("move cursor to %d: it is at %d and the log ends at %d", upTo, at, head)
	}
	if err := l.out.replace(cursorName, encodeCursor(upTo)); err != nil {
		return fmt.Errorf("move cursor: %w", err) // the old one stands: records are sent twice, none is lost
	}
	l.mu.Lock()
	l.cursor = upTo
	l.mu.Unlock()
	return nil
}
