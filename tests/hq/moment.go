//go:build !kiosk

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// writes counts what is written below some folders, as the kernel tells of it: each write, each new file and each one that is put in another's place. Writes
// into one file that follow faster than they are counted count as one.
type writes struct{ events *os.File }

// watchWrites begins to count in these folders and all below them.
func watchWrites(folders ...string) (w writes, err error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return w, fmt.Errorf("watch folders: %w", err)
	}
	w.events = os.NewFile(uintptr(fd), "inotify")
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				_, err = unix.InotifyAddWatch(fd, path, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO)
			}
			if errors.Is(err, fs.ErrNotExist) && path != folder {
				return nil // it went meanwhile
			}
			return err
		})
		if err != nil {
			return w, errors.Join(fmt.Errorf("watch %s: %w", folder, err), w.events.Close())
		}
	}
	return w, nil
}

// await waits for the nth write from now on, and returns how many there were when time was over.
func (w writes) await(n int, most time.Duration) (seen int, err error) {
	if err := w.events.SetReadDeadline(time.Now().Add(most)); err != nil {
		return 0, err
	}
	b := make([]byte, 16<<10)
	for seen < n {
		k, err := w.events.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return seen, nil
		}
		if err != nil {
			return seen, err
		}
		for at := 0; at+unix.SizeofInotifyEvent <= k; seen++ {
			at += unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[at+12:])) // the length of the name that follows
		}
	}
	return seen, nil
}

// momentWithin is how long hq serve may take to come to a moment.
const momentWithin = 10 * time.Second

// killAt has work begin, and kills hq serve right after its nth write into the folders since then. Work may fail by it; that hq serve comes back is waited
// for. It is an error when hq serve does not come to that write.
func (s *site) killAt(n int, folders []string, work func() error) (failed, err error) {
	w, err := watchWrites(folders...)
	if err != nil {
		return nil, err
	}
	defer w.events.Close()
	done := make(chan error, 1)
	go func() { done <- work() }()
	seen, err := w.await(n, momentWithin)
	s.serve.kill()
	failed = <-done
	if err == nil && seen < n {
		err = fmt.Errorf("hq serve wrote %d times, want %d; the work said: %v", seen, n, failed)
	}
	if err != nil {
		return failed, err
	}
	return failed, s.await(30*time.Second, "hq serve answers", func() error { _, err := s.list(); return err })
}
