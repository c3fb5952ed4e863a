package people

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// A backup is people.db as it stood at one moment, and nothing of people.keys: what is in it opens only beside those, and nobody who was deleted is
// brought back by it.
//
//	"lintel people backup 1\n" ‖ id of the vault (16) ‖ length of people.db (8, big-endian) ‖ people.db ‖ HMAC-SHA256 under the master key, of all before
const backupHeading = "lintel people backup 1\n"

var (
	// ErrBackup means that a file is no whole backup of people made under this master key.
	ErrBackup = errors.New("file is no whole backup of people under this master key")
	// ErrThere means that there are people already. Nothing was changed.
	ErrThere = errors.New(dbFile + " is there already, and nothing was changed")
)

// Backup writes a copy of people.db. The file stays locked until w has taken all of it: meanwhile it is read, but not changed, by this process neither. A change
// waits for 20 seconds and then fails with ErrInUse.
func (p *People) Backup(w io.Writer) error {
	mac := p.seal()
	out := io.MultiWriter(w, mac)
	err := p.locked(true, lockWait, func(tx *bbolt.Tx) error {
		head := append([]byte(backupHeading), p.id[:]...)
		if _, err := out.Write(binary.BigEndian.AppendUint64(head, uint64(tx.Size()))); err != nil {
			return err
		}
		_, err := tx.WriteTo(out)
		return err
	})
	if err == nil {
		_, err = w.Write(mac.Sum(nil))
	}
	if err != nil {
		return fmt.Errorf("back up people: %w", err)
	}
	return nil
}

func (p *People) seal() hash.Hash {
	h := hmac.New(sha256.New, p.index)
	h.Write([]byte{byte(len("backup"))})
	h.Write([]byte("backup"))
	return h
}

// Restore makes people.db of a backup, in a folder that has the people.keys of the same vault and no people.db. A file that is not whole, or of another
// vault or master key, changes nothing.
func Restore(dir string, m Master, r io.Reader) error {
	if err := restore(dir, m, r); err != nil {
		return fmt.Errorf("restore people in %q: %w", dir, err)
	}
	return nil
}

// Vacant says ErrThere of a folder that has people already, whatever the master key.
func Vacant(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, dbFile))
	if err == nil {
		return ErrThere
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// CheckBackup reads the whole of a backup and says what Restore would refuse it for: that it is not whole, the master key or people.keys. It changes nothing.
func CheckBackup(dir string, m Master, r io.Reader) error {
	p, err := derive(dir, m)
	if err == nil {
		err = p.unpack(io.Discard, r)
	}
	if err != nil {
		return fmt.Errorf("check backup of people in %q: %w", dir, err)
	}
	return nil
}

func restore(dir string, m Master, r io.Reader) error {
	p, err := derive(dir, m)
	if err == nil {
		err = Vacant(dir)
	}
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, dbFile+".new")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = p.unpack(f, r)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return errors.Join(os.Rename(temporary, filepath.Join(dir, dbFile)), syncFolder(dir))
}

// unpack writes what a backup holds, and only then can say whether it is one.
func (p *People) unpack(w io.Writer, r io.Reader) error {
	mac := p.seal()
	in := io.TeeReader(r, mac)
	head := make([]byte, len(backupHeading)+len(p.id)+8)
	if _, err := io.ReadFull(in, head); err != nil || string(head[:len(backupHeading)]) != backupHeading {
		return ErrBackup
	}
	copy(p.id[:], head[len(backupHeading):])
	k, err := openKeys(filepath.Join(p.dir, keysFile), p.id, p.wrap)
	if err != nil {
		return err
	}
	defer k.close()
	size := binary.BigEndian.Uint64(head[len(head)-8:])
	if size > 1<<62 {
		return ErrBackup
	}
	if _, err := io.CopyN(w, in, int64(size)); errors.Is(err, io.EOF) {
		return ErrBackup
	} else if err != nil {
		return err
	}
	want := mac.Sum(nil)
	got, err := io.ReadAll(io.LimitReader(r, int64(len(want))+1))
	if err != nil || !hmac.Equal(got, want) {
		return errors.Join(err, ErrBackup)
	}
	return nil
}
