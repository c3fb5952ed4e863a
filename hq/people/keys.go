package people

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
)

// people.keys is a header and slots of one size. A slot is overwritten in its place, never moved: what it held is gone from the file. It lies within one
// sector of any disk, so that a power cut leaves the old slot or the new one.
//
//	header  "lintel people keys 1" ‖ id of the vault, zeros up to slotSize
//	slot    nonce (12) ‖ AES-256-GCM(person ‖ content key; associated: id of the vault, number of the slot), zeros up to slotSize
//	        zeros: never used
//	        content key zero: the person was deleted
const (
	keysMagic  = "lintel people keys 1"
	slotSize   = 128
	slotPlain  = 16 + 32
	slotSealed = 12 + slotPlain + 16
	growth     = 32 * slotSize // the file grows by whole blocks, so that a full disk is met before anything is promised
)

// slot is what is kept of one person in people.keys.
type slot struct {
	person access.PersonID
	key    [32]byte
}

// destroyed reports whether the person was deleted.
func (s slot) destroyed() bool { return s.key == [32]byte{} }

// keys is the open file. Whoever uses it holds the lock of people.db.
type keys struct {
	file *os.File
	wrap cipher.AEAD
	id   [16]byte
}

// ErrKeys means that people.keys is not the file that belongs to this vault, or is damaged.
var ErrKeys = errors.New("people.keys is not the file of this vault, or it is damaged: put back the one that was there; a backup holds none")

func createKeys(path string, id [16]byte) error {
	head := make([]byte, slotSize)
	copy(head[copy(head, keysMagic):], id[:])
	return writeNew(path, head)
}

func openKeys(path string, id [16]byte, wrap cipher.AEAD) (*keys, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: it is absent", ErrKeys)
	}
	if err != nil {
		return nil, err
	}
	head := make([]byte, len(keysMagic)+len(id))
	if _, err := f.ReadAt(head, 0); err != nil || !bytes.Equal(head, append([]byte(keysMagic), id[:]...)) {
		return nil, errors.Join(ErrKeys, f.Close())
	}
	return &keys{f, wrap, id}, nil
}

func (k *keys) close() error { return k.file.Close() }

func (k *keys) associated(n uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(keysMagic), k.id[:]...), n)
}

func offset(n uint32) int64 { return slotSize * (1 + int64(n)) }

// read returns slot n, which must have been written.
func (k *keys) read(n uint32) (s slot, err error) {
	var b [slotSealed]byte
	if _, err := k.file.ReadAt(b[:], offset(n)); err != nil {
		return s, fmt.Errorf("%w: slot %d: %w", ErrKeys, n, err)
	}
	plain, err := k.wrap.Open(nil, nil, b[:], k.associated(n))
	if err != nil || len(plain) != slotPlain {
		return s, fmt.Errorf("%w: slot %d", ErrKeys, n)
	}
	defer clear(plain)
	copy(s.person[:], plain)
	copy(s.key[:], plain[len(s.person):])
	return s, nil
}

// write replaces slot n, durably.
func (k *keys) write(n uint32, s slot) error {
	plain := make([]byte, 0, slotPlain)
	plain = append(plain, s.person[:]...)
	plain = append(plain, s.key[:]...)
	defer clear(plain)
	b := make([]byte, slotSize)
	copy(b, k.wrap.Seal(nil, nil, plain, k.associated(n)))
	info, err := k.file.Stat()
	if err != nil {
		return fmt.Errorf("write people.keys: %w", err)
	}
	if end := offset(n) + slotSize; end > info.Size() {
		if err := unix.Fallocate(int(k.file.Fd()), 0, info.Size(), growth); err != nil {
			return fmt.Errorf("write people.keys: %w", err)
		}
	}
	if _, err = k.file.WriteAt(b, offset(n)); err == nil {
		err = k.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write people.keys: %w", err)
	}
	return nil
}
