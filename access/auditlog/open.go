package auditlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Recovery is what Open found. The zero Recovery is a log that was closed in order; everything else is shown and recorded.
type Recovery struct {
	Torn   int      // bytes of a write that a crash cut short, set to zero; nothing of it was acknowledged
	Damage []Damage // records that were acknowledged and cannot be read
	Notes  []string // sentences: the reserve is not whole, the cursor was not believed, a header was mended
}

// Damage is a range of sequences whose records are lost. It is the error of reading them.
type Damage struct {
	From, Until uint64 // Until is the first good one behind
}

func (d Damage) Error() string {
	return fmt.Sprintf("records %d to %d of the audit log are damaged", d.From, d.Until-1)
}

// Open opens the log in dir, a folder of mode 0700 that is made when absent, and repairs what a crash left. It never overwrites a
// record that was acknowledged. It returns ErrInUse when another process has it open, ErrFull when there is no room to begin, and,
// with Options.Merkle, ErrCutOff when the log does not contain what is remembered of it; its hashes are left as they are then.
func Open(dir string, o Options) (*Log, Recovery, error) {
	l, r, err := open(dir, o)
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("open audit log %q: %w", dir, err)
	}
	return l, r, nil
}

func open(dir string, o Options) (*Log, Recovery, error) {
	out, err := o.space(dir)
	if err != nil {
		return nil, Recovery{}, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, Recovery{}, err
	}
	l := &Log{lock: lock, out: out, merkle: o.Merkle}
	r, err := l.recover()
	if err != nil {
		l.Close()
		return nil, Recovery{}, err
	}
	return l, r, nil
}

func (o Options) space(dir string) (space, error) {
	s := space{dir: dir, segment: o.SegmentBytes, reserve: o.Reserve, most: o.MaxSegments}
	if s.segment == 0 {
		s.segment = defaultSegment
	}
	if s.reserve == 0 {
		s.reserve = defaultReserve
	}
	if s.most == 0 {
		s.most = defaultSegments
	}
	if s.segment < minSegment || s.segment > maxSegment {
		return space{}, fmt.Errorf("segments of %d bytes, want %d to %d", s.segment, minSegment, maxSegment)
	}
	if s.reserve < 1 || s.most < s.reserve+2 {
		return space{}, fmt.Errorf("reserve of %d segments within %d", s.reserve, s.most)
	}
	return s, nil
}

func lockDir(dir string) (*os.File, error) {
	if err := os.Mkdir(dir, 0o700); err == nil {
		if err := syncDir(filepath.Dir(dir)); err != nil { // or the records go with the folder's name
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("it has mode %v, want a folder of mode 0700", info.Mode())
	}
	lock, err := os.OpenFile(dir+"/lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, err
	}
	return lock, nil
}

// recover finds the end of the log, repairs it and makes the log ready for the next record.
func (l *Log) recover() (Recovery, error) {
	var r Recovery
	if err := l.out.find(); err != nil {
		return r, err
	}
	r.Notes = append(r.Notes, l.out.notes...)
	if err := l.out.refill(l.out.reserve); err != nil {
		r.Notes = append(r.Notes, "reserve is short: "+err.Error()) // a full disk must not keep the door from starting
	}
	ended := true // the last segment takes no more records
	if n := len(l.out.segments); n > 0 {
		var err error
		if ended, err = l.reopen(l.out.segments[n-1], &r); err != nil {
			return r, err
		}
	}
	var why error
	if l.cursor, why = readCursor(l.out.path(cursorName)); why != nil {
		r.Notes = append(r.Notes, why.Error())
	}
	if l.cursor > l.head {
		r.Damage = append(r.Damage, Damage{From: l.head, Until: l.cursor})
		l.head, ended = l.cursor, true
	}
	if l.merkle != nil {
		continues, err := l.plant(&r)
		if err != nil {
			return r, err
		}
		ended = ended || !continues
	}
	if ended {
		return r, l.rotate(Vital, l.head)
	}
	return r, nil
}

// reopen scans the last segment and clears its torn tail. It reports whether the segment must not be continued, because damage has
// been found in it: what is there stays as it is, for whoever comes to look.
func (l *Log) reopen(first uint64, r *Recovery) (ended bool, err error) {
	l.file, err = os.OpenFile(l.out.path(segmentName(first)), os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	data, err := readSegment(l.file)
	if err != nil {
		return false, err
	}
	s := scan(data, first)
	l.head, l.off = s.next, s.end
	r.Damage = append(r.Damage, s.damage...)
	if len(s.damage) > 0 || len(data) > l.out.segment && s.next > first {
		return true, nil
	}
	r.Torn = s.torn
	header := appendHeader(nil, first, l.out.segment)
	mended := len(data) < headerSize || !slices.Equal(data[:headerSize], header)
	if len(data) == l.out.segment && s.torn == 0 && !mended {
		return false, nil
	}
	if mended {
		r.Notes = append(r.Notes, fmt.Sprintf("header of segment %d was mended", first))
	}
	if err := l.file.Truncate(int64(min(len(data), l.out.segment))); err != nil {
		return false, err
	}
	l.off = max(l.off, headerSize)
	if err := preallocate(l.file, l.out.segment); err != nil {
		return false, noRoom(err)
	}
	if _, err := l.file.WriteAt(header, 0); err != nil {
		return false, err
	}
	if _, err := l.file.WriteAt(make([]byte, l.out.segment-l.off), int64(l.off)); err != nil {
		return false, err
	}
	return false, l.file.Sync()
}

// readSegment reads at most what a segment may have, whatever the file claims.
func readSegment(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSegment {
		return nil, fmt.Errorf("segment of %d bytes, at most %d", info.Size(), maxSegment)
	}
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if n < len(data) {
		return nil, fmt.Errorf("read segment: %w", err)
	}
	return data, nil
}
