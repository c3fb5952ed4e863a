//go:build lab

package kiosk

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/inference/model"
)

// InVault opens the vault of the kiosk in the folder state as door does, which must be down.
func InVault(programs string, b board.Board, state string, do func(v *vault.Vault, bundle [32]byte) error) (err error) {
	calibration, err := model.DefaultCalibration()
	if err != nil {
		return err
	}
	image, err := root.MeasureImage(programs, b)
	if err != nil {
		return err
	}
	r, err := root.Open(root.Path(b.TPM.Device()), state, tpm.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if _, err := r.Extend(image); err != nil {
		return err
	}
	fresh, err := r.Fresh()
	if err != nil {
		return err
	}
	v, err := vault.Open(filepath.Join(state, "vault.db"), vault.Options{Root: r, Device: r.Identity().Device, Adopt: fresh})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	return do(v, calibration.Bundle)
}

// Log is an audit log as it was read: so many records, with this hash over them.
type Log struct {
	Records uint64
	Sum     []byte
}

// ReadLog reads the audit log in a folder and shows each record to see, which may be nil. Those of before must be there as they were, with at least as many records as
// were told of.
func ReadLog(folder string, before Log, told uint64, see func(auditlog.Entry) error) (after Log, err error) {
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) && told == 0 {
		return after, nil
	}
	r, err := auditlog.Inspect(folder)
	if err != nil {
		return after, err
	}
	sum := sha256.New()
	prefix := sum.Sum(nil)
	missing, err := r.Walk(func(e auditlog.Entry) error {
		fmt.Fprintf(sum, "%d %x\n", e.Seq, e.Record)
		after.Records = e.Seq + 1
		if after.Records == before.Records {
			prefix = sum.Sum(nil)
		}
		if see != nil {
			return see(e)
		}
		return nil
	})
	switch {
	case err != nil:
		return after, err
	case len(missing.Damage) > 0 || missing.Expired > 0:
		return after, fmt.Errorf("audit log: %+v", missing)
	case after.Records < told:
		return after, fmt.Errorf("audit log: door told of %d records, %d are there", told, after.Records)
	case before.Sum != nil && !bytes.Equal(prefix, before.Sum):
		return after, fmt.Errorf("audit log: the first %d records are not those of before", before.Records)
	}
	after.Sum = sum.Sum(nil)
	return after, nil
}
