package tpm

import (
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Secrets is the seed of the hierarchies' authorisations. The caller stores it durably before Provision, so that a cut in between locks nobody out.
// A kiosk keeps only Endorsement of it; the rest belongs with the owner of the fleet.
type Secrets [32]byte

// NewSecrets draws secrets for one TPM.
func NewSecrets() (s Secrets) {
	rand.Read(s[:]) // never fails: crypto/rand
	return s
}

// String keeps the secrets out of logs.
func (Secrets) String() string { return "[redacted]" }

// GoString keeps the secrets out of logs.
func (Secrets) GoString() string { return "[redacted]" }

// Endorsement is the authorisation of the endorsement hierarchy, for Options.
func (s Secrets) Endorsement() []byte { return s.auth("endorsement") }

func (s Secrets) auth(hierarchy string) []byte {
	return derive(s[:], "lintel/tpm/hierarchy/v1/"+hierarchy)
}

// Identity is what the caller keeps of a provisioned TPM, and tells HQ.
type Identity struct {
	Pin         Pin
	Attestation *ecdsa.PublicKey // verifies AttestTime, Quote and Certify
	Root        Attestation      // certifies the root by the attestation key: VerifyRoot
	Floor       uint64           // the firmware floor now; a fresh TPM starts at 1, a used one above its highest counter ever
}

// A step of provisioning. Each finds out by itself whether it was done before, so that a cut between any two is harmless.
type step struct {
	name string
	do   func() error
}

// Provision takes the TPM at path: sets the authorisations of owner, endorsement and lockout, makes the storage root and the attestation key
// persistent, and defines and starts the NV indices. It may be repeated with the same secrets, after a cut or at will: what exists stays.
// ErrOwned means that somebody else's authorisations are set. Of o, CPUSecret and Deadline are used.
func Provision(path string, s Secrets, o Options) (Identity, error) {
	w, sole, err := dial(path, o.Deadline)
	if err != nil {
		return Identity{}, fmt.Errorf("provision tpm: %w", err)
	}
	return provisionWire(w, sole, s, o)
}

func provisionWire(w *wire, sole bool, s Secrets, o Options) (Identity, error) {
	p := &provisioner{TPM: TPM{options: o, wire: w}, secrets: s}
	p.options.Endorsement = s.Endorsement()
	id, err := p.run(sole, p.steps())
	if err := errors.Join(err, w.Close()); err != nil {
		return Identity{}, fmt.Errorf("provision tpm: %w", err)
	}
	return id, nil
}

// provisioner is a TPM before there is a pin: its sessions are salted to a key that is made for the occasion, so that no authorisation crosses the
// bus in clear. Who answers is believed this once.
type provisioner struct {
	TPM
	secrets Secrets
	owner   []byte
	id      Identity
}

func (p *provisioner) steps() []step {
	return []step{
		{"set authorisation of owner", p.takeOwner},
		{"set authorisation of endorsement", func() error { return p.take(tpm2.TPMRHEndorsement, permanentEndorsement, "endorsement") }},
		{"set authorisation of lockout", func() error { return p.take(tpm2.TPMRHLockout, permanentLockout, "lockout") }},
		{"make storage root", p.makeRoot},
		{"make attestation key", p.makeAttestationKey},
		{"define firmware floor", func() error { return p.define(FirmwareFloor) }}, // first, so that a fresh TPM's floor starts at 1
		{"define vault version", func() error { return p.define(VaultVersion) }},
		{"define audit counter", func() error { return p.define(AuditCounter) }},
		{"define boot counter", func() error { return p.define(BootCounter) }},
		{"define audit anchor", func() error { return p.define(AuditAnchor) }},
		{"read what was made", p.identify},
	}
}

func (p *provisioner) run(sole bool, steps []step) (Identity, error) {
	if sole {
		if err := flushAll(p.wire); err != nil {
			return Identity{}, err
		}
	}
	if p.secrets == (Secrets{}) {
		return Identity{}, errors.New("no secrets given")
	}
	salt, err := run(&p.TPM, tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHNull, InPublic: tpm2.New2B(rootTemplate())})
	if err != nil {
		return Identity{}, fmt.Errorf("make salt key: %w", err)
	}
	key, err := salt.OutPublic.Contents()
	if err != nil {
		return Identity{}, judge(err)
	}
	p.root = tpm2.NamedHandle{Handle: salt.ObjectHandle, Name: salt.Name}
	p.rootKey = *key
	for _, s := range steps {
		if err := s.do(); err != nil {
			return Identity{}, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return p.id, p.flush(salt.ObjectHandle)
}

// takeOwner comes first: a wrong guess at the owner's authorisation costs nothing, a wrong guess at lockout's locks lockout for its recovery time.
func (p *provisioner) takeOwner() error {
	set, err := p.permanent()
	if err != nil {
		return err
	}
	if set&permanentOwner == 0 && set&permanentLockout != 0 {
		return ErrOwned
	}
	p.owner = p.secrets.auth("owner")
	return p.take(tpm2.TPMRHOwner, permanentOwner, "owner")
}

func (p *provisioner) take(hierarchy tpm2.TPMHandle, bit uint32, name string) error {
	set, err := p.permanent()
	if err != nil {
		return err
	}
	do := p.setAuth
	if set&bit != 0 {
		do = p.confirmAuth
	}
	return refusal(do(hierarchy, p.secrets.auth(name)), ErrOwned, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail, tpm2.TPMRCLockout)
}

func (p *provisioner) makeRoot() error {
	if err := p.persist(tpm2.TPMRHOwner, p.owner, rootHandle, rootTemplate(), "root"); err != nil {
		return err
	}
	public, err := readPublic(p.wire, rootHandle)
	if err != nil {
		return err
	}
	p.id.Pin, err = pinOf(public)
	return err
}

func (p *provisioner) makeAttestationKey() error {
	return p.persist(tpm2.TPMRHEndorsement, p.secrets.Endorsement(), attestationHandle, attestationTemplate(), "attestation")
}

// persist makes a primary key and keeps it at a persistent handle, unless one of this shape is there.
func (p *provisioner) persist(hierarchy tpm2.TPMHandle, auth []byte, at tpm2.TPMHandle, template tpm2.TPMTPublic, name string) error {
	public, err := readPublic(p.wire, at)
	if err == nil {
		if !sameShape(public, template) {
			return fmt.Errorf("%w: another key stands at handle %#x", ErrOwned, uint32(at))
		}
		return nil
	}
	if !errors.Is(err, tpm2.TPMRCHandle) {
		return err
	}
	made, err := run(&p.TPM, tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: p.session(auth, encryptIn())},
		InSensitive:   sensitive(p.auth(name), nil),
		InPublic:      tpm2.New2B(template),
	})
	if err != nil {
		return err
	}
	_, err = run(&p.TPM, tpm2.EvictControl{
		Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: p.session(p.owner)},
		ObjectHandle:     tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name},
		PersistentHandle: at,
	})
	return errors.Join(err, p.flush(made.ObjectHandle))
}

// define makes an NV index, unless it exists in exactly the shape of the table, and writes it once: an unwritten one has another Name.
func (p *provisioner) define(i Index) error {
	e, err := entryOf(i)
	if err != nil {
		return err
	}
	r, err := run(&p.TPM, tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(i)})
	switch {
	case err == nil && bytesEqual(r.NVName, e.name(true)):
		return nil
	case err == nil && bytesEqual(r.NVName, e.name(false)):
	case err == nil:
		return fmt.Errorf("%w: something else stands at NV index %#x", ErrOwned, uint32(i))
	case errors.Is(err, tpm2.TPMRCHandle):
		_, err := run(&p.TPM, tpm2.NVDefineSpace{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: p.session(p.owner, encryptIn())},
			Auth:       tpm2.TPM2BAuth{Buffer: p.auth("nv")},
			PublicInfo: tpm2.New2B(e.public(false)),
		})
		if err != nil {
			return err
		}
	default:
		return err
	}
	if e.counter {
		return p.increment(i, e.name(false))
	}
	return p.write(i, e.name(false), make([]byte, anchorRoom))
}

// identify reads what HQ is told, through the pinned root as every later program will: a root or index made with another CPU secret shows here.
func (p *provisioner) identify() error {
	p.options.Pin = p.id.Pin
	pinned := &TPM{options: p.options, wire: p.wire}
	if err := pinned.adopt(); err != nil {
		return err
	}
	var err error
	p.id.Attestation = pinned.attestationKey
	if p.id.Root, err = pinned.attest("root", p.id.Pin[2:], func(data tpm2.TPM2BData) (tpm2.TPM2BAttest, tpm2.TPMTSignature, error) {
		return pinned.certify(pinned.root, "root", data)
	}); err != nil {
		return err
	}
	p.id.Floor, err = pinned.Counter(FirmwareFloor)
	return err
}

func rootTemplate() tpm2.TPMTPublic { return tpm2.ECCSRKTemplate }

// attestationTemplate is a restricted key: it signs nothing but what the TPM itself composed. It obeys no PCR policy, because it must also be able
// to attest that the state is wrong.
func attestationTemplate() tpm2.TPMTPublic {
	p := signingTemplate(nil)
	p.ObjectAttributes.Restricted = true
	p.ObjectAttributes.UserWithAuth = true
	return p
}

// sensitive is what an object is created with: its authorisation and, for a sealed one, its data.
func sensitive(auth, data []byte) tpm2.TPM2BSensitiveCreate {
	return tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
		UserAuth: tpm2.TPM2BAuth{Buffer: auth},
		Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: data}),
	}}
}
