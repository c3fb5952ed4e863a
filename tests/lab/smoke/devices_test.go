//go:build lab

package smoke

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

func TestVividMakesFramesAndDisconnects(t *testing.T) {
	device := vm.VideoDevice(t, vm.Vivid)
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	frame := make([]byte, 1<<20)
	if n, err := f.Read(frame); err != nil || n < 320*180 {
		t.Fatalf("one frame: %d bytes, %v", n, err)
	}
	vm.SetControl(t, device, "Disconnect", 1)
	if _, err := f.Read(frame); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a frame of a disconnected camera: %v, want ENODEV", err)
	}
	f.Close()
	vm.Reload(t, "vivid", "n_devs=1 node_types=0x1 num_inputs=1 input_types=0")
	again, err := os.Open(vm.VideoDevice(t, vm.Vivid))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Read(frame); err != nil {
		t.Errorf("one frame after the module was loaded anew: %v", err)
	}
}

func TestLoopbackShowsWhatItIsFed(t *testing.T) {
	device := vm.VideoDevice(t, vm.Loopback)
	feed, err := vm.NewFeed(device, 64, 48, "GREY")
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	frame := make([]byte, 64*48)
	for i := range frame {
		frame[i] = byte(i * 7)
	}
	if _, err := feed.Write(frame); err != nil {
		t.Fatal(err)
	}
	camera, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer camera.Close()
	got := make([]byte, len(frame))
	if n, err := camera.Read(got); err != nil || !bytes.Equal(got, frame) {
		t.Errorf("%d bytes, equal %v: %v", n, bytes.Equal(got, frame), err)
	}
}

func TestChipHasNamedLinesAndGoes(t *testing.T) {
	chip := vm.NewChip(t, "DOOR_RELAY", "DOOR_CONTACT")
	f, err := os.OpenFile(chip.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// struct gpio_v2_line_info of linux/gpio.h, 256 bytes: name[32], consumer[32], offset, …; GPIO_V2_GET_LINEINFO_IOCTL is _IOWR(0xB4, 0x05)
	for i, want := range []string{"DOOR_RELAY", "DOOR_CONTACT"} {
		info := make([]byte, 256)
		binary.NativeEndian.PutUint32(info[64:], uint32(i))
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), 3<<30|256<<16|0xB4<<8|0x05, uintptr(unsafe.Pointer(&info[0]))); errno != 0 {
			t.Fatal(errno)
		}
		if name, _, _ := strings.Cut(string(info[:32]), "\x00"); name != want {
			t.Errorf("line %d is called %q, want %q", i, name, want)
		}
	}
	for _, up := range []bool{true, false} {
		if err := chip.Pull("DOOR_CONTACT", up); err != nil {
			t.Fatal(err)
		}
		if level, err := chip.Level("DOOR_CONTACT"); err != nil || level != up {
			t.Errorf("pulled up %v: level %v, %v", up, level, err)
		}
	}
	if _, err := os.Stat("/sys/kernel/tracing/events/gpio/gpio_value/enable"); err != nil {
		t.Errorf("the kernel keeps no history of lines: %v", err)
	}
	if err := chip.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(chip.Path); !os.IsNotExist(err) {
		t.Errorf("a removed chip: %v", err)
	}
}

// TPM2_GetRandom of eight bytes (TPM 2.0 part 3, 16.1), through the kernel's resource manager.
func TestTPMAnswersAndKeepsItsState(t *testing.T) {
	dir := filepath.Join(plan.Scratch, "tpm")
	for range 2 {
		start := time.Now()
		chip := vm.StartTPM(t, dir)
		// Not os.OpenFile, which would have it non-blocking: then a read returns nothing until the TPM has answered.
		fd, err := unix.Open(chip.Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), chip.Path)
		defer f.Close()
		if _, err := f.Write([]byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8}); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 64)
		if n, err := f.Read(answer); err != nil || n != 20 || !bytes.Equal(answer[6:10], make([]byte, 4)) {
			t.Fatalf("answer %x, %v", answer[:n], err)
		}
		vm.Measured(t, "TPM started and answered in %d ms", time.Since(start).Milliseconds())
		f.Close()
		chip.Stop()
	}
	if _, err := os.Stat(filepath.Join(dir, "tpm2-00.permall")); err != nil {
		t.Error(err)
	}
}
