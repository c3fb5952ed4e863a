package auditlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tombSuffix = ".gone"
	tombMagic  = "LNTLGON1"
	tombHead   = 24 // magic, first, until

	// maxTomb bounds a tombstone in bytes: the most records that the largest segment can hold, a hash each.
	maxTomb = maxSegment / (frameHead + 1) * tlog.HashSize
)

// Expired is the error of reading records that have expired. Their hashes are kept: proofs of all other records, and of these to
// whoever kept them, still verify.
type Expired struct {
	Until uint64 // the first record that is still there
}

func (e Expired) Error() string {
	return fmt.Sprintf("records before %d of the audit log have expired", e.Until)
}

// tomb stands for the records of a segment that has expired.
type tomb struct {
	first  uint64
	leaves []tlog.Hash
}

func (t tomb) encode() []byte {
	b := append(make([]byte, 0, tombHead+len(t.leaves)*tlog.HashSize+4), tombMagic...)
	b = binary.BigEndian.AppendUint64(b, t.first)
	b = binary.BigEndian.AppendUint64(b, t.first+uint64(len(t.leaves)))
	for _, h := range t.leaves {
		b = append(b, h[:]...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

func decodeTomb(b []byte) (tomb, error) {
	n := (len(b) - tombHead - 4) / tlog.HashSize
	if n < 1 || len(b) > maxTomb {
		return tomb{}, fmt.Errorf("tombstone of %d bytes", len(b))
	}
	t := tomb{first: binary.BigEndian.Uint64(b[8:]), leaves: make([]tlog.Hash, n)}
	for i := range t.leaves {
		copy(t.leaves[i][:], b[tombHead+i*tlog.HashSize:])
	}
	if !slices.Equal(t.encode(), b) {
		return tomb{}, errors.New("tombstone's magic, numbers or checksum are wrong")
	}
	return t, nil
}

func (s *space) readTomb(first uint64) (tomb, error) {
	f, err := os.Open(s.path(numbered(first, tombSuffix)))
	if err != nil {
		return tomb{}, err
	}
	defer f.Close()
	data, err := readSegment(f)
	if err != nil {
		return tomb{}, err
	}
	t, err := decodeTomb(data)
	if err == nil && t.first != first {
		err = fmt.Errorf("tombstone of record %d is named %d", t.first, first)
	}
	return t, err
}

// bury takes the tombstones that were found and finishes the expiry that a crash cut short: a segment with a tombstone is removed.
func (s *space) bury(tombs []uint64) error {
	s.tombs = tombs
	if len(tombs) == 0 {
		return nil
	}
	last, err := s.readTomb(tombs[len(tombs)-1])
	if err != nil {
		// Damage, not a crash: it was renamed whole. Segments are the better witnesses then.
		s.notes = append(s.notes, "last tombstone is not believed: "+err.Error())
		if len(s.segments) > 0 {
			s.expired = s.segments[0]
		}
		return nil
	}
	s.expired = last.first + uint64(len(last.leaves))
	for len(s.segments) > 0 && s.segments[0] < s.expired {
		if err := os.Remove(s.path(segmentName(s.segments[0]))); err != nil {
			return err
		}
		s.segments = s.segments[1:]
	}
	return nil
}

// Expire removes segments from the oldest on, as long as old says so of a segment's last record, and returns how many records that
// were. A tombstone with their hashes is durable before a segment goes. Records that headquarters has not acknowledged never
// expire, nor does the segment that is being filled, nor one whose records are not those that were hashed: that is an error, and
// evidence. Of a segment whose last records are damaged it is the last one that can be read, and an Entry without Record when none can.
func (l *Log) Expire(old func(last Entry) bool) (records uint64, err error) {
	l.expiring.Lock()
	defer l.expiring.Unlock()
	for {
		n, err := l.expireOne(old)
		records += n
		if err != nil {
			return records, fmt.Errorf("expire records: %w", err)
		}
		if n == 0 {
			return records, nil
		}
	}
}

func (l *Log) expireOne(old func(Entry) bool) (uint64, error) {
	segments, _, from := l.extent()
	if len(segments) < 2 || segments[1] > l.Cursor() {
		return 0, nil
	}
	until := segments[1]
	s, err := l.load(segments[0], until)
	if err != nil {
		return 0, err
	}
	last := Entry{Seq: until - 1}
	if n := len(s.frames); n > 0 {
		last = Entry{Seq: s.frames[n-1].seq, Record: s.frames[n-1].record}
	}
	if !old(last) {
		return 0, nil
	}
	t := tomb{first: from}
	err = l.eachLeaf(segments[:1], from, until, func(f leafOf) error {
		h, err := l.keep(f)
		t.leaves = append(t.leaves, h)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := l.out.replace(numbered(from, tombSuffix), t.encode()); err != nil {
		return 0, err
	}
	// From here on a crash is finished at the next open.
	l.disk.Lock()
	defer l.disk.Unlock()
	l.out.tombs = append(l.out.tombs, from)
	if err := l.out.bury(l.out.tombs); err != nil {
		return 0, err
	}
	if l.out.expired != until {
		return 0, fmt.Errorf("tombstone of record %d does not read back as it was written", from)
	}
	return until - from, syncDir(l.out.dir)
}

// keep is the hash that a tombstone keeps of a record: the one in the tree where there is one.
func (l *Log) keep(f leafOf) (tlog.Hash, error) {
	if l.tree == nil {
		if f.lost {
			return tlog.RecordHash(nil), nil
		}
		return f.hash, nil
	}
	stored, err := l.tree.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(f.seq))})
	if err != nil {
		return tlog.Hash{}, err
	}
	if !f.lost && stored[0] != f.hash {
		return tlog.Hash{}, fmt.Errorf("%w: record %d is not the one that was hashed: %s", ErrCutOff, f.seq, advice)
	}
	return stored[0], nil
}
