//go:build !kiosk

package root

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/sync/wire"
)

func reviewer(t testing.TB) (*ecdsa.PrivateKey, Identity) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, Identity{Device: [32]byte{7}, Release: public}
}

// Only the release role's word about this kiosk is a review; what it signs for other ends is none.
//
// Control: B24
func TestReviewIsSignedForOneKiosk(t *testing.T) {
	key, id := reviewer(t)
	stranger, other := reviewer(t)
	want := access.CorrelationID{1, 15: 2}
	good, err := SignReview(key, id, want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := id.OpenReview(good); err != nil || got != want {
		t.Fatalf("opened %v, %v", got, err)
	}
	if len(good) > 150 { // as ipc bounds it, with room
		t.Errorf("an order has %d bytes", len(good))
	}
	signed := func(by *ecdsa.PrivateKey, r reviewRecord, bend func([]byte) []byte) []byte {
		review, err := wire.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := ecdsa.SignASN1(rand.Reader, by, bend(review))
		if err != nil {
			t.Fatal(err)
		}
		order, err := wire.Marshal(signedReview{review, signature})
		if err != nil {
			t.Fatal(err)
		}
		return order
	}
	approval, err := Approve(key, id, Measurements{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	review := reviewRecord{reviewVersion, id.Device, want}
	borrowed, err := wire.Marshal(review)
	if err == nil {
		borrowed, err = wire.Marshal(signedReview{borrowed, approval.Signature})
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, order := range map[string][]byte{
		"by somebody else":      signed(stranger, review, reviewHash),
		"for another kiosk":     signed(key, reviewRecord{reviewVersion, [32]byte{8}, want}, reviewHash),
		"of another version":    signed(key, reviewRecord{2, id.Device, want}, reviewHash),
		"without the context":   signed(key, review, func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }),
		"an approval's":         borrowed,
		"unsigned":              signed(key, review, func([]byte) []byte { return make([]byte, 32) }),
		"cut off":               good[:len(good)-1],
		"with something behind": append(bytes.Clone(good), 0),
		"nothing":               nil,
	} {
		if got, err := id.OpenReview(order); !errors.Is(err, ErrReview) || got != (access.CorrelationID{}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := other.OpenReview(good); !errors.Is(err, ErrReview) {
		t.Errorf("at another fleet: %v", err)
	}
	for i := range good {
		bent := bytes.Clone(good)
		bent[i] ^= 1
		if got, err := id.OpenReview(bent); err == nil {
			t.Errorf("byte %d changed: opened as %v", i, got)
		}
	}
}

func FuzzOpenReview(f *testing.F) {
	key, id := reviewer(f)
	good, err := SignReview(key, id, access.CorrelationID{1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0xa2, 0x01, 0x41, 0xa0, 0x02, 0x40})
	f.Fuzz(func(t *testing.T, order []byte) {
		if got, err := id.OpenReview(order); err == nil && (got != access.CorrelationID{1}) {
			t.Errorf("%x opened as %v", order, got)
		}
	})
}

// An image may be debugged unless exactly what may not was measured, and after an error it may.
func TestDebugging(t *testing.T) {
	m := newMachine(t)
	m.image[3] = debugDigest(false)
	m.approve(m.image)
	r := m.open()
	if debugging, err := r.Debugging(); err != nil || !debugging {
		t.Errorf("nothing was measured: %v, %v", debugging, err)
	}
	if _, err := r.Extend(m.image); err != nil {
		t.Fatal(err)
	}
	if debugging, err := r.Debugging(); err != nil || debugging {
		t.Errorf("a product was measured: %v, %v", debugging, err)
	}
	if now, err := r.open(); err != nil || now.Extend(tpm.PCRDebug, debugDigest(true)) != nil {
		t.Fatal(err)
	}
	if debugging, err := r.Debugging(); err != nil || !debugging {
		t.Errorf("something came on top: %v, %v", debugging, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if debugging, err := r.Debugging(); err == nil || !debugging {
		t.Errorf("without a TPM: %v, %v", debugging, err)
	}
}
