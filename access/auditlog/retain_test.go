package auditlog

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lintel-access/lintel/access/auditlog/proof"
)

func always(Entry) bool { return true }

func TestExpire(t *testing.T) {
	for _, merkle := range []bool{true, false} {
		dir, nv := filepath.Join(t.TempDir(), "audit"), &nvram{}
		o := hashed(t, nv)
		if !merkle {
			o.Merkle = nil
		}
		l, _ := mustOpen(t, dir, o)
		all := fill(t, l, 70, 1000) // five segments
		if n, err := l.Expire(always); n != 0 || err != nil {
			t.Fatalf("%d records expired that nobody has acknowledged: %v", n, err)
		}
		first, second := l.out.segments[1], l.out.segments[2]
		if err := l.Acknowledge(second + 1); err != nil {
			t.Fatal(err)
		}
		var asked []Entry
		n, err := l.Expire(func(e Entry) bool { asked = append(asked, e); return e.Seq < first })
		if err != nil || n != first || len(asked) != 2 || asked[0].Seq != first-1 || !bytes.Equal(asked[1].Record, all[second-1]) {
			t.Fatalf("%d expired, %v; asked %d times", n, err, len(asked))
		}
		if n, err := l.Expire(always); err != nil || n != second-first {
			t.Fatalf("%d more expired, %v", n, err)
		}
		var gone Expired
		if _, err := l.Read(first, 1); !errors.As(err, &gone) || gone.Until != second {
			t.Fatalf("read an expired record: %v", err)
		}
		if merkle {
			if _, err := l.Anchor(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Receipt(1); !errors.As(err, &gone) {
				t.Fatalf("receipt of an expired record: %v", err)
			}
		}
		for _, lose := range []string{"", hashesName} { // the second time the hashes come from the tombstones
			l.Close()
			if lose != "" {
				os.Remove(filepath.Join(dir, lose))
			}
			var r Recovery
			l, r = mustOpen(t, dir, o)
			if r.Damage != nil || r.Notes != nil || l.Head() != 70 || l.out.expired != second {
				t.Fatalf("reopened: %+v, head %d, expired %d", r, l.Head(), l.out.expired)
			}
			list, err := l.Read(second, 100)
			if err != nil || len(list) != 70-int(second) || !bytes.Equal(list[0].Record, all[second]) {
				t.Fatalf("%d records are left, %v", len(list), err)
			}
			if damage, err := l.Check(); err != nil || damage != nil {
				t.Fatalf("check: %v, %v", damage, err)
			}
			if merkle {
				mustRoot(t, l, all)
				p, err := l.ProveInclusion(1, 70)
				if err != nil || tlog.CheckRecord(p, 70, rfcRoot(all), 1, tlog.RecordHash(all[1])) != nil {
					t.Fatalf("inclusion of an expired record: %v", err)
				}
				if _, err := l.Receipt(second); err != nil {
					t.Fatal(err)
				}
			}
		}
		l.Close()
	}
}

// A crash between the tombstone and the removal is finished at the next open; a tombstone that is damaged costs nothing that the
// tree still knows.
func TestExpireCutShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	o := hashed(t, nil)
	l, _ := mustOpen(t, dir, o)
	all := fill(t, l, 45, 1000)
	second := l.out.segments[1]
	segment := segmentOf(t, filepath.Join(dir, segmentName(0)))
	if err := l.Acknowledge(45); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Expire(func(e Entry) bool { return e.Seq < second }); n != second || err != nil {
		t.Fatal(n, err)
	}
	l.Close()
	if err := os.WriteFile(filepath.Join(dir, segmentName(0)), segment, 0o600); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, dir, o)
	if _, err := os.Stat(filepath.Join(dir, segmentName(0))); err == nil {
		t.Fatal("the segment is still there")
	}
	mustRoot(t, l, all)
	l.Close()
	path := filepath.Join(dir, numbered(0, tombSuffix))
	b := segmentOf(t, path)
	b[30] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l, r := mustOpen(t, dir, o)
	if len(r.Notes) != 1 || l.Head() != 45 {
		t.Fatalf("%+v", r)
	}
	if damage, err := l.Check(); err != nil || len(damage) != 1 || damage[0] != (Damage{0, second}) {
		t.Fatalf("check: %v, %v", damage, err)
	}
	if root, err := l.Root(45); err != nil || root != rfcRoot(all) {
		t.Fatalf("root %v, %v", root, err)
	}
}

// What was bent does not expire: it is evidence.
func TestBentSegmentStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, hashed(t, nil))
	fill(t, l, 45, 1000)
	if err := l.Acknowledge(45); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, segmentName(0))
	data := segmentOf(t, path)
	f := scan(data, 0).frames[2]
	copy(data[f.end-len(f.record)-frameHead:], appendFrame(nil, 2, f.batch, bytes.Repeat([]byte{7}, len(f.record))))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Expire(always); n != 0 || !errors.Is(err, ErrCutOff) {
		t.Fatalf("%d expired, %v", n, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	key := testKey(t).Public().(*ecdsa.PublicKey)
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, err := l.Receipt(2); err == nil {
		_, err = proof.VerifyReceipt(b, key)
		t.Fatalf("receipt of a bent record: %v", err)
	}
}

func FuzzTomb(f *testing.F) {
	f.Add(tomb{first: 3, leaves: make([]tlog.Hash, 2)}.encode())
	f.Add(tomb{first: 1<<64 - 1, leaves: make([]tlog.Hash, 1)}.encode())
	f.Add([]byte(tombMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if tb, err := decodeTomb(b); err == nil && !bytes.Equal(tb.encode(), b) {
			t.Fatal("two encodings of one tombstone")
		}
	})
}
