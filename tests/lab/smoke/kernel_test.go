//go:build lab

package smoke

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

// The kiosk's programs confine themselves with both; that they do it here too is what the suite of firmware/confine shows.
func TestKernelConfines(t *testing.T) {
	const version = 1 // LANDLOCK_CREATE_RULESET_VERSION
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
	if errno != 0 || abi < 1 {
		t.Errorf("landlock: version %d, %v", abi, errno)
	}
	kill := uint32(unix.SECCOMP_RET_KILL_PROCESS)
	const available = 2 // SECCOMP_GET_ACTION_AVAIL
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, available, 0, uintptr(unsafe.Pointer(&kill))); errno != 0 {
		t.Errorf("seccomp filter that kills: %v", errno)
	}
	vm.Measured(t, "Landlock version %d; seccomp filters there", abi)
}

func TestClocks(t *testing.T) {
	if now := time.Now(); now.Year() < 2026 {
		t.Errorf("it is %v", now)
	}
	const pause = 20 * time.Millisecond
	worst := time.Duration(0)
	for range 50 {
		start := time.Now()
		time.Sleep(pause)
		took := time.Since(start)
		if took < pause {
			t.Fatalf("a pause of %v took %v", pause, took)
		}
		worst = max(worst, took-pause)
	}
	vm.Measured(t, "a pause of %v is at most %v late", pause, worst.Round(10*time.Microsecond))
}

func TestMemfdAndSockets(t *testing.T) {
	fd, err := unix.MemfdCreate("ring", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		t.Error(err)
	}
	for network, address := range map[string]string{"unixpacket": filepath.Join(plan.Scratch, "socket"), "tcp": "127.0.0.1:0"} {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				c.Write([]byte("here"))
				c.Close()
			}
		}()
		c, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got := make([]byte, 4)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "here" {
			t.Errorf("%s: %q, %v", network, got, err)
		}
	}
}

// dm-log-writes and dm-flakey are what crash points are replayed from.
func TestDeviceMapperIsThere(t *testing.T) {
	f, err := os.OpenFile("/dev/mapper/control", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
