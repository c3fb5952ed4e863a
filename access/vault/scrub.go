package vault

import (
	"bytes"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// scrub overwrites every page that the file does not use, where earlier content keys and values would otherwise stay, and the space
// behind the last page, where a transaction that was cut off may have written. It reads all of them and writes those that are not
// zero. No transaction may be open.
//
// A page that the last transaction freed is still used by the one before it, to which bbolt returns when the newest meta page is
// damaged; but bbolt itself overwrites such pages in the very next transaction.
//
// This reaches what the file system and the medium overwrite in place (ext4 without data journalling does). Flash remaps: blocks that
// a controller has retired are beyond any program.
func scrub(db *bbolt.DB) error {
	tx, err := db.Begin(true) // keeps the free list still
	if err != nil {
		return fmt.Errorf("scrub free pages: %w", err)
	}
	defer tx.Rollback()
	f, err := os.OpenFile(db.Path(), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("scrub free pages: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("scrub free pages: %w", err)
	}
	size := db.Info().PageSize
	used := int(tx.Size()) / size
	page, zero := make([]byte, size), make([]byte, size)
	written := false
	for i := 2; i < int(info.Size())/size; i++ { // 0 and 1 are bbolt's meta pages
		if i < used {
			p, err := tx.Page(i)
			if err != nil {
				return fmt.Errorf("scrub free pages: %w", err)
			}
			if p.Type != "free" {
				i += p.OverflowCount // the pages behind it are its own
				continue
			}
		}
		at := int64(i) * int64(size)
		if _, err := f.ReadAt(page, at); err != nil {
			return fmt.Errorf("scrub free pages: %w", err)
		}
		if bytes.Equal(page, zero) {
			continue
		}
		if _, err := f.WriteAt(zero, at); err != nil {
			return fmt.Errorf("scrub free pages: %w", err)
		}
		written = true
	}
	if !written {
		return nil
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("scrub free pages: %w", err)
	}
	return nil
}
