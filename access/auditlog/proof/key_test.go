package proof

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func verifierKey(t testing.TB) string {
	t.Helper()
	_, public := testKey(t)
	s, err := VerifierKey("kiosk.test/1", public)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The golden key stands in FORMAT.md.
func TestParseVerifierKey(t *testing.T) {
	s := verifierKey(t)
	doc, err := os.ReadFile("../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "\n"+s+"\n") {
		t.Errorf("FORMAT.md lacks the key\n%s", s)
	}
	_, public := testKey(t)
	if name, key, err := ParseVerifierKey(s); err != nil || name != "kiosk.test/1" || !key.Equal(public) {
		t.Errorf("%q, %v, %v", name, key, err)
	}
}

func TestStrictVerifierKey(t *testing.T) {
	s := verifierKey(t)
	name, rest, _ := strings.Cut(s, "+")
	hash, b64, _ := strings.Cut(rest, "+")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]string{
		"nothing": "", "a name": name, "no key": name + "+" + hash, "empty key": name + "+" + hash + "+",
		"no name": "+" + rest, "space in the name": "a b+" + rest, "end of line": s + "\n", "space before": " " + s,
		"hash of another": name + "+00000000+" + b64, "hash in capitals": name + "+" + strings.ToUpper(hash) + "+" + b64, "short hash": name + "+" + hash[1:] + "+" + b64,
		"cut off": s[:len(s)-8], "more behind": s + "AAAA", "not base64": name + "+" + hash + "+" + strings.Repeat("!", len(b64)),
		"Ed25519 of signed-note": name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, make([]byte, 32)...)),
		"another curve":          name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{typeECDSA}, spki...)),
		"too long":               name + "+" + hash + "+" + strings.Repeat("A", maxVerifierKey),
		"long name":              strings.Repeat("k", maxOrigin+1) + "+" + rest,
	} {
		if name, key, err := ParseVerifierKey(bad); err == nil || name != "" || key != nil {
			t.Errorf("%s: %q, %v", what, name, key)
		}
	}
}

func FuzzParseVerifierKey(f *testing.F) {
	s := verifierKey(f)
	f.Add(s)
	f.Add(s[:len(s)-4])
	f.Add("k+00000000+AgAA")
	f.Fuzz(func(t *testing.T, s string) {
		name, key, err := ParseVerifierKey(s)
		if err != nil {
			return
		}
		if again, err := VerifierKey(name, key); err != nil || again != s {
			t.Fatalf("%q is read as %q: %v", s, again, err)
		}
	})
}

// What a checkpoint claims is read as strictly as what it proves, and whoever signed it.
func TestClaimedCheckpoint(t *testing.T) {
	c, signed, _, _ := example(t)
	if got, err := ClaimedCheckpoint(signed); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}
	key, _ := testKey(t)
	s, err := newSigner("k", key)
	if err != nil {
		t.Fatal(err)
	}
	form, err := note.Sign(&note.Note{Text: "k\n03\n" + c.Root.String() + "\ncounter 1\n"}, s)
	if err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string][]byte{
		"nothing": nil, "no signature": []byte(c.text()), "cut off": signed[:len(signed)-1], "too long": make([]byte, MaxCheckpoint+1),
		"another form": form, "no blank line": []byte(strings.Replace(string(signed), "\n\n", "\n", 1)),
	} {
		if got, err := ClaimedCheckpoint(bad); err == nil || got != (Checkpoint{}) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func FuzzClaimedCheckpoint(f *testing.F) {
	c, signed, _, _ := example(f)
	f.Add(signed)
	f.Add([]byte(c.text()))
	f.Add([]byte(fmt.Sprintf("%s\n— k AAAAAAA=\n", c.text())))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := ClaimedCheckpoint(b); err == nil && (got.validate() != nil || !strings.HasPrefix(string(b), got.text()+"\n")) {
			t.Fatalf("%q is read as %+v", b, got)
		}
	})
}

// Somebody else's key is named as what is wrong: most who see the error have taken the wrong file.
func TestAnotherKeyIsNamed(t *testing.T) {
	_, _, receipt, _ := example(t)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyReceipt(receipt, &stranger.PublicKey); err == nil || !strings.Contains(err.Error(), `"kiosk.test/1" and is signed by another key`) {
		t.Error(err)
	}
}
