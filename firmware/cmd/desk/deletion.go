//go:build !kiosk

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/firmware/root"
	"github.com/lintel-access/lintel/sync/wire"
)

// maxKeyFile bounds the file of the kiosk's public audit key in bytes.
const maxKeyFile = 1024

// keepDeletion verifies the proof that a person is gone and keeps it, as headquarters would: what door answered, in deterministic CBOR. It
// returns the name of the file.
func (o options) keepDeletion(id access.PersonID, d ipc.Deleted, at time.Time) (vault.Receipt, string, error) {
	line, err := readBounded(filepath.Join(o.disk(), "root", "audit.pub"), maxKeyFile)
	if err != nil {
		return vault.Receipt{}, "", fmt.Errorf("read audit key: %w", err)
	}
	_, key, err := proof.ParseVerifierKey(strings.TrimSuffix(string(line), "\n"))
	if err != nil {
		return vault.Receipt{}, "", err
	}
	receipt, err := vault.VerifyReceipt(key, d.Receipt, d.Signature)
	if err != nil {
		return vault.Receipt{}, "", err
	}
	data, err := wire.Marshal(d)
	if err != nil {
		return vault.Receipt{}, "", err
	}
	path := filepath.Join(o.offline(), fmt.Sprintf("deleted-%s-%x", at.UTC().Format("20060102T150405Z"), id[:4]))
	if err := root.Replace(path, data); err != nil {
		return vault.Receipt{}, "", fmt.Errorf("keep receipt: %w", err)
	}
	return receipt, path, nil
}
