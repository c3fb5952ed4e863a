package auditlog

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// nvram is an anchor that outlives the log, as the TPM's NV does.
type nvram struct {
	bytes []byte
	fault error
}

func (n *nvram) ReadAnchor() ([]byte, error) { return slices.Clone(n.bytes), n.fault }

func (n *nvram) WriteAnchor(b []byte) error {
	n.bytes = slices.Clone(b)
	return n.fault
}

// fixedKey signs the same text the same way each time (RFC 6979), for golden bytes.
type fixedKey struct{ *ecdsa.PrivateKey }

func (k fixedKey) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return k.PrivateKey.Sign(nil, digest, o)
}

func testKey(t testing.TB) fixedKey {
	t.Helper()
	d := sha256.Sum256([]byte("a kiosk's audit key, for tests"))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	return fixedKey{k}
}

func hashed(t testing.TB, nv *nvram) Options {
	o := small
	o.MaxSegments = 100
	o.Merkle = &Merkle{Origin: "kiosk.test/1", Key: testKey(t), Counter: func() (uint64, error) { return 17, nil }}
	if nv != nil {
		o.Merkle.Anchor = nv
	}
	return o
}

// rfcRoot is the tree's root as RFC 6962 section 2.1 defines it, without any of the code under test.
func rfcRoot(records [][]byte) tlog.Hash {
	switch n := len(records); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, records[0]...))
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		l, r := rfcRoot(records[:k]), rfcRoot(records[k:])
		return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
	}
}

func mustRoot(t testing.TB, l *Log, all [][]byte) {
	t.Helper()
	for n := range len(all) + 1 {
		if root, err := l.Root(uint64(n)); err != nil || root != rfcRoot(all[:n]) {
			t.Fatalf("root of %d records: %v, %v", n, root, err)
		}
	}
	if damage, err := l.Check(); err != nil || damage != nil {
		t.Fatalf("check: %v, %v", damage, err)
	}
}

// Control: G3
func TestTreeIsRFC6962(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, hashed(t, nil))
	all := fill(t, l, 45, 1000) // three segments
	mustRoot(t, l, all)
	for size := range uint64(46) {
		root := rfcRoot(all[:size])
		for seq := range size {
			p, err := l.ProveInclusion(seq, size)
			if err != nil || tlog.CheckRecord(p, int64(size), root, int64(seq), tlog.RecordHash(all[seq])) != nil {
				t.Fatalf("inclusion of %d in %d: %v", seq, size, err)
			}
			if tlog.CheckRecord(p, int64(size), root, int64(seq), tlog.RecordHash([]byte("another"))) == nil {
				t.Fatal("another record is included too")
			}
		}
		for old := uint64(1); old <= size; old++ {
			p, err := l.ProveConsistency(old, size)
			if err != nil || tlog.CheckTree(p, int64(size), root, int64(old), rfcRoot(all[:old])) != nil {
				t.Fatalf("consistency of %d with %d: %v", old, size, err)
			}
		}
	}
	for _, err := range []error{
		second(l.Root(46)), second(l.ProveInclusion(3, 3)), second(l.ProveInclusion(3, 46)), second(l.ProveConsistency(0, 3)), second(l.ProveConsistency(4, 3)),
	} {
		if err == nil {
			t.Error("a proof of what is not there")
		}
	}
}

func second[T any](_ T, err error) error { return err }

// The hashes follow from the records: whatever happens to their file, they come back.
func TestHashesComeBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	nv := &nvram{}
	l, _ := mustOpen(t, dir, hashed(t, nv))
	all := fill(t, l, 45, 1000)
	if _, err := l.Anchor(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Close()
	path := filepath.Join(dir, hashesName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bent := func(at int) []byte { b := slices.Clone(whole); b[at] ^= 1; return b }
	files := map[string][]byte{
		"as it was": whole, "none": nil, "empty": {}, "half a header": whole[:20], "header alone": whole[:32],
		"header is wrong": bent(9), "tail is wrong": bent(len(whole) - 1),
		"tail is zeros": append(slices.Clone(whole[:len(whole)-3*32]), make([]byte, 96)...),
		"too long":      append(slices.Clone(whole), make([]byte, 32*2*maxBatch+64)...),
	}
	for n := 32; n < len(whole); n += 32*3 + 7 {
		files[fmt.Sprintf("cut at %d", n)] = whole[:n]
	}
	for what, b := range files {
		if b == nil {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		l, r := mustOpen(t, dir, hashed(t, nv))
		if r.Torn != 0 || r.Damage != nil {
			t.Fatalf("%s: %+v", what, r)
		}
		mustRoot(t, l, all)
		l.Close()
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now[32:], whole[32:]) {
			t.Fatalf("%s: file is not as it was: %v", what, err)
		}
	}
}

// A log without hashes, as the part before this one wrote it, gets them at the first open with Merkle, and appends without are
// caught up with.
func TestHashesOfAnOlderLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	o := hashed(t, nil)
	without := o
	without.Merkle = nil
	l, _ := mustOpen(t, dir, without)
	all := fill(t, l, 20, 1000)
	if _, err := os.Stat(filepath.Join(dir, hashesName)); err == nil {
		t.Fatal("hashes without Merkle")
	}
	if _, err := l.Checkpoint(t.Context()); err == nil {
		t.Fatal("a checkpoint without a tree")
	}
	for range 3 {
		l.Close()
		l, _ = mustOpen(t, dir, o)
		mustRoot(t, l, all)
		l.Close()
		l, _ = mustOpen(t, dir, without)
		all = append(all, []byte("more"))
		mustAppend(t, l, Vital, all[len(all)-1])
	}
}

// A bit that flips in the very last frame looks like a torn write. The hashes know better: they are written after it was durable.
func TestLostLastRecord(t *testing.T) {
	dir, nv := filepath.Join(t.TempDir(), "audit"), &nvram{}
	l, _ := mustOpen(t, dir, hashed(t, nv))
	all := fill(t, l, 5, 0)
	if _, err := l.Anchor(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Close()
	path := filepath.Join(dir, segmentName(0))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[scan(data, 0).end-1] = 0xff
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l, r := mustOpen(t, dir, hashed(t, nv))
	if want := (Damage{4, 5}); !slices.Equal(r.Damage, []Damage{want}) || l.Head() != 5 {
		t.Fatalf("%+v, head %d", r, l.Head())
	}
	if root, err := l.Root(5); err != nil || root != rfcRoot(all) {
		t.Fatalf("root %v, %v", root, err)
	}
	if seq := mustAppend(t, l, Vital, []byte("next")); seq != 5 {
		t.Fatalf("sequence %d was used twice", seq)
	}
}

// Check finds a record that was changed behind a good checksum, and a hash that was.
//
// Control: G3
func TestCheckFindsWhatWasBent(t *testing.T) {
	for _, what := range []string{"record", "hash of a record", "hash above"} {
		dir := filepath.Join(t.TempDir(), "audit")
		l, _ := mustOpen(t, dir, hashed(t, nil))
		fill(t, l, 45, 1000)
		path, at := filepath.Join(dir, hashesName), hashesHead+32*tlog.StoredHashIndex(0, 3)
		if what == "hash above" {
			at = hashesHead + 32*tlog.StoredHashIndex(1, 1)
		}
		b := []byte("bent")
		if what == "record" {
			path, at = filepath.Join(dir, segmentName(0)), 0
			data := segmentOf(t, path)
			f := scan(data, 0).frames[3]
			at, b = int64(f.end-len(f.record)-frameHead), appendFrame(nil, 3, f.batch, bytes.Repeat([]byte{7}, len(f.record)))
		}
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		file.Close()
		damage, err := l.Check()
		switch what {
		case "record":
			if err != nil || !slices.Equal(damage, []Damage{{3, 4}}) {
				t.Errorf("%s: %v, %v", what, damage, err)
			}
		default:
			if err == nil || !strings.Contains(err.Error(), "made again") {
				t.Errorf("%s: %v, %v", what, damage, err)
			}
		}
	}
}

func segmentOf(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The disk is full for the hashes: records pass all the same, proofs work, and the hashes are written when there is room, or made
// again at the next open.
func TestFullDiskDelaysHashesOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	o := hashed(t, nil)
	l, _ := mustOpen(t, dir, o)
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	disk := l.tree.file
	l.tree.file = full
	all := fill(t, l, 45, 1000)
	if len(l.tree.pending) == 0 {
		t.Fatal("the disk took all hashes: nothing was tested")
	}
	for n := range all {
		if root, err := l.Root(uint64(n)); err != nil || root != rfcRoot(all[:n]) {
			t.Fatalf("root of %d records: %v, %v", n, root, err)
		}
	}
	l.Close()
	disk.Close()
	l, _ = mustOpen(t, dir, o)
	mustRoot(t, l, all)
	disk, l.tree.file = l.tree.file, full
	mustAppend(t, l, Vital, []byte("refused"))
	l.tree.file = disk
	mustAppend(t, l, Vital, []byte("both written"))
	if len(l.tree.pending) != 0 {
		t.Fatal("hashes still wait although there is room")
	}
	mustRoot(t, l, append(all, []byte("refused"), []byte("both written")))
}

// The golden bytes of FORMAT.md: the hashes of three records, and the tombstone of the first two.
func TestGoldenHashes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, hashed(t, nil))
	var tb tomb
	for i := range byte(3) {
		rec := []byte{0xa1, 1, 2 + i}
		mustAppend(t, l, Vital, rec)
		tb.leaves = append(tb.leaves, tlog.RecordHash(rec))
	}
	if err := l.tree.settle(); err != nil {
		t.Fatal(err)
	}
	tb.leaves = tb.leaves[:2]
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer(" ", "", "\n", "").Replace(string(doc))
	for what, b := range map[string][]byte{
		"hashes": segmentOf(t, filepath.Join(dir, hashesName)), "tombstone": tb.encode(), "anchor": encodeAnchor(3, rfcRoot([][]byte{{0xa1, 1, 2}, {0xa1, 1, 3}, {0xa1, 1, 4}})),
	} {
		if !strings.Contains(plain, fmt.Sprintf("%x", b)) {
			t.Errorf("%s: FORMAT.md lacks %x", what, b)
		}
	}
}

func BenchmarkTreeAppend(b *testing.B) {
	l, _ := mustOpen(b, filepath.Join(b.TempDir(), "audit"), hashed(b, nil))
	rec := make([]byte, 230)
	items := []item{{record: rec}}
	for b.Loop() {
		items[0].seq = l.tree.size
		if err := l.tree.append(items); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConsistencyProof(b *testing.B) {
	l, _ := mustOpen(b, filepath.Join(b.TempDir(), "audit"), hashed(b, nil))
	for i := range uint64(100_000) {
		if err := l.tree.append([]item{{record: []byte("a record"), seq: i}}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := l.ProveConsistency(77_777, 100_000); err != nil {
			b.Fatal(err)
		}
	}
}
