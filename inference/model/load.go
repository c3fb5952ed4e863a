package model

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Load reads the file of a role from dir, at most as many bytes as the manifest says, and hashes the very bytes that it returns. A
// file that is absent, shorter, longer or other than the manifest says is an error that names it.
func (m *Manifest) Load(dir string, role Role) ([]byte, error) {
	s, ok := m.Spec(role)
	if !ok {
		return nil, fmt.Errorf("load model: bundle %q has none for the role %q", m.Name, role)
	}
	path := filepath.Join(dir, s.File)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load %s model: %w", role, err)
	}
	defer f.Close()
	data := make([]byte, s.Size)
	n, err := io.ReadFull(f, data)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("load %s model: %q is cut off: %d bytes, manifest says %d", role, path, n, s.Size)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s model: %w", role, err)
	}
	if got := Hash(sha256.Sum256(data)); got != s.SHA256 {
		return nil, fmt.Errorf("load %s model: sha256 of %q is %s, manifest says %s", role, path, got, s.SHA256)
	}
	if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, fmt.Errorf("load %s model: %q is longer than the %d bytes that the manifest says", role, path, s.Size)
	}
	return data, nil
}
