package root

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/sync/wire"
)

// The files, and the most that is read of one.
const (
	identityName  = "identity"
	approvalsName = "approvals"
	publicName    = "audit.pub"
	maxFile       = 16 << 10

	identityVersion = 2
)

var (
	// ErrNotProvisioned means that no identity is there.
	ErrNotProvisioned = errors.New("kiosk is not provisioned: run door provision")
	// ErrProvisioned means that there is one already.
	ErrProvisioned = errors.New("kiosk is provisioned already: to begin anew, move its state folder away first")
	// ErrNotApproved means that the release role has approved no image yet.
	ErrNotApproved = errors.New("no state of this kiosk is approved: have the release role approve its image")
	// ErrEarlier means that an earlier version of this program provisioned the kiosk: it has no id that headquarters would know.
	ErrEarlier = errors.New("an earlier version of this program provisioned the kiosk: provision it again")
	// ErrDamaged means that a file of the root folder is not what provisioning or the release role wrote.
	ErrDamaged = errors.New("file is damaged: provision the kiosk again, or have the release role approve its state again")
)

// Identity is what provisioning left on the kiosk's disk. All of it may be read by a thief; none of it opens anything without the TPM.
type Identity struct {
	Version     uint8    `cbor:"1,keyasint"`
	Device      [32]byte `cbor:"2,keyasint"` // wire.DeviceID of the attestation key: the TPM, however often it is provisioned
	Pin         [34]byte `cbor:"3,keyasint"` // of the TPM's storage root
	Attestation []byte   `cbor:"4,keyasint"` // public key, SPKI
	Release     []byte   `cbor:"5,keyasint"` // the release role's public key, SPKI
	Endorsement []byte   `cbor:"6,keyasint"` // lets the TPM attest its clock; worth nothing else
	Floor       uint64   `cbor:"7,keyasint"` // firmware floor at provisioning: where versions of this board count from
	Data        []byte   `cbor:"8,keyasint"` // the vault's data key, sealed
	Audit       []byte   `cbor:"9,keyasint"`
	TLS         []byte   `cbor:"10,keyasint"`
	Exchange    []byte   `cbor:"11,keyasint"`
	AuditPublic []byte   `cbor:"12,keyasint"` // the audit key's public half, SPKI
}

// Kiosk is the id of this kiosk to headquarters: of the device as it was provisioned this time.
func (id Identity) Kiosk() [32]byte { return wire.KioskID(id.Device, id.AuditPublic) }

// Origin is the kiosk's name in its audit checkpoints.
func (id Identity) Origin() string { return "lintel/" + wire.Name(id.Kiosk()) }

// Load reads the identity below a state folder. ErrNotProvisioned when there is none.
func Load(state string) (Identity, error) {
	var id Identity
	data, err := readBounded(filepath.Join(folder(state), identityName))
	if errors.Is(err, fs.ErrNotExist) {
		return id, ErrNotProvisioned
	}
	if err != nil {
		return id, fmt.Errorf("read identity: %w", err)
	}
	var earlier Identity
	if err := wire.Overlay(data, &earlier); err == nil && 0 < earlier.Version && earlier.Version < identityVersion {
		return Identity{}, fmt.Errorf("read identity: %w", ErrEarlier)
	}
	if err := wire.Unmarshal(data, &id); err != nil || id.Version != identityVersion || wire.DeviceID(id.Attestation) != id.Device {
		return Identity{}, fmt.Errorf("read identity: %w", ErrDamaged)
	}
	if _, err := parsePublic(id.Release); err != nil {
		return Identity{}, fmt.Errorf("read identity: release key: %w", err)
	}
	return id, nil
}

func (id Identity) authority() (tpm.Authority, error) {
	key, err := parsePublic(id.Release)
	return tpm.Authority{Release: key, Board: id.Device[:]}, err
}

func parsePublic(spki []byte) (*ecdsa.PublicKey, error) {
	any, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	key, ok := any.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: %T is no ECDSA key", ErrDamaged, any)
	}
	return key, nil
}

func folder(state string) string { return filepath.Join(state, "root") }

func readBounded(path string) ([]byte, error) { return readAtMost(path, maxFile) }

func readAtMost(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%q is longer than %d bytes", path, most)
	}
	return data, err
}

// Replace puts a file in the place of the old one, whole and durably.
func Replace(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
