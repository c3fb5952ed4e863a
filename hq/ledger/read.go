package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
)

const (
	// readBytes is what is read at once: more than one frame, and little beside what a segment has.
	readBytes = 1 << 20
	// maxPendingFile bounds what is read of records that nobody vouches for yet; the writer keeps below it.
	maxPendingFile = maxPending*frameHead + maxPendingBytes + readBytes
)

// reading goes through the vouched records of a folder that may be written meanwhile.
type reading struct {
	dir     string
	index   uint64 // of the next record
	segment uint64 // it is in, and where; off 0: not looked for yet
	off     int64
}

// some returns the next few records; none: there are no more now. The last are valid until the next call. ErrDamaged: there were more.
func (r *reading) some() ([]Entry, error) {
	list, err := r.next()
	if err == nil && len(list) == 0 {
		return r.rest()
	}
	return list, err
}

// rest is what there is still where next has found nothing more, and by the folder's own count must be.
func (r *reading) rest() ([]Entry, error) {
	here, err := counted(r.dir)
	if err != nil || here <= r.index {
		return nil, err
	}
	// What the state counts was readable before the state was written: a writer that has gone on since is heard, and no damage.
	list, err := r.next()
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: record %d cannot be read", ErrDamaged, r.index)
	}
	return list, err
}

// counted is how many records a folder says it has; at least so many were made durable.
func counted(dir string) (uint64, error) {
	if _, err := os.Stat(filepath.Join(dir, keyName)); errors.Is(err, fs.ErrNotExist) {
		return 0, errNoKey // its first file: what else was there is gone, too
	}
	s, err := loadState(dir)
	return s.Looked, err
}

// next is some, which cannot tell the end from a record that cannot be read.
func (r *reading) next() ([]Entry, error) {
	if r.off == 0 {
		if found, err := r.find(); err != nil || !found {
			return nil, err
		}
	}
	for {
		list, err := r.chunk()
		if err != nil || len(list) > 0 {
			return list, err
		}
		// The end of all, or of a segment: the next begins with the record that is asked for.
		if r.segment == r.index {
			return nil, nil
		}
		if _, err := os.Stat(filepath.Join(r.dir, segmentName(r.index))); errors.Is(err, fs.ErrNotExist) {
			return nil, r.whole()
		}
		r.segment, r.off = r.index, headerSize
	}
}

// find looks for the segment of the next record.
func (r *reading) find() (bool, error) {
	list, err := segments(r.dir)
	if err != nil {
		return false, err
	}
	i := sort.Search(len(list), func(i int) bool { return list[i] > r.index }) - 1
	if i < 0 {
		return false, nil
	}
	want := r.index
	r.index, r.segment, r.off = list[i], list[i], headerSize
	for r.index < want {
		list, err := r.chunk()
		if err != nil || len(list) == 0 {
			r.index, r.off = want, 0
			return false, err
		}
		if over := r.index - want; r.index > want { // go back to where the wanted one starts
			for _, e := range list[uint64(len(list))-over:] {
				r.off -= int64(frameHead + len(e.Record))
			}
			r.index = want
		}
	}
	return true, nil
}

func (r *reading) chunk() ([]Entry, error) {
	f, err := os.Open(filepath.Join(r.dir, segmentName(r.segment)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, max(0, min(readBytes, info.Size()-r.off)))
	n, err := f.ReadAt(data, r.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	list, end := frames(data[:n], 0, r.index)
	r.off += int64(end)
	r.index += uint64(len(list))
	entries := make([]Entry, len(list))
	for i, f := range list {
		entries[i] = f.Entry
	}
	return entries, nil
}

// whole reports an error when a later segment begins: then records before it are missing.
func (r *reading) whole() error {
	list, err := segments(r.dir)
	if err == nil && len(list) > 0 && list[len(list)-1] > r.index {
		err = fmt.Errorf("%w: record %d cannot be read", ErrDamaged, r.index)
	}
	return err
}

// readPending returns the records that nobody vouches for yet, from head on.
func readPending(dir string, head uint64) ([]Entry, error) {
	f, err := os.Open(filepath.Join(dir, pendingName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPendingFile))
	if err != nil {
		return nil, err
	}
	first, ok := frameAt(data, 0)
	if !ok {
		return nil, nil
	}
	list, _ := frames(data, 0, first.Index)
	var entries []Entry
	for _, f := range list {
		entries = append(entries, f.Entry)
	}
	// Some may have been vouched for since; what does not follow on is of no use.
	entries = slices.DeleteFunc(entries, func(e Entry) bool { return e.Index < head })
	if len(entries) > 0 && entries[0].Index != head {
		return nil, nil
	}
	return entries, nil
}
