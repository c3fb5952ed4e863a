//go:build !kiosk

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/firmware/root"
)

// The folders below the desk's state. Each stands for a place of its own: the kiosk's disk, which a thief may copy; the chip; and the safe of the
// release role and of the owner, of which nothing is ever on a kiosk.
func (o options) disk() string    { return filepath.Join(o.state, "kiosk") }
func (o options) chip() string    { return filepath.Join(o.state, "tpm") }
func (o options) offline() string { return filepath.Join(o.state, "offline") }

// makePlaces makes the folders, and moves what an earlier desk kept in one.
func (o options) makePlaces() error {
	for _, dir := range []string{o.disk(), o.offline()} {
		if err := makePrivate(dir); err != nil {
			return err
		}
	}
	for _, name := range []string{"vault.db", "audit"} {
		if _, err := os.Lstat(filepath.Join(o.disk(), name)); err == nil {
			continue
		}
		if err := os.Rename(filepath.Join(o.state, name), filepath.Join(o.disk(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("move state: %w", err)
		}
	}
	return nil
}

// makePrivate makes a folder that nobody else may look into, or makes sure of one that is there.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at state folder: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("state folder %q has mode %#o, want 0700: chmod 700 it, or name another", dir, info.Mode().Perm())
	}
	return nil
}

// provision provisions the TPM at path once, and approves the very build that is about to run: on a desk whoever builds is the release role, too.
func (o options) provision(ctx context.Context, at site, path string, progress io.Writer) error {
	release, err := releaseKey(o.offline())
	if err != nil {
		return err
	}
	id, err := root.Load(o.disk())
	if errors.Is(err, root.ErrNotProvisioned) {
		fmt.Fprintln(progress, "taking the software TPM for this kiosk")
		cmd := exec.CommandContext(ctx, filepath.Join(at.programs, "door"), "provision", "-board", at.board, "-tpm", path, "-state", o.disk(),
			"-release", filepath.Join(o.offline(), "release.pub"), "-secrets", filepath.Join(o.offline(), "owner"))
		cmd.Env, cmd.Stdout, cmd.Stderr = []string{}, progress, progress
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("provision: %w; to begin anew, remove %q", err, o.state)
		}
		id, err = root.Load(o.disk())
	}
	if err != nil {
		return fmt.Errorf("%w; to begin anew, remove %q", err, o.state)
	}
	b, err := board.Load(at.board)
	if err != nil {
		return err
	}
	image, err := root.MeasureImage(at.programs, b)
	if err != nil {
		return err
	}
	approval, err := root.Approve(release, id, image, id.Floor)
	if err != nil {
		return err
	}
	return root.WriteApprovals(o.disk(), approval)
}

// programFolder is where the kiosk's programs lie: beside this one.
func programFolder() (string, error) {
	self, err := os.Executable()
	return filepath.Dir(self), err
}

// releaseKey reads the release role's key, or makes one.
func releaseKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, "release.key")
	text, err := readBounded(path, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return makeReleaseKey(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read release key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read release key: %q is not PEM", path)
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read release key: %w", err)
	}
	key, ok := any.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read release key: %T, want ECDSA", any)
	}
	return key, nil
}

func makeReleaseKey(dir, path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	// The private half last: with it both are there.
	for _, f := range []struct {
		path, kind string
		der        []byte
	}{{filepath.Join(dir, "release.pub"), "PUBLIC KEY", public}, {path, "PRIVATE KEY", private}} {
		if err := root.Replace(f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})); err != nil {
			return nil, fmt.Errorf("write release key: %w", err)
		}
	}
	return key, nil
}
