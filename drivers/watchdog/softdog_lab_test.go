//go:build lab

package watchdog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

// The kernel's own watchdog core with softdog under it: everything but the bite in the first boot, the bite of a closed device at its end.
func TestSoftdog(t *testing.T) {
	const timeout = 2 * time.Second
	stamp := filepath.Join(plan.Outside, "closed")
	if vm.Plan(t).Boot > 0 {
		text, err := os.ReadFile(stamp)
		if err != nil {
			t.Fatal(err)
		}
		closed, err := time.Parse(time.RFC3339Nano, string(text))
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(closed)
		if took < timeout {
			t.Errorf("the machine was reset %v after the device was closed: something else did it", took)
		}
		vm.Measured(t, "watchdog of %v, closed without a word: %.1f s to the next boot", timeout, took.Seconds())
		return
	}

	d := mustOpen(t, Path)
	if i := d.Info(); i.Identity != "Software Watchdog" || !i.Options.Has(CanFeed|CanSet|MagicClose) {
		t.Errorf("Info() = %+v", i)
	}
	for _, path := range []string{Path, "/dev/watchdog0"} { // two names of one device
		if other, err := Open(path); !errors.Is(err, ErrBusy) || other != nil {
			t.Errorf("Open(%q) while it is open: %v", path, err)
		}
	}
	if _, err := Open("/dev/watchdog7"); !errors.Is(err, ErrAbsent) {
		t.Errorf("a watchdog that there is not: %v", err)
	}
	if got, err := d.SetTimeout(timeout); err != nil || got != timeout {
		t.Errorf("SetTimeout(%v) = %v, %v", timeout, got, err)
	}
	if got, err := d.SetTimeout(70_000 * time.Second); !errors.Is(err, ErrTimeout) || got != timeout {
		t.Errorf("a time-out that softdog cannot have: %v, %v; want it to stand at %v", got, err, timeout)
	}
	if _, err := d.TimeLeft(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("softdog does not know the time left, and says %v", err)
	}
	if s, err := d.BootStatus(); err != nil || s != 0 {
		t.Errorf("BootStatus() = %v, %v", s, err)
	}
	for range 10 { // five seconds
		time.Sleep(timeout / 4)
		if err := d.Feed(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Disarm(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * timeout) // a machine that is still there has disarmed it

	leavePermission(t) // which must not be used by the end of the next holder
	d = mustOpen(t, "/dev/watchdog0")
	if _, err := d.SetTimeout(timeout); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stamp, []byte(time.Now().Format(time.RFC3339Nano)), 0o600); err != nil {
		t.Fatal(err)
	}
	vm.ResetIn(t, timeout+15*time.Second)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	select {} // until it bites
}

// leavePermission stops the timer and says the magic byte: the kernel keeps that, since the close finds nothing to stop.
func leavePermission(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETOPTIONS, unix.WDIOS_DISABLECARD)
	_, e := f.WriteString("V")
	if err := errors.Join(err, e, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t *testing.T, path string) *Device {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
