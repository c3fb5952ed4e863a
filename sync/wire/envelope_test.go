package wire

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// testKey is the same in every run, so that what it signed once can stand here.
func testKey(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	d := sha256.Sum256([]byte(name))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func spki(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var kiosk = [32]byte{1, 2, 3}

// goldenEnvelope was signed once by the key "golden"; a library that reads or verifies it otherwise tomorrow must not.
const goldenEnvelope = "84" + // [
	"584a" + "a4" + // protected: bytes around a map of 4
	"01" + "26" + // algorithm: ES256
	"03" + "781b" + "6170706c69636174696f6e2f766e642e6c696e74656c2b63626f72" + // application/vnd.lintel+cbor
	"04" + "5820" + "KEY" +
	"3a00011170" + "13" + // kind: lockdown
	"a0" + // unprotected: nothing
	"4b" + "a3" + "0107" + "02f5" + "031a6920a180" + // version 7, on, issued
	"5840" + "SIGNATURE"

// Control: A22
func TestEnvelopeGolden(t *testing.T) {
	key := testKey(t, "golden")
	id, err := IDOf(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	want := Lockdown{Version: 7, On: true, Issued: 1763746176}
	data, err := Sign(key, kiosk, want)
	if err != nil {
		t.Fatal(err)
	}
	shape := strings.Replace(goldenEnvelope, "KEY", hex.EncodeToString(id[:]), 1)
	got := hex.EncodeToString(data)
	if head := strings.TrimSuffix(shape, "SIGNATURE"); !strings.HasPrefix(got, head) || len(got) != len(head)+128 {
		t.Fatalf("got  %s\nwant %s", got, shape)
	}
	once, err := hex.DecodeString(strings.Replace(shape, "SIGNATURE", goldenSignature, 1))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := Open[Lockdown](once, &key.PublicKey, kiosk); err != nil || l != want {
		t.Fatalf("%+v, %v", l, err)
	}
	if c, err := Peek(once); err != nil || c != (Claim{KindLockdown, id}) {
		t.Fatalf("%+v, %v", c, err)
	}
}

const goldenSignature = "d593ac3642a7360235edd2b993e79d225f664dbc803b87e4fcb4652909787fbb8d866e432e852255c0fea3906d36b5b1d55b6c68437f64ca901e617564397997"

// Control: A22
func TestEveryBitOfAnEnvelopeCounts(t *testing.T) {
	key := testKey(t, "a")
	data, err := Sign(key, kiosk, Deletion{Person: [16]byte{9}, Generation: 2, Issued: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		for bit := range 8 {
			bent := bytes.Clone(data)
			bent[i] ^= 1 << bit
			if d, err := Open[Deletion](bent, &key.PublicKey, kiosk); err == nil {
				t.Fatalf("byte %d, bit %d: opened as %+v", i, bit, d)
			}
		}
	}
	for cut := range data {
		if _, err := Open[Deletion](data[:cut], &key.PublicKey, kiosk); err == nil {
			t.Fatalf("opened with %d of %d bytes", cut, len(data))
		}
	}
	if _, err := Open[Deletion](append(bytes.Clone(data), 0), &key.PublicKey, kiosk); err == nil {
		t.Error("opened with a byte behind it")
	}
}

// What is refused leaves no copy of its payload: who is asked for one audience after the other would leave one each time.
func TestRefusedPayloadIsCleared(t *testing.T) {
	key, other := testKey(t, "a"), testKey(t, "b")
	good, err := Sign(key, Fleet(), Lockdown{Version: 1, On: true, Issued: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key      *ecdsa.PublicKey
		kind     Kind
		audience [32]byte
		want     error
	}{
		"granted":          {&key.PublicKey, KindLockdown, Fleet(), nil},
		"another audience": {&key.PublicKey, KindLockdown, kiosk, ErrForged},
		"another kind":     {&key.PublicKey, KindDisable, Fleet(), ErrMisdirected},
		"another key":      {&other.PublicKey, KindLockdown, Fleet(), ErrMisdirected},
	} {
		e, h, err := parse(good)
		if err != nil || len(e.Payload) == 0 {
			t.Fatal(err)
		}
		if _, err := e.verify(h, c.key, c.kind, c.audience); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if left := !bytes.Equal(e.Payload, make([]byte, len(e.Payload))); left != (c.want == nil) {
			t.Errorf("%s: payload left: %v", name, left)
		}
	}
	e, _, err := parse(bytes.Replace(good, []byte(contentType), bytes.ToUpper([]byte(contentType)), 1))
	if err == nil || len(e.Payload) == 0 || !bytes.Equal(e.Payload, make([]byte, len(e.Payload))) {
		t.Errorf("of another type: %v, payload %x", err, e.Payload)
	}
}

func TestEnvelopeIsForOneAudienceKindAndKey(t *testing.T) {
	key, other := testKey(t, "a"), testKey(t, "b")
	data, err := Sign(key, kiosk, Lockdown{Version: 1, On: true, Issued: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open[Lockdown](data, &key.PublicKey, Fleet()); !errors.Is(err, ErrForged) {
		t.Errorf("for the fleet: %v", err)
	}
	if _, err := Open[Lockdown](data, &key.PublicKey, [32]byte{1, 2, 4}); !errors.Is(err, ErrForged) {
		t.Errorf("for another kiosk: %v", err)
	}
	if _, err := Open[Lockdown](data, &other.PublicKey, kiosk); !errors.Is(err, ErrMisdirected) {
		t.Errorf("by another key: %v", err)
	}
	if _, err := Open[Disable](data, &key.PublicKey, kiosk); !errors.Is(err, ErrMisdirected) {
		t.Errorf("as another kind of the same shape: %v", err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(p384, kiosk, Lockdown{Version: 1, Issued: 1}); err == nil {
		t.Error("a key of another curve signs")
	}
}

// Control: A26
func TestBodiesOutOfBounds(t *testing.T) {
	key := testKey(t, "a")
	id, ref := [16]byte{1}, make([]byte, ReferenceBytes)
	good := Enrolment{Person: id, Generation: 1, Bundle: [32]byte{1}, References: [][]byte{ref}, Until: 2, Groups: []string{"day", "night"}, Consent: "C-1", Proofing: [32]byte{1}, Issued: 1}
	if _, err := Sign(key, Fleet(), good); err != nil {
		t.Fatal(err)
	}
	enrolment := func(change func(*Enrolment)) Body {
		e := good
		change(&e)
		return e
	}
	for name, body := range map[string]Body{
		"no person":              enrolment(func(e *Enrolment) { e.Person = [16]byte{} }),
		"no generation":          enrolment(func(e *Enrolment) { e.Generation = 0 }),
		"no reference":           enrolment(func(e *Enrolment) { e.References = nil }),
		"short reference":        enrolment(func(e *Enrolment) { e.References = [][]byte{ref[1:]} }),
		"17 references":          enrolment(func(e *Enrolment) { e.References = slicesOf(ref, 17) }),
		"no bundle":              enrolment(func(e *Enrolment) { e.Bundle = [32]byte{} }),
		"for ever":               enrolment(func(e *Enrolment) { e.Until = 0 }),
		"no consent":             enrolment(func(e *Enrolment) { e.Consent = "" }),
		"blank consent":          enrolment(func(e *Enrolment) { e.Consent = " \u00a0" }),
		"consent of two lines":   enrolment(func(e *Enrolment) { e.Consent = "a\nb" }),
		"no proofing":            enrolment(func(e *Enrolment) { e.Proofing = [32]byte{} }),
		"groups unsorted":        enrolment(func(e *Enrolment) { e.Groups = []string{"b", "a"} }),
		"a group twice":          enrolment(func(e *Enrolment) { e.Groups = []string{"a", "a"} }),
		"no date":                enrolment(func(e *Enrolment) { e.Issued = 0 }),
		"standing unknown":       Standing{Person: id, Generation: 1, Serial: 1, State: 3, Issued: 1},
		"standing without order": Standing{Person: id, Generation: 1, State: 1, Issued: 1},
		"lockdown without one":   Lockdown{On: true, Issued: 1},
		"empty policy":           Policy{Version: 1, Issued: 1},
		"large policy":           Policy{Version: 1, Issued: 1, Document: make([]byte, MaxDocument+1)},
		"release of nothing":     Release{Challenge: [32]byte{1}, Action: ActionRelease},
		"release, action 3":      Release{Challenge: [32]byte{1}, Door: "front", Action: 3},
		"open and confirm":       Release{Challenge: [32]byte{1}, Door: "front", Action: ActionRelease, Session: Session{1, 2}},
		"confirm no walk-up":     Release{Challenge: [32]byte{1}, Door: "front", Action: ActionConfirm},
		"begin on no challenge":  Begin{Order: []byte{1}},
		"begin nothing":          Begin{Challenge: [32]byte{1}},
		"begin something large":  Begin{Challenge: [32]byte{1}, Order: make([]byte, 2<<10+1)},
		"supervised for a week":  Supervised{Person: id, Generation: 1, Until: 9, Consent: "C", Proofing: [32]byte{1}, Issued: 1, NotAfter: 1 + 7*24*3600},
		"approval of nothing":    Approval{Issued: 1},
		"first with one before":  Command{Seq: 1, Previous: [32]byte{1}, Content: [32]byte{1}},
		"second without one":     Command{Seq: 2, Content: [32]byte{1}},
		"sealed to no key":       Command{Seq: 1, Content: [32]byte{1}, Sealed: []byte{1}},
		"sealed and clear":       Command{Seq: 1, Content: ContentOf([][]byte{{1}}), Orders: [][]byte{{1}}, Sealed: []byte{1}, Exchange: 1},
		"other content":          Command{Seq: 1, Content: [32]byte{1}, Orders: [][]byte{{1}}},
		"time of no nonce":       Time{Now: 1, Trust: 1},
		"time of no trust":       Time{Nonce: [16]byte{1}, Now: 1},
		"head without sequence":  Time{Nonce: [16]byte{1}, Now: 1, Trust: 1, Head: [32]byte{1}},
		"acknowledges nothing":   Acknowledge{},
		"no certificate":         Certificate{},
		"large certificate":      Certificate{Chain: [][]byte{make([]byte, MaxCertificate+1)}},
		"asks for a command":     Ask{Request: [16]byte{1}, For: KindCommand},
		"trust of no version":    Trust{Issued: 1},
		"grant of no role":       Trust{Version: 1, Issued: 1, Grants: []Grant{{Key: spki(t, key), Name: "a", From: 1, Until: 2}}},
		"grant that has ended":   Trust{Version: 1, Issued: 1, Grants: []Grant{{Role: RoleServer, Key: spki(t, key), Name: "a", From: 2, Until: 2}}},
		"grant to no key":        Trust{Version: 1, Issued: 1, Grants: []Grant{{Role: RoleServer, Key: spki(t, key)[1:], Name: "a", From: 1, Until: 2}}},
	} {
		if _, err := Sign(key, Fleet(), body); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func slicesOf(b []byte, n int) (list [][]byte) {
	for range n {
		list = append(list, b)
	}
	return list
}

func TestRoles(t *testing.T) {
	all := []Role{0, RoleServer, RoleEnroller, RoleAdministrator, RoleReleaser, 5}
	want := map[Kind]string{
		KindCommand: "server", KindTime: "server", KindAcknowledge: "server", KindCertificate: "server", KindAsk: "server", KindEnrolment: "enroller", KindSupervised: "enroller",
		KindDeletion: "enroller administrator", KindApproval: "enroller administrator", KindStanding: "administrator", KindLockdown: "administrator",
		KindDisable: "administrator", KindPolicy: "administrator", KindDecommission: "administrator", KindRelease: "releaser", KindBegin: "enroller",
	}
	for k := range Kind(300) {
		var may []string
		for _, r := range all {
			if r.May(k) {
				may = append(may, r.String())
			}
		}
		if got := strings.Join(may, " "); got != want[k] {
			t.Errorf("%v may be signed by %q, want %q", k, got, want[k])
		}
		if known := !strings.HasPrefix(k.String(), "kind "); known != (k.Most() > 0) {
			t.Errorf("kind %d: named %v, largest %d", k, known, k.Most())
		}
	}
}

func TestTrustGrants(t *testing.T) {
	server, admin := testKey(t, "server"), testKey(t, "admin")
	trust := Trust{Version: 1, Issued: 1, Grants: []Grant{
		{RoleServer, spki(t, server), "hq", 100, 200}, {RoleAdministrator, spki(t, admin), "Ada", 100, 200}, {RoleEnroller, spki(t, admin), "Ada", 150, 300},
	}}
	if err := trust.Validate(); err != nil {
		t.Fatal(err)
	}
	id := func(k *ecdsa.PrivateKey) KeyID {
		i, err := IDOf(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	for _, c := range []struct {
		key  KeyID
		kind Kind
		now  int64
		ok   bool
	}{
		{id(server), KindCommand, 100, true}, {id(server), KindCommand, 99, false}, {id(server), KindCommand, 200, false}, {id(server), KindCommand, 0, true},
		{id(server), KindEnrolment, 150, false}, {id(server), KindRelease, 150, false}, {id(admin), KindLockdown, 150, true}, {id(admin), KindEnrolment, 120, false},
		{id(admin), KindEnrolment, 250, true}, {id(admin), KindLockdown, 250, false}, {KeyID{}, KindCommand, 150, false}, {id(admin), KindTrust, 150, false},
	} {
		if _, err := trust.Grant(c.key, c.kind, c.now); (err == nil) != c.ok {
			t.Errorf("%x may sign a %v at %d: %v, want %v", c.key[:4], c.kind, c.now, err, c.ok)
		}
	}
}

// The chain is over what was ordered, not over how it was sealed or whether it is still there.
func TestLinks(t *testing.T) {
	orders := [][]byte{{1, 2}, {3}}
	clear := Command{Seq: 1, Content: ContentOf(orders), Orders: orders}
	sealed := Command{Seq: 1, Content: clear.Content, Exchange: 1, Sealed: []byte{1}}
	gone := Command{Seq: 1, Content: clear.Content}
	for _, c := range []Command{clear, sealed, gone} {
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	if clear.Link(kiosk) != sealed.Link(kiosk) || clear.Link(kiosk) != gone.Link(kiosk) {
		t.Error("one command, several links")
	}
	links := map[[32]byte]bool{clear.Link(kiosk): true, clear.Link([32]byte{9}): true}
	for _, c := range []Command{{Seq: 2, Content: clear.Content}, {Seq: 1, Content: [32]byte{1}}, {Seq: 1, Previous: [32]byte{1}, Content: clear.Content}} {
		links[c.Link(kiosk)] = true
	}
	if len(links) != 5 {
		t.Errorf("%d different links, want 5", len(links))
	}
	if ContentOf([][]byte{{1}, {2, 3}}) == ContentOf([][]byte{{1, 2}, {3}}) {
		t.Error("orders can be cut elsewhere")
	}
}

// Control: S13
func TestSealedForOnePlace(t *testing.T) {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Orders([][]byte{[]byte("biometric")})
	if err != nil {
		t.Fatal(err)
	}
	s := Sealing{Kiosk: kiosk, Kind: KindCommand, Seq: 7, Exchange: 1}
	sealed, err := s.Seal(key.PublicKey(), plain)
	if err != nil || bytes.Contains(sealed, []byte("biometric")) {
		t.Fatalf("%q, %v", sealed, err)
	}
	back, err := s.Open(key, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if orders, err := ParseOrders(back); err != nil || len(orders) != 1 || string(orders[0]) != "biometric" {
		t.Fatalf("%q, %v", orders, err)
	}
	for name, w := range map[string]Sealing{
		"another kiosk": {Kiosk: [32]byte{9}, Kind: KindCommand, Seq: 7, Exchange: 1}, "another kind": {Kiosk: kiosk, Kind: KindTrust, Seq: 7, Exchange: 1},
		"another place": {Kiosk: kiosk, Kind: KindCommand, Seq: 8, Exchange: 1}, "another number": {Kiosk: kiosk, Kind: KindCommand, Seq: 7, Exchange: 2},
	} {
		if _, err := w.Open(key, sealed); err == nil {
			t.Errorf("opened as of %s", name)
		}
	}
	if _, err := s.Open(other, sealed); err == nil {
		t.Error("opened with another key")
	}
	for i := range sealed {
		bent := bytes.Clone(sealed)
		bent[i] ^= 1
		if _, err := s.Open(key, bent); err == nil {
			t.Fatalf("opened with byte %d bent", i)
		}
	}
}

func TestReports(t *testing.T) {
	g := Greeting{Nonce: [16]byte{1}, Seq: 2, Head: [32]byte{3}, Records: 5, Cursor: 4, Boot: 1, Door: "front"}
	data, err := Report(g)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := Reported(data); err != nil || k != KindGreeting {
		t.Fatalf("%v, %v", k, err)
	}
	if back, err := Read[Greeting](data); err != nil || back != g {
		t.Fatalf("%+v, %v", back, err)
	}
	if _, err := Read[Challenge](data); err == nil {
		t.Error("read as another kind")
	}
	for name, body := range map[string]Body{
		"no nonce": Greeting{Door: "front"}, "cursor beyond": Greeting{Nonce: [16]byte{1}, Door: "front", Cursor: 1}, "no door": Greeting{Nonce: [16]byte{1}},
		"empty record": Records{Records: [][]byte{{}}}, "257 records": Records{Records: slicesOf([]byte{1}, 257)}, "no challenge": Challenge{Request: [16]byte{1}, Door: "front"},
		"key without number": Exchange{Blob: []byte{1}}, "refusal without a word": Refusal{What: KindCommand},
	} {
		if _, err := Report(body); err == nil {
			t.Errorf("%s: reported", name)
		}
	}
	for _, k := range []Kind{KindTrust, KindCommand, KindRelease} { // what headquarters says is no report
		data, err := Marshal(report{Kind: k, Body: Raw{0xa0}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Reported(data); err == nil {
			t.Errorf("%v is taken for a report", k)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	key := testKey(f, "a")
	data, err := Sign(key, kiosk, Lockdown{Version: 1, On: true, Issued: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		claim, err := Peek(b)
		if err == nil && len(b) > claim.Kind.Most() {
			t.Errorf("%d bytes of a %v", len(b), claim.Kind)
		}
		if _, err := Open[Lockdown](b, &key.PublicKey, kiosk); err == nil && !bytes.Equal(b[:len(b)-64], data[:len(data)-64]) {
			t.Errorf("opened what nobody signed: %x", b)
		}
	})
}

func FuzzReport(f *testing.F) {
	data, err := Report(Records{From: 1, Records: [][]byte{{1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read[Records](b)
		if err != nil {
			return
		}
		if again, err := Report(r); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x came back as %x, %v", b, again, err)
		}
	})
}
