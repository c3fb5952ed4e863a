//go:build !kiosk

package authority

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/sync/wire"
)

// introduced is what a kiosk with a TPM of its own says of itself.
func introduced(t *testing.T) wire.Introduction {
	t.Helper()
	dir, err := os.MkdirTemp("", "hq") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	chip, err := swtpm.Start(filepath.Join(dir, "c"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chip.Stop() })
	id, err := tpm.Provision(chip.Socket(), tpm.NewSecrets(), tpm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	release := key(t)
	i := wire.Introduction{Door: "front"}
	for at, public := range map[*[]byte]any{&i.Attestation: id.Attestation, &i.Release: &release.PublicKey} {
		if *at, err = x509.MarshalPKIXPublicKey(public); err != nil {
			t.Fatal(err)
		}
	}
	i.Kiosk = wire.KioskID(i.Attestation)
	p, err := tpm.Open(chip.Socket(), tpm.Options{Pin: id.Pin, Authority: tpm.Authority{Release: &release.PublicKey, Board: i.Kiosk[:]}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	make := func(u tpm.Use, use wire.KeyUse, number uint32) wire.Attested {
		blob, err := p.CreateKey(u)
		if err != nil {
			t.Fatal(err)
		}
		nonce := wire.CertifyNonce(i.Kiosk, use, number)
		a, err := p.Certify(u, blob, nonce[:])
		if err != nil {
			t.Fatal(err)
		}
		return wire.Attested{Blob: blob, Attestation: a.Body, Signature: a.Signature}
	}
	i.Audit, i.TLS = make(tpm.Audit, wire.AuditKey, 0), make(tpm.TLS, wire.TLSKey, 0)
	e := make(tpm.Exchange, wire.ExchangeKey, 1)
	i.Exchange = wire.Exchange{Number: 1, Blob: e.Blob, Attestation: e.Attestation, Signature: e.Signature}
	return i
}

func TestIntroductionIsWhatOneTPMAttests(t *testing.T) {
	good, other := introduced(t), introduced(t)
	k, err := Introduce(good)
	if err != nil {
		t.Fatal(err)
	}
	if k.ID != good.Kiosk || k.TLS.Equal(k.Audit) || k.TLS.Equal(k.Exchange) {
		t.Errorf("%+v", k)
	}
	for name, change := range map[string]func(*wire.Introduction){
		"the TLS key of another kiosk":      func(i *wire.Introduction) { i.TLS = other.TLS },
		"the audit key of another kiosk":    func(i *wire.Introduction) { i.Audit = other.Audit },
		"the exchange key of another kiosk": func(i *wire.Introduction) { i.Exchange = other.Exchange },
		"the exchange key of another time":  func(i *wire.Introduction) { i.Exchange.Number = 2 },
		"a key that is for something else":  func(i *wire.Introduction) { i.Exchange.Blob = i.TLS.Blob },
		"the words for another key": func(i *wire.Introduction) {
			i.TLS.Attestation, i.TLS.Signature = i.Audit.Attestation, i.Audit.Signature
		},
		"the audit key as TLS key":        func(i *wire.Introduction) { i.TLS = i.Audit },
		"keys under another release role": func(i *wire.Introduction) { i.Release = other.Release },
		"a signature with another byte":   func(i *wire.Introduction) { i.Audit.Signature = append([]byte{0x30}, i.Audit.Signature...) },
		"another kiosk's id":              func(i *wire.Introduction) { i.Kiosk = other.Kiosk },
		"no key at all":                   func(i *wire.Introduction) { i.TLS = wire.Attested{} },
	} {
		i := good
		change(&i)
		if _, err := Introduce(i); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
