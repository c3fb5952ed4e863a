package auditlog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access/auditlog/proof"
)

// Bounds of a folder that is read without being owned: what exceeds them is not a log of this program.
const (
	maxFiles   = 1 << 16 // in the folder; a log has 256 segments, and a tombstone for each that has expired
	maxChanges = 64      // times that the folder changed under the reader; the writer makes a segment in minutes
)

// Reader looks at a log that another process may be writing. It takes no lock and changes nothing: a torn tail is left where it
// stands, and a record whose write is under way is seen whole or not at all.
type Reader struct{ out space }

// Inspect returns a Reader of the log in dir.
func Inspect(dir string) (*Reader, error) {
	r := &Reader{space{dir: dir}}
	parts, err := r.parts()
	if err == nil && len(parts) == 0 {
		err = errors.New("the folder holds no audit log")
	}
	if err != nil {
		return nil, fmt.Errorf("inspect audit log %q: %w", dir, err)
	}
	return r, nil
}

// Missing is what a walk could not give.
type Missing struct {
	Expired uint64   // records before this one have expired
	Damage  []Damage // records that were acknowledged and cannot be read
}

// Walk gives every record that can be read to f, in order and each once, until f returns an error. A record is valid during the
// call only.
func (r *Reader) Walk(f func(Entry) error) (Missing, error) {
	var m Missing
	var at uint64
	err := r.each(math.MaxUint64, func(l leaf) error {
		if l.seq > at {
			m.Damage = append(m.Damage, Damage{at, l.seq})
		}
		at = l.seq + 1
		if l.record == nil {
			m.Expired = at
			return nil
		}
		return f(Entry{l.seq, l.record})
	})
	if err != nil {
		return m, fmt.Errorf("read audit log: %w", err)
	}
	return m, nil
}

// leaf is what the log has of one record.
type leaf struct {
	seq    uint64
	record []byte   // nil when it has expired
	hash   [32]byte // then alone
}

// each walks what there is before until, in order. Sequences that it leaves out are lost.
func (r *Reader) each(until uint64, f func(leaf) error) error {
	var at uint64
	for range maxChanges {
		parts, err := r.parts()
		if err != nil {
			return err
		}
		expiring := false
		for _, p := range parts {
			if p.first >= until || p.until <= at {
				continue
			}
			leaves, err := r.leaves(p)
			// Whoever removes a segment has left a tombstone before.
			if expiring = errors.Is(err, fs.ErrNotExist); expiring {
				break
			}
			if err != nil {
				return err
			}
			for _, l := range leaves {
				if l.seq < at || l.seq >= until {
					continue
				}
				if err := f(l); err != nil {
					return err
				}
				at = l.seq + 1
			}
		}
		if !expiring {
			return nil
		}
	}
	return errChanging
}

var errChanging = errors.New("folder changes faster than it can be read")

// part is one file of the log.
type part struct {
	name  string
	first uint64
	until uint64 // where the next segment begins: what stands behind belongs to nobody
	tomb  bool
}

// parts lists the files in the order of their records. The writer may rename and remove meanwhile, and then one listing can miss
// both the old name and the new one: only two that agree are believed.
func (r *Reader) parts() ([]part, error) {
	before, err := r.list()
	for range maxChanges {
		if err != nil {
			return nil, err
		}
		var now []part
		if now, err = r.list(); err == nil && slices.Equal(now, before) {
			return now, nil
		}
		before = now
	}
	return nil, errChanging
}

func (r *Reader) list() ([]part, error) {
	d, err := os.Open(r.out.dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(maxFiles + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(entries) > maxFiles {
		return nil, fmt.Errorf("folder has more than %d files", maxFiles)
	}
	// Digits lead the names, and a tombstone comes before the segment that it stands for.
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	var list []part
	for _, e := range entries {
		first, ok := parseName(e.Name(), segmentSuffix)
		gone, tomb := parseName(e.Name(), tombSuffix)
		switch {
		case !ok && !tomb:
			continue
		case max(first, gone) > proof.MaxSize:
			return nil, fmt.Errorf("file %q begins behind the last record that a log can have", e.Name())
		}
		list = append(list, part{name: e.Name(), first: max(first, gone), tomb: tomb})
	}
	next := uint64(math.MaxUint64)
	for i, p := range slices.Backward(list) {
		if list[i].until = next; !p.tomb {
			next = p.first
		}
	}
	return list, nil
}

// leaves reads one file. A tombstone that is damaged has none: its records are lost, unless a segment has them.
func (r *Reader) leaves(p part) ([]leaf, error) {
	data, err := r.read(p.name, maxSegment)
	if err != nil {
		return nil, err
	}
	var list []leaf
	if p.tomb {
		t, err := decodeTomb(data)
		if err != nil || t.first != p.first {
			return nil, nil
		}
		for i, h := range t.leaves {
			list = append(list, leaf{seq: p.first + uint64(i), hash: h})
		}
		return list, nil
	}
	s := scan(data, p.first)
	if len(s.damage) > 0 {
		// While the writer works, an early page may be older than a late one: what is whole on disk is whole at the second look.
		if data, err = r.read(p.name, maxSegment); err != nil {
			return nil, err
		}
		s = scan(data, p.first)
	}
	for _, f := range s.frames {
		if f.seq < p.until {
			list = append(list, leaf{seq: f.seq, record: f.record})
		}
	}
	return list, nil
}

// read returns a whole file of at most so many bytes.
func (r *Reader) read(name string, most int64) ([]byte, error) {
	f, size, err := r.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > most {
		return nil, fmt.Errorf("file %q has %d bytes, at most %d", name, size, most)
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); n < len(data) {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	return data, nil
}

// open opens a plain file: neither a link that leads elsewhere nor a pipe that nobody ever writes.
func (r *Reader) open(name string) (*os.File, int64, error) {
	f, err := os.OpenFile(r.out.path(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("file %q has mode %v, want a regular file", name, info.Mode())
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
