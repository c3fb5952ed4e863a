package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/lintel-access/lintel/access/auditlog/proof"
)

const checkpointName = "checkpoint"

var errNoTree = errors.New("log was opened without a Merkle tree")

// Checkpoint signs what the log holds at this moment, stores the note in place of the last one and returns it. Appends go on
// meanwhile: a slow TPM delays nobody at the door.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	signed, _, err := l.checkpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("make checkpoint: %w", err)
	}
	return slices.Clone(signed), nil
}

// Anchor makes a checkpoint and has the anchor remember it: from then on a log that lacks these records does not open.
func (l *Log) Anchor(ctx context.Context) ([]byte, error) {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	if l.merkle == nil || l.merkle.Anchor == nil {
		return nil, errors.New("anchor checkpoint: log was opened without an anchor")
	}
	signed, c, err := l.checkpoint(ctx)
	if err == nil {
		err = l.merkle.Anchor.WriteAnchor(encodeAnchor(c.Size, c.Root))
	}
	if err != nil {
		return nil, fmt.Errorf("anchor checkpoint: %w", err)
	}
	return slices.Clone(signed), nil
}

// checkpoint does the work. The caller holds sealing, so that checkpoints come in order of their size.
func (l *Log) checkpoint(ctx context.Context) ([]byte, proof.Checkpoint, error) {
	var c proof.Checkpoint
	if l.merkle == nil {
		return nil, c, errNoTree
	}
	if err := errors.Join(context.Cause(ctx), l.failed()); err != nil {
		return nil, c, err
	}
	m, err := l.merkle, error(nil)
	c.Origin = m.Origin
	if c.Size, c.Root, err = l.tree.root(); err != nil { // every leaf is durable: it was hashed after its fdatasync
		return nil, c, err
	}
	if m.Counter != nil {
		if c.Counter, err = m.Counter(); err != nil {
			return nil, c, fmt.Errorf("read counter: %w", err)
		}
	}
	if m.Attest != nil {
		if c.Time, err = m.Attest(ctx, c.Root); err != nil {
			return nil, c, fmt.Errorf("attest time: %w", err)
		}
	}
	signed, err := c.Sign(m.Key)
	if err != nil {
		return nil, c, err
	}
	if err := l.out.replace(checkpointName, signed); err != nil {
		return nil, c, err
	}
	_ = l.tree.settle() // without it the next open makes more hashes again, nothing worse
	l.mu.Lock()
	l.signed, l.signedSize = signed, c.Size
	l.mu.Unlock()
	return signed, c, nil
}

// LastCheckpoint is the stored checkpoint; nil when there is none.
func (l *Log) LastCheckpoint() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.signed)
}

// readCheckpoint returns nil when there is none.
func readCheckpoint(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, proof.MaxCheckpoint+1))
}
