package people

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/hq/extract"
	"github.com/lintel-access/lintel/sync/wire"
)

// Enrolment is tried without photographs: this extractor reads a text such as "7 0.9", a face by number and how near its photograph comes to it.
type faces struct{}

func (faces) References(_ context.Context, photos [][]byte) (results []extract.Result, err error) {
	for _, p := range photos {
		var n, other uint64
		near := float32(1)
		if _, err := fmt.Sscan(string(p), &n, &near, &other); err != nil && !errors.Is(err, errEnd(err)) {
			results = append(results, extract.Result{Outcome: extract.NotAnImage})
			continue
		}
		a, b := face(n), face(other+1<<32)
		for i := range a {
			a[i] = near*a[i] + float32(math.Sqrt(float64(1-near*near)))*b[i]
		}
		results = append(results, extract.Result{Outcome: extract.Extracted, Reference: unit(a), Quality: 1})
	}
	return results, nil
}

// errEnd is err if it says no more than that a text had fewer words.
func errEnd(err error) error {
	if err.Error() == "unexpected newline" || err.Error() == "EOF" || err.Error() == "unexpected EOF" {
		return err
	}
	return nil
}

func face(n uint64) []float32 {
	rng := mathrand.New(mathrand.NewPCG(n, 1))
	v := make([]float32, 512)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return unit(v)
}

func unit(v []float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v
}

func rules() Rules { return Rules{Bundle: [32]byte{7}, Same: .52, Alike: .37} }

// bench is a vault and its operators.
type bench struct {
	*People
	master         Master
	ann, bob, root Operator // enrollers; administrator
	second         Operator // another key of ann's
	trust          wire.Trust
	annKey         *ecdsa.PrivateKey
}

func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{}
	var err error
	if b.master, err = CreateMaster(filepath.Join(t.TempDir(), "master"), ""); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "people")
	if err := Create(dir, b.master); err != nil {
		t.Fatal(err)
	}
	keys := map[string]*ecdsa.PrivateKey{}
	grant := func(file, name string, role wire.Role) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		keys[file] = key
		b.trust.Grants = append(b.trust.Grants, wire.Grant{Role: role, Key: spki, Name: name, From: 1, Until: time.Now().AddDate(1, 0, 0).Unix()})
	}
	grant("ann", "ann", wire.RoleEnroller)
	grant("ann2", "ann", wire.RoleAdministrator)
	grant("bob", "bob", wire.RoleEnroller)
	grant("root", "root", wire.RoleAdministrator)
	b.annKey = keys["ann"]
	for file, to := range map[string]*Operator{"ann": &b.ann, "ann2": &b.second, "bob": &b.bob, "root": &b.root} {
		if *to, err = NewOperator(keys[file], b.trust); err != nil {
			t.Fatal(err)
		}
	}
	b.People = mustOpen(t, dir, b.master)
	return b
}

func mustOpen(t *testing.T, dir string, m Master) *People {
	t.Helper()
	p, err := Open(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request(name string, photos ...string) Request {
	r := Request{
		Name: name, Number: "n-" + name, Groups: []string{"staff", "lab", "staff"}, Until: time.Now().AddDate(0, 6, 0), Consent: "C-1",
		Proofing: []byte("passport seen by ann"),
	}
	for _, p := range photos {
		r.Photos = append(r.Photos, []byte(p))
	}
	return r
}

func (b *bench) enrol(t *testing.T, r Request) Enrolled {
	t.Helper()
	e, err := b.Enrol(t.Context(), r, b.ann, faces{}, rules())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (b *bench) assigned(t *testing.T, k Kiosk) []Entry {
	t.Helper()
	entries, _, err := b.Assign(k, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

var lab = Kiosk{ID: [32]byte{1}, Groups: []string{"lab"}}

// What an enroller signed is what a kiosk gets: the order names person, basis, date and references, by the enroller's own key.
//
// Control: S10
// Control: B03
func TestEnrolmentIsTheEnrollersOrder(t *testing.T) {
	b := start(t)
	r := request("Ann Example", "1", "1 0.95 5")
	e := b.enrol(t, r)
	entries := b.assigned(t, lab)
	if len(entries) != 1 || entries[0].Order != e.Order || entries[0].Kind != wire.KindEnrolment || e.Pending != "" {
		t.Fatalf("%+v, %+v", entries, e)
	}
	envelope, gone, biometric, err := b.Content(e.Order)
	if err != nil || gone || !biometric || sha256.Sum256(envelope) != e.Order {
		t.Fatalf("gone %v, biometric %v, %v", gone, biometric, err)
	}
	o, err := wire.Open[wire.Enrolment](envelope, &b.annKey.PublicKey, wire.Fleet())
	if err != nil {
		t.Fatal(err)
	}
	if o.Person != e.Person || o.Generation != 1 || o.Consent != "C-1" || o.Proofing != sha256.Sum256(r.Proofing) || o.Until != r.Until.Unix() ||
		o.Bundle != rules().Bundle || len(o.References) != 2 || strings.Join(o.Groups, " ") != "lab staff" {
		t.Errorf("order %+v", o)
	}
	if l, err := b.Find("Ann Example"); err != nil || l.ID != e.Person || l.Enroller.Name != "ann" || l.Count != 2 || l.References != nil {
		t.Errorf("%+v, %v", l, err)
	}
}

// Nobody is enrolled without consent, proofing record or an end, and no bad photograph is taken.
//
// Control: P14
func TestRefused(t *testing.T) {
	b := start(t)
	change := func(f func(*Request)) Request { r := request("x", "1"); f(&r); return r }
	for want, r := range map[string]Request{
		"no consent":              change(func(r *Request) { r.Consent = "" }),
		"other legal basis is na": change(func(r *Request) { r.Consent = " \u00a0\t " }),
		"name: it is blank":       change(func(r *Request) { r.Name = "   " }),
		"consent: it has charact": change(func(r *Request) { r.Consent = "C-1\x1b[2J" }),
		"proofing record is blan": change(func(r *Request) { r.Proofing = []byte(" \n\n") }),
		"proofing record of 0":    change(func(r *Request) { r.Proofing = nil }),
		"proofing record of 2621": change(func(r *Request) { r.Proofing = make([]byte, MaxProofing+1) }),
		"must end in the future":  change(func(r *Request) { r.Until = time.Now() }),
		"within ten years":        change(func(r *Request) { r.Until = time.Now().AddDate(11, 0, 0) }),
		"name: 0 bytes":           change(func(r *Request) { r.Name = "" }),
		"cannot be shown":         change(func(r *Request) { r.Name = "a\x1b[2J" }),
		"no photograph, and no":   change(func(r *Request) { r.Photos = nil }),
		"takes no photograph":     change(func(r *Request) { r.At = [32]byte{1} }),
		"group 1":                 change(func(r *Request) { r.Groups = []string{strings.Repeat("g", 65)} }),
		"consent: 129 bytes":      change(func(r *Request) { r.Consent = strings.Repeat("c", 129) }),
		"photograph 2: the file":  request("x", "1", "nonsense"),
		"photograph 2 shows some": request("x", "1", "2"),
		"nobody of that id":       change(func(r *Request) { r.Again = [16]byte{1} }),
	} {
		_, err := b.Enrol(t.Context(), r, b.ann, faces{}, rules())
		var refused Refused
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := b.Enrol(t.Context(), request("x", "1"), b.root, faces{}, rules()); err == nil || !strings.Contains(err.Error(), "may not sign this: enrolment") {
		t.Errorf("by an administrator: %v", err)
	}
	if _, err := b.Enrol(t.Context(), request("x", "1"), Operator{}, faces{}, rules()); err == nil {
		t.Error("by nobody")
	}
	if all, _, err := b.List(); err != nil || len(all) > 0 || len(b.assigned(t, lab)) > 0 {
		t.Errorf("%d people are known, %v", len(all), err)
	}
}

// Control: S11
func TestDuplicatesAndLookAlikes(t *testing.T) {
	b := start(t)
	first := b.enrol(t, request("first", "1"))
	if _, err := b.Enrol(t.Context(), request("other name", "1 0.8 9"), b.ann, faces{}, rules()); err == nil || !strings.Contains(err.Error(), first.Person.String()) {
		t.Errorf("the same person under another name: %v", err)
	}
	alike := b.enrol(t, request("alike", "1 0.45 9"))
	if alike.Pending != "" || len(alike.Alike) != 1 || alike.Alike[0] != (Likeness{first.Person, false}) {
		t.Errorf("a look-alike: %+v", alike)
	}
	if l, err := b.Find("alike"); err != nil || len(l.Alike) != 1 {
		t.Errorf("the look-alike is not recorded: %+v, %v", l, err)
	}
	twin := request("twin", "1 0.9 9")
	twin.Duplicate = true
	e := b.enrol(t, twin)
	if e.Pending == "" || !e.Alike[0].Same {
		t.Errorf("a twin was handed on without approval: %+v", e)
	}
	if _, err := b.Enrol(t.Context(), request("third", "1 0.85 11"), b.ann, faces{}, rules()); err == nil || !strings.Contains(err.Error(), e.Person.String()) {
		t.Errorf("who waits for approval is not compared with: %v", err)
	}
}

// Bulk, privileged groups and twins wait for a second operator, who is another person than the first.
//
// Control: S11
func TestSecondOperator(t *testing.T) {
	b := start(t)
	if err := b.SetPrivileged([]string{"vault", "lab"}); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"", "Bad Group!"} {
		if err := b.SetPrivileged([]string{"vault", word}); err == nil {
			t.Errorf("%q is a privileged group", word)
		}
	}
	e := b.enrol(t, request("one", "1"))
	if e.Pending != "privileged group" || len(b.assigned(t, lab)) != 0 {
		t.Fatalf("%+v, %d orders handed on", e, len(b.assigned(t, lab)))
	}
	waiting, err := b.Pending("")
	if err != nil || len(waiting) != 1 || waiting[0].Order != e.Order || string(waiting[0].Proofing) != "passport seen by ann" {
		t.Fatalf("%v, %v", waiting, err)
	}
	for name, by := range map[string]Operator{"the same key": b.ann, "another key of the same person": b.second} {
		if err := b.Approve(e.Order, by); !errors.Is(err, ErrSecond) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Approve([32]byte{1}, b.bob); !errors.Is(err, ErrUnknown) {
		t.Errorf("an order that is not there: %v", err)
	}
	if err := b.Approve(e.Order, b.bob); err != nil {
		t.Fatal(err)
	}
	l, err := b.Find("one")
	if err != nil || l.Approver.Name != "bob" || l.Pending || len(b.assigned(t, lab)) != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	proof, _, _, err := b.Content(l.Approval)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := wire.Open[wire.Approval](proof, b.bob.key.Public().(*ecdsa.PublicKey), wire.Fleet()); err != nil || a.Order != e.Order {
		t.Errorf("approval %+v, %v", a, err)
	}
	if err := b.Approve(e.Order, b.bob); !errors.Is(err, ErrUnknown) {
		t.Errorf("approved twice: %v", err)
	}

	again := b.enrol(t, request("two", "2"))
	if err := b.reject(again.Order, b.bob); err != nil {
		t.Fatal(err)
	}
	if _, gone, _, err := b.Content(again.Order); !gone || err != nil {
		t.Errorf("what was rejected is still there: %v", err)
	}
	if all, _, err := b.List(); err != nil || len(all) != 1 {
		t.Errorf("%d people, %v", len(all), err)
	}
	third := b.enrol(t, request("three", "2"))  // the rejected one is nobody's duplicate
	b.bob.trust.Grants = b.bob.trust.Grants[1:] // ann was dismissed
	if err := b.Approve(third.Order, b.bob); err == nil || !strings.Contains(err.Error(), "may no longer") {
		t.Errorf("approved what a dismissed operator signed: %v", err)
	}
}

// A supervised enrolment is an order for one kiosk, and headquarters takes no photograph and no reference for it. What the kiosk says of it is looked at by
// firmware/cmd/door's TestSupervisedEnrolmentStaysAtTheKiosk.
//
// Control: S15
func TestSupervised(t *testing.T) {
	b := start(t)
	r := request("live")
	r.At = lab.ID
	e := b.enrol(t, r)
	if got := b.assigned(t, lab); len(got) != 0 {
		t.Fatalf("handed on by itself: %+v", got)
	}
	if got := b.assigned(t, Kiosk{ID: [32]byte{2}, Groups: lab.Groups}); len(got) != 0 {
		t.Errorf("another kiosk got %+v", got)
	}
	envelope, _, biometric, err := b.Content(e.Order)
	if err != nil || biometric {
		t.Fatalf("biometric %v, %v", biometric, err)
	}
	o, err := wire.Open[wire.Supervised](envelope, &b.annKey.PublicKey, lab.ID)
	if err != nil || o.Person != e.Person || o.NotAfter-o.Issued != 8*3600 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := wire.Open[wire.Supervised](envelope, &b.annKey.PublicKey, wire.Fleet()); err == nil {
		t.Error("the order is good for every kiosk")
	}
	if l, err := b.Find("live"); err != nil || l.Count != 0 {
		t.Errorf("%+v, %v", l, err)
	}
}

// A person prints as an id, whatever prints it.
func TestPersonIsRedacted(t *testing.T) {
	p := Person{ID: [16]byte{1}, Name: "Secret", References: [][]byte{[]byte("Secret")}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{p, Listed{Person: p}, Waiting{Listed: Listed{Person: p}}, member{Person: p}} {
			if s := fmt.Sprintf(format, v); strings.Contains(s, "Secret") || strings.Contains(s, "83, 101") {
				t.Errorf("%s of %T prints %s", format, v, s)
			}
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", Master{[32]byte{1}}, Master{[32]byte{1}}, Master{[32]byte{1}}); strings.Contains(s, "0x1") || strings.Contains(s, "[1") {
		t.Errorf("a master key prints %s", s)
	}
}
