package vault

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLockdownSurvivesRestarts(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "vault.db")
	for i, set := range []bool{false, true, true, false, false} {
		v, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.SetLockdown(set); err != nil {
			t.Fatal(err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if v, err = Open(path, Options{}); err != nil {
			t.Fatal(err)
		}
		if on, err := v.Lockdown(); err != nil || on != set {
			t.Errorf("step %d: lockdown %v, %v after a restart, want %v", i, on, err, set)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if on, err := v.Lockdown(); err == nil || !on {
			t.Errorf("a closed vault says lockdown %v, %v; what cannot be read is a lockdown", on, err)
		}
	}
}
