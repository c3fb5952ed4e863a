package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkIngest measures taking in messages of 256 records against what the disk alone needs: appending the same bytes to a file and one fdatasync for
// each message. Both are measured in the same run; the number to look at is their ratio.
func BenchmarkIngest(b *testing.B) {
	for _, size := range []int{16, 256} {
		b.Run(fmt.Sprintf("%d-records", size), func(b *testing.B) {
			rig := newBench(b)
			rig.add(b, size*b.N)
			rig.sign(b)
			raw, err := os.Create(filepath.Join(b.TempDir(), "raw"))
			if err != nil {
				b.Fatal(err)
			}
			defer raw.Close()
			var mine, disk time.Duration
			for i := range b.N {
				m := rig.report(b, uint64(i*size), size)
				start := time.Now()
				if _, err := rig.Ingest(rig.id, m); err != nil {
					b.Fatal(err)
				}
				mine += time.Since(start)
				start = time.Now()
				for _, r := range m.Records {
					if _, err := raw.Write(r); err != nil {
						b.Fatal(err)
					}
				}
				if err := unix.Fdatasync(int(raw.Fd())); err != nil {
					b.Fatal(err)
				}
				disk += time.Since(start)
			}
			b.ReportMetric(float64(mine)/float64(disk), "times-raw")
			b.ReportMetric(float64(size*b.N)/mine.Seconds(), "records/s")
		})
	}
}
