package vault

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// The layout of bbolt's pages, which has been the same since 2014.
const (
	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4; little-endian, as all machines of ours are
	pageElement = 16 // of branches: position 4, key 4, page 8; of leaves: flags 4, position 4, key 4, value 4
	flagBranch  = 0x01
	flagLeaf    = 0x02
	flagFree    = 0x10 // a free list
	flagBucket  = 0x01 // of a leaf's element
	metaRoot    = pageHeader + 16
	metaFree    = pageHeader + 32
	metaTx      = pageHeader + 48
	bucketSize  = 16 // root page 8, sequence 8
	manyFree    = 0xffff
	deepestPage = 16 // levels of a tree; each branch holds two pages or more, and the file is no petabyte
)

// pages checks how the pages of a file hang together before anything is written: each is used once, by a tree, by the free list or by
// nobody. bbolt itself believes them, and a page that is used and said to be free would be overwritten by it and by scrub.
type pages struct {
	file []byte // from the first page to the last one in use
	size int
	used []bool
}

func checkPages(tx *bbolt.Tx, file []byte) error {
	p := &pages{file: file, size: tx.DB().Info().PageSize}
	if int64(len(file)) < tx.Size() {
		return p.broken("the file is short")
	}
	p.file = file[:tx.Size()]
	p.used = make([]bool, len(p.file)/p.size)
	p.used[0], p.used[1] = true, true
	for _, meta := range [][]byte{p.file[:p.size], p.file[p.size : 2*p.size]} {
		if number64(meta[metaTx:]) != uint64(tx.ID()) {
			continue
		}
		if err := p.free(number64(meta[metaFree:])); err != nil {
			return err
		}
		if err := p.tree(number64(meta[metaRoot:]), 0); err != nil {
			return err
		}
		for _, used := range p.used {
			if !used {
				return p.broken("a page belongs to nobody")
			}
		}
		return nil
	}
	return p.broken("no meta page is that of the transaction")
}

// inspectPages maps the file for checkPages. A sealed vault is written to as soon as it is open, a plain one at its first change.
func inspectPages(tx *bbolt.Tx, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if tx.Size() > math.MaxInt {
		return ErrForeign
	}
	file, err := unix.Mmap(int(f.Fd()), 0, int(tx.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map file: %w", err)
	}
	defer unix.Munmap(file)
	return checkPages(tx, file)
}

func (p *pages) broken(what string) error {
	return fmt.Errorf("%w: its pages are damaged: %s", ErrForeign, what)
}

// claim marks a page and those that it runs over, and returns them.
func (p *pages) claim(id uint64) ([]byte, error) {
	if id < 2 || id >= uint64(len(p.used)) {
		return nil, p.broken("a page lies outside")
	}
	at := int(id) * p.size
	more := uint64(binary.LittleEndian.Uint32(p.file[at+12:]))
	if number64(p.file[at:]) != id || id+more >= uint64(len(p.used)) {
		return nil, p.broken("a page is not what it says")
	}
	for i := id; i <= id+more; i++ {
		if p.used[i] {
			return nil, p.broken("a page is used twice")
		}
		p.used[i] = true
	}
	return p.file[at : at+int(more+1)*p.size], nil
}

func (p *pages) free(id uint64) error {
	page, err := p.claim(id)
	if err != nil {
		return err
	}
	count, ids := uint64(binary.LittleEndian.Uint16(page[10:])), page[pageHeader:]
	if count == manyFree {
		count, ids = number64(ids), ids[8:]
	}
	if binary.LittleEndian.Uint16(page[8:]) != flagFree || count > uint64(len(ids)/8) {
		return p.broken("the free list is none")
	}
	for ; count > 0; count, ids = count-1, ids[8:] {
		free := number64(ids)
		if free < 2 || free >= uint64(len(p.used)) || p.used[free] {
			return p.broken("a free page is used")
		}
		p.used[free] = true
	}
	return nil
}

func (p *pages) tree(id uint64, depth int) error {
	page, err := p.claim(id)
	if err != nil {
		return err
	}
	if depth > deepestPage {
		return p.broken("a tree is too deep")
	}
	flags, count := binary.LittleEndian.Uint16(page[8:]), int(binary.LittleEndian.Uint16(page[10:]))
	if pageHeader+count*pageElement > len(page) || flags != flagBranch && flags != flagLeaf {
		return p.broken("a page of a tree is none")
	}
	return p.elements(page, flags, count, depth)
}

// elements checks that what a page of a tree lists lies within it, and goes on to the pages that it names.
func (p *pages) elements(page []byte, flags uint16, count, depth int) error {
	for i := range count {
		at := pageHeader + i*pageElement
		e := page[at : at+pageElement]
		u := func(from int) uint64 { return uint64(binary.LittleEndian.Uint32(e[from:])) }
		if flags == flagBranch {
			if uint64(at)+u(0)+u(4) > uint64(len(page)) {
				return p.broken("a key lies outside its page")
			}
			if err := p.tree(number64(e[8:]), depth+1); err != nil {
				return err
			}
			continue
		}
		value := uint64(at) + u(4) + u(8)
		if value+u(12) > uint64(len(page)) {
			return p.broken("a record lies outside its page")
		}
		if u(0)&flagBucket == 0 {
			continue
		}
		if u(12) < bucketSize {
			return p.broken("a bucket is short")
		}
		bucket := page[value : value+u(12)]
		if root := number64(bucket); root != 0 {
			if err := p.tree(root, depth+1); err != nil {
				return err
			}
		} else if err := p.inline(bucket[bucketSize:]); err != nil {
			return err
		}
	}
	return nil
}

// inline checks a small bucket, which lies as one leaf in the record of its name.
func (p *pages) inline(page []byte) error {
	if len(page) < pageHeader {
		return p.broken("a bucket is short")
	}
	count := int(binary.LittleEndian.Uint16(page[10:]))
	if binary.LittleEndian.Uint16(page[8:]) != flagLeaf || pageHeader+count*pageElement > len(page) {
		return p.broken("a bucket is no leaf")
	}
	for i := range count {
		if binary.LittleEndian.Uint32(page[pageHeader+i*pageElement:])&flagBucket != 0 {
			return p.broken("a bucket lies too deep")
		}
	}
	return p.elements(page, flagLeaf, count, deepestPage)
}

func number64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
