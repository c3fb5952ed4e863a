package ipc

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Programs start together: a client waits for door's socket, and says so when it never comes.
func TestDialWithin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "eye.sock")
	begin := time.Now()
	if _, err := DialWithin(context.Background(), 60*time.Millisecond, path, Eye, os.Geteuid()); err == nil || time.Since(begin) < 50*time.Millisecond {
		t.Errorf("no socket: %v after %v", err, time.Since(begin))
	}
	got := make(chan error, 1)
	go func() {
		conn, err := DialWithin(context.Background(), 5*time.Second, path, Eye, os.Geteuid())
		if err == nil {
			conn.Close()
		}
		got <- err
	}()
	time.Sleep(50 * time.Millisecond)
	l, err := Listen(path, Eye, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Accept(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("socket that came late: %v", err)
	}
}
