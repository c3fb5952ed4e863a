//go:build lab

package kiosk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/tests/lab/plan"
)

// Provision makes a kiosk on the TPM at path chip and in the folder state, as on the bench where it is built, and approves its image.
func Provision(programs string, b board.Board, chip, state string) error {
	release, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&release.PublicKey)
	if err != nil {
		return err
	}
	public := filepath.Join(plan.Scratch, "release.pub")
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if err := errors.Join(os.WriteFile(public, text, 0o600), os.Mkdir(state, 0o700)); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(programs, "door"), "provision", "-board", b.Name, "-tpm", chip, "-state", state, "-release", public,
		"-secrets", filepath.Join(plan.Scratch, "owner"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("provision: %w: %s", err, out)
	}
	id, err := root.Load(state)
	if err != nil {
		return err
	}
	image, err := root.MeasureImage(programs, b)
	if err != nil {
		return err
	}
	approval, err := root.Approve(release, id, image, id.Floor)
	if err != nil {
		return err
	}
	return root.WriteApprovals(state, approval)
}
