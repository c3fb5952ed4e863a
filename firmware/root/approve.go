package root

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/sync/wire"
)

// maxApprovals live at a time: the running version's, and during a trial the next one's.
const maxApprovals = 2

type approvalRecord struct {
	PCRs      []pcrRecord `cbor:"1,keyasint"`
	Version   uint64      `cbor:"2,keyasint"`
	Board     []byte      `cbor:"3,keyasint"`
	Signature []byte      `cbor:"4,keyasint"`
}

type pcrRecord struct {
	Index int      `cbor:"1,keyasint"`
	Value [32]byte `cbor:"2,keyasint"`
}

// Approve signs the measurements of an image for this kiosk. It is the release role's work, done offline. version counts from Identity.Floor.
func Approve(release *ecdsa.PrivateKey, id Identity, m Measurements, version uint64) (tpm.Approval, error) {
	return tpm.Approve(release, tpm.Policy{PCRs: m.PCRs(), Version: version}, id.Device[:])
}

// WriteApprovals replaces what is approved below a state folder. They need no secrecy, and no trust: the TPM checks their signatures.
func WriteApprovals(state string, list ...tpm.Approval) error {
	if len(list) == 0 || len(list) > maxApprovals {
		return fmt.Errorf("write approvals: %d, want 1 to %d", len(list), maxApprovals)
	}
	var records []approvalRecord
	for _, a := range list {
		r := approvalRecord{Version: a.Policy.Version, Board: a.Board, Signature: a.Signature}
		for _, p := range a.Policy.PCRs {
			r.PCRs = append(r.PCRs, pcrRecord{p.Index, p.Value})
		}
		records = append(records, r)
	}
	data, err := wire.Marshal(records)
	if err == nil {
		err = Replace(filepath.Join(folder(state), approvalsName), data)
	}
	if err != nil {
		return fmt.Errorf("write approvals: %w", err)
	}
	return nil
}

func readApprovals(state string) ([]tpm.Approval, error) {
	data, err := readBounded(filepath.Join(folder(state), approvalsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotApproved
	}
	if err != nil {
		return nil, fmt.Errorf("read approvals: %w", err)
	}
	var records []approvalRecord
	if err := wire.Unmarshal(data, &records); err != nil || len(records) == 0 || len(records) > maxApprovals {
		return nil, fmt.Errorf("read approvals: %w", ErrDamaged)
	}
	var list []tpm.Approval
	for _, r := range records {
		a := tpm.Approval{Policy: tpm.Policy{Version: r.Version}, Board: r.Board, Signature: r.Signature}
		for _, p := range r.PCRs {
			a.Policy.PCRs = append(a.Policy.PCRs, tpm.PCR{Index: p.Index, Value: p.Value})
		}
		list = append(list, a)
	}
	return list, nil
}

// makeFolder makes the folder below state.
func makeFolder(state string) error {
	if err := os.Mkdir(folder(state), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
