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
	first, _ := twice(t)
	return first
}

// twice is what a kiosk says of itself, and what it says once it is provisioned anew, on the same TPM.
func twice(t *testing.T) (first, second wire.Introduction) {
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
	device := wire.DeviceID(i.Attestation)
	p, err := tpm.Open(chip.Socket(), tpm.Options{Pin: id.Pin, Authority: tpm.Authority{Release: &release.PublicKey, Board: device[:]}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return provisioned(t, p, i), provisioned(t, p, i)
}

// provisioned has a TPM make the keys of another kiosk.
func provisioned(t *testing.T, p *tpm.TPM, i wire.Introduction) wire.Introduction {
	t.Helper()
	audit, err := p.CreateKey(tpm.Audit)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := p.AuditKey(audit)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	i.Kiosk = wire.KioskID(wire.DeviceID(i.Attestation), public)
	certify := func(u tpm.Use, use wire.KeyUse, number uint32, blob tpm.Blob) wire.Attested {
		if blob == nil {
			if blob, err = p.CreateKey(u); err != nil {
				t.Fatal(err)
			}
		}
		nonce := wire.CertifyNonce(i.Kiosk, use, number)
		a, err := p.Certify(u, blob, nonce[:])
		if err != nil {
			t.Fatal(err)
		}
		return wire.Attested{Blob: blob, Attestation: a.Body, Signature: a.Signature}
	}
	i.Audit, i.TLS = certify(tpm.Audit, wire.AuditKey, 0, audit), certify(tpm.TLS, wire.TLSKey, 0, nil)
	e := certify(tpm.Exchange, wire.ExchangeKey, 1, nil)
	i.Exchange = wire.Exchange{Number: 1, Blob: e.Blob, Attestation: e.Attestation, Signature: e.Signature}
	return i
}

// Control: S18
func TestIntroductionIsWhatOneTPMAttests(t *testing.T) {
	good, anew := twice(t)
	other := introduced(t)
	if again, err := Introduce(anew); err != nil || again.ID == good.Kiosk {
		t.Errorf("provisioned anew: %x, %v", again.ID, err)
	}
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
		"its id of another time":          func(i *wire.Introduction) { i.Kiosk = anew.Kiosk },
		"its TLS key of another time":     func(i *wire.Introduction) { i.TLS = anew.TLS },
		"its exchange key of another one": func(i *wire.Introduction) { i.Exchange = anew.Exchange },
		"its audit key of another time":   func(i *wire.Introduction) { i.Audit = anew.Audit },
		"the id that was the TPM's alone": func(i *wire.Introduction) { i.Kiosk = wire.DeviceID(i.Attestation) },
		"no key at all":                   func(i *wire.Introduction) { i.TLS = wire.Attested{} },
	} {
		i := good
		change(&i)
		if _, err := Introduce(i); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
