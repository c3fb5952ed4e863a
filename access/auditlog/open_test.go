package auditlog

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

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
