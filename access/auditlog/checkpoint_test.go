package auditlog

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"io"
	"math/big"
	"path/filepath"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
	"github.com/lintel-access/lintel/sync/wire"
)

func encoded(t testing.TB, r access.Record) []byte {
	t.Helper()
	b, err := wire.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReceipt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	o := hashed(t, nil)
	key := testKey(t).Public().(*ecdsa.PublicKey)
	l, _ := mustOpen(t, dir, o)
	var want []access.Record
	for i := range 9 {
		r := access.Record{Version: 1, Event: access.EventWalkupGranted, Boot: 3, Wall: int64(1e9 + i), Door: "front"}
		want = append(want, r)
		mustAppend(t, l, Vital, encoded(t, r))
	}
	if _, err := l.Receipt(4); !errors.Is(err, ErrUncovered) {
		t.Fatalf("no checkpoint: %v", err)
	}
	note, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, Vital, []byte("later"))
	for i := range want {
		b, err := l.Receipt(uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		v, err := proof.VerifyReceipt(b, key)
		if err != nil || v.Record != want[i] || v.Seq != uint64(i) || v.Checkpoint.Size != 9 || v.Checkpoint.Counter != 17 {
			t.Fatalf("receipt %d: %+v, %v", i, v, err)
		}
	}
	if _, err := l.Receipt(9); !errors.Is(err, ErrUncovered) {
		t.Fatalf("record behind the checkpoint: %v", err)
	}
	l.Close()
	l, _ = mustOpen(t, dir, o)
	if !bytes.Equal(l.LastCheckpoint(), note) {
		t.Fatal("checkpoint was forgotten")
	}
	if _, err := l.Receipt(8); err != nil {
		t.Fatal(err)
	}
}

// A cancelled checkpoint, a TPM that fails at each step: an error, and the last checkpoint stands.
func TestCheckpointFaults(t *testing.T) {
	bad := errors.New("tpm is gone")
	o := hashed(t, nil)
	l, _ := mustOpen(t, filepath.Join(t.TempDir(), "audit"), o)
	mustAppend(t, l, Vital, []byte("one"))
	note, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Checkpoint(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	m := *o.Merkle
	for what, change := range map[string]func(*Merkle){
		"counter": func(m *Merkle) { m.Counter = func() (uint64, error) { return 0, bad } },
		"time": func(m *Merkle) {
			m.Attest = func(context.Context, [32]byte) ([32]byte, error) { return [32]byte{}, bad }
		},
		"key": func(m *Merkle) { m.Key = brokenKey{testKey(t), bad} },
	} {
		broken := m
		change(&broken)
		l.merkle = &broken
		if _, err := l.Checkpoint(t.Context()); !errors.Is(err, bad) || !bytes.Equal(l.LastCheckpoint(), note) {
			t.Errorf("%s: %v", what, err)
		}
	}
	l.merkle = &m
	m.Key = brokenKey{testKey(t), nil}
	if _, err := l.Checkpoint(t.Context()); err == nil {
		t.Error("a signature that does not verify was given away")
	}
	m.Key = nil
	if _, err := l.Checkpoint(t.Context()); err == nil {
		t.Error("a checkpoint without a key")
	}
}

// brokenKey fails, or signs something else.
type brokenKey struct {
	fixedKey
	fault error
}

func (k brokenKey) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	if k.fault != nil {
		return nil, k.fault
	}
	other := sha256.Sum256(new(big.Int).SetBytes(digest).Bytes())
	return k.fixedKey.Sign(r, other[:], o)
}
