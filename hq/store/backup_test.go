package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestBackupComesBack(t *testing.T) {
	b, s := served(t, t.TempDir())
	for n := 11; n >= 0; n-- { // a row that was written backwards
		put(t, s, fmt.Sprintf("row.%02d", n), fmt.Sprint(n), 0)
	}
	gone := put(t, s, "gone", "x", 0)
	if err := s.Delete(t.Context(), "gone", gone); err != nil {
		t.Fatal(err)
	}
	put(t, s, "large", string(make([]byte, MaxValue)), 0)
	var file bytes.Buffer
	if n, err := s.Backup(t.Context(), &file); err != nil || n != 13 {
		t.Fatalf("%d values, %v", n, err)
	}
	if _, err := s.Restore(t.Context(), bytes.NewReader(file.Bytes())); err == nil {
		t.Error("restored over what is there")
	}
	b.Close()
	_, s = served(t, t.TempDir())
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":              func([]byte) []byte { return nil },
		"cut":                func(d []byte) []byte { return d[:len(d)-1] },
		"cut in the middle":  func(d []byte) []byte { return d[:len(d)/2] },
		"with another byte":  func(d []byte) []byte { d[len(d)/3] ^= 1; return d },
		"with bytes after":   func(d []byte) []byte { return append(d, 0) },
		"of something else":  func(d []byte) []byte { d[0] = 'L'; return d },
		"with a large value": func(d []byte) []byte { d[len(heading)] = 0xff; return d },
	} {
		if _, err := s.Restore(t.Context(), bytes.NewReader(spoil(bytes.Clone(file.Bytes())))); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	if n, err := s.Restore(t.Context(), bytes.NewReader(file.Bytes())); err != nil || n != 13 {
		t.Fatalf("%d values, %v", n, err)
	}
	if v, err := s.Last(t.Context(), "row"); err != nil || string(v.Data) != "0" {
		t.Errorf("last is %q, %v", v.Data, err)
	}
	if v, err := s.Get(t.Context(), "large"); err != nil || len(v.Data) != MaxValue {
		t.Errorf("%d bytes, %v", len(v.Data), err)
	}
}

// Headquarters goes on writing while it is backed up: every key that was there before is in the backup.
func TestBackupWhileWriting(t *testing.T) {
	const kiosks = 20
	_, s := served(t, t.TempDir())
	for n := range 100 { // which are read before
		put(t, s, fmt.Sprintf("order.%d", n), string(make([]byte, MaxValue)), 0)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	for k := range kiosks {
		key := fmt.Sprintf("kiosk.%d", k)
		revision := put(t, s, key, "x", 0)
		writers.Go(func() {
			for ctx.Err() == nil {
				if n, err := s.Put(ctx, key, []byte("y"), revision); err == nil {
					revision = n
				}
			}
		})
	}
	for range 5 {
		var file bytes.Buffer
		if _, err := s.Backup(t.Context(), &file); err != nil {
			t.Fatal(err)
		}
		all, err := readBackup(&file)
		if err != nil {
			t.Fatal(err)
		}
		all = slices.DeleteFunc(all, func(v saved) bool { return !strings.HasPrefix(v.Key, "kiosk.") })
		if len(all) != kiosks {
			t.Errorf("a backup of %d kiosks has %d of them", kiosks, len(all))
		}
	}
}

// Where each kiosk stands is to be heard after a restore; and what was filled in part is no state.
func TestRestoreLeavesMarks(t *testing.T) {
	b, s := served(t, t.TempDir())
	for _, key := range []string{Kiosk + "a", Kiosk + "b", Restored + "b", "own.a.x"} {
		put(t, s, key, "x", 0)
	}
	var file bytes.Buffer
	if _, err := s.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b, s = served(t, t.TempDir())
	if _, err := s.Restore(t.Context(), bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	marks, err := s.List(t.Context(), "restored")
	if err != nil || len(marks) != 2 || marks[0].Key != Restored+"a" || marks[1].Key != Restored+"b" {
		t.Errorf("marks are %v, %v", marks, err)
	}
	if _, err := Open(t.Context(), b.JetStream()); err != nil {
		t.Errorf("a state that was restored: %v", err)
	}
	put(t, s, "text.x", "x", 0)
	if _, err := s.Restore(t.Context(), bytes.NewReader(file.Bytes())); err == nil || !strings.Contains(err.Error(), "DIR/state") {
		t.Errorf("restored a second time: %v", err)
	}
	b.Close()
	b, s = served(t, t.TempDir())
	if err := s.fill(t.Context(), []saved{{"kiosk.a", nil}, {"no key", nil}}); err == nil {
		t.Fatal("it was not cut short")
	}
	if _, err := Open(t.Context(), b.JetStream()); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("half a state opens: %v", err)
	}
}

func FuzzReadBackup(f *testing.F) {
	f.Add([]byte(heading))
	f.Add([]byte(heading + "\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if all, err := readBackup(bytes.NewReader(data)); err == nil && len(data) < len(heading)+4+32 {
			t.Errorf("%d values of %d bytes", len(all), len(data))
		}
	})
}
