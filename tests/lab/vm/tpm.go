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
	"time"
)

// TPM is a swtpm behind the kernel's driver: /dev/tpmN and, with the kernel's resource manager, /dev/tpmrmN.
type TPM struct {
	Path string // /dev/tpmrmN

	process *exec.Cmd
	said    bytes.Buffer
	before  []string // devices that were there before it
}

// StartTPM starts one on the state in dir, until it is stopped or the test ends. In plan.Outside the state outlives a cut, as a chip's does.
func StartTPM(t testing.TB, dir string) *TPM {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// The kernel asks a new TPM a few things and drops one that is slow to answer, as on a host with no time to spare: then it is plugged in again.
	for try := 1; ; try++ {
		p := startTPM(t, dir)
		for until := time.Now().Add(5 * time.Second); p.Path == "" && time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
			p.look()
		}
		if p.Path != "" {
			t.Cleanup(func() {
				p.Stop()
				if t.Failed() {
					t.Logf("swtpm said %q", p.said.String())
				}
			})
			return p
		}
		p.Stop()
		if try == 3 {
			t.Fatalf("the kernel took no TPM in %d tries; swtpm said %q", try, p.said.String())
		}
	}
}

func startTPM(t testing.TB, dir string) *TPM {
	t.Helper()
	p := &TPM{process: exec.Command("swtpm", "chardev", "--vtpm-proxy", "--tpm2", "--tpmstate", "dir="+dir, "--flags", "startup-clear"), before: managers()}
	p.process.Stdout, p.process.Stderr = &p.said, &p.said
	p.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.process.Start(); err != nil {
		t.Fatalf("start swtpm: %v", err)
	}
	return p
}

func managers() []string {
	found, _ := filepath.Glob("/dev/tpmrm*") // the pattern is right
	return found
}

// look finds the device that was not there before.
func (p *TPM) look() {
	for _, path := range managers() {
		if !slices.Contains(p.before, path) {
			p.Path = path
		}
	}
}

// Stop takes the TPM away while it may be in use. The state stays. A second time does nothing.
func (p *TPM) Stop() {
	p.process.Process.Signal(syscall.SIGTERM)
	p.process.Wait() // of a process that was asked to end, and a second time, there is nothing to learn
}
