package ledger

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// docs/LEDGER.md has the bytes of a header and a frame.
func TestGoldenFrame(t *testing.T) {
	page, err := os.ReadFile("../../docs/LEDGER.md")
	if err != nil {
		t.Fatal(err)
	}
	frame := appendFrame(nil, Entry{7, time.UnixMilli(1_800_000_000_000), []byte{0xa1, 1, 2}}, 7)
	for _, b := range [][]byte{appendHeader(nil, 7), frame} {
		if line := hex.EncodeToString(b); !strings.Contains(string(page), "\n"+line+"\n") {
			t.Errorf("docs/LEDGER.md lacks\n%s", line)
		}
	}
}

// Whatever comes, the ledger holds a beginning of what the kiosk signed, and nothing else.
func FuzzIngest(f *testing.F) {
	b := newBench(f)
	b.add(f, 30)
	b.sign(f)
	b.mustSend(f, b.report(f, 0, 10), 10)
	for _, m := range []wire.Records{b.report(f, 10, 5), b.report(f, 5, 9), b.report(f, 15, 1), {From: 10, Records: [][]byte{{1}}}, {Checkpoint: []byte("x")}} {
		data, err := wire.Report(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := wire.Read[wire.Records](data)
		if err != nil {
			return
		}
		ack, err := b.Ingest(b.id, m)
		if ack == nil {
			t.Fatal(err)
		}
		if root, err := b.log.Root(ack.Records); err != nil || root != ack.Root {
			t.Fatalf("%d records that are not the kiosk's: %v", ack.Records, err)
		}
	})
}

// Whoever changes headquarters' disk makes readers see fewer records, or an error, and never a crash or what is not there.
func FuzzSegment(f *testing.F) {
	good := appendHeader(nil, 0)
	for i := range uint64(5) {
		good = appendFrame(good, Entry{i, time.UnixMilli(int64(i)), bytes.Repeat([]byte{byte(i + 1)}, 20)}, i/2)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(segmentMagic))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		list, end := frames(data, min(headerSize, len(data)), 0)
		again := bytes.Clone(data[:min(headerSize, len(data))])
		for _, f := range list {
			again = appendFrame(again, f.Entry, f.batch)
		}
		if end > len(data) || !bytes.Equal(again, data[:end]) {
			t.Fatal("what was read is not what stands there")
		}
		if err := os.WriteFile(filepath.Join(dir, segmentName(0)), data, 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		for r := (reading{dir: dir}); ; {
			some, err := r.some()
			if err != nil || len(some) == 0 {
				break
			}
			n += len(some)
		}
		if n != len(list) {
			t.Fatalf("read %d of %d records", n, len(list))
		}
		wasDurable(data, end, uint64(len(list)))
	})
}
