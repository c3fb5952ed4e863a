package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lintel-access/lintel/access/auditlog"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/drivers/tpm"
	"github.com/lintel-access/lintel/drivers/tpm/swtpm"
	"github.com/lintel-access/lintel/firmware/root"
)

// kiosk is a disk at a TPM, and what is open of the two. It is started as door starts.
type kiosk struct {
	dir string
	cpu []byte // the secret of the processor, as whoever starts it can read it

	process *swtpm.Process
	root    *root.Root
	vault   *vault.Vault
	log     *auditlog.Log

	recovery auditlog.Recovery // of the log
}

func (k *kiosk) disk() string   { return filepath.Join(k.dir, "kiosk") }
func (k *kiosk) chip() string   { return filepath.Join(k.dir, "tpm") }
func (k *kiosk) socket() string { return filepath.Join(k.dir, "s") } // a socket's path is short
func (k *kiosk) file() string   { return filepath.Join(k.disk(), "vault.db") }
func (k *kiosk) audit() string  { return filepath.Join(k.disk(), "audit") }

func (k *kiosk) options() tpm.Options {
	return tpm.Options{CPUSecret: k.cpu, Deadline: 10 * time.Second}
}

// power takes the power away and gives it back: the TPM is reset.
func (k *kiosk) power() (err error) {
	if err := k.off(); err != nil {
		return err
	}
	k.process, err = swtpm.StartAt(k.chip(), k.socket())
	return err
}

// release closes what is open, and leaves the TPM running.
func (k *kiosk) release() (err error) {
	if k.log != nil {
		err = errors.Join(err, k.log.Close())
	}
	if k.vault != nil {
		err = errors.Join(err, k.vault.Close())
	}
	if k.root != nil {
		err = errors.Join(err, k.root.Close())
	}
	k.log, k.vault, k.root = nil, nil, nil
	return err
}

func (k *kiosk) off() error {
	err := k.release()
	if k.process != nil {
		err = errors.Join(err, k.process.Stop())
	}
	k.process = nil
	return err
}

// attach opens the root and measures an image, whoever's it is.
func (k *kiosk) attach(image root.Measurements) (err error) {
	if k.root, err = root.Open(root.Path(k.socket()), k.disk(), k.options()); err != nil {
		return err
	}
	_, err = k.root.Extend(image)
	return err
}

// start is a power-on with an image, as far as the vault.
func (k *kiosk) start(image root.Measurements) error {
	if err := k.power(); err != nil {
		return err
	}
	if err := k.attach(image); err != nil {
		return err
	}
	return k.openVault()
}

func (k *kiosk) openVault() error {
	adopt, err := k.root.Fresh()
	if err != nil {
		return err
	}
	k.vault, err = vault.Open(k.file(), vault.Options{Root: k.root, Device: k.root.Identity().Device, Adopt: adopt})
	return err
}

// startLog is a power-on with an image, as far as the audit log.
func (k *kiosk) startLog(image root.Measurements) error {
	if err := k.power(); err != nil {
		return err
	}
	if err := k.attach(image); err != nil {
		return err
	}
	return k.openLog()
}

func (k *kiosk) openLog() (err error) {
	k.log, k.recovery, err = auditlog.Open(k.audit(), auditlog.Options{Merkle: &auditlog.Merkle{
		Origin: k.root.Identity().Origin(), Key: k.root.AuditKey(), Anchor: k.root, Counter: k.root.AuditCounter,
		Attest: func(ctx context.Context, top [32]byte) ([32]byte, error) {
			_, sum, err := k.root.AttestTime(ctx, top)
			return sum, err
		},
	}})
	return err
}

// bare opens the TPM without door's root: as any program on this machine may, that has read the disk.
func (k *kiosk) bare(release tpm.Authority) (*tpm.TPM, error) {
	id, err := root.Load(k.disk())
	if err != nil {
		return nil, err
	}
	o := k.options()
	o.Pin, o.Endorsement, o.Authority = id.Pin, id.Endorsement, release
	return tpm.Open(k.socket(), o)
}

// moment is a folder with a copy of a kiosk's disk and of its TPM's state.
type moment string

func (m moment) disk() string { return filepath.Join(string(m), "kiosk") }
func (m moment) chip() string { return filepath.Join(string(m), "tpm") }

// copyTree copies a folder, modes included. Zeros become holes: an audit segment is mostly preallocated.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if !d.Type().IsRegular() {
			return nil // swtpm's socket
		}
		return copyFile(target, path)
	})
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(int64(len(data)))
	const block = 64 << 10
	zeros := make([]byte, block)
	for at := 0; at < len(data) && err == nil; at += block {
		if part := data[at:min(at+block, len(data))]; !bytes.Equal(part, zeros[:len(part)]) {
			_, err = f.WriteAt(part, int64(at))
		}
	}
	return errors.Join(err, f.Close())
}
