package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// keys are those of a sealed vault, derived as its FORMAT.md says and not by its code: what a thief has who got the data key.
type keys struct {
	data, device [32]byte

	index, value, wrap, sum, subject, transform [32]byte
}

func deriveKeys(data, device [32]byte) (k keys, err error) {
	k = keys{data: data, device: device}
	for name, to := range map[string]*[32]byte{
		"index": &k.index, "value": &k.value, "wrap": &k.wrap, "sum": &k.sum, "subject": &k.subject, "transform": &k.transform,
	} {
		derived, err := hkdf.Key(sha256.New, data[:], device[:], "lintel vault 2 "+name, len(to))
		if err != nil {
			return k, err
		}
		copy(to[:], derived)
	}
	return k, nil
}

// named are the keys with their names.
func (k keys) named() map[string][]byte {
	return map[string][]byte{
		"data key": k.data[:], "index key": k.index[:], "value key": k.value[:], "wrapping key": k.wrap[:], "sum key": k.sum[:],
		"subjects' key": k.subject[:], "transform key": k.transform[:],
	}
}

// name is what a person is called in the file.
func (k keys) name(p person) []byte {
	h := hmac.New(sha256.New, k.index[:])
	h.Write([]byte("\x06person"))
	h.Write(p.id[:])
	return h.Sum(nil)
}

// wrapped is a content key as it lies in the file: nonce, key, tag.
const wrapped = 12 + 32 + 16

// place is what the content key of a person is bound to.
func (k keys) place(p person) []byte {
	bound := binary.BigEndian.AppendUint32([]byte("lintel vault"), 2)
	bound = append(bound, k.device[:]...)
	bound = append(bound, make([]byte, 32)...) // no model
	bound = append(bound, "\x03key"...)
	return append(bound, k.name(p)...)
}

func (k keys) unwrapper() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.wrap[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// contentKeys opens the content key of each of the people.
func (k keys) contentKeys(m moment, people []person) error {
	with, err := k.unwrapper()
	if err != nil {
		return err
	}
	return look(filepath.Join(m.disk(), "vault.db"), func(tx *bbolt.Tx) error {
		for i := range people {
			p := &people[i]
			if p.content, err = with.Open(nil, nil, tx.Bucket([]byte("key")).Get(k.name(*p)), k.place(*p)); err != nil {
				return fmt.Errorf("content key is not where FORMAT.md of the vault says: %w", err)
			}
		}
		return nil
	})
}

// dig tries every place of a raw file for the content key of a person, and reports whether it is there.
func (k keys) dig(file []byte, p person) (bool, error) {
	with, err := k.unwrapper()
	if err != nil {
		return false, err
	}
	place, room := k.place(p), make([]byte, 0, wrapped)
	for at := 0; at+wrapped <= len(file); at++ {
		if _, err := with.Open(room, nil, file[at:at+wrapped], place); err == nil {
			return true, nil
		}
	}
	return false, nil
}

// look opens a vault's file with bbolt's own API, to read.
func look(path string, f func(*bbolt.Tx) error) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(f)
}
