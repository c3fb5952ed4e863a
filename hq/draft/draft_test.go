package draft

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/sync/wire"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func order(t *testing.T, audience [32]byte, body wire.Body) Order {
	t.Helper()
	o, err := New(audience, body)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func person() wire.Enrolment {
	return wire.Enrolment{
		Person: [16]byte{0xa1}, Generation: 3, Bundle: [32]byte{0xb2}, References: [][]byte{make([]byte, wire.ReferenceBytes)}, Until: 1_800_000_000,
		Groups: []string{"admins", "staff"}, Consent: "C-2041", Proofing: [32]byte{0xc3}, Issued: 1_700_000_000, Extended: true,
	}
}

func supervisedPerson() wire.Supervised {
	return wire.Supervised{Person: [16]byte{0xa1}, Generation: 3, Until: 1_800_000_000, Consent: "C-2041", Proofing: [32]byte{0xc3}, Issued: 1_700_000_000, NotAfter: 1_700_028_800}
}

// Every order says all that it does: whom, where, what, until when, and the hash of what cannot be read.
func TestTell(t *testing.T) {
	kiosk, enrolment := [32]byte{0xd4}, person()
	name := wire.Name(kiosk)
	face := sha256.Sum256(enrolment.References[0])
	hex := func(b []byte) string { return string(appendHex(nil, b)) }
	for _, tt := range []struct {
		o    Order
		want []string
	}{
		{order(t, wire.Fleet(), enrolment), []string{"a1000000", "generation 3", "every kiosk", `"admins" "staff"`, "2027-01-15", "C-2041", "c3000000", hex(face[:]), "b2000000", "longer times"}},
		{order(t, wire.Fleet(), wire.Deletion{Person: [16]byte{0xa1}, Generation: 9, Issued: 1}), []string{"a1000000", "forgotten", "for good", "up to 9", "every kiosk"}},
		{order(t, wire.Fleet(), wire.Standing{Person: [16]byte{0xa1}, Generation: 9, Serial: 7, State: 0, Issued: 1}), []string{"Suspends", "a1000000", "serial 7"}},
		{order(t, wire.Fleet(), wire.Standing{Person: [16]byte{0xa1}, Generation: 9, Serial: 7, State: 1, Issued: 1}), []string{"Gives a permission back"}},
		{order(t, wire.Fleet(), wire.Standing{Person: [16]byte{0xa1}, Generation: 9, Serial: 7, State: 2, Issued: 1}), []string{"for good"}},
		{order(t, kiosk, wire.Lockdown{Version: 5, On: true, Issued: 1}), []string{"Locks", "kiosk " + name + " alone", "version 5"}},
		{order(t, wire.Fleet(), wire.Lockdown{Version: 5, Issued: 1}), []string{"Ends the lockdown", "every kiosk"}},
		{order(t, wire.Fleet(), wire.Disable{Version: 5, On: true, Issued: 1}), []string{"nobody recognised"}},
		{order(t, wire.Fleet(), wire.Disable{Version: 5, Issued: 1}), []string{"recognised again"}},
		{order(t, wire.Fleet(), wire.Policy{Version: 8, Document: []byte("rules"), Issued: 1}), []string{"version 8", "5 bytes", hex(hash("rules"))}},
		{order(t, kiosk, wire.Decommission{Issued: 1}), []string{"everything forgotten", name}},
		{order(t, kiosk, supervisedPerson()), []string{"a1000000", "kiosk " + name + " alone", "before 2023-11-15T06:13:20Z", "2027-01-15"}},
	} {
		var out strings.Builder
		if err := (Draft{Orders: []Order{tt.o}, Called: "Ann Example"}).Tell(&out); err != nil {
			t.Fatalf("%v: %v", tt.o.Kind, err)
		}
		for _, want := range append(tt.want, `"Ann Example"; the signature does not cover`) {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v says\n%s which lacks %q", tt.o.Kind, out.String(), want)
			}
		}
	}
}

func hash(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

func appendHex(to, b []byte) []byte {
	const digits = "0123456789abcdef"
	for _, x := range b {
		to = append(to, digits[x>>4], digits[x&15])
	}
	return to
}

// Whoever approves reads what they approve, bound by its hash, not what headquarters says of it.
func TestApprovalIsToldByWhatItApproves(t *testing.T) {
	for _, body := range []wire.Body{person(), supervisedPerson()} { // for whom they are is in no envelope
		envelope, err := wire.Sign(newKey(t), [32]byte{0xd4}, body)
		if err != nil {
			t.Fatal(err)
		}
		o := order(t, wire.Fleet(), wire.Approval{Order: sha256.Sum256(envelope), Issued: 1})
		o.Approved = envelope
		var out strings.Builder
		if err := (Draft{Orders: []Order{o}}).Tell(&out); err != nil || strings.Contains(out.String(), "every kiosk") || !strings.Contains(out.String(), "cannot say") {
			t.Errorf("%v, %s", err, out.String())
		}
	}
	envelope, err := wire.Sign(newKey(t), wire.Fleet(), person())
	if err != nil {
		t.Fatal(err)
	}
	o := order(t, wire.Fleet(), wire.Approval{Order: sha256.Sum256(envelope), Issued: 1})
	o.Approved = envelope
	var out strings.Builder
	if err := (Draft{Orders: []Order{o}}).Tell(&out); err != nil || !strings.Contains(out.String(), "Agrees") || !strings.Contains(out.String(), `"admins" "staff"`) {
		t.Errorf("%v, %s", err, out.String())
	}
	other := person()
	other.Groups = []string{"nobody"}
	if o.Approved, err = wire.Sign(newKey(t), wire.Fleet(), other); err != nil {
		t.Fatal(err)
	}
	d := Draft{Orders: []Order{o}}
	if err := d.Tell(&out); err == nil {
		t.Error("an approval was told by another order")
	}
	if _, err := d.Sign(newKey(t)); err == nil {
		t.Error("and signed")
	}
}

// What cannot be told is not signed.
func TestNotSigned(t *testing.T) {
	good := order(t, wire.Fleet(), wire.Deletion{Person: [16]byte{1}, Generation: 1, Issued: 1})
	longer := good
	longer.Body = append(bytes.Clone(good.Body), 0)
	another := good
	another.Kind = wire.KindStanding
	for name, d := range map[string]Draft{
		"nothing":                      {},
		"three orders":                 {Orders: []Order{good, good, good}},
		"bytes behind":                 {Orders: []Order{longer}},
		"another kind":                 {Orders: []Order{another}},
		"the server's order":           {Orders: []Order{{Kind: wire.KindTime, Body: good.Body}}},
		"a release":                    {Orders: []Order{{Kind: wire.KindRelease, Body: good.Body}}},
		"decommission of every kiosk":  {Orders: []Order{order(t, wire.Fleet(), wire.Decommission{Issued: 1})}},
		"the second one is not an one": {Orders: []Order{good, another}},
	} {
		if s, err := d.Sign(newKey(t)); err == nil || s.Envelopes != nil {
			t.Errorf("%s was signed", name)
		}
	}
	if err := (Draft{Orders: []Order{good}, Called: "a\x1b[2J"}).Tell(&strings.Builder{}); err == nil {
		t.Error("a name that moves the cursor was shown")
	}
}

// A signature covers what was told, for whom it was told.
func TestSign(t *testing.T) {
	key, kiosk := newKey(t), [32]byte{0xd4}
	s, err := Draft{Orders: []Order{order(t, kiosk, wire.Lockdown{Version: 5, On: true, Issued: 1})}}.Sign(key)
	if err != nil || len(s.Envelopes) != 1 || s.Audience != kiosk {
		t.Fatalf("%+v, %v", s, err)
	}
	if l, err := wire.Open[wire.Lockdown](s.Envelopes[0], &key.PublicKey, kiosk); err != nil || l.Version != 5 || !l.On {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := wire.Open[wire.Lockdown](s.Envelopes[0], &key.PublicKey, wire.Fleet()); err == nil {
		t.Error("it is good for every kiosk")
	}
}

func TestFile(t *testing.T) {
	d := []Draft{{Orders: []Order{order(t, wire.Fleet(), person())}, Called: "a"}, {Orders: []Order{order(t, wire.Fleet(), wire.Disable{Version: 1, Issued: 1})}}}
	var file bytes.Buffer
	if err := Write(&file, d); err != nil {
		t.Fatal(err)
	}
	got, err := Read(bytes.NewReader(file.Bytes()))
	if err != nil || len(got) != 2 || got[0].Orders[0].Hash() != d[0].Orders[0].Hash() || got[1].Orders[0].Kind != wire.KindDisable {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ReadSigned(bytes.NewReader(file.Bytes())); !errors.Is(err, ErrFile) {
		t.Errorf("drafts were taken for signed orders: %v", err)
	}
	for n := range file.Len() {
		if n == len(draftsLine)+4+int(file.Bytes()[len(draftsLine)+2])<<8+int(file.Bytes()[len(draftsLine)+3]) {
			continue // a whole item
		}
		if _, err := Read(bytes.NewReader(file.Bytes()[:n])); err == nil {
			t.Fatalf("cut off after %d bytes it was read", n)
		}
	}
	if err := Write(&file, nil); err == nil {
		t.Error("an empty file was written")
	}
}

// A draft comes from a stranger: nothing in it stops hq sign, and what is signed can be verified.
func FuzzRead(f *testing.F) {
	var file bytes.Buffer
	o, err := New(wire.Fleet(), wire.Lockdown{Version: 5, On: true, Issued: 1})
	if err != nil {
		f.Fatal(err)
	}
	if err := Write(&file, []Draft{{Orders: []Order{o}, Called: "x"}}); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		drafts, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, d := range drafts {
			var out strings.Builder
			told := d.Tell(&out)
			s, err := d.Sign(key)
			if err == nil && told == nil && (len(s.Envelopes) != len(d.Orders) || strings.ContainsAny(out.String(), "\x1b\x00\r")) {
				t.Errorf("%d envelopes of %d orders, told as %q", len(s.Envelopes), len(d.Orders), out.String())
			}
		}
	})
}
