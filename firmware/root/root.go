package root

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/sync/wire"
)

// ErrAway means that the TPM failed earlier and has not been reached since.
var ErrAway = errors.New("tpm is away")

// Root is the provisioned TPM of this kiosk. It is the Root of the vault and the Anchor of the audit log. Its methods may be called by several
// goroutines.
type Root struct {
	id        Identity
	approvals []tpm.Approval
	way       Way
	options   tpm.Options

	mu    sync.Mutex
	tpm   *tpm.TPM      // nil while it is away
	away  error         // why
	left  chan struct{} // closed when the handle of a TPM that went away is
	audit *ecdsa.PublicKey
}

// Open opens the TPM as the one that was provisioned. Every error says what is wrong with it: absent,
// silent, another one. Whether the board's state is approved shows when something is unsealed.
func Open(way Way, state string, o tpm.Options) (*Root, error) {
	id, err := Load(state)
	if err != nil {
		return nil, err
	}
	r := &Root{id: id, way: way, options: o}
	if r.approvals, err = readApprovals(state); err != nil {
		return nil, err
	}
	r.options.Pin, r.options.Endorsement = id.Pin, id.Endorsement
	if r.options.Authority, err = id.authority(); err != nil {
		return nil, err
	}
	if r.tpm, err = way.open(r.options); err != nil {
		return nil, err
	}
	audit, err := r.tpm.AuditKey(id.Audit, r.approvals...)
	if err != nil {
		return nil, errors.Join(err, r.tpm.Close())
	}
	r.audit, _ = audit.Public().(*ecdsa.PublicKey)
	if known, err := wire.ParseKey(id.AuditPublic); err != nil || !known.Equal(r.audit) { // the kiosk's id is made of it
		return nil, errors.Join(fmt.Errorf("open root: audit key: %w", ErrDamaged), r.tpm.Close())
	}
	return r, nil
}

// Identity is what was provisioned.
func (r *Root) Identity() Identity { return r.id }

// Format prints the same for every verb: a root holds authorisations.
func (r *Root) Format(s fmt.State, _ rune) { io.WriteString(s, "root(redacted)") }

// Close gives the TPM up.
func (r *Root) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tpm == nil {
		return nil
	}
	t := r.tpm
	r.tpm, r.away = nil, errors.New("closed")
	return t.Close()
}

func (r *Root) open() (*tpm.TPM, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tpm == nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, r.away)
	}
	return r.tpm, nil
}

// judge takes note of an error after which a handle is of no more use.
func (r *Root) judge(of *tpm.TPM, err error) error {
	if err == nil || !errors.Is(err, tpm.ErrSilent) && !errors.Is(err, tpm.ErrUnusable) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tpm == of && of != nil { // a late word of an old handle says nothing about the new one
		t, left := r.tpm, make(chan struct{})
		r.tpm, r.away, r.left = nil, err, left
		go func() { // after a silent device it may wait for the kernel's own time-out
			defer close(left)
			t.Close()
		}()
	}
	return err
}

// with asks the TPM something, and takes note when it fails for good.
func with[T any](r *Root, ask func(*tpm.TPM) (T, error)) (answer T, err error) {
	t, err := r.open()
	if err != nil {
		return answer, err
	}
	answer, err = ask(t)
	return answer, r.judge(t, err)
}

// Away says why the TPM cannot be used at the moment; nil when it can.
func (r *Root) Away() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tpm != nil {
		return nil
	}
	return r.away
}

// Revive opens a TPM anew that was away. One that was reset meanwhile comes back without measurements: its counters and its anchor work, its keys do
// not before the kiosk is restarted.
func (r *Root) Revive() error {
	r.mu.Lock()
	present, left := r.tpm != nil, r.left
	r.mu.Unlock()
	if present {
		return nil
	}
	select {
	case <-left:
	default: // two programs on one bus would take each other's answers
		return fmt.Errorf("%w: its old handle is not closed yet", ErrAway)
	}
	t, err := r.way.open(r.options)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.away = err
		return err
	}
	r.tpm, r.away = t, nil
	return nil
}

// Unseal gives the vault's data key: the vault's Root.
func (r *Root) Unseal() (key [32]byte, err error) {
	secret, err := r.unseal()
	if err != nil {
		return key, err
	}
	defer clear(secret)
	copy(key[:], secret)
	return key, nil
}

func (r *Root) unseal() ([]byte, error) {
	return with(r, func(t *tpm.TPM) ([]byte, error) {
		secret, err := t.Unseal(r.id.Data, r.approvals...)
		if err == nil && len(secret) != sealedBytes {
			clear(secret)
			err = ErrDamaged
		}
		return secret, err
	})
}

// Fresh says that the data key has sealed no vault yet: only then is an absent or plain one taken over.
func (r *Root) Fresh() (bool, error) {
	secret, err := r.unseal()
	if err != nil {
		return false, err
	}
	defer clear(secret)
	now, err := r.Counter()
	return err == nil && now == binary.BigEndian.Uint64(secret[dataKeyBytes:]), err
}

// Counter reads the vault's counter.
func (r *Root) Counter() (uint64, error) { return r.counter(tpm.VaultVersion) }

// Raise raises the vault's counter.
func (r *Root) Raise() (uint64, error) { return r.raise(tpm.VaultVersion) }

// InLockout reports whether somebody gave the TPM too many wrong authorisations. What the kiosk keeps in it is exempt.
func (r *Root) InLockout() (bool, error) {
	return with(r, func(t *tpm.TPM) (bool, error) { return t.InLockout() })
}

// Boot raises the boot counter and returns it.
func (r *Root) Boot() (uint64, error) { return r.raise(tpm.BootCounter) }

// AuditCounter is the number that a checkpoint names.
func (r *Root) AuditCounter() (uint64, error) { return r.counter(tpm.AuditCounter) }

// RaiseAudit raises that number, once for each anchor.
func (r *Root) RaiseAudit() (uint64, error) { return r.raise(tpm.AuditCounter) }

func (r *Root) counter(i tpm.Index) (uint64, error) {
	return with(r, func(t *tpm.TPM) (uint64, error) { return t.Counter(i) })
}

func (r *Root) raise(i tpm.Index) (uint64, error) {
	return with(r, func(t *tpm.TPM) (uint64, error) { return t.Raise(i) })
}

// ReadAnchor is the audit log's Anchor.
func (r *Root) ReadAnchor() ([]byte, error) { return with(r, (*tpm.TPM).ReadAnchor) }

// WriteAnchor is the audit log's Anchor.
func (r *Root) WriteAnchor(b []byte) error {
	_, err := with(r, func(t *tpm.TPM) (struct{}, error) { return struct{}{}, t.WriteAnchor(b) })
	return err
}

// timeRecord is an attestation of the TPM's clock as it is kept beside the checkpoint whose root it names.
type timeRecord struct {
	Body      []byte `cbor:"1,keyasint"` // TPMS_ATTEST
	Signature []byte `cbor:"2,keyasint"` // ASN.1
}

// AttestTime has the TPM sign its clock over the root of the log's tree. It returns the attestation, encoded, and its SHA-256, which stands in the
// checkpoint.
func (r *Root) AttestTime(_ context.Context, top [32]byte) (attestation []byte, sum [32]byte, err error) {
	a, err := with(r, func(t *tpm.TPM) (tpm.Attestation, error) { return t.AttestTime(top[:]) })
	if err != nil {
		return nil, sum, err
	}
	if attestation, err = wire.Marshal(timeRecord{a.Body, a.Signature}); err != nil {
		return nil, sum, err
	}
	return attestation, sha256.Sum256(attestation), nil
}

// AuditKey is the key that signs checkpoints.
func (r *Root) AuditKey() crypto.Signer { return auditKey{r} }

type auditKey struct{ *Root }

func (k auditKey) Public() crypto.PublicKey { return k.audit }

func (k auditKey) Sign(random io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return with(k.Root, func(t *tpm.TPM) ([]byte, error) {
		s, err := t.AuditKey(k.id.Audit, k.approvals...)
		if err != nil {
			return nil, err
		}
		return s.Sign(random, digest, o)
	})
}

// TLSPublic is the public half of the TLS key, for a certificate.
func (r *Root) TLSPublic() (*ecdsa.PublicKey, error) {
	return with(r, func(t *tpm.TPM) (*ecdsa.PublicKey, error) {
		s, err := t.TLSKey(r.id.TLS, r.approvals...)
		if err != nil {
			return nil, err
		}
		public, _ := s.Public().(*ecdsa.PublicKey)
		return public, nil
	})
}

// SignTLS signs a client's CertificateVerify of TLS 1.3, and refuses every other message: the one key that another program may use.
func (r *Root) SignTLS(message []byte) ([]byte, error) {
	return with(r, func(t *tpm.TPM) ([]byte, error) {
		s, err := t.TLSKey(r.id.TLS, r.approvals...)
		if err != nil {
			return nil, err
		}
		return s.SignMessage(nil, message, crypto.SHA256)
	})
}
