//go:build linux

package vm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TPM is a swtpm behind the kernel's driver: /dev/tpmN and, with the kernel's resource manager, /dev/tpmrmN.
type TPM struct {
	Path string // /dev/tpmrmN

	process *exec.Cmd
}

// StartTPM starts one on the state in dir, until it is stopped or the test ends. In plan.Outside the state outlives a cut, as a chip's does.
func StartTPM(t testing.TB, dir string) *TPM {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	managers := func() []string {
		found, _ := filepath.Glob("/dev/tpmrm*") // the pattern is right
		return found
	}
	before, said := managers(), &bytes.Buffer{}
	p := &TPM{process: exec.Command("swtpm", "chardev", "--vtpm-proxy", "--tpm2", "--tpmstate", "dir="+dir, "--flags", "startup-clear")}
	p.process.Stdout, p.process.Stderr = said, said
	p.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.process.Start(); err != nil {
		t.Fatalf("start swtpm: %v", err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("swtpm said %q", said)
		}
	})
	wait(t, "/dev/tpmrm*", func() bool {
		for _, path := range managers() {
			if !slices.Contains(before, path) {
				p.Path = path
			}
		}
		return p.Path != ""
	})
	return p
}

// Stop takes the TPM away while it may be in use. The state stays. A second time does nothing.
func (p *TPM) Stop() {
	p.process.Process.Signal(syscall.SIGTERM)
	p.process.Wait() // of a process that was asked to end, and a second time, there is nothing to learn
}
