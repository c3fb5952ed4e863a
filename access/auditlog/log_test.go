package auditlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// small makes segments that hold few records, so that the tests rotate.
var small = Options{SegmentBytes: minSegment, Reserve: 2, MaxSegments: 12}

func mustOpen(t testing.TB, dir string, o Options) (*Log, Recovery) {
	t.Helper()
	l, r, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, r
}

func record(i int) []byte { return fmt.Appendf(nil, "record %d", i) }

func mustAppend(t testing.TB, l *Log, c Class, rec []byte) uint64 {
	t.Helper()
	seq, err := l.Append(c, rec)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// expect reads the whole log, a few records at a time, and compares.
func expect(t testing.TB, l *Log, want [][]byte) {
	t.Helper()
	if l.Head() != uint64(len(want)) {
		t.Fatalf("head %d, want %d", l.Head(), len(want))
	}
	for at := 0; at < len(want); {
		list, err := l.Read(uint64(at), 7)
		if err != nil || len(list) == 0 {
			t.Fatalf("read from %d: %d records, %v", at, len(list), err)
		}
		for _, e := range list {
			if e.Seq != uint64(at) || !bytes.Equal(e.Record, want[at]) {
				t.Fatalf("record %d: got %d %q", at, e.Seq, e.Record)
			}
			at++
		}
	}
	if list, err := l.Read(l.Head(), 7); err != nil || len(list) != 0 {
		t.Fatalf("read at the head: %v, %v", list, err)
	}
	if damage, err := l.Check(); err != nil || len(damage) != 0 {
		t.Fatalf("check: %v, %v", damage, err)
	}
}

func fill(t testing.TB, l *Log, n, size int) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range n {
		rec := append(record(i), make([]byte, size)...) // ends in zeros, as a record may
		if seq := mustAppend(t, l, Vital, rec); seq != uint64(i) {
			t.Fatalf("record %d got sequence %d", i, seq)
		}
		all = append(all, rec)
	}
	return all
}

func TestGolden(t *testing.T) {
	header := appendHeader(nil, 7, 4096)
	frame := appendFrame(nil, 7, 6, []byte{0xa1, 1, 2})
	cursor := encodeCursor(5)
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer(" ", "", "\n", "").Replace(string(doc))
	for what, b := range map[string][]byte{"header": header, "frame": frame, "cursor": cursor} {
		if !strings.Contains(plain, hex.EncodeToString(b)) {
			t.Errorf("%s: FORMAT.md lacks %x", what, b)
		}
	}
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, r := mustOpen(t, dir, small)
	if r.Torn != 0 || r.Damage != nil || r.Notes != nil {
		t.Fatalf("new log: %+v", r)
	}
	all := fill(t, l, 40, 1000) // three segments
	expect(t, l, all)
	if len(l.out.segments) != 3 {
		t.Fatalf("segments %v", l.out.segments)
	}
	l.Close()
	if _, err := l.Append(Vital, []byte("x")); !errors.Is(err, ErrBroken) {
		t.Fatalf("append after close: %v", err)
	}
	l, r = mustOpen(t, dir, small)
	if r.Torn != 0 || r.Damage != nil || r.Notes != nil {
		t.Fatalf("reopened: %+v", r)
	}
	expect(t, l, all)
	if seq := mustAppend(t, l, Ordinary, []byte("next")); seq != 40 {
		t.Fatalf("sequence %d", seq)
	}
}

// A power cut leaves any prefix of what was being written: whatever its length, exactly the whole records come back, the tail is
// reported, and the log goes on.
func TestCutAtEveryByte(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, small)
	all := fill(t, l, 6, 3)
	var ends []int
	for _, f := range scan(segmentBytes(t, l), 0).frames {
		ends = append(ends, f.end)
	}
	l.Close()
	path := filepath.Join(dir, segmentName(0))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range ends[len(ends)-1] + 2 {
		for _, grown := range []bool{false, true} { // the file ends there, or zeros follow
			cut := slices.Clone(whole[:n])
			if grown {
				cut = append(cut, make([]byte, len(whole)-n)...)
			}
			if err := os.WriteFile(path, cut, 0o600); err != nil {
				t.Fatal(err)
			}
			l, r := mustOpen(t, dir, small)
			kept := 0
			for kept < len(ends) && n >= len(bytes.TrimRight(whole[:ends[kept]], "\x00")) && (grown || n >= ends[kept]) {
				kept++
			}
			expect(t, l, all[:kept])
			end := headerSize
			if kept > 0 {
				end = ends[kept-1]
			}
			if torn := len(bytes.TrimRight(cut, "\x00")) - end; n > headerSize && r.Torn != max(0, torn) || len(r.Damage) != 0 {
				t.Fatalf("cut at %d: %+v, want %d torn", n, r, torn)
			}
			if seq := mustAppend(t, l, Vital, []byte("after")); seq != uint64(kept) {
				t.Fatalf("cut at %d: next sequence %d", n, seq)
			}
			l.Close()
			if l, r = mustOpen(t, dir, small); r.Torn != 0 {
				t.Fatalf("cut at %d: mended, yet %+v", n, r)
			}
			expect(t, l, append(slices.Clone(all[:kept]), []byte("after")))
			l.Close()
		}
	}
}

func segmentBytes(t testing.TB, l *Log) []byte {
	t.Helper()
	data, err := readSegment(l.file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A flipped bit is found wherever it is. Good records behind it stay readable and no sequence is used twice.
func TestFlippedBits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, small)
	all := fill(t, l, 5, 0)
	frames := scan(segmentBytes(t, l), 0).frames
	l.Close()
	path := filepath.Join(dir, segmentName(0))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := headerSize; i < frames[4].end; i++ {
		bent := slices.Clone(whole)
		bent[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, bent, 0o600); err != nil {
			t.Fatal(err)
		}
		hit := slices.IndexFunc(frames, func(f frame) bool { return i < f.end })
		l, r := mustOpen(t, dir, small)
		if hit == 4 { // FORMAT.md: the last one cannot be told from a torn one
			if r.Torn == 0 || l.Head() != 4 {
				t.Fatalf("byte %d: %+v, head %d", i, r, l.Head())
			}
		} else {
			want := Damage{uint64(hit), uint64(hit + 1)}
			if !slices.Equal(r.Damage, []Damage{want}) || l.Head() != 5 {
				t.Fatalf("byte %d: %+v, head %d", i, r, l.Head())
			}
			if _, err := l.Read(want.From, 9); err != error(want) {
				t.Fatalf("byte %d: read %v", i, err)
			}
			list, err := l.Read(want.Until, 9)
			if err != nil || len(list) != 4-hit || !bytes.Equal(list[0].Record, all[hit+1]) {
				t.Fatalf("byte %d: behind the damage: %v, %v", i, list, err)
			}
			if got := mustAppend(t, l, Vital, []byte("on")); got != 5 {
				t.Fatalf("sequence %d", got)
			}
			if damage, err := l.Check(); err != nil || !slices.Equal(damage, []Damage{want}) {
				t.Fatalf("check: %v, %v", damage, err)
			}
			if now, _ := os.ReadFile(path); !bytes.Equal(now, bent) {
				t.Fatal("the damaged segment was changed")
			}
			l.Close()
			os.Remove(filepath.Join(dir, segmentName(5)))
		}
		l.Close()
	}
}

// Records of one fdatasync reach the disk in any order. If the first of them is bad, the others were not acknowledged either.
func TestTornBatchIsNoDamage(t *testing.T) {
	var b []byte
	b = appendHeader(b, 0, 4096)
	b = appendFrame(b, 0, 0, []byte("durable"))
	cut := len(b)
	b = appendFrame(b, 1, 1, []byte("lost page"))
	b = appendFrame(b, 2, 1, []byte("arrived"))
	end := len(b)
	b = append(b, make([]byte, 4096-len(b))...)
	b[cut+frameHead] ^= 1
	if s := scan(b, 0); s.next != 1 || s.damage != nil || s.torn != end-cut || s.end != cut {
		t.Errorf("torn batch: %+v", s)
	}
	copy(b[end:], appendFrame(nil, 3, 3, []byte("a later fdatasync")))
	if s := scan(b, 0); s.next != 4 || !slices.Equal(s.damage, []Damage{{1, 2}}) || len(s.frames) != 3 {
		t.Errorf("damaged batch: %+v", s)
	}
}

func TestDamagedPastSegments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, small)
	fill(t, l, 60, 1000)
	second, third := l.out.segments[1], l.out.segments[2]
	if err := os.Remove(l.out.path(segmentName(second))); err != nil {
		t.Fatal(err)
	}
	want := Damage{second, third}
	if _, err := l.Read(second, 5); err != error(want) {
		t.Errorf("read: %v", err)
	}
	if list, err := l.Read(third, 5); err != nil || list[0].Seq != third {
		t.Errorf("behind: %v", err)
	}
	if list, err := l.Read(second-1, 5); err != nil || len(list) != 1 {
		t.Errorf("before: %d records, %v", len(list), err)
	}
	if damage, err := l.Check(); err != nil || !slices.Equal(damage, []Damage{want}) {
		t.Errorf("check: %v, %v", damage, err)
	}
	l.Close()
	l, _ = mustOpen(t, dir, small)
	if damage, err := l.Check(); err != nil || !slices.Equal(damage, []Damage{want}) {
		t.Errorf("check after reopening: %v, %v", damage, err)
	}
	if _, err := l.Read(second, 5); err == nil {
		t.Error("read a segment that is gone")
	}
}

func TestCursor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, small)
	fill(t, l, 5, 0)
	for _, step := range []struct {
		to uint64
		ok bool
	}{{3, true}, {3, true}, {2, false}, {6, false}, {5, true}} {
		if err := l.Acknowledge(step.to); (err == nil) != step.ok {
			t.Errorf("to %d: %v", step.to, err)
		}
	}
	l.Close()
	l, r := mustOpen(t, dir, small)
	if l.Cursor() != 5 || r.Notes != nil {
		t.Fatalf("cursor %d, %+v", l.Cursor(), r)
	}
	l.Close()

	path := filepath.Join(dir, cursorName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range cursorSize + 1 {
		bad := append(slices.Clone(good), 0)
		if i < cursorSize {
			bad = slices.Clone(good)
			bad[i] ^= 4
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		l, r := mustOpen(t, dir, small)
		if l.Cursor() != 0 || len(r.Notes) != 1 {
			t.Fatalf("byte %d: cursor %d, %+v", i, l.Cursor(), r)
		}
		l.Close()
	}

	// Headquarters has acknowledged more than there is: the end is gone, and its numbers are not used again.
	if err := os.WriteFile(path, encodeCursor(9), 0o600); err != nil {
		t.Fatal(err)
	}
	l, r = mustOpen(t, dir, small)
	if !slices.Equal(r.Damage, []Damage{{5, 9}}) || mustAppend(t, l, Vital, []byte("x")) != 9 {
		t.Fatalf("%+v, head %d", r, l.Head())
	}
	if damage, err := l.Check(); err != nil || !slices.Equal(damage, []Damage{{5, 9}}) {
		t.Fatalf("check: %v, %v", damage, err)
	}
}

// Control: C12
func TestModes(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, small)
	fill(t, l, 40, 1000)
	if err := l.Acknowledge(1); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = fs.ModeDir | 0o700
		} else {
			files++
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || files < 7 { // 3 segments, 2 spares, lock, cursor
		t.Fatalf("%d files, %v", files, err)
	}
	l.Close()
	for path, mode := range map[string]fs.FileMode{filepath.Join(dir, segmentName(0)): 0o640, dir: 0o750} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(dir, small); err == nil || !strings.Contains(err.Error(), "mode") {
			t.Errorf("%s with mode %v: %v", path, mode, err)
		}
		if err := os.Chmod(path, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecondInstance(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, small)
	if _, _, err := Open(dir, small); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
	l.Close()
	mustOpen(t, dir, small)
}

func TestRefusedRecordsAndOptions(t *testing.T) {
	l, _ := mustOpen(t, filepath.Join(t.TempDir(), "audit"), small)
	for _, rec := range [][]byte{nil, make([]byte, MaxRecord+1)} {
		if _, err := l.Append(Vital, rec); err == nil {
			t.Errorf("%d bytes accepted", len(rec))
		}
	}
	mustAppend(t, l, Ordinary, make([]byte, MaxRecord))
	if _, err := l.Read(2, 1); err == nil {
		t.Error("read beyond the head")
	}
	for _, o := range []Options{{SegmentBytes: 100}, {SegmentBytes: maxSegment + 1}, {Reserve: -1}, {Reserve: 9, MaxSegments: 10}} {
		if _, _, err := Open(filepath.Join(t.TempDir(), "audit"), o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}

// flood appends ordinary records until they are refused, then vital ones until they are: both ends must be ErrFull, and the vital
// ones must have had the whole reserve.
func flood(t *testing.T, l *Log) (ordinary, vital int) {
	t.Helper()
	rec := make([]byte, 1000)
	for _, n := range []*int{&ordinary, &vital} {
		class := Ordinary
		if n == &vital {
			class = Vital
		}
		for ; ; *n++ {
			if _, err := l.Append(class, rec); errors.Is(err, ErrFull) {
				break
			} else if err != nil || *n > 10_000 {
				t.Fatalf("after %d: %v", *n, err)
			}
		}
	}
	if _, err := l.Append(Ordinary, []byte{1}); !errors.Is(err, ErrFull) {
		t.Fatalf("a small ordinary record slipped into the reserve: %v", err)
	}
	perSegment := (l.out.segment - headerSize) / (len(rec) + frameHead)
	if vital < l.out.reserve*perSegment || ordinary == 0 {
		t.Fatalf("%d ordinary and %d vital records, the reserve has room for %d", ordinary, vital, l.out.reserve*perSegment)
	}
	if n := uint64(ordinary + vital); l.Head() != n {
		t.Fatalf("head %d after %d records", l.Head(), n)
	}
	if damage, err := l.Check(); err != nil || len(damage) != 0 {
		t.Fatalf("check: %v, %v", damage, err)
	}
	return ordinary, vital
}

func TestBudgetKeepsTheReserve(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, small)
	ordinary, vital := flood(t, l)
	l.Close()
	l, r := mustOpen(t, dir, small)
	if have, want := l.Reserve(); len(r.Notes) != 1 || have != 0 || want != 2 || l.Head() != uint64(ordinary+vital) {
		t.Fatalf("reopened full: %+v, reserve %d of %d", r, have, want)
	}
}

// A disk that really is full: a tmpfs of half a megabyte where we may mount, else a limit on file size that makes every new segment fail.
func TestFullDisk(t *testing.T) {
	parent := t.TempDir()
	o := Options{SegmentBytes: 64 << 10, Reserve: 2, MaxSegments: 200}
	if err := unix.Mount("tmpfs", parent, "tmpfs", 0, "size=512k"); err == nil {
		defer unix.Unmount(parent, unix.MNT_DETACH)
		l, _ := mustOpen(t, filepath.Join(parent, "audit"), o)
		flood(t, l)
		return
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	l, _ := mustOpen(t, filepath.Join(parent, "audit"), o)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(o.SegmentBytes) - 1, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_FSIZE, &old)
	// The last byte of a segment is out of reach too, so the loop uses records that leave it free.
	flood(t, l)
}

// After the disk was full and is free again, the reserve is made whole and ordinary records pass.
func TestReserveComesBack(t *testing.T) {
	l, _ := mustOpen(t, filepath.Join(t.TempDir(), "audit"), small)
	flood(t, l)
	l.out.most = 20 // the disk is larger now
	mustAppend(t, l, Ordinary, []byte("again"))
	if have, want := l.Reserve(); have != want {
		t.Fatalf("reserve %d of %d", have, want)
	}
}

// A failed write is final: the kernel may report the next fsync as good although data is lost.
func TestFailedWriteIsFinal(t *testing.T) {
	l, _ := mustOpen(t, filepath.Join(t.TempDir(), "audit"), small)
	mustAppend(t, l, Vital, []byte("good"))
	l.file.Close()
	for range 2 {
		if _, err := l.Append(Vital, []byte("bad")); !errors.Is(err, ErrBroken) {
			t.Fatalf("got %v", err)
		}
	}
	if l.Head() != 1 {
		t.Fatalf("head %d", l.Head())
	}
}

// Appends from many sides share fdatasyncs, and each gets its own sequence.
func TestGroupCommit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, _ := mustOpen(t, dir, Options{SegmentBytes: minSegment, Reserve: 1, MaxSegments: 100})
	const writers, each = 16, 30
	var all sync.WaitGroup
	got := make([]map[uint64]string, writers)
	for w := range writers {
		got[w] = make(map[uint64]string)
		all.Go(func() {
			for i := range each {
				rec := fmt.Sprintf("%d/%d", w, i)
				seq, err := l.Append(Class(i%2), []byte(rec))
				if err != nil {
					t.Error(err)
					return
				}
				got[w][seq] = rec
			}
		})
	}
	all.Wait()
	l.Close()
	l, r := mustOpen(t, dir, Options{SegmentBytes: minSegment, Reserve: 1, MaxSegments: 100})
	if r.Torn != 0 || r.Damage != nil || l.Head() != writers*each {
		t.Fatalf("%+v, head %d", r, l.Head())
	}
	list, err := l.Read(0, writers*each)
	if err != nil || len(list) != writers*each {
		t.Fatalf("%d records, %v", len(list), err)
	}
	for _, m := range got {
		for seq, rec := range m {
			if string(list[seq].Record) != rec {
				t.Fatalf("sequence %d: %q, want %q", seq, list[seq].Record, rec)
			}
		}
	}
}

// A child is killed in the midst of appending, again and again: everything it said was durable is there.
func TestKilled(t *testing.T) {
	small := small
	small.MaxSegments = 1000
	if dir := flag.Arg(0); dir != "" {
		l, _ := mustOpen(t, dir, small)
		for {
			fmt.Printf("%d\n", mustAppend(t, l, Vital, make([]byte, 700)))
		}
	}
	dir := filepath.Join(t.TempDir(), "audit")
	said := uint64(0)
	for round := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$", dir)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(30+7*round) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		lines := strings.Fields(out.String())
		if len(lines) > 1 {
			if _, err := fmt.Sscan(lines[len(lines)-2], &said); err != nil { // the last may be cut short
				t.Fatal(err)
			}
		}
		l, r, err := Open(dir, small)
		if err != nil {
			t.Fatal(err)
		}
		if l.Head() <= said && said > 0 || r.Damage != nil {
			t.Fatalf("round %d: head %d, the child had been told %d; %+v", round, l.Head(), said, r)
		}
		if damage, err := l.Check(); err != nil || damage != nil {
			t.Fatalf("round %d: %v, %v", round, damage, err)
		}
		l.Close()
	}
	if said < 8 {
		t.Fatalf("the children appended %d records in all: nothing was tested", said)
	}
}

func FuzzScan(f *testing.F) {
	b := appendHeader(nil, 3, 4096)
	b = appendFrame(b, 3, 3, []byte("a"))
	b = appendFrame(b, 4, 3, []byte{0})
	b = appendFrame(b, 5, 5, []byte("c"))
	f.Add(b, uint64(3))
	f.Add(b[:40], uint64(3))
	f.Add(append(slices.Clone(b), make([]byte, 100)...), uint64(2))
	f.Fuzz(func(t *testing.T, segment []byte, first uint64) {
		s := scan(segment, first)
		at := first
		for _, fr := range s.frames {
			if fr.seq < at || len(fr.record) == 0 || len(fr.record) > MaxRecord {
				t.Fatalf("frame %+v after %d", fr, at)
			}
			at = fr.seq + 1
		}
		if s.next != at || s.end > len(segment) || s.torn < 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// BenchmarkAppend prints how much dearer a durable record is than a bare write and fsync of the same bytes.
func BenchmarkAppend(b *testing.B) {
	rec := make([]byte, 300)
	raw, err := os.OpenFile(filepath.Join(b.TempDir(), "raw"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	l, _ := mustOpen(b, filepath.Join(b.TempDir(), "audit"), Options{})
	var ours, floor time.Duration
	for b.Loop() {
		start := time.Now()
		mustAppend(b, l, Ordinary, rec)
		middle := time.Now()
		if _, err := raw.Write(rec); err != nil {
			b.Fatal(err)
		}
		if err := raw.Sync(); err != nil {
			b.Fatal(err)
		}
		ours += middle.Sub(start)
		floor += time.Since(middle)
	}
	b.ReportMetric(float64(ours)/float64(floor), "append/raw")
}
