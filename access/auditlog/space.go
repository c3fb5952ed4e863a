package auditlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	sparePrefix = "spare."
	newSuffix   = ".new"
)

// space is the folder with its segments and the reserve of preallocated ones.
type space struct {
	dir      string
	segment  int // bytes of one
	reserve  int // spares that ordinary records may not consume
	most     int // segments and spares together
	segments []uint64
	spares   int    // spare.0 .. spare.(spares-1) exist
	expired  uint64 // records before this one have expired: tombstones stand for them
	tombs    []uint64
	notes    []string // what find did not believe
}

func (s *space) path(name string) string { return filepath.Join(s.dir, name) }

func (s *space) spare(n int) string { return s.path(fmt.Sprintf("%s%d", sparePrefix, n)) }

// refill makes spares until there are want, or returns why it cannot: ErrFull when there is no room.
func (s *space) refill(want int) error {
	for s.spares < want {
		if len(s.segments)+s.spares >= s.most {
			return fmt.Errorf("%w: its budget of %d segments is used up", ErrFull, s.most)
		}
		if err := s.makeSpare(); err != nil {
			return err
		}
	}
	return nil
}

func (s *space) makeSpare() error {
	temporary := s.spare(s.spares) + newSuffix
	err := func() error {
		f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := preallocate(f, s.segment); err != nil {
			return err
		}
		return f.Sync()
	}()
	if err == nil {
		// The name need not be durable: a spare that a power cut takes is made again at open, and one that begins a segment is renamed.
		err = os.Rename(temporary, s.spare(s.spares))
	}
	if err != nil {
		os.Remove(temporary)
		return noRoom(fmt.Errorf("make reserve: %w", err))
	}
	s.spares++
	return nil
}

// preallocate gives f its blocks, so that writing into it later needs none.
func preallocate(f *os.File, size int) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size))
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	// A file system without fallocate gets zeros by hand, but only behind what is there.
	info, err := f.Stat()
	if err != nil || info.Size() >= int64(size) {
		return err
	}
	_, err = f.WriteAt(make([]byte, int64(size)-info.Size()), info.Size())
	return err
}

// begin turns the last spare into the segment whose first record is first and opens it.
func (s *space) begin(first uint64) (*os.File, error) {
	if s.spares == 0 {
		return nil, ErrFull
	}
	last := s.spare(s.spares - 1)
	f, err := os.OpenFile(last, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("begin segment: %w", err)
	}
	_, err = f.WriteAt(appendHeader(nil, first, s.segment), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(last, s.path(segmentName(first)))
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("begin segment: %w", err)
	}
	s.spares--
	s.segments = append(s.segments, first)
	return f, nil
}

// find lists what is in the folder, removes what a crash left half made, and checks every mode on the way.
func (s *space) find() error {
	entries, err := os.ReadDir(s.dir) // sorted, so segments come in order
	if err != nil {
		return err
	}
	spares := 0
	var tombs []uint64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("file %q has mode %v, want a regular file of mode 0600", e.Name(), info.Mode())
		}
		first, isSegment := parseName(e.Name(), segmentSuffix)
		gone, isTomb := parseName(e.Name(), tombSuffix)
		switch {
		case isSegment:
			s.segments = append(s.segments, first)
		case isTomb:
			tombs = append(tombs, gone)
		case strings.HasSuffix(e.Name(), newSuffix):
			err = os.Remove(s.path(e.Name()))
		case strings.HasPrefix(e.Name(), sparePrefix) && info.Size() != int64(s.segment):
			err = os.Remove(s.path(e.Name()))
		case strings.HasPrefix(e.Name(), sparePrefix):
			err = os.Rename(s.path(e.Name()), s.spare(spares)) // closes a gap in the numbers
			spares++
		}
		if err != nil {
			return err
		}
	}
	s.spares = spares
	return s.bury(tombs)
}

// replace puts a small file in the place of the old one, whole and durably.
func (s *space) replace(name string, data []byte) error {
	path := s.path(name)
	err := writeSynced(path+newSuffix, data)
	if err == nil {
		err = os.Rename(path+newSuffix, path)
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	return noRoom(err)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// noRoom makes every way in which a file system says that it is full ErrFull.
func noRoom(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
