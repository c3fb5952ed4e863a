package auditlog

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
)

// The proof is right for a tree of every shape, from one record on.
func TestReaderProvesEverySize(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, hashed(t, nil))
	key := testKey(t).Public().(*ecdsa.PublicKey)
	for size := uint64(1); size <= 33; size++ {
		fillRecords(t, l, 1)
		if _, err := l.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := mustInspect(t, dir)
		for seq := range size {
			b, err := r.Receipt(seq, nil)
			if err != nil {
				t.Fatalf("%d of %d: %v", seq, size, err)
			}
			if v, err := proof.VerifyReceipt(b, key); err != nil || v.Seq != seq || v.Checkpoint.Size != size {
				t.Fatalf("%d of %d: %+v, %v", seq, size, v, err)
			}
		}
	}
}

// bend replaces a record by another of the same length, with a good checksum: what somebody does who knows the format.
func bend(t testing.TB, dir string, seq uint64) {
	t.Helper()
	path := filepath.Join(dir, segmentName(0))
	data := segmentOf(t, path)
	f := scan(data, 0).frames[seq]
	copy(data[f.end-len(f.record)-frameHead:], appendFrame(nil, seq, f.batch, bytes.Repeat([]byte{7}, len(f.record))))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A log that was changed gives no receipt, neither of the changed record nor of any other; nor under a stranger's checkpoint.
func TestReaderRefusesAChangedLog(t *testing.T) {
	other := proof.Checkpoint{Origin: "kiosk.test/2", Size: 40, Root: rfcRoot(nil)}
	another, err := other.Sign(testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	other.Size = proof.MaxSize
	endless, err := other.Sign(testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	lost := func(err error) bool { return errors.As(err, new(Damage)) }
	refused := func(err error) bool { return err != nil && !errors.Is(err, ErrCutOff) && !errors.Is(err, ErrUncovered) }
	put := func(dir, name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		do   func(dir string)
		want func(error) bool
	}{
		"the record":           {func(dir string) { bend(t, dir, 3) }, is(ErrCutOff)},
		"another record":       {func(dir string) { bend(t, dir, 20) }, is(ErrCutOff)},
		"cut off, no hashes":   {func(dir string) { os.Remove(filepath.Join(dir, hashesName)); cutSegment(t, dir, 30) }, is(ErrCutOff)},
		"another's checkpoint": {func(dir string) { put(dir, checkpointName, another) }, is(ErrCutOff)},
		"endless checkpoint":   {func(dir string) { put(dir, checkpointName, endless) }, lost},
		"no checkpoint":        {func(dir string) { os.Remove(filepath.Join(dir, checkpointName)) }, is(ErrUncovered)},
		"junk for one":         {func(dir string) { put(dir, checkpointName, []byte("junk")) }, refused},
		"too long a one":       {func(dir string) { put(dir, checkpointName, make([]byte, proof.MaxCheckpoint+1)) }, refused},
		"a far segment":        {func(dir string) { put(dir, segmentName(proof.MaxSize+1), nil) }, refused},
		"a pipe": {func(dir string) {
			os.Remove(filepath.Join(dir, segmentName(0)))
			if err := unix.Mkfifo(filepath.Join(dir, segmentName(0)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, refused},
		"a link": {func(dir string) {
			os.Remove(filepath.Join(dir, checkpointName))
			if err := os.Symlink("hashes", filepath.Join(dir, checkpointName)); err != nil {
				t.Fatal(err)
			}
		}, refused},
		"too long a segment": {func(dir string) {
			if err := os.Truncate(filepath.Join(dir, segmentName(0)), maxSegment+1); err != nil {
				t.Fatal(err)
			}
		}, refused},
	} {
		dir := filepath.Join(t.TempDir(), "audit")
		l, _ := mustOpen(t, dir, hashed(t, nil))
		fillRecords(t, l, 45)
		if _, err := l.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.Close()
		r := mustInspect(t, dir)
		if _, err := r.Receipt(3, nil); err != nil {
			t.Fatal(err)
		}
		c.do(dir)
		if b, err := r.Receipt(3, nil); b != nil || !c.want(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// cutSegment removes what stands behind a record of the first segment.
func cutSegment(t testing.TB, dir string, seq int) {
	t.Helper()
	path := filepath.Join(dir, segmentName(0))
	data := segmentOf(t, path)
	clear(data[scan(data, 0).frames[seq].end:])
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A log of any length is proven in one walk; the floor is the walk alone.
func BenchmarkReaderReceipt(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "audit")
	o := hashed(b, nil)
	o.SegmentBytes, o.MaxSegments = defaultSegment, defaultSegments
	l, _ := mustOpen(b, dir, o)
	rec := encoded(b, access.Record{Version: 1, Event: access.EventWalkupGranted})
	var work sync.WaitGroup
	for range maxBatch {
		work.Go(func() {
			for range 1000 {
				if _, err := l.Append(Vital, rec); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	if _, err := l.Checkpoint(b.Context()); err != nil {
		b.Fatal(err)
	}
	r := mustInspect(b, dir)
	var floor, took time.Duration // for one
	b.Run("walk", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Walk(func(Entry) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
		floor = b.Elapsed() / time.Duration(b.N)
	})
	b.Run("receipt", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Receipt(31999, nil); err != nil {
				b.Fatal(err)
			}
		}
		took = b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(float64(took)/float64(max(1, floor)), "x-walk")
	})
}
