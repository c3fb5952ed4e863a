package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/firmware/root"
)

// chip is the TPM as vault and log see it: firmware/root over swtpm, or a double whose numbers can be those of an earlier moment.
type chip interface {
	vault.Root
	auditlog.Anchor
	Fresh() (bool, error)
	AuditKey() crypto.Signer
	AuditCounter() (uint64, error)
	RaiseAudit() (uint64, error)
	AttestTime(context.Context, [32]byte) ([]byte, [32]byte, error)
}

// device is the kiosk's id, the same for all children.
func device() [32]byte { return sha256.Sum256([]byte("device of tests/power")) }

// socket is where a swtpm of that folder answers.
func socket(dir string) string { return filepath.Join(dir, "socket") }

// startChip starts a swtpm in dir, an absent folder, and has it provisioned, measured and approved: from then on openChip opens it.
func startChip(dir string) (*swtpm.Process, error) {
	p, err := swtpm.Start(dir)
	if err != nil {
		return nil, err
	}
	way := root.Path(socket(dir))
	if err := errors.Join(provision(way, dir), measure(way, dir)); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// measured is what the children run, as a board's start would find it.
func measured() root.Measurements { return root.Measurements{{1}, {2}, {3}, {4}} }

// provision provisions a TPM and has what is measured approved. dir is what a kiosk keeps of it.
func provision(way root.Way, dir string) error {
	release, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	id, err := root.Provision(way, dir, tpm.NewSecrets(), &release.PublicKey, tpm.Options{}, true)
	if err != nil {
		return err
	}
	approval, err := root.Approve(release, id, measured(), id.Floor)
	if err != nil {
		return err
	}
	return root.WriteApprovals(dir, approval)
}

// measure tells the TPM, once in each life of it, what runs.
func measure(way root.Way, dir string) error {
	r, err := root.Open(way, dir, tpm.Options{})
	if err != nil {
		return err
	}
	_, err = r.Extend(measured())
	return errors.Join(err, r.Close())
}

// openChip opens the TPM of a folder. It serves one side at a time: whoever comes second waits until the first has closed it or died.
func openChip(dir string) (*root.Root, error) {
	return root.Open(root.Path(socket(dir)), dir, tpm.Options{})
}

// born is the counter of a double that has sealed nothing yet.
const born = 41

// kept is what a TPM keeps over a power cut.
type kept struct {
	counter uint64
	anchor  []byte
}

// double is a TPM in memory. What it is asked to keep it says before it does and when it has: so the parent knows for each boundary
// what a TPM would hold there. Without say it says nothing.
type double struct {
	say func(format string, args ...any) error

	mu sync.Mutex
	kept
	audit uint64
	key   *ecdsa.PrivateKey
}

func newDouble(k kept, say func(string, ...any) error) (*double, error) {
	d := sha256.Sum256([]byte("audit key of tests/power"))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if say == nil {
		say = func(string, ...any) error { return nil }
	}
	return &double{say: say, kept: kept{k.counter, slices.Clone(k.anchor)}, key: key}, err
}

func (d *double) Unseal() ([32]byte, error) {
	return sha256.Sum256([]byte("data key of tests/power")), nil
}

func (d *double) Counter() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counter, nil
}

func (d *double) Raise() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.say("raising %d", d.counter+1); err != nil {
		return 0, err
	}
	d.counter++
	return d.counter, d.say("raised %d", d.counter)
}

func (d *double) ReadAnchor() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.anchor), nil
}

func (d *double) WriteAnchor(b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.say("anchoring %x", b); err != nil {
		return err
	}
	d.anchor = slices.Clone(b)
	return d.say("anchored %x", b)
}

func (d *double) Fresh() (bool, error) {
	n, err := d.Counter()
	return n == born, err
}

func (d *double) AuditKey() crypto.Signer { return d.key }

func (d *double) AuditCounter() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.audit, nil
}

func (d *double) RaiseAudit() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.audit++
	return d.audit, nil
}

func (d *double) AttestTime(_ context.Context, top [32]byte) ([]byte, [32]byte, error) {
	attestation := fmt.Appendf(nil, "the time of %x", top)
	return attestation, sha256.Sum256(attestation), nil
}
