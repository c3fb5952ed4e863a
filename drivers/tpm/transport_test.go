//go:build !kiosk

package tpm

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/unix"
)

const short = 2 * time.Second // for commands that are answered, too, on a busy machine

// within fails the test unless do returns before the deadline of one command and some slack for a loaded machine.
func within(t *testing.T, do func() error) error {
	t.Helper()
	start := time.Now()
	err := do()
	if took := time.Since(start); took > short+2*time.Second {
		t.Errorf("took %v", took)
	}
	return err
}

func TestSocketThatNeverAnswersIsSilentInTime(t *testing.T) {
	dir := must(os.MkdirTemp("", "tpm"))(t)
	defer os.RemoveAll(dir)
	l := must(net.Listen("unix", filepath.Join(dir, "socket")))(t)
	defer l.Close()
	o := Options{Pin: Pin{1}, Deadline: short}
	if err := within(t, func() error { _, err := Open(l.Addr().String(), o); return err }); !errors.Is(err, ErrSilent) {
		t.Errorf("got %v", err)
	}
	if err := within(t, func() error { _, err := Provision(l.Addr().String(), NewSecrets(), o); return err }); !errors.Is(err, ErrSilent) {
		t.Errorf("provision: %v", err)
	}
}

func TestTPMThatStopsAnsweringIsSilentInTimeAndThenUnusable(t *testing.T) {
	b := newBoard(t)
	b.options.Deadline = short
	tp := b.open()
	if err := syscall.Kill(b.process.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	counter := func() error { _, err := tp.Counter(VaultVersion); return err }
	if err := within(t, counter); !errors.Is(err, ErrSilent) || errors.Is(err, ErrTampered) {
		t.Errorf("got %v", err)
	}
	if err := syscall.Kill(b.process.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// The late answer belongs to an old question: the handle must not read on.
	if err := counter(); !errors.Is(err, ErrUnusable) {
		t.Errorf("afterwards: %v", err)
	}
	tp.Close()
	if _, err := b.open().Counter(VaultVersion); err != nil {
		t.Errorf("opened again: %v", err)
	}
}

func TestTPMThatEndsIsNoticed(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	b.restart()
	if _, err := tp.Raise(VaultVersion); err == nil || errors.Is(err, ErrTampered) {
		t.Errorf("got %v", err)
	}
	if _, err := tp.Raise(VaultVersion); !errors.Is(err, ErrUnusable) {
		t.Errorf("afterwards: %v", err)
	}
	tp.Close()
	if _, err := tp.Random(1); !errors.Is(err, ErrUnusable) {
		t.Errorf("closed: %v", err)
	}
}

func TestWhatAnEarlierProcessLeftLoadedIsDropped(t *testing.T) {
	b := newBoard(t)
	for range 4 { // swtpm has three slots
		w := b.bare()
		for {
			if _, err := (tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHNull, InPublic: tpm2.New2B(rootTemplate())}).Execute(w); err != nil {
				break
			}
		}
		for {
			if _, _, err := tpm2.HMACSession(w, tpm2.TPMAlgSHA256, 16); err != nil {
				break
			}
		}
		w.Close()
		tp := b.open()
		if _, err := tp.Seal([]byte("data key")); err != nil {
			t.Fatal(err)
		}
		tp.Close()
	}
}

func TestWhatIsNoTPMIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Pin: Pin{1}, Deadline: short}
	if _, err := Open(file, o); err == nil {
		t.Error("a file was opened")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "absent"), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if err := within(t, func() error { _, err := Open(os.DevNull, o); return err }); err == nil {
		t.Error("/dev/null was opened")
	}
}

func TestAnswersThatAnnounceNonsenseAreRefused(t *testing.T) {
	for name, size := range map[string]uint32{"none": 0, "less than its header": 9, "more than a TPM sends": maxAnswer + 1, "all": 1<<32 - 1, "less than was sent": 10} {
		ours, theirs := net.Pipe()
		go func() {
			io.ReadFull(theirs, make([]byte, 10))
			theirs.Write(append(binary.BigEndian.AppendUint32([]byte{0x80, 1}, size), make([]byte, 10)...))
			theirs.Close()
		}()
		w := &wire{line: ours, deadline: short}
		if a, err := w.Send(make([]byte, 10)); err == nil {
			t.Errorf("%s: answer %x", name, a)
		}
		if _, err := w.Send(make([]byte, 10)); !errors.Is(err, ErrUnusable) {
			t.Errorf("%s, afterwards: %v", name, err)
		}
		w.Close()
	}
}

// The character device is played by a socket pair before swtpm: what is proven is poll, deadline and framing, not the kernel's driver.
func TestDeviceIsPolled(t *testing.T) {
	b := newBoard(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		t.Fatal(err)
	}
	under := b.bare()
	quiet := make(chan struct{})
	go func() {
		defer unix.Close(pair[1])
		buf := make([]byte, maxAnswer)
		for {
			n, err := unix.Read(pair[1], buf)
			if err != nil || n == 0 {
				return
			}
			select {
			case <-quiet:
				continue
			default:
			}
			answer, err := under.Send(buf[:n])
			if err != nil {
				return
			}
			unix.Write(pair[1], answer)
		}
	}()
	tp, err := open(&wire{line: &device{fd: pair[0]}, deadline: short}, false, b.options)
	if err != nil {
		t.Fatal(err)
	}
	defer tp.Close()
	if _, err := tp.Raise(BootCounter); err != nil {
		t.Fatal(err)
	}
	close(quiet)
	raise := func() error { _, err := tp.Raise(BootCounter); return err }
	if err := within(t, raise); !errors.Is(err, ErrSilent) {
		t.Errorf("got %v", err)
	}
	if err := raise(); !errors.Is(err, ErrUnusable) {
		t.Errorf("afterwards: %v", err)
	}
}
