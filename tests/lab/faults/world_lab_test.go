//go:build lab

package faults

import (
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/tests/lab/kiosk"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

// plugIn makes the board's camera a loopback camera that sees what a lens before a wall would: brighter while the lamp is lit.
func (s *site) plugIn(format string, width, height int) {
	s.t.Helper()
	c := s.board.Camera
	feed, err := vm.NewFeed(c.Device, uint32(width), uint32(height), format)
	s.must(err)
	s.must(feed.SetRate(uint32(c.FPS)))
	stop, over := make(chan struct{}), make(chan struct{})
	s.unplug = func() { close(stop); <-over; feed.Close(); s.unplug = nil }
	size := width * height
	if format == "YUYV" {
		size *= 2
	}
	dark, lit := make([]byte, size), make([]byte, size)
	for i := range dark {
		dark[i], lit[i] = 40, 90
	}
	go func() {
		defer close(over)
		tick := time.NewTicker(time.Second / time.Duration(c.FPS))
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if s.frozen.Load() {
				continue
			}
			frame := dark
			if on, err := s.door().On(board.Lamp); err == nil && on { // a chip that was taken away lights nothing
				frame = lit
			}
			if _, err := feed.Write(frame); err != nil {
				s.t.Errorf("feed camera: %v", err)
				return
			}
		}
	}()
}

// right plugs in the camera that the board names.
func right(s *site) {
	s.t.Helper()
	c := s.board.Camera
	s.plugIn(c.Format, c.Width, c.Height)
}

// wrong is a camera of another kind at the right one's place.
func wrong(format string, width, height int) func(*site) {
	return func(s *site) { s.plugIn(format, width, height) }
}

// holder is who has a line that the door needs.
const holder = "a forgotten tool"

// take takes a line as any program may.
func (s *site) take(line board.Line) {
	s.t.Helper()
	chip, err := unix.Open(s.wires.Chip.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	s.must(err)
	defer unix.Close(chip)
	const input = 1 << 2 // GPIO_V2_LINE_FLAG_INPUT
	r := unix.GPIOV2LineRequest{Num_lines: 1, Config: unix.GPIOV2LineConfig{Flags: input}}
	r.Offsets[0] = uint32(s.board.Lines[line].Pin)
	copy(r.Consumer[:], holder)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(chip), unix.GPIO_V2_GET_LINE_IOCTL, uintptr(unsafe.Pointer(&r))); errno != 0 {
		s.t.Fatalf("take line %q: %v", line, errno)
	}
	unix.CloseOnExec(int(r.Fd))
	s.taken[line] = int(r.Fd)
}

// release gives it back.
func (s *site) release(line board.Line) {
	s.t.Helper()
	s.must(unix.Close(s.taken[line]))
}

// rewire puts a chip in the place of one that is gone.
func rewire(s *site) {
	s.t.Helper()
	w, err := kiosk.NewWires(s.t, s.board, false)
	s.must(err)
	s.mu.Lock()
	s.wires = w
	s.mu.Unlock()
}

// restart ends door, as whoever follows the sentence does; the supervisor starts it again.
func (s *site) restart() {
	s.t.Helper()
	s.must(s.supervisor.Kill("door"))
}

// setClock sets the machine's clock.
func setClock(t *testing.T, to time.Time) {
	t.Helper()
	at := unix.NsecToTimespec(to.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &at); err != nil {
		t.Fatal(err)
	}
}

// guess gives the TPM wrong authorisations until it refuses to hear any: of an object of the guesser's own, which like most is guarded against guessing.
func guess(s *site) {
	s.t.Helper()
	chip, err := linuxtpm.Open(s.tpm.Path)
	s.must(err)
	defer chip.Close()
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHNull,
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: []byte("right")}, Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: []byte("secret")}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true},
		}),
	}.Execute(chip)
	s.must(err)
	for range 100 {
		_, err := tpm2.Unseal{
			ItemHandle: tpm2.AuthHandle{Handle: made.ObjectHandle, Name: made.Name, Auth: tpm2.PasswordAuth([]byte("wrong"))},
		}.Execute(chip)
		if errors.Is(err, tpm2.TPMRCLockout) {
			return
		}
		if !errors.Is(err, tpm2.TPMRCAuthFail) {
			s.t.Fatalf("guess: %v", err)
		}
	}
	s.t.Fatal("the TPM lets everybody guess for ever")
}
