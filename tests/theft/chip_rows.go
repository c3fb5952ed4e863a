package main

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
)

// chipRows are the disk at other TPMs, other images at the TPM, and approvals that nobody gave.
func (t *theft) chipRows() []row {
	v := t.victim
	end := v.moments[theEnd]
	measured := func(image root.Measurements) func() (string, error) {
		return func() (string, error) {
			k, err := t.stage(end, end)
			if err != nil {
				return "", err
			}
			return opened(k, k.start(image))
		}
	}
	rows := []row{
		{"0", "control: the kiosk as it is, power on", nil, measured(v.image)},
		{"1", "disk at a TPM that the thief provisioned", tpm.ErrOtherTPM, func() (string, error) {
			k, err := t.stage(end, t.thief.moments["begun"])
			if err != nil {
				return "", err
			}
			return opened(k, k.start(v.image))
		}},
		{"1b", "disk at a TPM that was never provisioned", tpm.ErrOtherTPM, func() (string, error) {
			k, err := t.stage(end, "")
			if err != nil {
				return "", err
			}
			return opened(k, k.start(v.image))
		}},
	}
	for i, what := range []string{"image", "models", "policy or board", "debugging"} {
		image := v.image
		image[i][0] ^= 1
		rows = append(rows, row{fmt.Sprintf("2.%d", i+1), fmt.Sprintf("disk at the right TPM, PCR %d (%s) changed by one bit", tpm.PCRImage+i, what), tpm.ErrPCR, measured(image)})
	}
	return append(append(rows, t.pcrRows()...), t.approvalRows()...)
}

// errEmpty is a vault that opens with nobody in it: then no refusal of the other rows would prove anything.
var errEmpty = errors.New("it opens, and nobody is in it")

// opened says how many people came out.
func opened(k *kiosk, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if k.vault.Count() == 0 {
		return "", errEmpty
	}
	return fmt.Sprintf("OPENS, people: %d", k.vault.Count()), nil
}

func (t *theft) pcrRows() []row {
	v := t.victim
	end := v.moments[theEnd]
	return []row{
		{"2.5", "the right image, one PCR extended once more afterwards", tpm.ErrPCR, func() (string, error) {
			k, err := t.stage(end, end)
			if err != nil {
				return "", err
			}
			if err := k.start(v.image); err != nil {
				return "", err
			}
			if err := k.release(); err != nil {
				return "", err
			}
			bare, err := k.bare(tpm.Authority{})
			if err != nil {
				return "", err
			}
			err = bare.Extend(tpm.PCRDebug, [32]byte{1})
			if err := bare.Close(); err != nil {
				return "", err
			}
			if err != nil {
				return "", err
			}
			if err := k.attach(v.image); err != nil {
				return "", err
			}
			return opened(k, k.openVault())
		}},
		{"2.6", "a changed image has the audit key sign a checkpoint", tpm.ErrPCR, func() (string, error) {
			k, err := t.stage(end, end)
			if err != nil {
				return "", err
			}
			if err := k.power(); err != nil {
				return "", err
			}
			image := v.image
			image[0][0] ^= 1
			if err := k.attach(image); err != nil {
				return "", err
			}
			_, err = k.root.AuditKey().Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
			return "it signs", err
		}},
	}
}

// approvalRows try approvals of the thief's image. The last raises the firmware floor, as an update does.
func (t *theft) approvalRows() []row {
	v := t.victim
	end := v.moments[theEnd]
	thiefs := v.image
	thiefs[0][0] ^= 1
	// try starts an image after somebody has changed what is approved on the disk.
	try := func(image root.Measurements, write func(*kiosk) error) func() (string, error) {
		return func() (string, error) {
			k, err := t.stage(end, end)
			if err != nil {
				return "", err
			}
			if err := write(k); err != nil {
				return "", err
			}
			return opened(k, k.start(image))
		}
	}
	raised := func(version uint64) func() (string, error) {
		return try(v.image, func(k *kiosk) error {
			if err := k.power(); err != nil {
				return err
			}
			bare, err := k.bare(tpm.Authority{})
			if err != nil {
				return err
			}
			_, err = bare.Raise(tpm.FirmwareFloor)
			if err := bare.Close(); err != nil {
				return err
			}
			if err != nil {
				return err
			}
			return v.approve(k.disk(), v.release, v.image, version)
		})
	}
	return []row{
		{"3.1", "the thief's image, approved by the thief's own release key", tpm.ErrForged, try(thiefs, func(k *kiosk) error {
			return v.approve(k.disk(), t.thief.release, thiefs, v.id.Floor)
		})},
		{"3.2", "the thief's image, the release role's approval with its values changed", tpm.ErrForged, try(thiefs, func(k *kiosk) error {
			a, err := root.Approve(v.release, v.id, v.image, v.id.Floor)
			if err != nil {
				return err
			}
			a.Policy.PCRs = thiefs.PCRs()
			return root.WriteApprovals(k.disk(), a)
		})},
		{"3.3", "the thief's image, approved by the release role for another board", tpm.ErrBoard, try(thiefs, func(k *kiosk) error {
			a, err := root.Approve(v.release, t.thief.id, thiefs, v.id.Floor)
			if err != nil {
				return err
			}
			return root.WriteApprovals(k.disk(), a)
		})},
		{"3.4", "the same, the board's name in it changed to this one's", tpm.ErrForged, try(thiefs, func(k *kiosk) error {
			a, err := root.Approve(v.release, t.thief.id, thiefs, v.id.Floor)
			if err != nil {
				return err
			}
			a.Board = v.id.Device[:]
			return root.WriteApprovals(k.disk(), a)
		})},
		{"3.5", "the old image and its approval, after an update raised the firmware floor", tpm.ErrFloor, raised(v.id.Floor)},
		{"3.6", "control: the same with the new approval, which is the update itself", nil, raised(v.id.Floor + 1)},
	}
}
