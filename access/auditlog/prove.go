package auditlog

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/access/auditlog/proof"
)

// ErrUncovered means that no checkpoint covers the record yet: make one first.
var ErrUncovered = errors.New("record is in no checkpoint yet")

// Root is the root of the tree over the first size records.
func (l *Log) Root(size uint64) (tlog.Hash, error) {
	if err := l.covers(size); err != nil {
		return tlog.Hash{}, fmt.Errorf("hash audit log: %w", err)
	}
	return tlog.TreeHash(int64(size), l.tree)
}

// ProveInclusion proves that record seq stands in the tree over the first size records, for tlog.CheckRecord.
func (l *Log) ProveInclusion(seq, size uint64) (tlog.RecordProof, error) {
	err := l.covers(size)
	if err == nil && seq >= size {
		err = fmt.Errorf("record %d is not among the first %d", seq, size)
	}
	if err != nil {
		return nil, fmt.Errorf("prove inclusion: %w", err)
	}
	return tlog.ProveRecord(int64(size), int64(seq), l.tree)
}

// ProveConsistency proves that the tree over the first old records is the beginning of the one over the first size, for
// tlog.CheckTree. Old is 1 or more: everything begins with nothing.
func (l *Log) ProveConsistency(old, size uint64) (tlog.TreeProof, error) {
	err := l.covers(size)
	if err == nil && (old == 0 || old > size) {
		err = fmt.Errorf("first %d records are no beginning of the first %d", old, size)
	}
	if err != nil {
		return nil, fmt.Errorf("prove consistency: %w", err)
	}
	return tlog.ProveTree(int64(size), int64(old), l.tree)
}

func (l *Log) covers(size uint64) error {
	if l.tree == nil {
		return errNoTree
	}
	l.tree.mu.Lock()
	defer l.tree.mu.Unlock()
	if size > l.tree.size {
		return fmt.Errorf("%d records, the log has %d", size, l.tree.size)
	}
	return nil
}

// Receipt returns the record with the proof that it stands in the last checkpoint, for proof.VerifyReceipt. It returns
// ErrUncovered when that checkpoint is older than the record, and a Damage or an Expired when the record is gone.
func (l *Log) Receipt(seq uint64) ([]byte, error) {
	b, err := l.receipt(seq)
	if err != nil {
		return nil, fmt.Errorf("make receipt: %w", err)
	}
	return b, nil
}

func (l *Log) receipt(seq uint64) ([]byte, error) {
	l.mu.Lock()
	signed, size := l.signed, l.signedSize
	l.mu.Unlock()
	if l.tree == nil {
		return nil, errNoTree
	}
	if seq >= size {
		return nil, fmt.Errorf("%w: it is number %d, the last checkpoint has %d", ErrUncovered, seq, size)
	}
	list, err := l.Read(seq, 1)
	if err != nil {
		return nil, err
	}
	path, err := l.ProveInclusion(seq, size)
	if err != nil {
		return nil, err
	}
	root, err := l.Root(size)
	if err != nil {
		return nil, err
	}
	if tlog.CheckRecord(path, int64(size), root, int64(seq), tlog.RecordHash(list[0].Record)) != nil {
		return nil, fmt.Errorf("%w: record %d was changed", ErrCutOff, seq)
	}
	r := proof.Receipt{Record: list[0].Record, Seq: seq, Checkpoint: signed}
	for _, h := range path {
		r.Path = append(r.Path, h)
	}
	return r.Marshal()
}
