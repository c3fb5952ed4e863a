package auditlog

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/access/auditlog/proof"
)

// maxLost is how many lost records a proof may step over: thrice as many as the storage budget holds. A checkpoint that nobody has
// verified may claim any number.
const maxLost = 1 << 22

// Receipt does what Log.Receipt does, from the records and tombstones alone and under the stored checkpoint, whose signature it
// cannot judge: proof.VerifyReceipt does. It returns ErrUncovered when that checkpoint is older than the record, ErrCutOff when the
// log is not the one that it states, and a Damage or an Expired when the record is gone. Of a long log it tells progress, which may
// be nil, how many of the records have been hashed.
func (r *Reader) Receipt(seq uint64, progress func(done, all uint64)) ([]byte, error) {
	b, err := r.receipt(seq, progress)
	if err != nil {
		return nil, fmt.Errorf("make receipt: %w", err)
	}
	return b, nil
}

func (r *Reader) receipt(seq uint64, progress func(done, all uint64)) ([]byte, error) {
	// First of all: every record that it covers was durable when it was signed.
	signed, err := r.read(checkpointName, proof.MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is none at all", ErrUncovered)
	}
	if err != nil {
		return nil, err
	}
	c, err := proof.ClaimedCheckpoint(signed)
	if err != nil {
		return nil, err
	}
	if seq >= c.Size {
		return nil, fmt.Errorf("%w: it is number %d, the last checkpoint has %d", ErrUncovered, seq, c.Size)
	}
	w := witness{seq: seq, hashes: asked{}}
	if _, _, err := w.prove(c.Size); err != nil { // of nothing yet: it says which hashes it will need
		return nil, err
	}
	if err := w.watch(r, c.Size, progress); err != nil {
		return nil, err
	}
	root, path, err := w.prove(c.Size)
	if err != nil {
		return nil, err
	}
	if root != c.Root || tlog.CheckRecord(path, int64(c.Size), root, int64(seq), tlog.RecordHash(w.record)) != nil {
		return nil, fmt.Errorf("%w: its first %d records, %d of them lost, do not give the root in its checkpoint: %s", ErrCutOff, c.Size, w.lost, advice)
	}
	receipt := proof.Receipt{Record: w.record, Seq: seq, Checkpoint: signed}
	for _, h := range path {
		receipt.Path = append(receipt.Path, h)
	}
	return receipt.Marshal()
}

// witness grows the tree of a log from its first record on and keeps of it what the proof of one record needs, so that a log of any
// length takes no more memory than a segment.
type witness struct {
	seq     uint64
	record  []byte
	expired bool
	hashes  asked

	tree tree // in memory, with nothing but its edge
	next int64
	lost uint64
	buf  []byte
}

// asked are the hashes that a proof consists of, by their index; those that are not known yet are zero.
type asked map[int64]tlog.Hash

// ReadHashes makes asked a tlog.HashReader that remembers what it was asked for.
func (a asked) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		list[i] = a[x]
		a[x] = list[i]
	}
	return list, nil
}

func (w *witness) prove(size uint64) (tlog.Hash, tlog.RecordProof, error) {
	root, err := tlog.TreeHash(int64(size), w.hashes)
	if err != nil {
		return root, nil, err
	}
	path, err := tlog.ProveRecord(int64(size), int64(w.seq), w.hashes)
	return root, path, err
}

// watch takes the first size records. What is lost counts with the hash that its file still has; whether that is the right one the
// root tells.
func (w *witness) watch(r *Reader, size uint64, progress func(done, all uint64)) error {
	stored, err := w.openHashes(r)
	if err != nil {
		return err
	}
	defer w.tree.file.Close() // nil without hashes, which is no matter
	var first uint64          // that has not expired
	err = r.each(size, func(l leaf) error {
		if err := w.step(l.seq, stored); err != nil {
			return err
		}
		if l.record == nil {
			first = l.seq + 1
			w.expired = w.expired || l.seq == w.seq
		} else {
			l.hash, w.buf = leafHash(w.buf, l.record)
		}
		if l.seq == w.seq {
			w.record = slices.Clone(l.record)
		}
		w.add(l.hash)
		if progress != nil {
			progress(w.tree.size, size)
		}
		return nil
	})
	if err == nil {
		err = w.step(size, stored)
	}
	switch {
	case err != nil:
		return err
	case w.expired:
		return Expired{Until: first}
	case w.record == nil:
		return Damage{w.seq, w.seq + 1}
	}
	return nil
}

// openHashes opens the file of hashes, if there is one, and returns how many it has.
func (w *witness) openHashes(r *Reader) (stored int64, err error) {
	f, bytes, err := r.open(hashesName)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	w.tree.file = f
	return max(0, bytes-hashesHead) / tlog.HashSize, err
}

// step goes over lost records up to seq.
func (w *witness) step(seq uint64, stored int64) error {
	if n := seq - w.tree.size; n > maxLost-w.lost {
		return Damage{w.tree.size, seq}
	}
	for ; w.tree.size < seq; w.lost++ {
		h, ok := w.tree.kept(w.tree.size, stored)
		if !ok {
			h = tlog.RecordHash(nil)
		}
		w.add(h)
	}
	return nil
}

// add takes one leaf and keeps what it completes and was asked for.
func (w *witness) add(h tlog.Hash) {
	w.tree.add(h)
	for p := w.tree.pending; len(p) > 0; p = p[tlog.HashSize:] {
		if _, ok := w.hashes[w.next]; ok {
			w.hashes[w.next] = tlog.Hash(p)
		}
		w.next++
	}
	w.tree.pending = w.tree.pending[:0]
}
