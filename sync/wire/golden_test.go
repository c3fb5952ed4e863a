package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// The encoding by RFC 8949, section 3, for what messages are made of: written here anew, so that the library is held to it and not to itself.

func initial(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32([]byte{major<<5 | 26}, uint32(n))
	}
	return binary.BigEndian.AppendUint64([]byte{major<<5 | 27}, n)
}

func number(n uint64) []byte { return initial(0, n) }
func raw(b []byte) []byte    { return append(initial(2, uint64(len(b))), b...) }
func text(s string) []byte   { return append(initial(3, uint64(len(s))), s...) }

func truth(b bool) []byte {
	if b {
		return []byte{0xf5}
	}
	return []byte{0xf4}
}

func list(items ...[]byte) []byte {
	return append(initial(4, uint64(len(items))), bytes.Join(items, nil)...)
}

// entries is a map whose keys are the numbers 1, 2, 3 and so on.
func entries(values ...[]byte) []byte {
	b := initial(5, uint64(len(values)))
	for i, v := range values {
		b = append(append(b, number(uint64(i+1))...), v...)
	}
	return b
}

func of(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

// form is a type as docs/WIRE.md says it: numbers of fields in their order, names, types.
func form(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		var fields []string
		for i := range t.NumField() {
			f := t.Field(i)
			number, options, _ := strings.Cut(f.Tag.Get("cbor"), ",")
			if fields = append(fields, fmt.Sprintf("%s `%s` %s", number, strings.ToLower(f.Name), form(f.Type))); strings.Contains(options, "omitempty") {
				fields[i] += " (left out when empty)"
			}
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case reflect.Slice, reflect.Array:
		switch {
		case t.Elem().Kind() != reflect.Uint8:
			return "[" + form(t.Elem()) + " …]"
		case t.Kind() == reflect.Array:
			return fmt.Sprintf("bytes %d", t.Len())
		}
		return "bytes"
	case reflect.String:
		return "text"
	case reflect.Int64:
		return "int"
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "uint"
	}
	return t.Kind().String()
}

// Every message has the form that docs/WIRE.md gives it: numbers of fields, their order and types, nothing left out that is zero. Its bytes are those of
// the encoder above, which numbers what it is given 1, 2, 3.
//
// Control: A26
// Control: S4
func TestEveryFormIsGolden(t *testing.T) {
	p16, h32, g32 := [16]byte(of(16, 1)), [32]byte(of(32, 2)), [32]byte(of(32, 3))
	key := spki(t, testKey(t, "golden"))
	reference := of(ReferenceBytes, 4)
	attested := Attested{[]byte{1}, []byte{2}, []byte{3}}
	exchange := Exchange{Number: 300, Blob: []byte{1}, Attestation: []byte{2}, Signature: []byte{3}}
	seen := map[Kind]bool{}
	told, err := os.ReadFile("../../docs/WIRE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body Body
		want []byte
	}{
		{
			Trust{Version: 7, Issued: 70000, Grants: []Grant{{Role: RoleEnroller, Key: key, Name: "ann", From: 1, Until: 1 << 33}}, Authorities: [][]byte{{9}}},
			entries(number(7), number(70000), list(entries(number(2), raw(key), text("ann"), number(1), number(1<<33))), list(raw([]byte{9}))),
		},
		{
			Command{Seq: 2, Previous: h32, Content: ContentOf([][]byte{{5}}), Orders: [][]byte{{5}}},
			entries(number(2), raw(h32[:]), raw(sum(ContentOf([][]byte{{5}}))), list(raw([]byte{5})), number(0), raw(nil)),
		},
		{Command{Seq: 1, Content: h32, Exchange: 4, Sealed: []byte{6}}, entries(number(1), raw(of(32, 0)), raw(h32[:]), list(), number(4), raw([]byte{6}))},
		{Time{Nonce: p16, Now: 1 << 41, Seq: 24, Head: h32, Trust: 255}, entries(raw(p16[:]), number(1<<41), number(24), raw(h32[:]), number(255))},
		{Acknowledge{Records: 65535, Root: h32}, entries(number(65535), raw(h32[:]))},
		{Certificate{Chain: [][]byte{{1}, {2}}}, entries(list(raw([]byte{1}), raw([]byte{2})))},
		{Ask{Request: p16, For: KindExchange, After: 3}, entries(raw(p16[:]), number(67), number(3))},
		{
			Enrolment{Person: p16, Generation: 3, Bundle: h32, References: [][]byte{reference}, Until: 1000, Groups: []string{"a", "b"}, Consent: "C", Proofing: g32, Issued: 500, Extended: true},
			entries(raw(p16[:]), number(3), raw(h32[:]), list(raw(reference)), number(1000), list(text("a"), text("b")), text("C"), raw(g32[:]), number(500), truth(true)),
		},
		{Deletion{Person: p16, Generation: 3, Issued: 9}, entries(raw(p16[:]), number(3), number(9))},
		{Standing{Person: p16, Generation: 3, Serial: 4, State: 2, Issued: 9}, entries(raw(p16[:]), number(3), number(4), number(2), number(9))},
		{Lockdown{Version: 8, On: true, Issued: 9}, entries(number(8), truth(true), number(9))},
		{Disable{Version: 8, Issued: 9}, entries(number(8), truth(false), number(9))},
		{Policy{Version: 8, Document: []byte("rules"), Issued: 9}, entries(number(8), raw([]byte("rules")), number(9))},
		{
			Supervised{Person: p16, Generation: 3, Until: 1000, Groups: []string{"a"}, Consent: "C", Proofing: g32, Issued: 500, NotAfter: 600, Extended: true},
			entries(raw(p16[:]), number(3), number(1000), list(text("a")), text("C"), raw(g32[:]), number(500), number(600), truth(true)),
		},
		{Decommission{Issued: 9}, entries(number(9))},
		{Approval{Order: h32, Issued: 9}, entries(raw(h32[:]), number(9))},
		{
			Release{Challenge: h32, Door: "front", Action: ActionConfirm, Session: Session{4, 7}},
			entries(raw(h32[:]), text("front"), number(2), entries(number(4), number(7))),
		},
		{Begin{Challenge: h32, Order: []byte{0xd2}}, entries(raw(h32[:]), raw([]byte{0xd2}))},
		{
			Greeting{Nonce: p16, Seq: 1, Head: h32, Trust: 2, Policy: 3, Exchange: 4, Records: 5, Cursor: 5, Boot: 7, Door: "front", Bundle: g32},
			entries(raw(p16[:]), number(1), raw(h32[:]), number(2), number(3), number(4), number(5), number(5), number(7), text("front"), raw(g32[:])),
		},
		{Records{From: 6, Records: [][]byte{{1}}, Checkpoint: []byte{2}, Time: []byte{3}}, entries(number(6), list(raw([]byte{1})), raw([]byte{2}), raw([]byte{3}))},
		{
			Records{From: 6, Records: [][]byte{{1}}, Checkpoint: []byte{2}, Time: []byte{3}, Proof: [][32]byte{h32}},
			entries(number(6), list(raw([]byte{1})), raw([]byte{2}), raw([]byte{3}), list(raw(h32[:]))),
		},
		{Challenge{Request: p16, Challenge: h32, Door: "front", Waits: Session{4, 7}}, entries(raw(p16[:]), raw(h32[:]), text("front"), entries(number(4), number(7)))},
		{exchange, entries(number(300), raw([]byte{1}), raw([]byte{2}), raw([]byte{3}))},
		{Refusal{What: KindPolicy, Hash: h32, Why: "no"}, entries(number(21), raw(h32[:]), text("no"))},
		{
			Introduction{Kiosk: h32, Attestation: key, Release: key, Audit: attested, TLS: attested, Exchange: exchange, Door: "front"},
			entries(raw(h32[:]), raw(key), raw(key), entries(raw([]byte{1}), raw([]byte{2}), raw([]byte{3})), entries(raw([]byte{1}), raw([]byte{2}), raw([]byte{3})),
				entries(number(300), raw([]byte{1}), raw([]byte{2}), raw([]byte{3})), text("front")),
		},
	} {
		seen[c.body.Kind()] = true
		got, err := Marshal(c.body)
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%v: %v\ngot  %x\nwant %x", c.body.Kind(), err, got, c.want)
		}
		if row := fmt.Sprintf("| %v | %s |\n", c.body.Kind(), form(reflect.TypeOf(c.body))); !bytes.Contains(told, []byte(row)) {
			t.Errorf("docs/WIRE.md does not say\n%s", row)
		}
	}
	for k := range Kind(200) {
		if k.Most() > 0 && !seen[k] {
			t.Errorf("%v has no golden form", k)
		}
	}
}

func sum(h [32]byte) []byte { return h[:] }

// What is hashed and what seals are bound to, by numbers that were worked out with sha256sum.
//
// Control: S13
func TestWhatIsHashedIsGolden(t *testing.T) {
	content := ContentOf([][]byte{[]byte("one"), []byte("two")})
	if got := hex.EncodeToString(content[:]); got != goldenContent {
		t.Errorf("content %s", got)
	}
	link := Command{Seq: 0x0102, Previous: [32]byte(of(32, 2)), Content: content}.Link([32]byte(of(32, 1)))
	if got := hex.EncodeToString(link[:]); got != goldenLink {
		t.Errorf("link %s", got)
	}
	info, err := Sealing{Kiosk: [32]byte(of(32, 1)), Kind: KindCommand, Seq: 258, Exchange: 3}.info()
	want := append([]byte("lintel seal 1\x00"), list(raw(of(32, 1)), number(2), number(258), number(3))...)
	if err != nil || !bytes.Equal(info, want) {
		t.Errorf("info %x, want %x, %v", info, want, err)
	}
}

const (
	goldenContent = "d3cf800ad20ab6c5b9774023d9f3e3fbb1302eb86fbf7971264d44476053aff1"
	goldenLink    = "57b52526bdea8ad64ae8f184e261ef3bee91389234b5ed89459a0edfd772a58f"
)
