package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrFull means that headquarters' disk has no room: nothing was taken in, and the same message can be taken in later.
	ErrFull = errors.New("disk is full")
	// ErrBroken means that a write failed: what the disk holds is unknown until the ledger is opened again.
	ErrBroken = errors.New("a write failed: nothing is kept of this kiosk any more before hq serve is started again")
	// ErrDamaged means that what the disk holds is not what was once verified: restore it from a backup.
	ErrDamaged = errors.New("ledger is damaged")
)

// The files of a kiosk's folder.
const (
	segmentSuffix = ".seg"
	pendingName   = "pending"
	hashesName    = "hashes"
	stateName     = "state"
	keyName       = "audit.pub"
	newSuffix     = ".new"
	nameDigits    = 20 // of the largest 64-bit number

	// segmentBytes is where the next segment begins: small enough that the last one is read in a moment at open.
	segmentBytes = 4 << 20
)

// folder is the records of one kiosk on disk: those that are vouched for in segments that only grow, the others in a file of their own. Whoever reads
// needs no lock.
type folder struct {
	dir  string
	file *os.File // the last segment; nil: there is none yet
	off  int64    // where its next frame goes: all before is durable
	head uint64   // records that are vouched for
	buf  []byte

	broken error
	// segment is where the next one begins, bytes.
	segment int64
	// step is told what has just been done, for tests that end the process there.
	step func(string)
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *folder) at(what string) {
	if f.step != nil {
		f.step(what)
	}
}

func segmentName(first uint64) string { return fmt.Sprintf("%0*d%s", nameDigits, first, segmentSuffix) }

// segments lists the first records of a folder's segments, in order.
func segments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if first, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && segmentName(first) == e.Name() {
			list = append(list, first)
		}
	}
	return list, nil
}

// openFolder finds where the records end. A torn write behind them was never acknowledged and is removed.
func openFolder(dir string) (*folder, error) {
	f := &folder{dir: dir, segment: segmentBytes}
	list, err := segments(dir)
	if err != nil || len(list) == 0 {
		return f, err
	}
	f.head = list[len(list)-1]
	if f.file, err = os.OpenFile(f.path(segmentName(f.head)), os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if err := f.mend(); err != nil {
		return nil, errors.Join(err, f.file.Close())
	}
	return f, nil
}

func (f *folder) mend() error {
	data, err := os.ReadFile(f.file.Name())
	if err != nil {
		return err
	}
	header := appendHeader(nil, f.head)
	if len(data) < headerSize || string(data[:headerSize]) != string(header) {
		if len(data) > headerSize {
			return fmt.Errorf("%w: segment %q has no header", ErrDamaged, segmentName(f.head))
		}
		data = header // it was being made
		if _, err := f.file.WriteAt(header, 0); err != nil {
			return noRoom(err)
		}
	}
	list, end := frames(data, headerSize, f.head)
	f.head += uint64(len(list))
	f.off = int64(end)
	if wasDurable(data, end, f.head) {
		return fmt.Errorf("%w: record %d cannot be read", ErrDamaged, f.head)
	}
	if err := f.file.Truncate(f.off); err != nil {
		return err
	}
	return f.file.Sync()
}

// append makes records durable behind the last, all or none.
func (f *folder) append(list []Entry) error {
	if f.broken != nil {
		return f.broken
	}
	if f.file == nil || f.off >= f.segment {
		if err := f.begin(); err != nil {
			return noRoom(err)
		}
	}
	f.buf = f.buf[:0]
	for _, e := range list {
		f.buf = appendFrame(f.buf, e, list[0].Index)
	}
	if _, err := f.file.WriteAt(f.buf, f.off); err != nil {
		if cut := f.file.Truncate(f.off); cut != nil {
			return f.fail(errors.Join(err, cut))
		}
		return noRoom(err)
	}
	f.at("written")
	if err := unix.Fdatasync(int(f.file.Fd())); err != nil {
		return f.fail(err)
	}
	f.at("durable")
	f.off += int64(len(f.buf))
	f.head += uint64(len(list))
	return nil
}

func (f *folder) begin() error {
	file, err := os.OpenFile(f.path(segmentName(f.head)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(appendHeader(nil, f.head), 0)
	if err = errors.Join(err, file.Sync()); err == nil {
		err = syncDir(f.dir)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.at("begun")
	if f.file != nil {
		f.file.Close() // all of it is durable
	}
	f.file, f.off = file, headerSize
	return nil
}

// fail remembers the first failed write: after a failed fdatasync the kernel may call the next one good although the data is lost.
func (f *folder) fail(cause error) error {
	f.broken = fmt.Errorf("%w: %w", ErrBroken, cause)
	return f.broken
}

// replace puts a small file in the place of the old one, whole and durably.
func (f *folder) replace(name string, data []byte) error {
	path := f.path(name)
	file, err := os.OpenFile(path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return noRoom(err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		f.at("before " + name)
		err = os.Rename(path+newSuffix, path)
	}
	if err == nil {
		f.at("after " + name)
		err = syncDir(f.dir)
	}
	return noRoom(err)
}

func (f *folder) close() error {
	f.fail(os.ErrClosed)
	if f.file == nil {
		return nil
	}
	return f.file.Close()
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
	return errors.Join(dir.Sync(), dir.Close())
}
