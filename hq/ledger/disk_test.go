package ledger

import (
	"errors"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// emptyTestLog has go test write its buffered log of files that were opened: it must not do that while no file may grow.
func emptyTestLog(t *testing.T) {
	t.Helper()
	log := flag.Lookup("test.testlogfile")
	if log == nil || log.Value.String() == "" {
		return
	}
	size := func() int64 {
		info, err := os.Stat(log.Value.String())
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for was := size(); size() == was; {
		os.Getenv("LINTEL_TEST_LOG") // is a line of that log
	}
}

// limit lets no file grow beyond so many bytes while f runs: what a full disk says.
func limit(t *testing.T, bytes int64, f func()) {
	t.Helper()
	emptyTestLog(t)
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(bytes), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_FSIZE, &old)
	f()
}

// Nothing is acknowledged that the disk has not taken, and when there is room again the same message passes.
func TestFullDisk(t *testing.T) {
	b := started(t)
	b.add(t, 50)
	b.sign(t)
	m := b.report(t, 10, 50)
	// So many bytes that nothing fits, that the hashes do and the records do not, and that the last record does not.
	for _, room := range []int64{100, b.kiosks[b.id].folder.off + 50, b.kiosks[b.id].folder.off + 4000} {
		limit(t, room, func() {
			if n, err := b.send(m); !errors.Is(err, ErrFull) || n != 10 {
				t.Errorf("room for %d bytes: acknowledged %d, %v", room, n, err)
			}
			// A message that nobody vouches for yet cannot be kept either.
			pending := m
			pending.Checkpoint, pending.Time = nil, nil
			if _, err := b.send(pending); room == 100 && !errors.Is(err, ErrFull) {
				t.Errorf("room for %d bytes: pending: %v", room, err)
			}
		})
	}
	b.mustSend(t, m, 60)
	b.reopen(t)
	b.same(t, 60)
	b.wantRings(t)
}

// After a write whose end is unknown nothing is acknowledged until the ledger has been opened again.
func TestBrokenDisk(t *testing.T) {
	b := started(t)
	b.add(t, 5)
	b.sign(t)
	b.kiosks[b.id].folder.file.Close()
	for range 2 {
		if ack, err := b.Ingest(b.id, b.report(t, 10, 5)); !errors.Is(err, ErrBroken) || ack != nil {
			t.Errorf("%v, %v", ack, err)
		}
	}
	b.reopen(t)
	b.mustSend(t, b.report(t, 10, 5), 15)
	b.same(t, 15)
}

// bend changes one file of the kiosk while the ledger is closed.
func (b *bench) bend(t *testing.T, name string, f func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(b.dir, b.name(), name)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, f(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatACrashLeavesIsMended(t *testing.T) {
	for what, c := range map[string]struct {
		name string
		bend func([]byte) []byte
	}{
		"a torn record":       {segmentName(0), func(b []byte) []byte { return append(b, b[headerSize:headerSize+60]...) }},
		"zeros behind":        {segmentName(0), func(b []byte) []byte { return append(b, make([]byte, 5000)...) }},
		"hashes cut off":      {hashesName, func(b []byte) []byte { return b[:len(b)/2] }},
		"hashes gone":         {hashesName, func([]byte) []byte { return nil }},
		"hashes not synced":   {hashesName, func(b []byte) []byte { return make([]byte, len(b)) }},
		"pending torn":        {pendingName, func(b []byte) []byte { return b[:len(b)-1] }},
		"pending not there":   {pendingName, func([]byte) []byte { return nil }},
		"pending of nonsense": {pendingName, func([]byte) []byte { return []byte("nonsense, and more of it than a head of a frame has") }},
	} {
		t.Run(what, func(t *testing.T) {
			b := started(t)
			b.add(t, 3)
			b.mustSend(t, b.report(t, 10, 3), 10)
			b.Ledger.Close()
			b.bend(t, c.name, c.bend)
			b.reopen(t)
			b.sign(t)
			b.send(b.report(t, 10, 3))
			b.add(t, 3)
			b.sign(t)
			b.mustSend(t, b.report(t, 10, 6), 16)
			b.same(t, 16)
			if _, err := (&Reader{b.dir}).Receipt(b.name(), 3); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a segment of which nothing was written", func(t *testing.T) {
		b := started(t)
		b.Ledger.Close()
		if err := os.WriteFile(filepath.Join(b.dir, b.name(), segmentName(10)), []byte(segmentMagic), 0o600); err != nil {
			t.Fatal(err)
		}
		b.reopen(t)
		b.add(t, 2)
		b.sign(t)
		b.mustSend(t, b.report(t, 10, 2), 12)
		b.same(t, 12)
	})
}

// What was once verified and is not there any more is said, and nothing is overwritten.
func TestDamageIsSaid(t *testing.T) {
	for what, c := range map[string]struct {
		name string
		bend func([]byte) []byte
	}{
		"a bit of an early record": {segmentName(0), func(b []byte) []byte { b[headerSize+frameHead+9] ^= 1; return b }},
		"the last record gone":     {segmentName(0), func(b []byte) []byte { return b[:len(b)-10] }},
		"the header":               {segmentName(0), func(b []byte) []byte { b[3] ^= 1; return b }},
		"the state":                {stateName, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }},
		"the key":                  {keyName, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }},
		"too large a state":        {stateName, func(b []byte) []byte { return append(b, make([]byte, maxState)...) }},
		"too large a key":          {keyName, func(b []byte) []byte { return append(b, make([]byte, maxKeyFile)...) }},
	} {
		t.Run(what, func(t *testing.T) {
			b := started(t)
			b.add(t, 3)
			b.sign(t)
			b.mustSend(t, b.report(t, 10, 3), 13)
			b.Ledger.Close()
			b.bend(t, c.name, c.bend)
			before, err := os.ReadFile(filepath.Join(b.dir, b.name(), segmentName(0)))
			if err != nil {
				t.Fatal(err)
			}
			l, err := Open(b.dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := l.Add(b.kiosk()); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrOtherKey) {
				t.Errorf("it opens: %v", err)
			}
			if _, err := l.Ingest(b.id, b.report(t, 0, 13)); !errors.Is(err, ErrUnknown) {
				t.Error(err)
			}
			after, err := os.ReadFile(filepath.Join(b.dir, b.name(), segmentName(0)))
			if err != nil || len(after) < len(before) && what != "the last record gone" {
				t.Errorf("%d bytes became %d: %v", len(before), len(after), err)
			}
		})
	}
}
