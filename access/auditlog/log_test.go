package auditlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
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
	for round := 0; round < 8 || said < 8 && round < 100; round++ { // on a busy machine the first are killed before they say anything
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
