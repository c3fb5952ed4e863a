//go:build !kiosk

package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/authority"
	"github.com/lintel-access/lintel/sync/wire"
)

// A second headquarters on a folder is refused before it has touched a file of it, and a killed one bars nobody.
func TestOneHeadquartersOnAFolder(t *testing.T) {
	s := newSite(t)
	end := s.serve()
	before, err := os.ReadDir(filepath.Join(s.dir, stateFolder))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.dir, socketName)); err != nil { // or it would be found by that
		t.Fatal(err)
	}
	s.refused("stop it first", "serve", "-dir", s.dir, "-name", "127.0.0.1", "-listen", "127.0.0.1:0")
	s.refused("stop it first", "restore", s.file("ada"), "-dir", s.dir)
	if after, err := os.ReadDir(filepath.Join(s.dir, stateFolder)); err != nil || len(after) != len(before) {
		t.Errorf("%d files in the state became %d, %v", len(before), len(after), err)
	}
	end(syscall.SIGKILL)
	s.serve()
}

// The server's key is renewed while headquarters runs, which goes on with the new one; and an older trust that somebody puts back stays refused.
func TestServersKeyIsRenewedWhileItRuns(t *testing.T) {
	s := newSite(t)
	safe := filepath.Join(s.base, "safe")
	end := s.serve()
	file, _ := s.introduction()
	s.must("kiosk", "add", file, "-dir", s.dir, "-broker", "hq.example:8883", "-out", s.file("told"))
	old, err := os.ReadFile(filepath.Join(s.dir, "trust.cose"))
	if err != nil {
		t.Fatal(err)
	}
	s.must("trust", "server", "-dir", s.dir, "-offline", safe)
	s.must("lockdown", "on", "-dir", s.dir, "-key", s.file("ada"))
	if err := os.WriteFile(filepath.Join(s.dir, "trust.cose"), old, 0o644); err != nil {
		t.Fatal(err)
	}
	s.refused("another trust than the safe", "trust", "remove", "eve", "-dir", s.dir, "-offline", safe)
	end(syscall.SIGTERM)
	s.refused("does not let this server speak", "serve", "-dir", s.dir, "-name", "127.0.0.1", "-listen", "127.0.0.1:0")
	s.must("trust", "restore", "-dir", s.dir, "-offline", safe)
	s.serve()
	s.must("trust", "remove", "eve", "-dir", s.dir, "-offline", safe)
}

func TestWhatEndsIsSaidInTime(t *testing.T) {
	base, now := t.TempDir(), time.Now()
	dir, safe := filepath.Join(base, "hq"), filepath.Join(base, "safe")
	if err := authority.Create(dir, safe, now); err != nil {
		t.Fatal(err)
	}
	o, err := authority.OpenOffline(dir, safe)
	if err != nil {
		t.Fatal(err)
	}
	key, err := authority.CreateKey(filepath.Join(base, "ada"))
	if err != nil {
		t.Fatal(err)
	}
	gone, err := authority.CreateKey(filepath.Join(base, "eve"))
	if err != nil {
		t.Fatal(err)
	}
	for at, change := range []func(*wire.Trust) error{ // whoever was removed is never asked for again
		authority.Admit(wire.RoleReleaser, "ada", &key.PublicKey, now, 365*day), authority.Admit(wire.RoleEnroller, "eve", &gone.PublicKey, now, 365*day), authority.End("eve", now.Add(2*time.Minute)),
	} {
		if err := o.Change(now.Add(time.Duration(at)*time.Minute), change); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := authority.LoadServer(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		says  []string
	}{
		{0, nil},
		{340 * day, []string{`releaser "ada"`}},
		{(3*365 - 179) * day, []string{"trust issuing", `releaser "ada"`}},
		{(5*365 - 61) * day, []string{"trust issuing", `releaser "ada"`}},
		{(5*365 - 59) * day, []string{"trust issuing", "trust server", `releaser "ada"`}},
	} {
		got := endings(keys, now.Add(c.after))
		if len(got) != len(c.says) {
			t.Errorf("after %v: %q", c.after, got)
			continue
		}
		for i, says := range c.says {
			if !strings.Contains(got[i], says) {
				t.Errorf("after %v: %q, want %q", c.after, got[i], says)
			}
		}
	}
	if _, err := hold(filepath.Join(base, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// Operators come and go with the safe never open where headquarters is.
func TestRootStaysAway(t *testing.T) {
	s := newSite(t)
	away := filepath.Join(t.TempDir(), "safe")
	if err := os.Rename(filepath.Join(s.base, "safe"), away); err != nil {
		t.Fatal(err)
	}
	s.serve()
	s.must("key", s.file("bob"))
	lock := []string{"lockdown", "on", "-dir", s.dir, "-key", s.file("bob")}
	if out := s.must("trust", "add", "bob", "-offline", away, "-role", "administrator", "-key", s.file("bob")+".pub"); !strings.Contains(out, "hq trust take") {
		t.Errorf("it says %q", out)
	}
	s.refused("not granted", lock...)
	first := filepath.Join(away, "trust.cose")
	if out := s.must("trust", "take", first, "-dir", s.dir); !strings.HasPrefix(out, `added: administrator "bob", until `) || strings.Count(out, "\n") != 2 {
		t.Errorf("it says %q", out)
	}
	s.must(lock...)
	old, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	s.must("trust", "remove", "bob", "-distrust", "-offline", away)
	s.refused("headquarters' folder is, -dir FOLDER, or on the safe's machine", "trust", "show")
	if out := s.must("trust", "show", "-offline", away); strings.Contains(out, "bob") {
		t.Errorf("the safe says %q", out)
	}
	if out := s.must("trust", "take", first, "-dir", s.dir); !strings.HasPrefix(out, `gone: administrator "bob", `) || strings.Count(out, "\n") != 2 {
		t.Errorf("it says %q", out)
	}
	if out := s.must("trust", "remove", "eve", "-offline", away); strings.Contains(out, "anew") {
		t.Errorf("of an enroller, who lifts nothing, it says %q", out)
	}
	if out := s.must("trust", "take", first, "-dir", s.dir); !strings.HasPrefix(out, `ended: enroller "eve", on `) || strings.Count(out, "\n") != 2 {
		t.Errorf("it says %q", out)
	}
	if out := s.must("trust", "take", first, "-dir", s.dir); strings.Count(out, "\n") != 1 {
		t.Errorf("the same again: it says %q", out)
	}
	s.refused("not granted", lock...)
	if err := os.WriteFile(s.file("old"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	s.refused("is in force", "trust", "take", s.file("old"), "-dir", s.dir)
	for _, verb := range []string{"issuing", "server", "authority", "drop-authority", "restore"} {
		s.refused("say where headquarters' folder is", "trust", verb, "-offline", away)
	}
}

// Somebody hears in time that the cluster's servers need certificates.
func TestEndOfServersCertificatesIsSaid(t *testing.T) {
	base := t.TempDir()
	if err := authority.Create(filepath.Join(base, "hq"), filepath.Join(base, "safe"), time.Now()); err != nil {
		t.Fatal(err)
	}
	keys, err := authority.LoadServer(filepath.Join(base, "hq"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for left, says := range map[time.Duration]bool{31 * day: false, 29 * day: true, -day: true} {
		var said bytes.Buffer
		s := served{log: slog.New(slog.NewTextHandler(&said, nil)), until: func() (time.Time, bool) { return time.Now().Add(left), true }}
		s.keys.Store(keys)
		if s.warn(); strings.Contains(said.String(), "hq cluster renews them") != says {
			t.Errorf("%v before, it says %q", left, said.String())
		}
	}
	for _, until := range []func() (time.Time, bool){nil, func() (time.Time, bool) { return time.Time{}, false }} {
		var said bytes.Buffer
		s := served{log: slog.New(slog.NewTextHandler(&said, nil)), until: until}
		s.keys.Store(keys)
		if s.warn(); said.Len() > 0 {
			t.Errorf("nothing is known, and it says %q", said.String())
		}
	}
}
