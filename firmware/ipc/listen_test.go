package ipc

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Control: C15
// Control: I8
func TestSocketModesAndPeers(t *testing.T) {
	l, path := serve(t, Desk, os.Getuid())
	for name, want := range map[string]os.FileMode{path: os.ModeSocket | 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		info, err := os.Lstat(name)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, want %v (%v)", name, info.Mode(), want, err)
		}
	}
	client, err := Dial(within(t), path, Desk, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	door, err := l.Accept(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	if p := door.Peer(); p.PID != os.Getpid() || p.UID != os.Getuid() || p != client.Peer() {
		t.Errorf("peer of door %+v, of client %+v", door.Peer(), client.Peer())
	}
}

// Control: C15
func TestWrongUser(t *testing.T) {
	l, path := serve(t, Eye, os.Getuid()+1)
	var v *Violation
	if _, err := Dial(within(t), path, Eye, os.Getuid()+1); !errors.As(err, &v) {
		t.Errorf("client took a stranger for door: %v", err)
	}
	if _, err := l.Accept(within(t)); !errors.As(err, &v) {
		t.Errorf("door took a stranger for eye: %v", err)
	}
	client, err := Dial(within(t), path, Eye, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := l.Accept(within(t)); !errors.As(err, &v) {
		t.Errorf("door took a stranger for eye: %v", err)
	}
	if _, err := client.Recv(within(t)); err != io.EOF {
		t.Errorf("refused client still connected: %v", err)
	}
}

func TestListenRefuses(t *testing.T) {
	_, alive := serve(t, Eye, os.Getuid())
	if _, err := Listen(alive, Eye, os.Getuid()); !errors.Is(err, ErrInUse) {
		t.Errorf("second instance: %v", err)
	}
	file := filepath.Join(filepath.Dir(alive), "file")
	if err := os.WriteFile(file, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, Eye, os.Getuid()); err == nil {
		t.Error("replaced a file")
	}
	if b, _ := os.ReadFile(file); string(b) != "keep me" {
		t.Error("the file is gone")
	}
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", maxPath)), Eye, os.Getuid()); err == nil {
		t.Error("path too long for a socket")
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(open, "s"), Eye, os.Getuid()); err == nil {
		t.Error("folder that others may enter")
	}
	link := filepath.Join(filepath.Dir(alive), "..", "link")
	if err := os.Symlink(filepath.Dir(alive), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(link, "s"), Eye, os.Getuid()); err == nil {
		t.Error("folder that is a symbolic link")
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "eye.sock")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as a killed process leaves it
	dead.Close()
	l, err := Listen(path, Eye, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(within(t), path, Eye, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
