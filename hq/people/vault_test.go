package people

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// someone is an enroller whom nobody else knows.
func someone() (Operator, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Operator{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return Operator{}, err
	}
	return NewOperator(key, wire.Trust{Grants: []wire.Grant{{
		Role: wire.RoleEnroller, Key: spki, Name: "someone", From: 1, Until: time.Now().AddDate(1, 0, 0).Unix(),
	}}})
}

func TestMaster(t *testing.T) {
	dir := t.TempDir()
	plain, secret := filepath.Join(dir, "plain"), filepath.Join(dir, "secret")
	m, err := CreateMaster(plain, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := LoadMaster(plain, nil); err != nil || got != m {
		t.Errorf("%v", err)
	}
	if _, err := CreateMaster(plain, ""); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwritten: %v", err)
	}
	if m, err = CreateMaster(secret, "correct horse"); err != nil {
		t.Fatal(err)
	}
	say := func(s string) func() (string, error) { return func() (string, error) { return s, nil } }
	if got, err := LoadMaster(secret, say("correct horse")); err != nil || got != m {
		t.Errorf("%v", err)
	}
	for name, err := range map[string]error{
		"wrong":     second(LoadMaster(secret, say("battery staple"))),
		"nobody":    second(LoadMaster(secret, nil)),
		"absent":    second(LoadMaster(filepath.Join(dir, "no"), nil)),
		"wide mode": errors.Join(os.Chmod(plain, 0o644), second(LoadMaster(plain, nil))),
	} {
		if err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
	for _, text := range []string{"", "x", masterLine, masterLine + "00", masterLine + strings.Repeat("g", 64), "age-encryption.org/v1\n"} {
		path := filepath.Join(t.TempDir(), "m")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadMaster(path, say("x")); err == nil {
			t.Errorf("%q is a master key", text)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Who is in a hurry does not wait for somebody else's change, and is told so.
func TestHurry(t *testing.T) {
	b := start(t)
	e := b.enrol(t, request("one", "1"))
	other := mustOpen(t, b.dir, b.master)
	other.Hurry()
	if err := b.update(func(*txn) error {
		began := time.Now()
		_, _, _, content := other.Content(e.Order)
		_, _, assign := other.Assign(lab, 0, 1)
		if !errors.Is(content, ErrInUse) || !errors.Is(assign, ErrInUse) || time.Since(began) > lockWait/4 {
			t.Errorf("after %v %v, %v", time.Since(began), content, assign)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := other.Content(e.Order); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	b := start(t)
	b.enrol(t, request("one", "1"))
	other, err := CreateMaster(filepath.Join(t.TempDir(), "m"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(b.dir, other); !errors.Is(err, ErrMaster) {
		t.Errorf("another master key: %v", err)
	}
	if _, err := Open(b.dir, Master{}); err == nil {
		t.Error("no master key")
	}
	if _, err := Open(t.TempDir(), b.master); err == nil || !strings.Contains(err.Error(), "hq people init") {
		t.Errorf("nothing there: %v", err)
	}
	if err := Create(b.dir, b.master); err == nil {
		t.Error("made anew over a vault")
	}
	keys := filepath.Join(b.dir, keysFile)
	good, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), good...)
	bad[offset(0)+20] ^= 1
	foreign := append([]byte(nil), good...)
	foreign[len(keysMagic)] ^= 1
	for name, data := range map[string][]byte{"damaged": bad, "of another vault": foreign, "cut off": good[:slotSize], "empty": nil} {
		if err := os.WriteFile(keys, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(b.dir, b.master); !errors.Is(err, ErrKeys) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(keys); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(b.dir, b.master); !errors.Is(err, ErrKeys) {
		t.Errorf("absent: %v", err)
	}
	if err := os.WriteFile(keys, good, 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, b.dir, b.master)
	if err := os.Chmod(filepath.Join(b.dir, dbFile), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(b.dir, b.master); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("mode 0640: %v", err)
	}
}

// Two programs have the vault open at once: what one enrols the other hands on and compares with.
func TestSideBySide(t *testing.T) {
	b := start(t)
	serve := mustOpen(t, b.dir, b.master)
	if _, _, err := serve.List(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			p := b.People
			if i%2 == 1 {
				p = serve
			}
			r := request(fmt.Sprint(i), fmt.Sprint(i))
			if _, err := p.Enrol(t.Context(), r, b.ann, faces{}, rules()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for name, p := range map[string]*People{"first": b.People, "second": serve} {
		entries, next, err := p.Assign(lab, 0, 1000)
		if err != nil || len(entries) != 20 || next != 20 {
			t.Fatalf("%s: %d orders up to %d, %v", name, len(entries), next, err)
		}
		if _, err := p.Enrol(t.Context(), request("x", "3 0.9 4"), b.ann, faces{}, rules()); err == nil {
			t.Errorf("%s: does not know the other's people", name)
		}
	}
	b.enrol(t, request("late", "100"))
	if entries, next, err := serve.Assign(lab, 20, 1000); err != nil || len(entries) != 1 || next != 21 {
		t.Errorf("%+v up to %d, %v", entries, next, err)
	}
	if entries, next, err := serve.Assign(lab, 0, 5); err != nil || len(entries) != 5 || next != 5 {
		t.Errorf("bounded: %d up to %d, %v", len(entries), next, err)
	}
}

// An older vault was put back: what is new is not taken for what was handed on, and what is lost is told from what cannot be had for a moment.
func TestShorterQueueIsSaid(t *testing.T) {
	b := start(t)
	e := b.enrol(t, request("one", "1"))
	if _, next, err := b.Assign(lab, 1, 10); err != nil || next != 1 {
		t.Errorf("at its end: %d, %v", next, err)
	}
	if _, _, err := b.Assign(lab, 2, 10); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "put back") {
		t.Errorf("beyond its end: %v", err)
	}
	if _, _, _, err := b.Content([32]byte{9}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an order that it never had: %v", err)
	}
	if _, _, _, err := b.Content(e.Order); err != nil {
		t.Error(err)
	}
}

// A kiosk whose door lets other groups in than before is given those whom it lacks, what was taken from them first, and nobody twice.
func TestAnew(t *testing.T) {
	b := start(t)
	request := func(name, number string, groups ...string) Request {
		r := request(name, number)
		r.Groups = groups
		return r
	}
	staff := b.enrol(t, request("one", "1", "staff"))
	cleaner := b.enrol(t, request("two", "2", "cleaning"))
	held := b.enrol(t, request("three", "3", "cleaning"))
	gone := b.enrol(t, request("four", "4", "cleaning"))
	revoked := b.enrol(t, request("five", "5", "cleaning"))
	b.enrol(t, request("six", "6", "cleaning", "staff"))
	for _, err := range []error{b.SetState(held.Person, Suspended, b.root), b.Delete(gone.Person, b.ann), b.SetState(revoked.Person, Revoked, b.root)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	orders := func(k Kiosk) (list [][32]byte) {
		for _, e := range b.assigned(t, k) {
			if e.Kind != wire.KindDeletion {
				list = append(list, e.Order)
			}
		}
		return list
	}
	if got := orders(Kiosk{ID: lab.ID}); len(got) != 0 {
		t.Errorf("a door that lets nobody in is given %x", got)
	}
	if got := orders(Kiosk{ID: lab.ID, Groups: []string{"staff"}}); len(got) != 2 || got[0] != staff.Order {
		t.Errorf("for staff %x", got)
	}
	got := b.assigned(t, Kiosk{ID: lab.ID, Groups: []string{"cleaning"}, Anew: true, Had: []string{"staff"}})
	if len(got) != 4 || got[0].Order != cleaner.Order || got[1].Person != held.Person || got[1].Kind != wire.KindStanding || got[2].Order != held.Order {
		t.Errorf("anew %+v", got)
	}
	for _, e := range got {
		if e.Kind == wire.KindDeletion || e.Order == revoked.Order || e.Person == staff.Person {
			t.Errorf("anew it is given %+v", e)
		}
	}
	if got := b.assigned(t, Kiosk{ID: lab.ID, Groups: []string{"staff"}, Anew: true, Had: []string{"cleaning", "staff"}}); len(got) != 0 {
		t.Errorf("with fewer groups than before it is given %+v", got)
	}
}
