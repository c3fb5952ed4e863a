package people

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
)

// Master is the key under which the vault lies. It prints as nothing.
type Master struct{ key [32]byte }

// String hides the key.
func (Master) String() string { return "(master key)" }

// GoString hides the key.
func (m Master) GoString() string { return m.String() }

const (
	masterLine  = "lintel people master 1 "
	sealedStart = "age-encryption.org/"
	maxMaster   = 4 << 10 // bytes
)

// CreateMaster draws a master key and writes it to a new file of mode 0600: as it is, or encrypted under a passphrase (age, scrypt) if there is one.
func CreateMaster(path, passphrase string) (Master, error) {
	var m Master
	rand.Read(m.key[:])
	data := []byte(masterLine + hex.EncodeToString(m.key[:]) + "\n")
	defer func() { clear(data) }()
	if passphrase != "" {
		sealed, err := underPassphrase(data, passphrase)
		if err != nil {
			return Master{}, fmt.Errorf("create master key: %w", err)
		}
		clear(data)
		data = sealed
	}
	if err := writeNew(path, data); err != nil {
		return Master{}, fmt.Errorf("create master key: %w", err)
	}
	return m, nil
}

func underPassphrase(data []byte, passphrase string) ([]byte, error) {
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return sealed.Bytes(), err
}

// LoadMaster reads what CreateMaster wrote. It asks for the passphrase if there is one, and refuses a file that others than its owner may read.
func LoadMaster(path string, ask func() (string, error)) (Master, error) {
	m, err := loadMaster(path, ask)
	if err != nil {
		return Master{}, fmt.Errorf("load master key %q: %w", path, err)
	}
	return m, nil
}

func loadMaster(path string, ask func() (string, error)) (m Master, err error) {
	f, err := os.Open(path)
	if err != nil {
		return m, errors.Unwrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return m, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return m, fmt.Errorf("mode %v lets others at it: chmod 600", info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxMaster))
	if err != nil {
		return m, err
	}
	defer func() { clear(data) }()
	if bytes.HasPrefix(data, []byte(sealedStart)) {
		if data, err = openPassphrase(data, ask); err != nil {
			return m, err
		}
	}
	digits, ok := bytes.CutPrefix(bytes.TrimSuffix(data, []byte("\n")), []byte(masterLine))
	if !ok || len(digits) != hex.EncodedLen(len(m.key)) {
		return m, errors.New("it is no master key")
	}
	if _, err := hex.Decode(m.key[:], digits); err != nil {
		return Master{}, errors.New("it is no master key")
	}
	return m, nil
}

func openPassphrase(sealed []byte, ask func() (string, error)) ([]byte, error) {
	if ask == nil {
		return nil, errors.New("it is under a passphrase, and there is nobody to ask")
	}
	passphrase, err := ask()
	if err != nil {
		return nil, err
	}
	by, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), by)
	if err != nil {
		return nil, errors.New("the passphrase is another one, or the file is damaged")
	}
	return io.ReadAll(io.LimitReader(r, maxMaster))
}

// writeNew writes a file that does not exist yet, durably but for its folder.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
