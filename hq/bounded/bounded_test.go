package bounded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := File(path, 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := File(path, 4); err != nil || len(data) != 0 { // or it is waited for until the test ends
		t.Errorf("a pipe that nobody writes to: %d bytes, %v", len(data), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for text, fits := range map[string]bool{"": true, "1234": true, "12345": false, strings.Repeat("x", 1<<20): false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := File(path, 4)
		if fits != (err == nil) || fits && string(data) != text || !fits && data != nil {
			t.Errorf("%d bytes: %d read, %v", len(text), len(data), err)
		}
	}
	_, err := File("/dev/zero", 1<<16)
	if e, large := errors.AsType[TooLarge](err); !large || e.Most != 1<<16 || err.Error() != `"/dev/zero" is larger than 65536 bytes` {
		t.Errorf("a file without an end: %v", err)
	}
}
