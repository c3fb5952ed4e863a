// Package bounded reads files of others whole, and no more of them than they may be.
package bounded

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// TooLarge is the error about what has more bytes than it may have.
type TooLarge struct {
	Name string
	Most int64 // bytes
}

// Error is the sentence about it.
func (e TooLarge) Error() string { return fmt.Sprintf("%q is larger than %d bytes", e.Name, e.Most) }

// Read reads to the end what may have at most so many bytes; TooLarge, if it has more. name is for the error.
func Read(r io.Reader, name string, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, TooLarge{name, most}
	}
	return data, err
}

// File reads a file of at most so many bytes.
func File(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe that nobody writes to is empty, and not waited for
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, path, most)
}
