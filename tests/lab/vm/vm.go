//go:build linux

// Package vm is what a suite of the laboratory asks of the machine it runs in: lines that can be pulled, a TPM, a camera that is fed or that
// breaks, a disk that is cut. A suite is a package whose tests carry the build tag lab, with a row in tests/lab/suites.go.
//
// All of it goes through the kernel's own interfaces, and none through the product's drivers: what these do is what is tested.
package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/plan"
)

// Plan is the plan of this machine. Outside the laboratory the test ends as failed.
func Plan(t testing.TB) plan.Plan {
	t.Helper()
	p, err := plan.Read()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Measured puts a figure into the runner's report, where it stands below the test's line.
func Measured(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Logf("measured: "+format, args...)
}

// CutIn has the power taken away after d, at any point of what this process is doing then. The suite starts again from its first test, with
// Plan.Boot one higher and with the same Disk and Outside; what was neither synced to the one nor written to the other is gone.
func CutIn(t testing.TB, d time.Duration) {
	t.Helper()
	ask(t, plan.Cut, d)
}

// ResetIn says that the machine is going to reset by itself within d, as by a watchdog. It goes on as after CutIn; a machine that has not
// reset by then fails the suite.
func ResetIn(t testing.TB, d time.Duration) {
	t.Helper()
	ask(t, plan.Reset, d)
}

func ask(t testing.TB, v plan.Verb, d time.Duration) {
	t.Helper()
	f, err := os.OpenFile(plan.Channel, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(plan.Line(v, plan.Milliseconds(d))); err != nil {
		t.Fatal(err)
	}
}

// Disk mounts the suite's disk until the test ends and returns its folder.
func Disk(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(plan.Scratch, "disk")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(plan.Disk, dir, "ext4", 0, ""); err != nil {
		t.Fatalf("mount %q: %v", plan.Disk, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %q: %v", dir, err)
		}
	})
	return dir
}

// Reload loads a module anew with other parameters. Whoever uses it must be gone.
func Reload(t testing.TB, module, parameters string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(plan.Modules, "*-"+module+".ko"))
	if err != nil || len(files) != 1 {
		t.Fatalf("find module %q: %q, %v", module, files, err)
	}
	if err := unix.DeleteModule(module, unix.O_NONBLOCK); err != nil {
		t.Fatalf("unload module %q: %v", module, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), parameters, 0); err != nil {
		t.Fatalf("load module %q with %q: %v", module, parameters, err)
	}
}

// wait waits until something is there: a device appears a little after whatever made it.
func wait(t testing.TB, what string, there func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !there(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s did not appear", what)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		return fmt.Errorf("write %q: %w", text, err)
	}
	return nil
}

func read(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}
