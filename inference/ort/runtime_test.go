package ort

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/inference/model"
)

const library = "ort/libonnxruntime.so.1"

// put writes a file and returns its path and hash.
func put(t *testing.T, name string, data []byte) (string, model.Hash) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, sha256.Sum256(data)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// libc is a shared library that this process has for certain and that is neither a runtime nor a plugin.
func libc(t *testing.T) (string, model.Hash) {
	t.Helper()
	for line := range strings.Lines(string(read(t, "/proc/self/maps"))) {
		f := strings.Fields(line)
		if path := f[len(f)-1]; strings.HasPrefix(filepath.Base(path), "libc.so") || strings.HasPrefix(filepath.Base(path), "libc-") {
			return path, sha256.Sum256(read(t, path))
		}
	}
	t.Fatal("no C library in /proc/self/maps")
	return "", model.Hash{}
}

func TestOpenRefuses(t *testing.T) {
	real := read(t, artefact(t, library))
	foreign, name := elf.EM_AARCH64, "arm64"
	if runtime.GOARCH == "arm64" {
		foreign, name = elf.EM_X86_64, "amd64"
	}
	header := bytes.Clone(real[:64])
	binary.LittleEndian.PutUint16(header[18:], uint16(foreign))
	flipped := bytes.Clone(real)
	flipped[len(flipped)/2] ^= 1

	for _, c := range []struct {
		name string
		path string
		want []string
	}{
		{"missing", "nowhere/libonnxruntime.so.1", []string{"nowhere/libonnxruntime.so.1", "no such file"}},
		{"folder", t.TempDir(), []string{"not a file"}},
		{"text", first(put(t, "text.so", []byte("this is no library, however long the text may be"))), []string{"text.so", "not a shared library"}},
		{"empty", first(put(t, "empty.so", nil)), []string{"empty.so", "not a shared library"}},
		{"wrong architecture", first(put(t, "foreign.so", header)), []string{"foreign.so", "is for " + name + ", this program is " + runtime.GOARCH}},
		{"truncated", first(put(t, "short.so", real[:len(real)/2])), []string{"short.so", "sha256"}},
		{"one bit", first(put(t, "flipped.so", flipped)), []string{"flipped.so", "sha256", "want"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Open(c.path)
			if err == nil {
				t.Fatal("opened", r.Close())
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
	t.Run("no hash", func(t *testing.T) {
		if _, err := OpenPinned(artefact(t, library), model.Hash{}); err == nil || !strings.Contains(err.Error(), "sha256") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("another library", func(t *testing.T) {
		if _, err := OpenPinned(libc(t)); err == nil || !strings.Contains(err.Error(), "OrtGetApiBase") {
			t.Errorf("error is %v", err)
		}
	})
	r := open(t)
	if r.Version() != "1.30.0" {
		t.Errorf("version is %q", r.Version())
	}
	if _, err := Open(artefact(t, library)); err == nil || !strings.Contains(err.Error(), "open already") {
		t.Errorf("second one gives %v", err)
	}
}

func first(path string, _ model.Hash) string { return path }

// What runs is what was hashed: the file may change or vanish afterwards. A library mapped from the file itself would crash here.
func TestLibraryIsSealed(t *testing.T) {
	path, hash := put(t, "libonnxruntime.so.1", read(t, artefact(t, library)))
	r, err := OpenPinned(path, hash)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	b, err := r.Load(artefact(t, "bundle"), manifest(t), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	fd := environment.sealed[len(environment.sealed)-1]
	if _, err := unix.Pwrite(fd, []byte{0}, 0); err == nil {
		t.Error("the sealed file can be written")
	}
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Error("the sealed file can be cut")
	}
	if data := read(t, fmt.Sprintf("/proc/self/fd/%d", fd)); model.Hash(sha256.Sum256(data)) != hash {
		t.Error("the sealed file has other bytes")
	}
}

func TestCloseTwice(t *testing.T) {
	r, err := Open(artefact(t, library))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err == nil {
		t.Error("closed twice without an error")
	}
}
