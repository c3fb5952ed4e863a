//go:build linux

// Package replay cuts the power at every moment of something that was done to a disk, in a machine that is never cut.
//
// Record has a file system on a disk of dm-log-writes, which logs each write and each flush in the order in which the disk had ended them. What is
// said with mark is a write to the same disk, behind the file system's end, so that it has its place among the others. Replay then builds the disk as
// a cut may have left it: what had been flushed is there, and of what had not, any part. It mounts that and shows it.
//
// It needs the laboratory's kernel, memory for the disk and for all that was written to it, and root.
package replay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Recording is a disk, and what was written to it.
type Recording struct {
	base  []byte // the new file system
	steps []step
	marks int64 // where they lie, bytes
}

const (
	markBytes = 8 << 10  // of a mark, at most
	logBytes  = 1 << 30  // of the log: memory is taken by what is written alone
	page      = 4 << 10  // bytes: unit of memory, and of the file system
	inodes    = "1024"   // of a file system for some dozen files: its table is formatted at once
	journal   = "size=4" // MB: the smallest there is, so that it is reused often
)

// Record makes a file system of so many bytes on a new disk in dir, a folder in memory, and records what work does in it. mark notes something at
// this moment; it may be called from any goroutine. Options are those of the mount; empty: the usual ones.
func Record(dir string, size int64, options string, work func(folder string, mark func(string) error) error) (r *Recording, err error) {
	file, logFile, folder := filepath.Join(dir, "disk"), filepath.Join(dir, "log"), filepath.Join(dir, "recorded")
	if err := errors.Join(truncate(file, size), truncate(logFile, logBytes), os.MkdirAll(folder, 0o755)); err != nil {
		return nil, err
	}
	defer os.Remove(file)
	defer os.Remove(logFile)
	// Nothing is left to be formatted later, in the midst of what is recorded.
	mkfs := exec.Command("/sbin/mkfs.ext4", "-q", "-F", "-b", fmt.Sprint(page), "-N", inodes, "-J", journal, "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", file)
	if out, err := mkfs.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make file system: %w: %q", err, out)
	}
	if err := truncate(file, size+markBytes); err != nil {
		return nil, err
	}
	r = &Recording{marks: size}
	if r.base, err = os.ReadFile(file); err != nil {
		return nil, err
	}
	if err := r.record(file, logFile, folder, options, work); err != nil {
		return nil, err
	}
	log, err := os.Open(logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	steps, err := parse(bufio.NewReader(log))
	if err != nil {
		return nil, err
	}
	r.steps = order(steps, r.number)
	end, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return r, r.verify(end)
}

func (r *Recording) record(file, logFile, folder, options string, work func(string, func(string) error) error) (err error) {
	clean := func(undo func() error) { err = errors.Join(err, undo()) }
	disk, detach, err := attach(file)
	if err != nil {
		return err
	}
	defer clean(detach)
	log, detachLog, err := attach(logFile)
	if err != nil {
		return err
	}
	defer clean(detachLog)
	device, err := mapLogged("replay", disk, log, int64(len(r.base)))
	if err != nil {
		return err
	}
	defer clean(device.remove)
	m, err := newMarker(device, r.marks)
	if err != nil {
		return err
	}
	defer clean(m.close)
	if err := unix.Mount(device.path, folder, "ext4", unix.MS_NOATIME, options); err != nil {
		return fmt.Errorf("mount %q: %w", device.path, err)
	}
	defer clean(func() error { return unix.Unmount(folder, 0) })
	return work(folder, m.mark)
}

// verify replays all, which must give the disk as it is in the end.
func (r *Recording) verify(end []byte) error {
	all := bytes.Clone(r.base)
	for _, s := range r.steps {
		copy(all[s.sector*sector:], s.data)
	}
	for at := 0; at < len(all); at += page {
		if !bytes.Equal(all[at:at+page], end[at:at+page]) {
			return fmt.Errorf("the log, replayed, gives another disk: from byte %d", at)
		}
	}
	return nil
}

// marker writes marks, one after the other, each with its number.
type marker struct {
	device *logged
	mu     sync.Mutex
	made   int
	file   *os.File
	at     int64
	buffer []byte // aligned, as a write that passes by the cache wants it
}

func newMarker(device *logged, at int64) (*marker, error) {
	buffer, err := unix.Mmap(-1, 0, markBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(device.path, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(buffer))
	}
	return &marker{device: device, file: f, at: at, buffer: buffer}, nil
}

func (m *marker) mark(text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	numbered := fmt.Sprintf("%d %s", m.made, text)
	if len(numbered) >= len(m.buffer) {
		return fmt.Errorf("mark of %d bytes, %d are possible", len(numbered), len(m.buffer)-1)
	}
	n := copy(m.buffer, numbered)
	whole := (n + sector) / sector * sector // one zero byte behind it, at least
	clear(m.buffer[n:whole])
	if _, err := m.file.WriteAt(m.buffer[:whole], m.at); err != nil {
		return err
	}
	m.made++
	return m.device.told()
}

func (m *marker) close() error { return errors.Join(m.file.Close(), unix.Munmap(m.buffer)) }

func truncate(file string, size int64) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}
