package proof

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// fixedKey signs the same text the same way each time (RFC 6979), for golden bytes.
type fixedKey struct{ *ecdsa.PrivateKey }

func (k fixedKey) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return k.PrivateKey.Sign(nil, digest, o)
}

func testKey(t testing.TB) (fixedKey, *ecdsa.PublicKey) {
	t.Helper()
	d := sha256.Sum256([]byte("a kiosk's audit key, for tests"))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	return fixedKey{k}, &k.PublicKey
}

// example is a log of three records, its checkpoint, and the receipt of the second.
func example(t testing.TB) (c Checkpoint, signed, receipt []byte, r access.Record) {
	t.Helper()
	key, _ := testKey(t)
	r = access.Record{Version: 1, Event: access.EventBooted, Boot: 1, Door: "front"}
	rec, err := wire.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	h0, h1, h2 := tlog.RecordHash([]byte{0xa1, 1, 2}), tlog.RecordHash(rec), tlog.RecordHash([]byte{0xa1, 1, 3})
	c = Checkpoint{Origin: "kiosk.test/1", Size: 3, Root: tlog.NodeHash(tlog.NodeHash(h0, h1), h2), Counter: 17, Time: sha256.Sum256([]byte("attestation"))}
	if signed, err = c.Sign(key); err != nil {
		t.Fatal(err)
	}
	receipt, err = Receipt{Record: rec, Seq: 1, Path: [][32]byte{h0, h2}, Checkpoint: signed}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return c, signed, receipt, r
}

// The golden checkpoint and receipt stand in FORMAT.md, made by a key whose signatures are deterministic.
func TestGolden(t *testing.T) {
	_, signed, receipt, _ := example(t)
	doc, err := os.ReadFile("../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer(" ", "", "\n", "").Replace(string(doc))
	if !strings.Contains(string(doc), string(signed)) {
		t.Errorf("FORMAT.md lacks the checkpoint\n%s", signed)
	}
	if !strings.Contains(plain, hex.EncodeToString(receipt)) {
		t.Errorf("FORMAT.md lacks the receipt\n%x", receipt)
	}
}

func TestVerify(t *testing.T) {
	c, signed, receipt, r := example(t)
	_, key := testKey(t)
	if got, err := OpenCheckpoint(signed, key); err != nil || got != c {
		t.Errorf("checkpoint: %+v, %v", got, err)
	}
	got, err := VerifyReceipt(receipt, key)
	if err != nil || got != (Verified{r, 1, c}) {
		t.Errorf("receipt: %+v, %v", got, err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for what, key := range map[string]*ecdsa.PublicKey{"stranger's": &stranger.PublicKey, "another curve": &other.PublicKey, "none": nil} {
		if v, err := VerifyReceipt(receipt, key); err == nil || v != (Verified{}) {
			t.Errorf("key %s: %+v", what, v)
		}
	}
}

// Whatever single bit of a receipt is changed, it does not verify as anything else.
//
// Control: G4
func TestEveryBitCounts(t *testing.T) {
	_, _, receipt, _ := example(t)
	_, key := testKey(t)
	want, err := VerifyReceipt(receipt, key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range receipt {
		for bit := range 8 {
			b := bytes.Clone(receipt)
			b[i] ^= 1 << bit
			if v, err := VerifyReceipt(b, key); err == nil || v != (Verified{}) {
				t.Fatalf("byte %d bit %d: verified %+v, was %+v", i, bit, v, want)
			}
		}
	}
	for n := range receipt {
		if _, err := VerifyReceipt(receipt[:n], key); err == nil {
			t.Fatalf("the first %d bytes verify", n)
		}
	}
}

// A checkpoint is an ordinary C2SP signed note: the note package opens it, with the name, hash and key that FORMAT.md says.
func TestCheckpointIsASignedNote(t *testing.T) {
	c, signed, _, _ := example(t)
	_, key := testKey(t)
	v, err := NewVerifier(c.Origin, key)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil || n.Text != c.text() || len(n.Sigs) != 1 || n.Sigs[0].Name != c.Origin {
		t.Fatalf("%+v, %v", n, err)
	}
	vkey, err := VerifierKey(c.Origin, key)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN(vkey, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || raw[0] != 2 {
		t.Fatalf("%q: %v", vkey, err)
	}
	sum := sha256.Sum256(raw[1:])
	if parts[0] != c.Origin || parts[1] != hex.EncodeToString(sum[:4]) {
		t.Errorf("%q: hash is not of the key", vkey)
	}
}

// One checkpoint has one form: the signer's key signs what it is told, so the reader is strict all the same.
func TestStrictCheckpoint(t *testing.T) {
	key, public := testKey(t)
	root := tlog.Hash{1}.String()
	for what, text := range map[string]string{
		"no counter":        "k\n3\n" + root + "\n",
		"leading zero":      "k\n03\n" + root + "\ncounter 1\n",
		"sign":              "k\n+3\n" + root + "\ncounter 1\n",
		"too many records":  "k\n281474976710657\n" + root + "\ncounter 1\n",
		"short root":        "k\n3\nAAAA\ncounter 1\n",
		"no name of line":   "k\n3\n" + root + "\n1\n",
		"empty line":        "k\n3\n" + root + "\ncounter 1\n\n",
		"unknown line":      "k\n3\n" + root + "\ncounter 1\nmore\n",
		"zero time":         "k\n3\n" + root + "\ncounter 1\ntime " + tlog.Hash{}.String() + "\n",
		"line too many":     "k\n3\n" + root + "\ncounter 1\ntime " + root + "\nmore\n",
		"time before count": "k\n3\n" + root + "\ntime " + root + "\ncounter 1\n",
	} {
		s, err := newSigner("k", key)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := note.Sign(&note.Note{Text: text}, s)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := OpenCheckpoint(signed, public); err == nil {
			t.Errorf("%s: %+v", what, c)
		}
	}
	for _, origin := range []string{"", "a b", "a+b", "a\nb", "a\x00b", "\xff", strings.Repeat("k", maxOrigin+1)} {
		if _, err := (Checkpoint{Origin: origin}).Sign(key); err == nil {
			t.Errorf("origin %q signed", origin)
		}
	}
	if _, err := OpenCheckpoint(make([]byte, MaxCheckpoint+1), public); err == nil {
		t.Error("too long a checkpoint")
	}
}

func FuzzVerifyReceipt(f *testing.F) {
	_, signed, receipt, r := example(f)
	_, key := testKey(f)
	f.Add(receipt)
	f.Add(receipt[:len(receipt)/2])
	f.Add(signed)
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := VerifyReceipt(b, key); err == nil && v.Record != r {
			t.Fatalf("forged: %+v", v)
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	c, signed, _, _ := example(f)
	_, key := testKey(f)
	f.Add(signed)
	f.Add([]byte(c.text()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := OpenCheckpoint(b, key); err == nil && got != c {
			t.Fatalf("forged: %+v", got)
		}
		if got, err := parseCheckpoint(string(b)); err == nil && got.text() != string(b) {
			t.Fatalf("two forms of %+v", got)
		}
	})
}

func BenchmarkVerifyReceipt(b *testing.B) {
	_, _, receipt, _ := example(b)
	_, key := testKey(b)
	for b.Loop() {
		if _, err := VerifyReceipt(receipt, key); err != nil {
			b.Fatal(err)
		}
	}
}
