//go:build lab

package smoke

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/plan"
	"github.com/lintel-access/lintel/tests/lab/vm"
)

// The first test of the suite, and the only one that its first two boots get to: the power is cut in the first, and the watchdog bites in the second.
func TestPowerCutAndWatchdogReset(t *testing.T) {
	p := vm.Plan(t)
	disk := vm.Disk(t)
	synced, loose, outside := filepath.Join(disk, "synced"), filepath.Join(disk, "loose"), filepath.Join(plan.Outside, "written")
	content := bytes.Repeat([]byte("lintel "), 1000)
	const forgotten = "/etc/lintel-laboratory"
	switch p.Boot {
	case 0:
		writeSynced(t, synced, content)
		for _, file := range []string{loose, outside, forgotten} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		vm.CutIn(t, 0)
		select {}
	case 1:
		dog, err := os.OpenFile("/dev/watchdog0", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.IoctlSetPointerInt(int(dog.Fd()), unix.WDIOC_SETTIMEOUT, 1); err != nil { // seconds
			t.Fatal(err)
		}
		writeSynced(t, filepath.Join(disk, "armed"), []byte(time.Now().Format(time.RFC3339Nano)))
		vm.ResetIn(t, 15*time.Second)
		select {}
	}
	for _, file := range []string{synced, outside} {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%q after a cut and a reset: %d bytes, %v", file, len(got), err)
		}
	}
	if got, err := os.ReadFile(loose); err == nil && bytes.Equal(got, content) {
		t.Error("what was not synced survived the cut: a cut that takes nothing proves nothing")
	}
	if _, err := os.Stat(forgotten); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a write to the host's files outlived the machine: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(disk, "armed"))
	if err != nil {
		t.Fatal(err)
	}
	armed, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		t.Fatal(err)
	}
	vm.Measured(t, "watchdog of 1 s armed to next boot's test: %.1f s", time.Since(armed).Seconds())
}

func writeSynced(t *testing.T, file string, content []byte) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		t.Fatal(err)
	}
}
