package ledger

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// The layout of docs/LEDGER.md.
const (
	segmentMagic = "LNTLHQL1"
	headerSize   = 20 // magic, index of the first record, CRC-32C
	frameHead    = 32 // length 4, CRC-32C 4, index 8, batch 8, arrived 8 (Unix milliseconds)

	maxRecord = 16 << 10 // bytes, as sync/wire allows
)

// Entry is one record of a kiosk, as it came.
type Entry struct {
	Index   uint64    // its place in the kiosk's log, from 0
	Arrived time.Time // by headquarters' clock, when it was first stored
	Record  []byte    // the very bytes that the kiosk hashed
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func appendHeader(b []byte, first uint64) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(append(b, segmentMagic...), first)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

// appendFrame adds a record; batch is the index of the first record that becomes durable together with it.
func appendFrame(b []byte, e Entry, batch uint64) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Record)))
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, e.Index)
	b = binary.BigEndian.AppendUint64(b, batch)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Arrived.UnixMilli()))
	b = append(b, e.Record...)
	binary.BigEndian.PutUint32(b[start+4:], frameSum(b[start:]))
	return b
}

func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[8:], castagnoli()), castagnoli(), frame[:4])
}

// frame is one whole record in a file.
type frame struct {
	Entry
	batch uint64
	end   int // offset behind it
}

// frameAt reads the frame that starts at off; ok is false when no whole one does. The record is a part of data.
func frameAt(data []byte, off int) (f frame, ok bool) {
	if off+frameHead > len(data) {
		return frame{}, false
	}
	n := int(binary.BigEndian.Uint32(data[off:]))
	if n == 0 || n > maxRecord || off+frameHead+n > len(data) {
		return frame{}, false
	}
	f.end = off + frameHead + n
	if binary.BigEndian.Uint32(data[off+4:]) != frameSum(data[off:f.end]) {
		return frame{}, false
	}
	f.Index, f.batch = binary.BigEndian.Uint64(data[off+8:]), binary.BigEndian.Uint64(data[off+16:])
	f.Arrived = time.UnixMilli(int64(binary.BigEndian.Uint64(data[off+24:])))
	f.Record = data[off+frameHead : f.end]
	return f, true
}

// frames reads the frames from off on that continue at index, as far as they are whole, and returns where it stopped.
func frames(data []byte, off int, index uint64) ([]frame, int) {
	var list []frame
	for {
		f, ok := frameAt(data, off)
		if !ok || f.Index != index {
			return list, off
		}
		list = append(list, f)
		off, index = f.end, index+1
	}
}

// wasDurable reports whether what stands at off, where the record of that index should, is damage and no torn write: then a frame stands behind it that
// was written after the record had been made durable.
func wasDurable(data []byte, off int, index uint64) bool {
	for used := len(bytes.TrimRight(data, "\x00")); off+frameHead <= used; off++ {
		// A file cannot hold more records than it has bytes; this spares nearly all sums.
		if n := binary.BigEndian.Uint64(data[off+8:]); n <= index || n-index > uint64(len(data)) {
			continue
		}
		if f, ok := frameAt(data, off); ok && f.batch > index {
			return true
		}
	}
	return false
}
