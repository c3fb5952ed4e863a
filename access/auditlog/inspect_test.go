package auditlog

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/auditlog/proof"
)

func mustInspect(t testing.TB, dir string) *Reader {
	t.Helper()
	r, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// walked is all that a walk gives, by sequence; it fails unless they come in order.
func walked(t testing.TB, r *Reader) (map[uint64][]byte, Missing) {
	t.Helper()
	all, last := map[uint64][]byte{}, -1
	m, err := r.Walk(func(e Entry) error {
		if int(e.Seq) <= last {
			t.Errorf("record %d after %d", e.Seq, last)
		}
		last = int(e.Seq)
		all[e.Seq] = bytes.Clone(e.Record)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, m
}

// fillRecords appends real records, so that their receipts verify.
func fillRecords(t testing.TB, l *Log, n int) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range n {
		rec := encoded(t, access.Record{Version: 1, Event: access.EventBooted, Boot: uint64(i), Detail: string(bytes.Repeat([]byte("x"), 150))})
		mustAppend(t, l, Vital, rec)
		all = append(all, rec)
	}
	return all
}

// snapshot is every file of a folder with its mode, times of access left out.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = info.Mode().String() + info.ModTime().String() + string(segmentOf(t, filepath.Join(dir, e.Name())))
	}
	return all
}

// Whatever the log has been through, the reader gives the receipts that the writer gives, beside the open log and without a trace.
func TestReaderAgreesWithTheLog(t *testing.T) {
	key := testKey(t).Public().(*ecdsa.PublicKey)
	for what, do := range map[string]func(l *Log, dir string){
		"as it is": func(*Log, string) {},
		"some have expired": func(l *Log, _ string) {
			if err := l.Acknowledge(l.Head()); err != nil {
				t.Fatal(err)
			}
			until := l.out.segments[2]
			if n, err := l.Expire(func(e Entry) bool { return e.Seq < until }); n == 0 || err != nil {
				t.Fatal(n, err)
			}
		},
		"a record is damaged": func(l *Log, dir string) {
			path := filepath.Join(dir, segmentName(0))
			data := segmentOf(t, path)
			data[scan(data, 0).frames[3].end-1] ^= 1
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a segment is gone": func(l *Log, dir string) { os.Remove(filepath.Join(dir, segmentName(l.out.segments[1]))) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			l, _ := mustOpen(t, dir, hashed(t, nil))
			all := fillRecords(t, l, 300)
			do(l, dir)
			if _, err := l.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			all = append(all, fillRecords(t, l, 3)...) // behind the checkpoint
			// What a crash leaves is the writer's to clear away.
			if err := os.WriteFile(filepath.Join(dir, "cursor.new"), []byte("half"), 0o640); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			r := mustInspect(t, dir)
			got, missing := walked(t, r)
			damage, err := l.Check()
			if err != nil || !slices.Equal(missing.Damage, damage) || missing.Expired != l.out.expired {
				t.Errorf("missing %+v; log says %v, %v, expired %d", missing, damage, err, l.out.expired)
			}
			for seq := range uint64(303) {
				want, wantErr := l.Receipt(seq)
				b, err := r.Receipt(seq, nil)
				if !bytes.Equal(b, want) || (err == nil) != (wantErr == nil) || errors.Is(err, ErrUncovered) != errors.Is(wantErr, ErrUncovered) {
					t.Fatalf("record %d: %v; log says %v", seq, err, wantErr)
				}
				if err == nil {
					if v, err := proof.VerifyReceipt(b, key); err != nil || v.Seq != seq {
						t.Fatalf("record %d: %v", seq, err)
					}
				} else if gone, lost := (Expired{}), (Damage{}); errors.As(wantErr, &gone) != errors.As(err, &gone) || errors.As(wantErr, &lost) != errors.As(err, &lost) {
					t.Fatalf("record %d: %v; log says %v", seq, err, wantErr)
				}
				rec, there := got[seq]
				if list, err := l.Read(seq, 1); there != (err == nil) || there && (!bytes.Equal(rec, all[seq]) || !bytes.Equal(rec, list[0].Record)) {
					t.Fatalf("record %d: walked %v, read %v", seq, there, err)
				}
			}
			if !maps.Equal(before, snapshot(t, dir)) {
				t.Error("the reader changed the folder")
			}
		})
	}
}

// A torn tail is neither read nor mended, and a segment that ends in the middle of a frame does not disturb.
func TestReaderLeavesATornTail(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, hashed(t, nil))
	all := fillRecords(t, l, 5)
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := l.off
	l.Close()
	path := filepath.Join(dir, segmentName(0))
	whole := segmentOf(t, path)
	torn := appendFrame(nil, 5, 5, all[0])
	for cut := range torn {
		data := append(bytes.Clone(whole[:end]), torn[:cut]...)
		if cut%2 == 0 {
			data = append(data, make([]byte, len(whole)-len(data))...)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r := mustInspect(t, dir)
		if got, m := walked(t, r); len(got) != 5 || m.Damage != nil {
			t.Fatalf("cut at %d: %d records, %+v", cut, len(got), m)
		}
		if _, err := r.Receipt(4, nil); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if !bytes.Equal(segmentOf(t, path), data) {
			t.Fatal("the reader mended the segment")
		}
	}
}

// Records come, segments begin and expire while somebody reads: nothing is missed, nothing is called damaged, every receipt verifies.
func TestReaderBesideAWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, hashed(t, nil))
	key := testKey(t).Public().(*ecdsa.PublicKey)
	fillRecords(t, l, 100)
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			rec := encoded(t, access.Record{Version: 1, Event: access.EventBooted, Boot: uint64(i), Detail: string(bytes.Repeat([]byte("y"), 190))})
			if _, err := l.Append(Vital, rec); err != nil {
				t.Errorf("append: %v", err)
				return
			}
			if i%20 == 0 {
				if _, err := l.Checkpoint(t.Context()); err != nil {
					t.Errorf("checkpoint: %v", err)
				}
			}
			if i%150 == 149 {
				if err := l.Acknowledge(l.Head()); err != nil {
					t.Errorf("acknowledge: %v", err)
				}
				if _, err := l.Expire(always); err != nil {
					t.Errorf("expire: %v", err)
				}
			}
		}
	})
	r := mustInspect(t, dir)
	receipts := 0
	deadline := time.Now().Add(30 * time.Second)
	for expired := uint64(0); receipts < 60 || expired == 0; _, _, expired = l.extent() {
		if time.Now().After(deadline) {
			t.Errorf("%d receipts, %d expired: the test tried too little", receipts, expired)
			break
		}
		head := l.Head()
		got, m := walked(t, r)
		for seq := m.Expired; seq < head; seq++ {
			if got[seq] == nil {
				t.Fatalf("record %d of %d was missed: %+v", seq, head, m)
			}
		}
		if m.Damage != nil {
			t.Fatalf("damage beside the writer: %v", m.Damage)
		}
		switch b, err := r.Receipt(head-25, nil); {
		case err == nil:
			if _, err := proof.VerifyReceipt(b, key); err != nil {
				t.Fatal(err)
			}
			receipts++
		case !errors.As(err, new(Expired)):
			t.Fatalf("record %d of %d: %v", head-25, head, err)
		}
	}
	close(stop)
	work.Wait()
}

// Segments that expire under the reader become their tombstones: what it had not read yet has expired, and is not lost.
func TestSegmentsExpireUnderTheReader(t *testing.T) {
	key := testKey(t).Public().(*ecdsa.PublicKey)
	for _, what := range []string{"walk", "receipt"} {
		dir := filepath.Join(t.TempDir(), "audit")
		l, _ := mustOpen(t, dir, hashed(t, nil))
		fillRecords(t, l, 300)
		if _, err := l.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.Acknowledge(300); err != nil {
			t.Fatal(err)
		}
		second, last := l.out.segments[1], l.out.segments[len(l.out.segments)-1]
		expire := func() {
			if _, err := l.Expire(always); err != nil {
				t.Fatal(err)
			}
		}
		r := mustInspect(t, dir)
		if what == "receipt" {
			b, err := r.Receipt(299, func(done, _ uint64) {
				if done == 1 {
					expire()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if v, err := proof.VerifyReceipt(b, key); err != nil || v.Seq != 299 {
				t.Fatalf("%+v, %v", v, err)
			}
			continue
		}
		var got []uint64
		m, err := r.Walk(func(e Entry) error {
			if got = append(got, e.Seq); e.Seq == 0 {
				expire()
			}
			return nil
		})
		if err != nil || m.Damage != nil || m.Expired != last || len(got) != int(second+300-last) || got[second-1] != second-1 || got[second] != last {
			t.Fatalf("%v, %+v: %d", err, m, got)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := Inspect(path); err == nil {
			t.Errorf("%q inspected", path)
		}
	}
}
