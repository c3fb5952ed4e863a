package store

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/hq/broker"
)

// served starts a broker on a folder, and opens the state in it.
func served(t *testing.T, dir string, room ...int64) (*broker.Embedded, *Store) {
	t.Helper()
	keys := t.TempDir()
	if err := authority.Create(filepath.Join(keys, "hq"), filepath.Join(keys, "safe"), time.Now()); err != nil {
		t.Fatal(err)
	}
	a, err := authority.LoadServer(filepath.Join(keys, "hq"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Broker().Server([]string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	room = append(room, 0)
	b, err := broker.Start(t.Context(), broker.Config{Dir: dir, Listen: "127.0.0.1:0", Room: room[0], Log: slog.New(slog.DiscardHandler),
		TLS: &tls.Config{Certificates: []tls.Certificate{c}}, Admit: func(string, *x509.Certificate) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s, err := Open(t.Context(), b.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

func put(t *testing.T, s *Store, key, value string, revision uint64) uint64 {
	t.Helper()
	n, err := s.Put(t.Context(), key, []byte(value), revision)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestValuesAndRevisions(t *testing.T) {
	dir := t.TempDir()
	b, s := served(t, dir)
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, ErrNone) {
		t.Errorf("read nothing: %v", err)
	}
	first := put(t, s, "a", "one", 0)
	if _, err := s.Put(t.Context(), "a", []byte("two"), 0); !errors.Is(err, ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	second := put(t, s, "a", "two", first)
	if _, err := s.Put(t.Context(), "a", []byte("three"), first); !errors.Is(err, ErrConflict) {
		t.Errorf("written over a newer one: %v", err)
	}
	for n := range 12 {
		put(t, s, fmt.Sprintf("row.k.%016x", n), fmt.Sprint(n), 0)
	}
	put(t, s, "row.l.0000000000000000", "other", 0)
	b.Close()
	_, s = served(t, dir)
	if v, err := s.Get(t.Context(), "a"); err != nil || string(v.Data) != "two" || v.Revision != second {
		t.Errorf("after a restart %+v, %v", v, err)
	}
	if v, err := s.Last(t.Context(), "row.k"); err != nil || string(v.Data) != "11" || v.Key != "row.k.000000000000000b" {
		t.Errorf("last is %+v, %v", v, err)
	}
	if _, err := s.Last(t.Context(), "row.m"); !errors.Is(err, ErrNone) {
		t.Errorf("last of nothing: %v", err)
	}
	list, err := s.List(t.Context(), "row.k")
	if err != nil || len(list) != 12 || string(list[2].Data) != "2" {
		t.Errorf("%d listed, %v", len(list), err)
	}
	if err := s.Delete(t.Context(), "a", first); !errors.Is(err, ErrConflict) {
		t.Errorf("deleted what is newer: %v", err)
	}
	if err := s.Delete(t.Context(), "a", second); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, ErrNone) {
		t.Errorf("read what was deleted: %v", err)
	}
	put(t, s, "a", "again", 0)
}

func TestKeysAndSizesAreBounded(t *testing.T) {
	_, s := served(t, t.TempDir())
	for _, key := range []string{"", ".", "a..b", "a.*", "a.>", ">", "a b", "ä", "a/b", string(bytes.Repeat([]byte{'a'}, maxKey+1))} {
		_, get := s.Get(t.Context(), key)
		_, put := s.Put(t.Context(), key, nil, 0)
		_, list := s.List(t.Context(), key)
		_, last := s.Last(t.Context(), key)
		if get == nil || put == nil || list == nil || last == nil || s.Delete(t.Context(), key, 0) == nil {
			t.Errorf("%q is a key", key)
		}
	}
	if _, err := s.Put(t.Context(), "large", make([]byte, MaxValue+1), 0); err == nil {
		t.Error("too large a value was stored")
	}
	if _, err := s.Put(t.Context(), "large", make([]byte, MaxValue), 0); err != nil {
		t.Error(err)
	}
}

func TestOfManyWritersOneWins(t *testing.T) {
	_, s := served(t, t.TempDir())
	for round := range 20 {
		var won atomic.Int32
		var all sync.WaitGroup
		for w := range 4 {
			all.Go(func() {
				_, err := s.Put(context.Background(), fmt.Sprintf("row.%d", round), []byte{byte(w)}, 0)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, ErrConflict) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d writers won", won.Load())
		}
	}
}

// A disk of a few megabytes fills up: what was stored stays, what was not is told, and with room it goes on.
func TestFullDisk(t *testing.T) {
	for name, room := range map[string]int64{"as far as the broker may fill it": 0, "to its last block": 1 << 30} {
		t.Run(name, func(t *testing.T) { fillUp(t, room) })
	}
}

func fillUp(t *testing.T, room int64) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ci must not leave the full disk out: ", err)
		}
		t.Skipf("no file system can be mounted here, so that a full disk was not tried: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	b, s := served(t, dir, room)
	ended := make(chan error, 1)
	go func() { ended <- b.Wait(t.Context()) }()
	var stored []int
	var failed error
	for n := 0; n < 400 && failed == nil; n++ {
		if _, failed = s.Put(t.Context(), fmt.Sprintf("row.%d", n), bytes.Repeat([]byte{byte(n)}, 100<<10), 0); failed == nil {
			stored = append(stored, n)
		}
	}
	if !errors.Is(failed, ErrNotStored) {
		t.Fatalf("after %d values of 100 KiB in 32 MB: %v", len(stored), failed)
	}
	if room != 0 { // then the broker cannot go on, and says so
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "make room") {
			t.Errorf("the broker says %v", err)
		}
	}
	b.Close()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=96m"); err != nil {
		t.Fatal(err)
	}
	_, s = served(t, dir)
	for _, n := range stored {
		if v, err := s.Get(t.Context(), fmt.Sprintf("row.%d", n)); err != nil || len(v.Data) != 100<<10 || v.Data[0] != byte(n) {
			t.Fatalf("value %d of %d: %d bytes, %v", n, len(stored), len(v.Data), err)
		}
	}
	put(t, s, "more", "room", 0)
}
