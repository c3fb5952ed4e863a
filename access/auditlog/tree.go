package auditlog

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"os"
	"sort"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"
)

const (
	hashesName  = "hashes"
	hashesMagic = "LNTLHSH1"
	hashesHead  = 32 // as long as a hash, so that hash i stands at (i+1)*32
)

// tree is the Merkle tree over the records. Its file holds nothing that the segments and tombstones do not give again, so it is
// neither synced with an append nor may it stop one: hashes that a full disk refuses wait in memory.
type tree struct {
	file *os.File

	mu      sync.Mutex
	size    uint64        // leaves
	edge    [64]tlog.Hash // the last hash of each level: all that the next leaf needs
	buf     []byte
	pending []byte // hashes that the file does not hold yet
	stored  int64  // hashes in the file; pending goes on there
	sure    uint64 // leaves whose hashes the file held when it was last synced
}

func openTree(path string) (*tree, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	t := &tree{file: f, stored: max(0, info.Size()-hashesHead) / tlog.HashSize}
	head := make([]byte, hashesHead)
	if _, err := f.ReadAt(head, 0); err == nil {
		t.sure = min(parseHashesHead(head), leaves(t.stored))
	}
	return t, nil
}

func appendHashesHead(b []byte, sure uint64) []byte {
	start := len(b)
	b = append(b, hashesMagic...)
	b = binary.BigEndian.AppendUint64(b, sure)
	b = append(b, make([]byte, hashesHead-len(hashesMagic)-8-4)...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

// parseHashesHead returns 0 for a header that cannot be believed: then all hashes are made again.
func parseHashesHead(b []byte) uint64 {
	sure := binary.BigEndian.Uint64(b[len(hashesMagic):])
	if string(appendHashesHead(nil, sure)) != string(b) {
		return 0
	}
	return sure
}

// leaves is how many leaves have all their hashes among the first n stored ones.
func leaves(n int64) uint64 {
	return uint64(sort.Search(int(n), func(i int) bool { return tlog.StoredHashCount(int64(i)+1) > n }))
}

// add appends one leaf, in memory, and the nodes that it completes, in the order of tlog. The caller holds mu.
func (t *tree) add(h tlog.Hash) {
	level := 0
	for ; t.size>>level&1 == 1; level++ {
		t.pending = append(t.pending, h[:]...)
		h = nodeHash(t.edge[level], h)
	}
	t.pending = append(t.pending, h[:]...)
	t.edge[level] = h
	t.size++
}

// nodeHash is tlog.NodeHash without its allocations: it is on the way of every append.
func nodeHash(left, right tlog.Hash) tlog.Hash {
	var b [1 + 2*tlog.HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+tlog.HashSize:], right[:])
	return sha256.Sum256(b[:])
}

// leafHash is tlog.RecordHash without its allocations. It returns the buffer that it used, for the next call.
func leafHash(b, record []byte) (tlog.Hash, []byte) {
	b = append(append(b[:0], 0), record...)
	return sha256.Sum256(b), b
}

// append takes the records of one flush, which are durable. The disk may be full: then the hashes wait.
func (t *tree) append(items []item) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, it := range items {
		if it.err != nil {
			continue
		}
		if it.seq != t.size {
			return fmt.Errorf("tree has %d leaves before record %d", t.size, it.seq)
		}
		var h tlog.Hash
		h, t.buf = leafHash(t.buf, it.record)
		t.add(h)
	}
	_ = t.spill()
	return nil
}

// spill writes what waits. The caller holds mu.
func (t *tree) spill() error {
	n, err := t.file.WriteAt(t.pending, hashesHead+t.stored*tlog.HashSize)
	n /= tlog.HashSize
	t.stored += int64(n)
	t.pending = append(t.pending[:0], t.pending[n*tlog.HashSize:]...)
	return err
}

// settle makes all hashes durable and says so in the header, so that the next open needs not make them again. Appends go on meanwhile.
func (t *tree) settle() error {
	t.mu.Lock()
	err := t.spill()
	size := t.size
	t.mu.Unlock()
	if err != nil {
		return err
	}
	return t.vouch(size)
}

// vouch syncs the file, which holds the hashes of size leaves, and then says so.
func (t *tree) vouch(size uint64) error {
	if err := unix.Fdatasync(int(t.file.Fd())); err != nil {
		return err
	}
	// A header that does not become durable is an older one, which is as true.
	_, err := t.file.WriteAt(appendHashesHead(nil, size), 0)
	return err
}

// rewind goes back to a tree of n leaves, of which the file holds all hashes. What stands behind in the file stays for now.
func (t *tree) rewind(n uint64) error {
	t.size, t.stored, t.pending = n, tlog.StoredHashCount(int64(n)), nil
	for level := range bits.Len64(n) {
		if n>>level&1 == 0 {
			continue // the last hash of this level has been combined already
		}
		h, err := t.read(tlog.StoredHashIndex(level, int64(n>>level)-1))
		if err != nil {
			return err
		}
		t.edge[level] = h
	}
	return nil
}

// kept is the hash that the file has of a record that cannot be read any more, when it had stored hashes.
func (t *tree) kept(seq uint64, stored int64) (h tlog.Hash, ok bool) {
	index := tlog.StoredHashIndex(0, int64(seq))
	if index >= stored {
		return h, false
	}
	_, err := t.file.ReadAt(h[:], hashesHead+index*tlog.HashSize)
	return h, err == nil && h != tlog.Hash{} // zeros: the page never reached the disk
}

// commit writes what rewind and add have made, cuts off what stood behind and makes it durable. A full disk is none of its errors.
// The caller holds mu. What is cut off goes last: until then it tells of records that are lost.
func (t *tree) commit() error {
	err := t.spill()
	if err == nil {
		err = t.file.Truncate(hashesHead + t.stored*tlog.HashSize)
	}
	if err == nil {
		err = t.vouch(t.size)
	}
	if errors.Is(noRoom(err), ErrFull) {
		return nil
	}
	return err
}

// read reads one hash from the file or from what waits. The caller holds mu.
func (t *tree) read(index int64) (h tlog.Hash, err error) {
	if at := (index - t.stored) * tlog.HashSize; index >= t.stored && at < int64(len(t.pending)) {
		copy(h[:], t.pending[at:])
		return h, nil
	}
	_, err = t.file.ReadAt(h[:], hashesHead+index*tlog.HashSize)
	return h, err
}

// ReadHashes makes tree a tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		h, err := t.read(x)
		if err != nil {
			return nil, fmt.Errorf("read hash %d: %w", x, err)
		}
		list[i] = h
	}
	return list, nil
}

// root is the tree's size and root at this moment.
func (t *tree) root() (uint64, tlog.Hash, error) {
	t.mu.Lock()
	n := t.size
	t.mu.Unlock()
	h, err := tlog.TreeHash(int64(n), t)
	return n, h, err
}
