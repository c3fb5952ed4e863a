package authority

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/sync/wire"
)

// Kiosk is what an introduction proves: keys that lie in one TPM, each for its own use.
type Kiosk struct {
	ID       [32]byte
	Audit    *ecdsa.PublicKey // signs checkpoints
	TLS      *ecdsa.PublicKey // connects
	Exchange *ecdsa.PublicKey // content is sealed to it
}

// Introduce checks an introduction. What it cannot check is that the attestation key lies in that kiosk: whoever carried the file vouches for it.
func Introduce(i wire.Introduction) (Kiosk, error) {
	if err := i.Validate(); err != nil {
		return Kiosk{}, fmt.Errorf("check introduction: %w", err)
	}
	k := Kiosk{ID: i.Kiosk}
	for _, part := range []struct {
		name string
		use  wire.KeyUse
		in   tpm.Use
		key  wire.Attested
		to   **ecdsa.PublicKey
	}{{"audit", wire.AuditKey, tpm.Audit, i.Audit, &k.Audit}, {"TLS", wire.TLSKey, tpm.TLS, i.TLS, &k.TLS}} {
		nonce := wire.CertifyNonce(i.Kiosk, part.use, 0)
		public, err := attested(i.Attestation, i.Release, nonce, part.in, part.key)
		if err != nil {
			return Kiosk{}, fmt.Errorf("check introduction: %s key: %w", part.name, err)
		}
		*part.to = public
	}
	audit, err := x509.MarshalPKIXPublicKey(k.Audit)
	if err == nil && i.Kiosk != wire.KioskID(wire.DeviceID(i.Attestation), audit) {
		err = errors.New("its id is not that of its attestation key and its audit key")
	}
	if err != nil {
		return Kiosk{}, fmt.Errorf("check introduction: %w", err)
	}
	if k.Exchange, err = Exchange(i.Kiosk, i.Attestation, i.Release, i.Exchange); err != nil {
		return Kiosk{}, fmt.Errorf("check introduction: %w", err)
	}
	return k, nil
}

// Exchange checks that a kiosk's TPM has made a key for sealed content, under its attestation key and release role (SubjectPublicKeyInfo), and that it
// is the one of that number, of the kiosk of that id.
func Exchange(kiosk [32]byte, attestation, release []byte, e wire.Exchange) (*ecdsa.PublicKey, error) {
	err := e.Validate()
	if err != nil {
		return nil, fmt.Errorf("check exchange key: %w", err)
	}
	nonce := wire.CertifyNonce(kiosk, wire.ExchangeKey, e.Number)
	public, err := attested(attestation, release, nonce, tpm.Exchange, wire.Attested{Blob: e.Blob, Attestation: e.Attestation, Signature: e.Signature})
	if err != nil {
		return nil, fmt.Errorf("check exchange key %d: %w", e.Number, err)
	}
	return public, nil
}

func attested(attestation, release []byte, nonce [32]byte, use tpm.Use, a wire.Attested) (*ecdsa.PublicKey, error) {
	key, err := wire.ParseKey(attestation)
	if err != nil {
		return nil, err
	}
	role, err := wire.ParseKey(release)
	if err != nil {
		return nil, err
	}
	id := wire.DeviceID(attestation)
	return tpm.VerifyKey(key, nonce[:], use, a.Blob, tpm.Authority{Release: role, Board: id[:]}, tpm.Attestation{Body: a.Attestation, Signature: a.Signature})
}
