package abuse

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

func put(t *testing.T, s *Store, number uint64, wall int64, bytes int, most uint64) (dropped []string, err error) {
	t.Helper()
	e, err := s.Begin(access.SessionID{Boot: 1, Number: number}, wall)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Write(make([]byte, bytes)); err != nil {
		t.Fatal(err)
	}
	if err := e.Commit(most); err != nil {
		return nil, err
	}
	return s.Fit(most, e.Name)
}

func names(t *testing.T, s *Store) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%q has mode %v: %v", e.Name(), info.Mode(), err)
		}
		list = append(list, e.Name())
	}
	return list
}

// The store never holds more than it may, lets the oldest go first, whatever the clock said, and forgets what is too old.
func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "abuse")
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v: %v", info.Mode(), err)
	}
	for n, wall := range map[uint64]int64{9: 300, 10: 200, 11: 100} {
		if dropped, err := put(t, s, n, wall, 100, 300); err != nil || dropped != nil {
			t.Fatalf("%v, %v", dropped, err)
		}
	}
	dropped, err := put(t, s, 12, 400, 150, 300)
	if want := []string{name(access.SessionID{Boot: 1, Number: 9}, 300), name(access.SessionID{Boot: 1, Number: 10}, 200)}; err != nil || !slices.Equal(dropped, want) {
		t.Errorf("dropped %q, want %q; %v", dropped, want, err)
	}
	if _, err := put(t, s, 13, 500, 301, 300); !errors.Is(err, ErrNoRoom) {
		t.Errorf("one that is too large: %v", err)
	}
	if got := names(t, s); len(got) != 2 {
		t.Errorf("the store holds %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "note.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if gone, err := s.Expire(400); err != nil || gone != 1 {
		t.Errorf("%d expired, want the one of before: %v", gone, err)
	}
	if got := names(t, s); !slices.Equal(got, []string{name(access.SessionID{Boot: 1, Number: 12}, 400), "note.txt"}) {
		t.Errorf("the store holds %q", got)
	}

	// The newest stays, whatever its number, and one that cannot be removed holds up none of the others.
	if err := os.MkdirAll(filepath.Join(dir, name(access.SessionID{Boot: 1, Number: 1}, 1), "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if dropped, err = put(t, s, 2, 500, 150, 150); err == nil || !slices.Equal(dropped, []string{name(access.SessionID{Boot: 1, Number: 12}, 400)}) {
		t.Errorf("dropped %q; %v", dropped, err)
	}
	if gone, err := s.Expire(501); err == nil || gone != 1 {
		t.Errorf("%d expired besides one that cannot be removed: %v", gone, err)
	}
	if err := os.RemoveAll(filepath.Join(dir, name(access.SessionID{Boot: 1, Number: 1}, 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, s, 12, 400, 150, 300); err != nil {
		t.Fatal(err)
	}

	// A bundle that cannot be kept displaces none.
	if err := os.MkdirAll(filepath.Join(dir, name(access.SessionID{Boot: 1, Number: 13}, 1), "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if dropped, err := put(t, s, 13, 1, 300, 300); err == nil || dropped != nil {
		t.Errorf("dropped %q for one that was not kept; %v", dropped, err)
	}
	if err := os.RemoveAll(filepath.Join(dir, name(access.SessionID{Boot: 1, Number: 13}, 1))); err != nil {
		t.Fatal(err)
	}

	// A cut in the middle of one leaves nothing behind, and one that was given up neither.
	if _, err := s.Begin(access.SessionID{Boot: 1, Number: 14}, 1); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenStore(dir); err != nil {
		t.Fatal(err)
	}
	e, err := s.Begin(access.SessionID{Boot: 1, Number: 14}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Discard(); err != nil {
		t.Error(err)
	}
	if got := names(t, s); len(got) != 2 {
		t.Errorf("the store holds %q", got)
	}
}

func TestHourly(t *testing.T) {
	var h Hourly
	now := time.Hour
	for range maxHourly {
		if !h.Take(now) {
			t.Fatal("refused below the bound")
		}
		now += time.Second
	}
	if h.Take(now) {
		t.Error("one more than the bound")
	}
	if !h.Take(2 * time.Hour) {
		t.Error("an hour later the first one still counts")
	}
}
