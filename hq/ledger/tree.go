package ledger

import (
	"fmt"
	"math/bits"
	"os"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"
)

// hashFile is a tlog.HashReader over the hashes of a tree, in tlog's order, 32 bytes each.
type hashFile struct{ *os.File }

// ReadHashes returns the hashes of these indexes.
func (f hashFile) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if _, err := f.ReadAt(list[i][:], x*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("read hash %d: %w", x, err)
		}
	}
	return list, nil
}

// tree is the Merkle tree over the records that are vouched for. Its file says nothing that the records do not say.
type tree struct {
	file hashFile
	size uint64
	edge [64]tlog.Hash // the last hash of each level: all that the next leaf needs
}

func openTree(path string) (*tree, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	return &tree{file: hashFile{f}}, err
}

// rewind takes the file's word for a tree of n leaves. An error means that the file does not have them.
func (t *tree) rewind(n uint64) error {
	t.size = n
	for level := range bits.Len64(n) {
		if n>>level&1 == 0 {
			continue // the last hash of this level has been combined already
		}
		h, err := t.file.ReadHashes([]int64{tlog.StoredHashIndex(level, int64(n>>level)-1)})
		if err != nil {
			return err
		}
		t.edge[level] = h[0]
	}
	return nil
}

// root of the tree over the first n records; n is at most size.
func (t *tree) root(n uint64) (tlog.Hash, error) {
	if n == 0 || n > t.size {
		return tlog.Hash{}, fmt.Errorf("hash %d of %d records", n, t.size)
	}
	return tlog.TreeHash(int64(n), t.file)
}

// holds reports whether record i is this one.
func (t *tree) holds(i uint64, record []byte) (bool, error) {
	h, err := t.file.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(i))})
	return err == nil && h[0] == tlog.RecordHash(record), err
}

// growth is the tree as it would be with more records. Nothing of it is in the tree yet.
type growth struct {
	from  *tree
	start int64 // index of ahead[0]
	ahead []tlog.Hash
	size  uint64
	edge  [64]tlog.Hash
}

func (t *tree) grow(list []Entry) *growth {
	g := &growth{from: t, start: tlog.StoredHashCount(int64(t.size)), size: t.size, edge: t.edge}
	for _, e := range list {
		g.add(tlog.RecordHash(e.Record))
	}
	return g
}

func (g *growth) add(h tlog.Hash) {
	level := 0
	for ; g.size>>level&1 == 1; level++ {
		g.ahead = append(g.ahead, h)
		h = tlog.NodeHash(g.edge[level], h)
	}
	g.ahead = append(g.ahead, h)
	g.edge[level] = h
	g.size++
}

// ReadHashes makes growth a tlog.HashReader.
func (g *growth) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= g.start {
			list[i] = g.ahead[x-g.start]
			continue
		}
		h, err := g.from.file.ReadHashes([]int64{x})
		if err != nil {
			return nil, err
		}
		list[i] = h[0]
	}
	return list, nil
}

// root of the tree over the first n records; n is between 1 and size.
func (g *growth) root(n uint64) (tlog.Hash, error) { return tlog.TreeHash(int64(n), g) }

// first is the growth by only so many records that the tree has n.
func (g *growth) first(list []Entry, n uint64) *growth {
	if n == g.size {
		return g
	}
	return g.from.grow(list[:n-g.from.size])
}

// write puts the hashes into the file. They are in the tree when take says so: until then they are nothing.
func (g *growth) write() error {
	b := make([]byte, 0, len(g.ahead)*tlog.HashSize)
	for _, h := range g.ahead {
		b = append(b, h[:]...)
	}
	_, err := g.from.file.WriteAt(b, g.start*tlog.HashSize)
	return noRoom(err)
}

func (g *growth) take() { g.from.size, g.from.edge = g.size, g.edge }

func (t *tree) sync() error { return unix.Fdatasync(int(t.file.Fd())) }
