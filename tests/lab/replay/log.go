//go:build linux

package replay

import (
	"encoding/binary"
	"fmt"
	"io"
)

// step is one entry of the log.
type step struct {
	sector     int64
	data       []byte // nil of a flush alone
	flush, fua bool
	told       bool // it is no write: a mark had been made then
}

// The format of dm-log-writes: Documentation/admin-guide/device-mapper/log-writes.rst, and the structures in drivers/md/dm-log-writes.c. All
// numbers are little-endian. The first sector tells of the log, then entry follows entry: a sector that begins with its header, and its data.
const (
	logMagic   = 0x6a736677736872
	logVersion = 1
	sector     = 512 // bytes, of the disks that are made here

	flagFlush, flagFUA, flagMark, flagMetadata = 1, 2, 8, 16 // 4: discard

	headerBytes = 32
	mostSectors = 16 << 11            // 16 MB: the kernel's largest write is a small part of it
	lastMark    = "dm-log-writes-end" // the kernel's, when the device is removed: nothing was lost for want of room
	toldMark    = "told"
)

// parse reads a whole log, and nothing behind its end.
func parse(log io.Reader) ([]step, error) {
	header := make([]byte, sector)
	number := func(at int) uint64 { return binary.LittleEndian.Uint64(header[at:]) }
	if _, err := io.ReadFull(log, header); err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	if magic, version, size := number(0), number(8), binary.LittleEndian.Uint32(header[24:]); magic != logMagic || version != logVersion || size != sector {
		return nil, fmt.Errorf("read log: magic %#x, version %d, sectors of %d bytes", magic, version, size)
	}
	entries := number(16)
	var steps []step
	for i := range entries {
		if _, err := io.ReadFull(log, header); err != nil {
			return nil, fmt.Errorf("read entry %d of %d: %w", i, entries, err)
		}
		at, sectors, flags, length := number(0), number(8), number(16), number(24)
		if flags&^(flagFlush|flagFUA|flagMark|flagMetadata) != 0 || at > 1<<40 || sectors > mostSectors { // mounted without discards
			return nil, fmt.Errorf("read log: entry %d of %d sectors at %d has flags %#x", i, sectors, at, flags)
		}
		if flags&flagMark != 0 {
			if length > sector-headerBytes {
				return nil, fmt.Errorf("read log: entry %d is a mark of %d bytes", i, length)
			}
			switch text := string(header[headerBytes : headerBytes+length]); {
			case i+1 == entries && text == lastMark:
				return steps, nil
			case text == toldMark:
				steps = append(steps, step{told: true})
			}
			continue
		}
		s := step{sector: int64(at), flush: flags&flagFlush != 0, fua: flags&flagFUA != 0}
		if sectors > 0 {
			s.data = make([]byte, sectors*sector)
			if _, err := io.ReadFull(log, s.data); err != nil {
				return nil, fmt.Errorf("read data of entry %d: %w", i, err)
			}
		}
		steps = append(steps, s)
	}
	return nil, fmt.Errorf("read log: it does not end with %q: was its disk too small?", lastMark)
}

// order returns the steps with each mark where it was made, or earlier, but behind all marks before it and before all that was done after it. The kernel
// logs a write when a flush that began after it has ended, and of two flushes under way the one that began later may end first: then what it covers
// stands before marks that had been made when it began. So the kernel is told of each mark as soon as it is made, and logs that at once: a mark that
// was made before a flush ended goes before what the flush covers, unless the flush covers it, or a mark before it and so began before it.
func order(steps []step, number func(step) (n int, said bool)) []step {
	marks := map[int]step{}
	for _, s := range steps {
		if n, said := number(s); said {
			marks[n] = s
		}
	}
	var list, covered []step // covered by the next flush
	made, heard := 0, 0      // marks, in order
	for _, s := range steps {
		if s.told {
			made++
			continue
		}
		covered = append(covered, s)
		if n, said := number(s); said && n < heard {
			covered = covered[:len(covered)-1] // it went before
		}
		if !s.flush && !s.fua {
			continue
		}
		until := made
		for _, c := range covered {
			if n, said := number(c); said {
				until = min(until, n)
			}
		}
		for ; s.flush && heard < until; heard++ {
			list = append(list, marks[heard])
		}
		for _, c := range covered {
			if n, said := number(c); said {
				heard = n + 1
			}
			list = append(list, c)
		}
		covered = nil
	}
	return append(list, covered...)
}
