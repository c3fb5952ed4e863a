package auditlog

import (
	"errors"
	"os/signal"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

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
