package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/firmware/root"
)

// provisionCommand takes a TPM for this kiosk, once, on the bench where it is built.
func provisionCommand(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("door provision", flag.ContinueOnError)
	name := fs.String("board", "desk", "name of the board")
	device := fs.String("tpm", "", "the TPM, if it is not where the board has it: a device, or the socket of swtpm (required on a board with a software one)")
	state := fs.String("state", "", "state folder of the kiosk, mode 0700 (required)")
	release := fs.String("release", "", "public key of the release role, PEM (required)")
	secrets := fs.String("secrets", "", "file of the owner's secrets for this TPM; made when absent, and to be taken off the kiosk (required)")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "door provision takes a TPM for a kiosk: owner's authorisations, keys, counters. It is done once, where nobody stands between\n"+
			"this machine and its TPM. Afterwards the release role approves the kiosk's image for the device id that is printed.")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return &usageError{err}
	}
	if fs.NArg() > 0 || *state == "" || *release == "" || *secrets == "" {
		return &usageError{errors.New("say -state, -release and -secrets; see door provision -h")}
	}
	b, err := board.Load(*name)
	if err != nil {
		return err
	}
	way, err := wayTo(b, *device)
	if err != nil {
		return err
	}
	key, err := readReleaseKey(*release)
	if err != nil {
		return err
	}
	cpu, err := root.CPUSecret(b.TPM.CPUSecret, sysfs)
	if err != nil {
		return err
	}
	owner, err := ownerSecrets(*secrets)
	if err != nil {
		return err
	}
	_, missing := os.Stat(filepath.Join(*state, auditFolder))
	id, err := root.Provision(way, *state, owner, key, tpm.Options{CPUSecret: cpu}, missing != nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "provisioned: device %x, firmware floor %d, TPM pinned as %x\n", id.Device, id.Floor, id.Pin[2:10])
	return nil
}

// wayTo is how the TPM is reached that is to be provisioned.
func wayTo(b board.Board, device string) (root.Way, error) {
	switch {
	case device != "":
		return root.Path(device), nil
	case b.TPM.Transport == board.SWTPM:
		return nil, fmt.Errorf("say -tpm: board %q has a software TPM, whose socket it does not name", b.Name)
	}
	return root.WayTo(b.TPM, "")
}

// sysfs is where the kernel shows the processor's memories.
const sysfs = "/sys"

// ownerSecrets reads the secrets of a TPM, or draws them and stores them durably before anything is done with them: a cut in between locks nobody out.
func ownerSecrets(path string) (s tpm.Secrets, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		s = tpm.NewSecrets()
		return s, writeNew(path, hex.EncodeToString(s[:])+"\n")
	}
	if err != nil {
		return s, fmt.Errorf("read secrets: %w", err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != len(s) {
		return s, fmt.Errorf("read secrets: %q does not hold %d hexadecimal digits", path, 2*len(s))
	}
	copy(s[:], b)
	return s, nil
}

// writeNew writes a secret file, durably with its name.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	_, err = f.WriteString(text)
	dir, dirErr := os.Open(filepath.Dir(path))
	if dirErr == nil {
		dirErr = errors.Join(dir.Sync(), dir.Close())
	}
	if err := errors.Join(err, f.Sync(), f.Close(), dirErr); err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	return nil
}

func readReleaseKey(path string) (*ecdsa.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read release key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("read release key: %q is no public key in PEM", path)
	}
	any, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read release key: %w", err)
	}
	key, ok := any.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("read release key: %T, want ECDSA P-256", any)
	}
	return key, nil
}
