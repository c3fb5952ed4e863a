package wire

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestIntroductionHasBounds(t *testing.T) {
	public := spki(t, testKey(t, "attestation"))
	key := Attested{Blob: []byte{1}, Attestation: []byte{2}, Signature: []byte{3}}
	good := Introduction{
		Kiosk: KioskID(DeviceID(public), public), Attestation: public, Release: spki(t, testKey(t, "release")), Audit: key, TLS: key,
		Exchange: Exchange{Number: 1, Blob: []byte{1}}, Door: "front",
	}
	data, err := Report(good)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Read[Introduction](data); err != nil || got.Kiosk != good.Kiosk || got.Door != "front" || !bytes.Equal(got.TLS.Blob, key.Blob) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, change := range map[string]func(*Introduction){
		"no attestation key":   func(i *Introduction) { i.Attestation = nil },
		"no release key":       func(i *Introduction) { i.Release = nil },
		"no audit key":         func(i *Introduction) { i.Audit = Attested{} },
		"no TLS key":           func(i *Introduction) { i.TLS = Attested{} },
		"no exchange key":      func(i *Introduction) { i.Exchange = Exchange{} },
		"no door":              func(i *Introduction) { i.Door = "" },
		"a key without bounds": func(i *Introduction) { i.TLS.Blob = make([]byte, maxBlob+1) },
	} {
		i := good
		change(&i)
		if _, err := Report(i); err == nil {
			t.Errorf("%s: reported", name)
		}
	}
}

// The ids are those of docs/WIRE.md, made with sha256sum.
func TestIDs(t *testing.T) {
	device := DeviceID([]byte("attestation"))
	if got := hex.EncodeToString(device[:]); got != "7ca0338a07656dc0f8a80d928a892b5f068d8bd445f308ae80145aeece954dc1" {
		t.Errorf("device %s", got)
	}
	kiosk := KioskID(device, []byte("audit"))
	if got := hex.EncodeToString(kiosk[:]); got != "a7364808c02d32c8c90684bc7941532bd2292d1d1b612f1160ac28c4788a805f" {
		t.Errorf("kiosk %s", got)
	}
	if Name(kiosk) != "a7364808c02d32c8c90684bc7941532b" {
		t.Errorf("name %s", Name(kiosk))
	}
}

func TestCertifyNonceNamesKioskUseAndNumber(t *testing.T) {
	seen := map[[32]byte]bool{}
	for _, id := range [][32]byte{{}, {1}} {
		for n := range uint32(3) {
			seen[CertifyNonce(id, TLSKey, n)], seen[CertifyNonce(id, ExchangeKey, n)] = true, true
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d nonces of 12", len(seen))
	}
}
