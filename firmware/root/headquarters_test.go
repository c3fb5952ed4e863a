//go:build !kiosk

package root

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/sync/wire"
)

// verify checks keys of an introduction as headquarters does, and returns them.
func verify(in wire.Introduction) (tls, exchange *ecdsa.PublicKey, err error) {
	attestation, err := wire.ParseKey(in.Attestation)
	if err != nil {
		return nil, nil, err
	}
	release, err := wire.ParseKey(in.Release)
	if err != nil {
		return nil, nil, err
	}
	device := wire.DeviceID(in.Attestation)
	by := tpm.Authority{Release: release, Board: device[:]}
	check := func(u tpm.Use, as wire.KeyUse, number uint32, k wire.Attested) *ecdsa.PublicKey {
		nonce := wire.CertifyNonce(in.Kiosk, as, number)
		key, failed := tpm.VerifyKey(attestation, nonce[:], u, k.Blob, by, tpm.Attestation{Body: k.Attestation, Signature: k.Signature})
		err = errors.Join(err, failed)
		return key
	}
	check(tpm.Audit, wire.AuditKey, 0, in.Audit)
	tls = check(tpm.TLS, wire.TLSKey, 0, in.TLS)
	x := in.Exchange
	return tls, check(tpm.Exchange, wire.ExchangeKey, x.Number, wire.Attested{Blob: x.Blob, Attestation: x.Attestation, Signature: x.Signature}), err
}

// A kiosk introduces itself before anything is approved; what is sealed to the key that it shows opens on its TPM, in an approved state, alone.
func TestIntroduction(t *testing.T) {
	m := newMachine(t)
	in, err := Introduce(Path(m.chip.Socket()), m.state, "front", m.options)
	if err != nil {
		t.Fatal(err)
	}
	data, err := wire.Report(in)
	if err == nil {
		in, err = wire.Read[wire.Introduction](data)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, exchange, err := verify(in)
	if err != nil {
		t.Fatal(err)
	}
	bent := in
	bent.TLS, bent.Audit = in.Audit, in.TLS
	if _, _, err := verify(bent); err == nil {
		t.Error("the audit key passes for the TLS key")
	}
	bent = in
	bent.Exchange.Number = 2
	if _, _, err := verify(bent); err == nil {
		t.Error("the first exchange key passes for the second")
	}

	to, err := exchange.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	s := wire.Sealing{Kiosk: in.Kiosk, Kind: wire.KindCommand, Seq: 7, Exchange: 1}
	sealed, err := s.Seal(to, []byte("orders"))
	if err != nil {
		t.Fatal(err)
	}
	r := m.open()
	if _, err := r.OpenSealed(in.Exchange.Blob, s, sealed); err == nil {
		t.Error("it opens before the image is measured")
	}
	if _, err := r.Extend(m.image); err != nil {
		t.Fatal(err)
	}
	if plain, err := r.OpenSealed(in.Exchange.Blob, s, sealed); err != nil || !bytes.Equal(plain, []byte("orders")) {
		t.Errorf("%q, %v", plain, err)
	}
	other := s
	other.Seq++
	if _, err := r.OpenSealed(in.Exchange.Blob, other, sealed); err == nil {
		t.Error("it opens in the place of another command")
	}
	second, err := r.NewExchange()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.OpenSealed(second, s, sealed); err == nil {
		t.Error("it opens with the next key")
	}
	if in.Exchange, err = r.CertifyExchange(2, second); err != nil {
		t.Fatal(err)
	}
	if _, next, err := verify(in); err != nil || next.Equal(exchange) {
		t.Errorf("the next key: %v", err)
	}
}

func TestHeadquartersFile(t *testing.T) {
	state := t.TempDir()
	if err := makeFolder(state); err != nil {
		t.Fatal(err)
	}
	if _, found, err := ReadHeadquarters(state); found || err != nil {
		t.Fatalf("found %t, %v", found, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := wire.Sign(key, wire.Fleet(), wire.Trust{Version: 1, Issued: 1})
	if err != nil {
		t.Fatal(err)
	}
	good := Headquarters{Root: spki, Broker: "hq:8883", Server: "hq", Trust: trust, Certificate: [][]byte{{1}}}
	if err := WriteHeadquarters(state, good); err != nil {
		t.Fatal(err)
	}
	if h, found, err := ReadHeadquarters(state); err != nil || !found || h.Broker != good.Broker || !bytes.Equal(h.Trust, trust) {
		t.Errorf("%+v, found %t, %v", h, found, err)
	}
	for name, change := range map[string]func(*Headquarters){
		"no broker":         func(h *Headquarters) { h.Broker = "" },
		"no root":           func(h *Headquarters) { h.Root = nil },
		"no trust":          func(h *Headquarters) { h.Trust = nil },
		"another's trust":   func(h *Headquarters) { h.Trust = bytes.Clone(trust); h.Trust[len(trust)-1]++ },
		"no certificate":    func(h *Headquarters) { h.Certificate = nil },
		"large certificate": func(h *Headquarters) { h.Certificate = [][]byte{make([]byte, wire.MaxCertificate+1)} },
	} {
		h := good
		change(&h)
		if err := WriteHeadquarters(state, h); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	path := filepath.Join(state, "root", "headquarters")
	for _, bad := range [][]byte{nil, {0xff}, make([]byte, maxHeadquarters+1)} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, found, err := ReadHeadquarters(state); err == nil || !found {
			t.Errorf("%d bytes: found %t, %v", len(bad), found, err)
		}
	}
}
