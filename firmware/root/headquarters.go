package root

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/sync/wire"
)

const (
	headquartersName    = "headquarters"
	headquartersVersion = 1
	maxHeadquarters     = 96 << 10 // a trust document of 64 KiB, certificates of 16, and what is around them
)

// Headquarters is where headquarters is, and what the kiosk needs to believe it. All of it is public. That nobody exchanges the root's key on the disk
// is the vault's to see: it remembers the first one.
type Headquarters struct {
	Version     uint8    `cbor:"1,keyasint"`
	Root        []byte   `cbor:"2,keyasint"` // public key of the fleet root, SPKI
	Broker      string   `cbor:"3,keyasint"` // host:port
	Server      string   `cbor:"4,keyasint"` // the name that its certificate must have
	Trust       []byte   `cbor:"5,keyasint"` // the first trust document, signed by the root; the vault keeps newer ones
	Certificate [][]byte `cbor:"6,keyasint"` // of the kiosk's TLS key, DER, and what vouches for it

	Door string `cbor:"7,keyasint,omitempty"` // its name in the rules of the site; empty: as the kiosk has it. The vault keeps the first one
}

func (h Headquarters) validate() error {
	if h.Version != headquartersVersion || h.Broker == "" || h.Server == "" || len(h.Broker) > 200 || len(h.Server) > 64 {
		return errors.New("no broker, or no server")
	}
	if h.Door != "" {
		if err := access.CheckDoor(h.Door); err != nil {
			return err
		}
	}
	if err := (wire.Certificate{Chain: h.Certificate}).Validate(); err != nil {
		return err
	}
	key, err := wire.ParseKey(h.Root)
	if err == nil {
		_, err = wire.Open[wire.Trust](h.Trust, key, wire.Fleet())
	}
	return err
}

// ReadHeadquarters reads what WriteHeadquarters wrote below a state folder; false when nothing did.
func ReadHeadquarters(state string) (h Headquarters, found bool, err error) {
	data, err := readAtMost(filepath.Join(folder(state), headquartersName), maxHeadquarters)
	if errors.Is(err, fs.ErrNotExist) {
		return h, false, nil
	}
	if err == nil {
		err = wire.Unmarshal(data, &h)
	}
	if err == nil {
		err = h.validate()
	}
	if err != nil {
		return Headquarters{}, true, fmt.Errorf("read headquarters: %w", err)
	}
	return h, true, nil
}

// WriteHeadquarters replaces it, whole and durably.
func WriteHeadquarters(state string, h Headquarters) error {
	h.Version = headquartersVersion
	err := h.validate()
	var data []byte
	if err == nil {
		data, err = wire.Marshal(h)
	}
	if err == nil {
		err = Replace(filepath.Join(folder(state), headquartersName), data)
	}
	if err != nil {
		return fmt.Errorf("write headquarters: %w", err)
	}
	return nil
}

// NewExchange has the TPM make a key for sealed content.
func (r *Root) NewExchange() (tpm.Blob, error) {
	return with(r, func(t *tpm.TPM) (tpm.Blob, error) { return t.CreateKey(tpm.Exchange) })
}

// CertifyExchange has the TPM attest the key of that number for headquarters.
func (r *Root) CertifyExchange(number uint32, b tpm.Blob) (wire.Exchange, error) {
	return with(r, func(t *tpm.TPM) (wire.Exchange, error) {
		a, err := certified(t, r.id, tpm.Exchange, wire.ExchangeKey, b, number)
		return wire.Exchange{Number: number, Blob: a.Blob, Attestation: a.Attestation, Signature: a.Signature}, err
	})
}

// OpenSealed decrypts what was sealed to an exchange key. The caller clears what it gets.
func (r *Root) OpenSealed(b tpm.Blob, s wire.Sealing, sealed []byte) ([]byte, error) {
	return with(r, func(t *tpm.TPM) ([]byte, error) {
		key, err := t.ExchangeKey(b, r.approvals...)
		if err != nil {
			return nil, err
		}
		return s.Open(key, sealed)
	})
}

// ForgetExchange removes the first exchange key from the identity, once another one took its place. What was sealed to it opens for nobody any more, as
// far as the disk forgets.
func ForgetExchange(state string) error {
	id, err := Load(state)
	if err != nil || len(id.Exchange) == 0 {
		return err
	}
	id.Exchange = nil
	data, err := wire.Marshal(id)
	if err == nil {
		err = Replace(filepath.Join(folder(state), identityName), data)
	}
	if err != nil {
		return fmt.Errorf("forget exchange key: %w", err)
	}
	return nil
}

func certified(t *tpm.TPM, id Identity, u tpm.Use, as wire.KeyUse, b tpm.Blob, number uint32) (wire.Attested, error) {
	nonce := wire.CertifyNonce(id.Kiosk(), as, number)
	a, err := t.Certify(u, b, nonce[:])
	return wire.Attested{Blob: b, Attestation: a.Body, Signature: a.Signature}, err
}

// Introduce has the TPM of a provisioned kiosk attest its keys for headquarters, once, on the bench. It needs no approval. Of o, CPUSecret and Deadline
// are used.
func Introduce(way Way, state, door string, o tpm.Options) (in wire.Introduction, err error) {
	id, err := Load(state)
	if err != nil {
		return in, err
	}
	o.Pin, o.Endorsement = id.Pin, id.Endorsement
	if o.Authority, err = id.authority(); err != nil {
		return in, err
	}
	t, err := way.open(o)
	if err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	in = wire.Introduction{Kiosk: id.Kiosk(), Attestation: id.Attestation, Release: id.Release, Door: door}
	if in.Audit, err = certified(t, id, tpm.Audit, wire.AuditKey, id.Audit, 0); err != nil {
		return in, err
	}
	if in.TLS, err = certified(t, id, tpm.TLS, wire.TLSKey, id.TLS, 0); err != nil {
		return in, err
	}
	first, err := certified(t, id, tpm.Exchange, wire.ExchangeKey, id.Exchange, 1)
	in.Exchange = wire.Exchange{Number: 1, Blob: first.Blob, Attestation: first.Attestation, Signature: first.Signature}
	return in, err
}
