package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// Whoever begins an enrolment is told what was signed for it; headquarters cannot have them begin somebody else's.
func TestBegunForWhomItWasSigned(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(body wire.Body) []byte {
		t.Helper()
		envelope, err := wire.Sign(key, [32]byte{1}, body)
		if err != nil {
			t.Fatal(err)
		}
		return envelope
	}
	ann, bob := access.PersonID{1}, access.PersonID{2}
	order := sign(wire.Supervised{Person: ann, Generation: 1, Until: 1_800_000_000, Groups: []string{"staff"}, Consent: "C-1", Proofing: [32]byte{1}, Issued: 1_700_000_000, NotAfter: 1_700_028_800})
	var out strings.Builder
	if err := about(order, ann, &out); err != nil || !strings.Contains(out.String(), ann.String()) || !strings.Contains(out.String(), `"staff"`) {
		t.Errorf("%v, told %q", err, out.String())
	}
	for name, envelope := range map[string][]byte{"another's": order, "of another kind": sign(wire.Deletion{Person: bob, Generation: 1, Issued: 1}), "none": nil} {
		out.Reset()
		if err := about(envelope, bob, &out); err == nil || out.Len() > 0 {
			t.Errorf("an order that is %s: %v, told %q", name, err, out.String())
		}
	}
}
