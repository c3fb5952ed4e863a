package ort

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// held is a memory file, one page of which a pipe holds until it is read.
func held(t *testing.T) (fd int, free func()) {
	t.Helper()
	fd, err := unix.MemfdCreate("held", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	page := make([]byte, os.Getpagesize())
	if _, err := unix.Write(fd, page); err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(fd, 0, len(page), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	from, into, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close(); into.Close() })
	v := unix.Iovec{Base: &mem[0]}
	v.SetLen(len(mem))
	if n, err := unix.Vmsplice(int(into.Fd()), []unix.Iovec{v}, 0); err != nil || n != len(mem) {
		t.Fatalf("vmsplice: %d bytes, %v", n, err)
	}
	if err := unix.Munmap(mem); err != nil {
		t.Fatal(err)
	}
	return fd, func() {
		if _, err := from.Read(page); err != nil {
			t.Error(err)
		}
	}
}

// A page that is held for longer than the kernel waits by itself delays the seals; one that is held for ever is an error, and the file stays unsealed.
func TestSealsWaitForHeldPages(t *testing.T) {
	fd, free := held(t)
	if err := addSeals(fd, 0); !errors.Is(err, unix.EBUSY) {
		t.Fatalf("a file with a held page: %v, want %v", err, unix.EBUSY)
	}
	if got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || got != 0 {
		t.Errorf("seals after a refusal: %#x, %v", got, err)
	}
	freed := make(chan struct{})
	time.AfterFunc(500*time.Millisecond, func() { free(); close(freed) })
	if err := addSeals(fd, time.Minute); err != nil {
		t.Errorf("a page held for half a second: %v", err)
	}
	<-freed
	if _, err := unix.Write(fd, []byte{1}); !errors.Is(err, unix.EPERM) {
		t.Errorf("write to a sealed file: %v, want %v", err, unix.EPERM)
	}
}
