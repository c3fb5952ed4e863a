//go:build !kiosk

package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
)

func TestRegisterKeepsPeopleApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.json")
	r, err := openRegister(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := r.id("alice/photo/1"), r.id("bob/photo/1"), r.id("carol/photo/1")
	if a == b || a == c || a.IsZero() || len(r.People) != 0 {
		t.Fatalf("ids %v, %v and %v; %d people, want none before they are enrolled", a, b, c, len(r.People))
	}
	for _, err := range []error{
		r.put("alice/photo/1", a, access.Permitted), r.put("bob/photo/1", b, access.Permitted), r.put("bob/photo/1", b, access.Revoked),
		r.put("carol/photo/1", c, access.Suspended),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if r, err = openRegister(path); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]access.Standing{"alice/photo/1": access.Permitted, "bob/photo/1": access.Revoked, "carol/photo/1": access.Suspended} {
		if e, ok := r.entry(name); !ok || e.standing() != want {
			t.Errorf("%s: %+v, %v; want standing %d", name, e, ok, want)
		}
	}
	if len(r.People) != 3 || r.id("alice/photo/1") != a || r.name(b) != "bob/photo/1" || r.permitted() != 1 {
		t.Errorf("read again: %+v", r)
	}
	if err := r.remove("bob/photo/1"); err != nil {
		t.Fatal(err)
	}
	if r, err = openRegister(path); err != nil || r.name(b) != "" || r.id("bob/photo/1") == b || len(r.People) != 2 {
		t.Errorf("after removal: %+v, %v", r, err)
	}
}

// A register of before there were suspensions still loads; what is none names its file.
func TestRegisterFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.json")
	old := `{"people":[{"name":"x","id":"` + (access.PersonID{1}).String() + `","revoked":true}]}`
	write(t, path, []byte(old))
	if r, err := openRegister(path); err != nil || len(r.People) != 1 || r.People[0].standing() != access.Revoked {
		t.Errorf("register of an earlier desk: %+v, %v", r, err)
	}
	for _, text := range []string{"", "{", `{"people":[{"name":"x","id":"zz"}]}`, `{"who":1}`} {
		write(t, path, []byte(text))
		if _, err := openRegister(path); err == nil || !strings.Contains(err.Error(), "people.json") {
			t.Errorf("register %q: %v, want an error that names the file", text, err)
		}
	}
}

// Who was enrolled into the group of the kiosk's own people stays in it, whatever their standing.
func TestRegisterKeepsTheGroup(t *testing.T) {
	r, err := openRegister(filepath.Join(t.TempDir(), "people.json"))
	if err != nil {
		t.Fatal(err)
	}
	id := access.PersonID{7}
	if err := errors.Join(r.put("Old", id, access.Permitted), r.enrolled("New", id), r.put("New", id, access.Suspended)); err != nil {
		t.Fatal(err)
	}
	again, err := openRegister(r.path)
	if err != nil {
		t.Fatal(err)
	}
	for name, local := range map[string]bool{"Old": false, "New": true} {
		if e, ok := again.entry(name); !ok || e.Local != local {
			t.Errorf("%s: %+v", name, e)
		}
	}
}
