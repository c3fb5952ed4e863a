package vault

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/sync/wire"
)

func receiptKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signReceipt(t testing.TB, key *ecdsa.PrivateKey, receipt []byte) []byte {
	t.Helper()
	digest := ReceiptDigest(receipt)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func TestReceiptIsVerified(t *testing.T) {
	key, other, wrongCurve := receiptKey(t, elliptic.P256()), receiptKey(t, elliptic.P256()), receiptKey(t, elliptic.P384())
	want := Receipt{Person: [32]byte{7}, Generation: 3, Counter: 42}
	encode := func(v any) []byte {
		b, err := wire.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	whole := encode(want)
	signature := signReceipt(t, key, whole)
	if got, err := VerifyReceipt(&key.PublicKey, whole, signature); err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	if longest := encode(Receipt{Person: [32]byte(bytes.Repeat([]byte{0xff}, 32)), Generation: 1<<64 - 1, Counter: 1<<64 - 1}); len(longest) > maxReceipt {
		t.Errorf("the longest receipt has %d bytes, more than %d", len(longest), maxReceipt)
	}

	plain := sha256.Sum256(whole) // signed without the domain, as any other message of that key might be
	undomained, err := ecdsa.SignASN1(rand.Reader, key, plain[:])
	if err != nil {
		t.Fatal(err)
	}
	changed := encode(Receipt{Person: want.Person, Generation: want.Generation, Counter: want.Counter + 1})
	torn := bytes.Clone(signature)
	torn[len(torn)-1] ^= 1
	type forgery struct {
		key                *ecdsa.PublicKey
		receipt, signature []byte
		says               string
	}
	signed := func(v []byte, says string) forgery { return forgery{&key.PublicKey, v, signReceipt(t, key, v), says} }
	for name, f := range map[string]forgery{
		"another receipt":     {&key.PublicKey, changed, signature, "not of this kiosk"},
		"another kiosk":       {&other.PublicKey, whole, signature, "not of this kiosk"},
		"a changed signature": {&key.PublicKey, whole, torn, "not of this kiosk"},
		"no signature":        {&key.PublicKey, whole, nil, "not signed"},
		"no domain":           {&key.PublicKey, whole, undomained, "not of this kiosk"},
		"no key":              {nil, whole, signature, "P-256"},
		"another curve":       {&wrongCurve.PublicKey, whole, signReceipt(t, wrongCurve, whole), "P-256"},
		"too long":            signed(make([]byte, maxReceipt+1), "at most 64"),
		"nothing":             signed(nil, "decode"),
		"trailing bytes":      signed(append(bytes.Clone(whole), 0), "decode"),
		"an unknown field":    signed(encode(map[int]any{1: want.Person, 2: 3, 3: 42, 4: 1}), "decode"),
		"no person":           signed(encode(Receipt{Generation: 1, Counter: 1}), "no person"),
		"no generation":       signed(encode(Receipt{Person: want.Person, Counter: 1}), "no generation"),
		"no counter":          signed(encode(Receipt{Person: want.Person, Generation: 1}), "no counter"),
	} {
		if r, err := VerifyReceipt(f.key, f.receipt, f.signature); err == nil || r != (Receipt{}) || !strings.Contains(err.Error(), f.says) {
			t.Errorf("%s: %+v, %v; want nothing and %q", name, r, err, f.says)
		}
	}
}

// Whatever bytes come with a signature of the kiosk, what is returned is what they say and nothing else.
func FuzzVerifyReceipt(f *testing.F) {
	key := receiptKey(f, elliptic.P256())
	whole, err := Receipt{Person: [32]byte{7}, Generation: 3, Counter: 42}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{whole, whole[:20], {}, {0xa0}, append(bytes.Clone(whole), 0)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := VerifyReceipt(&key.PublicKey, b, signReceipt(t, key, b))
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is read as %+v, which is %x", b, r, again)
		}
	})
}
