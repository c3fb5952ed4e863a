package vault

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCameraSurvivesRestarts(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "vault.db")
	for i, want := range [][32]byte{{}, {1, 31: 9}, {2}} {
		v, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, found, err := v.Camera(); err != nil || found != (i > 0) || got != want {
			t.Errorf("start %d: %x, %v, %v", i, got, found, err)
		}
		if err := v.SetCamera([32]byte{byte(i + 1), 31: byte(9 * (1 - i))}); err != nil {
			t.Fatal(err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if _, found, err := v.Camera(); err == nil || found {
			t.Errorf("a closed vault has a camera: %v, %v", found, err)
		}
	}
	v, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	v.mu.Lock()
	err = v.change(ordinary, func(b book) error { return b.setValue(bucketMeta, []byte(keyCamera), []byte("short")) })
	v.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := v.Camera(); err == nil || found {
		t.Errorf("five bytes are a camera: %v, %v", found, err)
	}
}
