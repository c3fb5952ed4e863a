//go:build !kiosk

package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Lock makes this process the only one that holds path, a file that is created when it is missing and never deleted: deleting
// it would let two processes lock two files of one name. Closing the result, or dying, gives the lock back.
func Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %q: %w", path, err)
		}
		return nil, fmt.Errorf("lock %q: another instance runs already%s", path, holder(f))
	}
	// The number is only a courtesy to whoever is refused; the lock itself is the kernel's.
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		f.Close()
		return nil, fmt.Errorf("write lock: %w", err)
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// holder names the process that wrote itself into the lock file, if what stands there is a process number.
func holder(f *os.File) string {
	buf := make([]byte, 16)
	n, _ := f.ReadAt(buf, 0)
	pid, err := strconv.ParseUint(strings.TrimSpace(string(buf[:n])), 10, 31)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(", process %d", pid)
}
