package ort

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/inference/model"
)

// maxLibrary bounds a shared library, in bytes. ONNX Runtime 1.30.0 has 46 MB on amd64.
const maxLibrary = 256 << 20

// seal reads a shared library, checks its architecture and its hash, and returns a path to the same bytes in a sealed memory file.
// The loader can only take a path, and what lies at a path can be changed between the hashing and the loading, or, for a mapped
// file, even later; a sealed memory file cannot. It costs the library's size in memory that cannot be dropped under pressure. The
// caller holds the environment's lock.
func seal(path string, pin model.Hash) (string, error) {
	data, err := readLibrary(path)
	if err != nil {
		return "", err
	}
	if err := checkArchitecture(path, data); err != nil {
		return "", err
	}
	if got := model.Hash(sha256.Sum256(data)); got != pin {
		return "", fmt.Errorf("sha256 of %q is %s, want %s", path, got, pin)
	}
	fd, err := unix.MemfdCreate("library", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return "", fmt.Errorf("create memory file: %w", err)
	}
	environment.sealed = append(environment.sealed, fd)
	for rest := data; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("fill memory file: %w", err)
		}
		rest = rest[n:]
	}
	if err := addSeals(fd, sealWithin); err != nil {
		return "", fmt.Errorf("seal memory file: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), nil
}

// sealWithin bounds the wait for a memory file's pages. On two cores with eleven busy programs they were held for 2.2 s.
const sealWithin = 30 * time.Second

// addSeals forbids every further change of a memory file, or fails. The kernel refuses while anything else holds one of the file's pages, since that
// could write, and waits 0.15 s at most by itself: memory compaction that gets no processor holds them longer, so it is asked again.
func addSeals(fd int, within time.Duration) error {
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		if err == nil || (err != unix.EBUSY && err != unix.EINTR) || time.Now().After(end) {
			return err
		}
	}
}

// retire frees the memory of the sealed libraries but keeps their descriptors' numbers: the loader takes two libraries of the same
// path for one, so that a number which is given out again could bring back a library that was never unloaded.
func retire() error {
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("retire libraries: %w", err)
	}
	for _, fd := range environment.sealed {
		err = errors.Join(err, unix.Dup3(null, fd, unix.O_CLOEXEC))
	}
	environment.sealed = nil
	return errors.Join(err, unix.Close(null))
}

func readLibrary(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxLibrary {
		return nil, fmt.Errorf("%q is not a file of at most %d bytes", path, maxLibrary)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	return data, nil
}

// checkArchitecture looks at the header alone: the loader's own message for a foreign library does not say which one it is.
func checkArchitecture(path string, data []byte) error {
	const machineAt, headerSize = 18, 20 // of an ELF header, bytes
	if len(data) < headerSize || !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		return fmt.Errorf("%q is not a shared library", path)
	}
	machine := elf.Machine(uint16(data[machineAt]) | uint16(data[machineAt+1])<<8)
	names := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm"}
	name, ok := names[machine]
	if !ok {
		name = machine.String()
	}
	if name != runtime.GOARCH {
		return fmt.Errorf("%q is for %s, this program is %s", path, name, runtime.GOARCH)
	}
	return nil
}
