package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/inference/model"
)

// unpack writes the wanted members of a tarball below dir, each in whole or not at all. Nothing else in it is looked at, and no name
// in it decides where something goes.
func unpack(archive, dir string, wanted []file) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack %q: %w", archive, err)
	}
	left := map[string]file{}
	for _, w := range wanted {
		left[w.member] = w
	}
	for t := tar.NewReader(plain); len(left) > 0; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("unpack %q: %w", archive, err)
		}
		w, ok := left[h.Name]
		if !ok {
			continue
		}
		delete(left, h.Name)
		data, err := io.ReadAll(io.LimitReader(t, w.size+1))
		if err != nil {
			return fmt.Errorf("unpack %q from %q: %w", w.member, archive, err)
		}
		if int64(len(data)) != w.size {
			return fmt.Errorf("unpack %q from %q: it does not have %d bytes", w.member, archive, w.size)
		}
		if got := model.Hash(sha256.Sum256(data)); got != w.sha256 {
			return fmt.Errorf("unpack %q from %q: sha256 is %s, want %s", w.member, archive, got, w.sha256)
		}
		if err := write(filepath.Join(dir, w.path), data); err != nil {
			return err
		}
	}
	for name := range left {
		return fmt.Errorf("unpack %q from %q: it is not there", name, archive)
	}
	return nil
}

// write puts a file in its place in one step, so that a full disk or a power cut leaves the old one or none.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	part, err := os.CreateTemp(filepath.Dir(path), ".part-")
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	_, err = io.Copy(part, bytes.NewReader(data))
	err = errors.Join(err, part.Chmod(0o644), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %q: %w", path, err), os.Remove(part.Name()))
	}
	return nil
}

func hash(r io.Reader) (model.Hash, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return model.Hash(h.Sum(nil)), n, err
}
