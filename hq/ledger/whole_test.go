package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/access"
)

// Whoever reads is told that records are gone, also at the end, where nothing follows that shows it; and so is whoever serves afterwards.
//
// Control: G9
func TestReaderMissesWhatIsGone(t *testing.T) {
	cut := func(n int) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, segmentName(10))
			data, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, data[:max(0, len(data)-n)], 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	gone := func(list ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, name := range list {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	both := []string{segmentName(0), segmentName(10)}
	for what, c := range map[string]struct {
		spoil   func(t *testing.T, dir string)
		records int
		says    string
	}{
		"a bent byte": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, segmentName(10))
			data, err := os.ReadFile(path)
			if err == nil {
				list, _ := frames(data, headerSize, 10)
				data[list[2].end+frameHead+3] ^= 1 // in record 13
				err = os.WriteFile(path, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, 13, "record 13 cannot be read"},
		"cut off":              {cut(1), 14, "record 14 cannot be read"},
		"emptied":              {cut(1 << 20), 10, "record 10 cannot be read"},
		"removed":              {gone(segmentName(10)), 10, "record 10 cannot be read"},
		"every segment":        {gone(both...), 0, "record 0 cannot be read"},
		"the folder's content": {gone(append(both, keyName, hashesName, stateName)...), 0, "its folder has no audit.pub"},
	} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t)
			b.kiosks[b.id].folder.segment = headerSize + 1 // each message begins a segment
			b.add(t, 10)
			b.sign(t)
			b.mustSend(t, b.report(t, 0, 10), 10)
			b.add(t, 5)
			b.sign(t)
			b.mustSend(t, b.report(t, 10, 5), 15)
			b.all(t, Filter{}) // fails on damage
			b.Ledger.Close()
			c.spoil(t, filepath.Join(b.dir, b.name()))

			list, err := b.once(t, Filter{})
			if !errors.Is(err, ErrDamaged) || !strings.HasSuffix(err.Error(), c.says) {
				t.Errorf("once: %v", err)
			}
			if n := len(list) - 1; n != c.records || list[n].Alarm == nil || list[n].Alarm.Kind != AlarmDamage {
				t.Errorf("%d events: %v", len(list), list)
			}
			r := &Reader{b.dir}
			if _, err := r.Session(b.name(), access.SessionID{Boot: 9, Number: 9}); !errors.Is(err, ErrDamaged) {
				t.Errorf("session: %v", err)
			}
			if err := r.Back(b.name(), func(Event) bool { return true }); !errors.Is(err, ErrDamaged) {
				t.Errorf("back: %v", err)
			}
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer stop()
			if err := r.Follow(ctx, Filter{}, true, func(Event) error { return nil }); err != nil {
				t.Errorf("followed, it goes on with the others: %v", err)
			}

			if b.Ledger, err = Open(b.dir, Options{Now: b.clock.now}); err != nil {
				t.Fatal(err)
			}
			if err := b.Add(b.kiosk()); !errors.Is(err, ErrDamaged) {
				t.Errorf("it opens: %v", err)
			}
		})
	}
}

// Records that the kiosk vouched for by a proof alone, before its checkpoint's own are here, are not forgotten either.
func TestReaderMissesTheUncovered(t *testing.T) {
	b := started(t)
	b.add(t, 20)
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 5), 15)
	if covered := b.kiosks[b.id].state.Covered.Size; covered != 10 {
		t.Fatalf("a checkpoint of %d covers them", covered)
	}
	b.Ledger.Close()
	b.bend(t, segmentName(0), func(data []byte) []byte { return data[:len(data)-1] })
	if _, err := b.once(t, Filter{}); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	var err error
	if b.Ledger, err = Open(b.dir, Options{Now: b.clock.now}); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(b.kiosk()); !errors.Is(err, ErrDamaged) {
		t.Errorf("it opens: %v", err)
	}
}

// A writer that goes on between a reader's look for more and its look at the count does no damage.
func TestReaderBesideAWriter(t *testing.T) {
	b := started(t)
	r := reading{dir: filepath.Join(b.dir, b.name())}
	for _, want := range []int{10, 0} {
		if list, err := r.next(); err != nil || len(list) != want {
			t.Fatalf("%d records, %v; want %d", len(list), err, want)
		}
	}
	b.kiosks[b.id].folder.segment = headerSize + 1
	b.add(t, 2)
	b.sign(t)
	b.mustSend(t, b.report(t, 10, 2), 12)
	for _, want := range []int{2, 0} {
		if list, err := r.rest(); err != nil || len(list) != want {
			t.Errorf("%d records, %v; want %d", len(list), err, want)
		}
	}
}

// A kiosk's folder is never seen without its key, by which a reader tells a new one from one that was emptied; a power cut while it is made does no harm.
func TestFolderBeginsWithItsKey(t *testing.T) {
	b := newBench(t)
	other := newDouble(t, "other")
	dir := filepath.Join(b.dir, other.name())
	if err := os.Mkdir(dir+newSuffix, 0o700); err != nil { // as far as it came
		t.Fatal(err)
	}
	b.all(t, Filter{}) // fails on damage
	if err := b.Add(other.kiosk()); err != nil {
		t.Fatal(err)
	}
	b.all(t, Filter{})
	if _, err := os.Stat(dir + newSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
