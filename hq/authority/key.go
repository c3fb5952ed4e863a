package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/hq/bounded"
	"github.com/lintel-access/lintel/sync/wire"
)

// maxFile bounds what is read as a key or a certificate, bytes.
const maxFile = 64 << 10

// CreateKey makes an ECDSA P-256 key and writes it to a new file that its owner alone may read (PKCS#8, PEM). A file that exists is left alone.
func CreateKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create key %q: %w", path, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("create key %q: %w", path, err)
	}
	defer clear(der)
	if err := writeNew(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, fmt.Errorf("create key: %w", err)
	}
	return key, nil
}

// LoadKey reads what CreateKey wrote. It refuses a file that others than its owner may read or write.
func LoadKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := loadKey(path)
	if err != nil {
		return nil, fmt.Errorf("load key %q: %w", path, err)
	}
	return key, nil
}

func loadKey(path string) (*ecdsa.PrivateKey, error) {
	data, mode, err := read(path)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	if mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("mode %v lets others at it: chmod 600", mode.Perm())
	}
	block, err := onlyBlock(data, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	defer clear(block)
	any, err := x509.ParsePKCS8PrivateKey(block)
	if err != nil {
		return nil, err
	}
	key, ok := any.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%T is not ECDSA", any)
	}
	_, err = wire.IDOf(key.Public())
	return key, err
}

// SavePublic writes the SubjectPublicKeyInfo of a key to a new file (PEM).
func SavePublic(path string, public *ecdsa.PublicKey) error {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return fmt.Errorf("save public key: %w", err)
	}
	if err := writeNew(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), 0o644); err != nil {
		return fmt.Errorf("save public key: %w", err)
	}
	return nil
}

// LoadPublic reads what SavePublic wrote.
func LoadPublic(path string) (*ecdsa.PublicKey, error) {
	data, _, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("load public key: %w", err)
	}
	spki, err := onlyBlock(data, "PUBLIC KEY")
	if err != nil {
		return nil, fmt.Errorf("load public key %q: %w", path, err)
	}
	return wire.ParseKey(spki)
}

func onlyBlock(data []byte, kind string) ([]byte, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(rest) != 0 {
		return nil, fmt.Errorf("want one PEM block %q and nothing else", kind)
	}
	return block.Bytes, nil
}

func read(path string) ([]byte, os.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := bounded.Read(f, path, maxFile)
	return data, info.Mode(), err
}

// writeNew writes a file that does not exist yet, durably.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // half a key would stand in the way of a whole one
	}
	return SyncFolder(path)
}

// Replace writes a file that may exist: readers find the old content or the new.
func Replace(path string, data []byte, mode os.FileMode) error {
	next := path + ".next"
	if err := errors.Join(ignoreAbsent(os.Remove(next)), writeNew(next, data, mode)); err != nil {
		return fmt.Errorf("replace %q: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("replace file: %w", err)
	}
	return SyncFolder(path)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// SyncFolder makes durable that a file was created, or renamed, at this path.
func SyncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
