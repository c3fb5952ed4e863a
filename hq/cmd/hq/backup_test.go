//go:build !kiosk

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lintel-access/lintel/hq/people"
)

// A headquarters that lost its state and its people has both again from hq backup; one that lost its people alone has them.
func TestPeopleComeBack(t *testing.T) {
	s := newSite(t)
	s.must("people", "init", "-dir", s.dir)
	s.must("people", "privileged", "vault", "-dir", s.dir)
	end := s.serve()
	if out := s.must("backup", s.file("b"), "-dir", s.dir); !strings.Contains(out, s.file("b")+".people") {
		t.Errorf("it says %q", out)
	}
	s.must("people", "privileged", "other", "-dir", s.dir) // the vault is in nobody's way
	s.refused("exist", "backup", s.file("b"), "-dir", s.dir)
	end(syscall.SIGTERM)
	db := filepath.Join(s.dir, peopleFolder, "people.db")
	for _, name := range []string{s.file("b"), s.file("b") + ".people"} {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	lose := func(paths ...string) {
		t.Helper()
		for _, path := range paths {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	lose(filepath.Join(s.dir, stateFolder), db)
	// What stands in the way of the people is said before the state is there: with that mended, the same line works.
	keys := filepath.Join(s.dir, peopleFolder, "people.keys")
	if _, err := people.CreateMaster(s.file("another"), ""); err != nil {
		t.Fatal(err)
	}
	s.refused("nothing was restored: load master key", "restore", s.file("b"), "-dir", s.dir, "-master", s.file("no"))
	s.refused(`"`+s.file("b")+`.people": `, "restore", s.file("b"), "-dir", s.dir, "-master", s.file("another"))
	s.refused("under this master key", "restore", s.file("b"), "-dir", s.dir, "-master", s.file("another"))
	s.refused(`"`+s.base+`" is a folder`, "restore", s.base, "-dir", s.dir)
	s.refused(`"`+s.file("ada")+`": restore: file is no whole backup`, "restore", s.file("ada"), "-dir", s.dir)
	move(t, keys, keys+".away")
	s.refused("it is absent", "restore", s.file("b"), "-dir", s.dir)
	move(t, keys+".away", keys)
	s.must("restore", s.file("b"), "-dir", s.dir)
	if out := s.must("people", "privileged", "-dir", s.dir); !strings.Contains(out, "vault") {
		t.Errorf("privileged groups are %q", out)
	}
	s.must("people", "privileged", "newer", "-dir", s.dir)
	lose(filepath.Join(s.dir, stateFolder))
	// No master key is asked for where there is nothing to open.
	if out := s.must("restore", s.file("b"), "-dir", s.dir, "-master", s.file("no")); !strings.Contains(out, "people stay as they are") {
		t.Errorf("it says %q", out)
	}
	if out := s.must("people", "privileged", "-dir", s.dir); !strings.Contains(out, "newer") {
		t.Errorf("an older backup has taken the place of people: privileged groups are %q", out)
	}
	s.refused("people stay as they are", "restore", s.file("b"), "-people", "-dir", s.dir)
	s.refused("nothing.people", "restore", s.file("nothing"), "-people", "-dir", s.dir)
	lose(db)
	s.must("restore", s.file("b"), "-people", "-dir", s.dir)
	if out := s.must("people", "privileged", "-dir", s.dir); !strings.Contains(out, "vault") {
		t.Errorf("privileged groups are %q", out)
	}
	end = s.serve()
	lose(s.file("b"), s.file("b")+".people")
	s.must("backup", s.file("b"), "-dir", s.dir)
	end(syscall.SIGTERM)
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// People that hq serve does not know of are in no backup without a word.
func TestNoBackupWithoutThePeople(t *testing.T) {
	s := newSite(t)
	s.serve()
	s.must("people", "init", "-dir", s.dir)
	s.refused("start it again", "backup", s.file("b"), "-dir", s.dir)
	if _, err := os.Stat(s.file("b")); err == nil {
		t.Error("half a backup is left")
	}
	// It is found out before anything is written: an older backup there is not what is in the way.
	s.refused("start it again", "backup", write(t, s.base, "older", "state"), "-dir", s.dir)
}
