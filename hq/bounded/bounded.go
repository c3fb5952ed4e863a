// Package bounded reads files of others whole, and no more of them than they may be.
package bounded

import (
	"fmt"
	"io"
	"os"
)

// Read reads to the end what may have at most so many bytes. name is for the error.
func Read(r io.Reader, name string, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("%q is larger than %d bytes", name, most)
	}
	return data, err
}

// File reads a file of at most so many bytes.
func File(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, path, most)
}
