package root

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/sync/wire"
)

// dataKey is what the vault's data key is sealed with: the key, and the vault's counter at provisioning. While the counter stands there no vault was
// ever sealed by this key, and only then is an absent or plain one taken over. Who can write to the disk alone cannot change either.
const (
	dataKeyBytes = 32
	sealedBytes  = dataKeyBytes + 8
)

// Provision takes the TPM, makes the kiosk's keys on it and writes the identity below the state folder, which exists. The secrets must have
// been stored durably, and belong to the owner of the fleet, not onto the kiosk. ErrProvisioned when an identity is there. After a cut it may be
// repeated with the same secrets. Of o, CPUSecret and Deadline are used. fresh says that there is no audit log yet, so that whatever the TPM
// remembers of an earlier one is let go.
func Provision(way Way, state string, secrets tpm.Secrets, release *ecdsa.PublicKey, o tpm.Options, fresh bool) (Identity, error) {
	if _, err := Load(state); !errors.Is(err, ErrNotProvisioned) {
		return Identity{}, errors.Join(ErrProvisioned, err)
	}
	id, err := provision(way, secrets, release, o, fresh)
	if err != nil {
		return Identity{}, err
	}
	data, err := wire.Marshal(id.Identity)
	if err == nil {
		err = makeFolder(state)
	}
	if err == nil {
		err = Replace(filepath.Join(folder(state), publicName), []byte(id.verifier+"\n"))
	}
	if err == nil {
		err = Replace(filepath.Join(folder(state), identityName), data) // last: with it the kiosk is provisioned
	}
	if err != nil {
		return Identity{}, fmt.Errorf("write identity: %w", err)
	}
	return id.Identity, nil
}

type made struct {
	Identity
	verifier string // of the audit key
}

func provision(way Way, secrets tpm.Secrets, release *ecdsa.PublicKey, o tpm.Options, fresh bool) (id made, err error) {
	who, err := way.provision(secrets, o)
	if err != nil {
		return id, err
	}
	id.Version, id.Pin, id.Floor, id.Endorsement = identityVersion, who.Pin, who.Floor, secrets.Endorsement()
	if id.Attestation, err = x509.MarshalPKIXPublicKey(who.Attestation); err != nil {
		return id, err
	}
	if id.Release, err = x509.MarshalPKIXPublicKey(release); err != nil {
		return id, fmt.Errorf("release key: %w", err)
	}
	id.Device = wire.DeviceID(id.Attestation)
	o.Pin, o.Endorsement = who.Pin, id.Endorsement
	if o.Authority, err = id.authority(); err != nil {
		return id, err
	}
	t, err := way.open(o)
	if err != nil {
		return id, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if id.Data, err = sealDataKey(t); err != nil {
		return id, err
	}
	for use, blob := range map[tpm.Use]*[]byte{tpm.Audit: &id.Audit, tpm.TLS: &id.TLS, tpm.Exchange: &id.Exchange} {
		b, err := t.CreateKey(use)
		if err != nil {
			return id, err
		}
		*blob = b
	}
	audit, err := t.AuditKey(id.Audit)
	if err != nil {
		return id, err
	}
	public, ok := audit.Public().(*ecdsa.PublicKey)
	if !ok {
		return id, fmt.Errorf("audit key is %T", audit.Public())
	}
	if id.AuditPublic, err = x509.MarshalPKIXPublicKey(public); err != nil {
		return id, err
	}
	if id.verifier, err = proof.VerifierKey(id.Origin(), public); err != nil {
		return id, err
	}
	if fresh {
		err = t.WriteAnchor(make([]byte, auditlog.AnchorBytes))
	}
	return id, err
}

func sealDataKey(t *tpm.TPM) ([]byte, error) {
	born, err := t.Counter(tpm.VaultVersion)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, dataKeyBytes, sealedBytes)
	defer clear(secret[:sealedBytes])
	rand.Read(secret)
	return t.Seal(binary.BigEndian.AppendUint64(secret, born))
}
