package auditlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// The layout of FORMAT.md.
const (
	segmentMagic = "LNTLAUD1"
	headerSize   = 24
	frameHead    = 24

	// MaxRecord bounds one record in bytes. A record of access has fewer than 500.
	MaxRecord = 16 << 10

	segmentSuffix = ".seg"
	nameDigits    = 20 // of the largest 64-bit number
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func segmentName(first uint64) string { return numbered(first, segmentSuffix) }

func numbered(first uint64, suffix string) string {
	return fmt.Sprintf("%0*d%s", nameDigits, first, suffix)
}

// parseName reads 20 digits and the suffix; ok is false for every other name.
func parseName(name, suffix string) (first uint64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	if !found || len(digits) != nameDigits {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && numbered(first, suffix) == name
}

func appendHeader(b []byte, first uint64, size int) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.BigEndian.AppendUint64(b, first)
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

func appendFrame(b []byte, seq, batch uint64, record []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(record)))
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint64(b, batch)
	b = append(b, record...)
	binary.BigEndian.PutUint32(b[start+4:], frameSum(b[start:]))
	return b
}

func frameSum(frame []byte) uint32 {
	sum := crc32.Checksum(frame[8:], castagnoli())
	return crc32.Update(sum, castagnoli(), frame[:4])
}

// frame is one whole record in a segment.
type frame struct {
	seq, batch uint64
	record     []byte // part of the scanned bytes
	end        int    // offset behind it
}

// frameAt reads the frame that starts at off; ok is false when none does.
func frameAt(segment []byte, off int) (f frame, ok bool) {
	if off+frameHead > len(segment) {
		return frame{}, false
	}
	n := int(binary.BigEndian.Uint32(segment[off:]))
	if n == 0 || n > MaxRecord || off+frameHead+n > len(segment) {
		return frame{}, false
	}
	f = frame{
		seq:    binary.BigEndian.Uint64(segment[off+8:]),
		batch:  binary.BigEndian.Uint64(segment[off+16:]),
		record: segment[off+frameHead : off+frameHead+n],
		end:    off + frameHead + n,
	}
	// The order of the tests matters for speed alone: the sum is the dear one.
	return f, f.batch <= f.seq && binary.BigEndian.Uint32(segment[off+4:]) == frameSum(segment[off:f.end])
}

// scanned is what a segment holds.
type scanned struct {
	frames []frame
	damage []Damage // sequences that were acknowledged and cannot be read
	end    int      // offset where the good part ends; behind it only a torn tail, or nothing
	torn   int      // bytes of a torn tail behind end
	next   uint64   // sequence that follows
}

// scan walks a segment whose first record is first. It never gives up at a bad frame: what lies behind it may be good.
func scan(segment []byte, first uint64) scanned {
	s := scanned{end: min(headerSize, len(segment)), next: first}
	used := len(bytes.TrimRight(segment, "\x00")) // what was never written is zeros
	for off := headerSize; off < used; off = s.end {
		f, ok := frameAt(segment, off)
		if !ok || f.seq != s.next {
			if f, ok = resume(segment, off, used, s.next); !ok {
				break
			}
			s.damage = append(s.damage, Damage{From: s.next, Until: f.seq})
		}
		s.frames = append(s.frames, f)
		s.end, s.next = f.end, f.seq+1
	}
	s.torn = max(0, used-s.end)
	return s
}

// resume looks behind a bad frame for the next good one. It is believed only if some good frame there was written after the
// fdatasync that covered the missing record: then the missing record was durable once, and this is damage. Otherwise all of it
// is one torn write whose pages reached the disk out of order.
func resume(segment []byte, off, used int, missing uint64) (frame, bool) {
	var first frame
	for ; off < used && off+frameHead <= len(segment); off++ {
		// A segment cannot hold more records than it has bytes; this spares nearly all sums.
		if seq := binary.BigEndian.Uint64(segment[off+8:]); seq <= missing || seq-missing > uint64(len(segment)) {
			continue
		}
		f, ok := frameAt(segment, off)
		if !ok {
			continue
		}
		if first.end == 0 {
			first = f
		}
		if f.batch > missing {
			return first, true
		}
	}
	return frame{}, false
}
