package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lintel-access/lintel/sync/wire"
)

// A backup is a heading, every value in the order in which it was written, and SHA-256 of all that. It is not encrypted: what is in the state is no
// secret of a person's face, but it says which kiosks there are and what operators have ordered.
const (
	heading    = "lintel headquarters backup 1\n"
	maxBackup  = 16 << 20 // values: more than any house has, so that a broken file is noticed
	maxEncoded = MaxValue + 1<<10
)

type saved struct {
	Key  string `cbor:"1,keyasint"`
	Data []byte `cbor:"2,keyasint"`
}

// Backup writes all that is stored now. Whoever writes waits while it reads, so that it is of one moment.
func (s *Store) Backup(ctx context.Context, w io.Writer) (values int, err error) {
	s.writing.Lock()
	all, err := s.list(ctx, ">")
	s.writing.Unlock()
	if err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	slices.SortFunc(all, func(a, b Value) int { // as written, so that Last finds the same after a restore
		if a.Revision < b.Revision {
			return -1
		}
		return 1
	})
	hash := sha256.New()
	out := io.MultiWriter(w, hash)
	if _, err := io.WriteString(out, heading); err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	for _, v := range all {
		data, err := wire.Marshal(saved{v.Key, v.Data})
		if err == nil {
			_, err = out.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
		}
		if err != nil {
			return 0, fmt.Errorf("back up: %w", err)
		}
	}
	if _, err := out.Write(make([]byte, 4)); err != nil { // no more
		return 0, fmt.Errorf("back up: %w", err)
	}
	if _, err := w.Write(hash.Sum(nil)); err != nil {
		return 0, fmt.Errorf("back up: %w", err)
	}
	return len(all), nil
}

// Keys of the fleet that Restore knows, each followed by the name of a kiosk. They stand on disk.
const (
	Kiosk    = "kiosk."    // of what the fleet keeps of a kiosk
	Restored = "restored." // of a mark that Restore leaves for each: where it stands is to be heard before anything is ordered
)

const restoring = "restoring" // stands from the beginning of a restore to its end

// Restore puts a backup into an empty state. It reads the whole of it before it stores anything. A state of which it stored a part alone opens no more.
func (s *Store) Restore(ctx context.Context, r io.Reader) (values int, err error) {
	all, err := readBackup(r)
	if err == nil {
		var there []Value
		if there, err = s.list(ctx, ">"); err == nil && len(there) > 0 {
			err = fmt.Errorf("there are %d values in this state already, and nothing was changed. To have the backup all the same, move DIR/state away and restore once more", len(there))
		}
	}
	if err == nil {
		err = s.fill(ctx, all)
	}
	if err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	return len(all), nil
}

func (s *Store) fill(ctx context.Context, all []saved) error {
	begun, err := s.Put(ctx, restoring, nil, 0)
	if err != nil {
		return err
	}
	marks := map[string]bool{}
	for _, v := range all {
		if name, is := strings.CutPrefix(v.Key, Kiosk); is {
			marks[Restored+name] = true
		}
	}
	for _, v := range all {
		if _, err := s.Put(ctx, v.Key, v.Data, 0); err != nil {
			return err
		}
		delete(marks, v.Key) // it was restored before it was backed up
	}
	for key := range marks {
		if _, err := s.Put(ctx, key, nil, 0); err != nil {
			return err
		}
	}
	return s.Delete(ctx, restoring, begun)
}

var errBackup = errors.New("file is no whole backup of headquarters")

func readBackup(r io.Reader) (all []saved, err error) {
	hash := sha256.New()
	in := io.TeeReader(bufio.NewReader(r), hash)
	first := make([]byte, len(heading))
	if _, err := io.ReadFull(in, first); err != nil || string(first) != heading {
		return nil, errBackup
	}
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return nil, errBackup
		}
		n := binary.BigEndian.Uint32(size[:])
		if n == 0 {
			break
		}
		if n > maxEncoded || len(all) == maxBackup {
			return nil, errBackup
		}
		data := make([]byte, n)
		var v saved
		if _, err := io.ReadFull(in, data); err != nil || wire.Unmarshal(data, &v) != nil || checkKey(v.Key) != nil {
			return nil, errBackup
		}
		all = append(all, v)
	}
	sum, last := hash.Sum(nil), make([]byte, sha256.Size)
	if _, err := io.ReadFull(in, last); err != nil || !bytes.Equal(sum, last) {
		return nil, errBackup
	}
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return nil, errBackup
	}
	return all, nil
}
