package wire

import (
	"bytes"
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
