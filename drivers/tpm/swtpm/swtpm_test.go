//go:build !kiosk

package swtpm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestItServesAndEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for range 2 {
		p, err := Start(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(); err != nil {
			t.Fatalf("a second stop: %v", err)
		}
		<-p.Ended()
		if err := syscall.Kill(p.Pid(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process is still there: %v", err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("state folder has mode %v", info.Mode())
	}
}

func TestItsEndIsNoticed(t *testing.T) {
	p, err := Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Ended():
	case <-time.After(5 * time.Second):
		t.Fatal("its end was not noticed")
	}
	if err := p.Stop(); err == nil {
		t.Error("stop does not say that it was killed")
	}
}

func TestWhereItIsAbsentTheDeskSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Start(t.TempDir()); err == nil || err.Error() != "run: sudo apt-get install swtpm" {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var path *fs.PathError
	if _, err := Start(filepath.Join(file, "state")); !errors.As(err, &path) {
		t.Errorf("state below a file: %v", err)
	}
	if _, err := Start(filepath.Join(t.TempDir(), strings.Repeat("x", maxSocket))); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("long path: %v", err)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "tpm2-00.permall"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Start(broken); err == nil {
		t.Errorf("damaged state was accepted; stop: %v", p.Stop())
	} else if !strings.Contains(err.Error(), "libtpms") {
		t.Errorf("damaged state: %v", err)
	}
}
