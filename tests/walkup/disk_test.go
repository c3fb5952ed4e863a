package walkup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A full disk keeps nobody in. Grants go on while there is a reserve to write them into; without one nobody is granted, and with room again all is as
// before.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	folder, source := enrolledState(t), filepath.Join(t.TempDir(), "kiosk")
	dir := filepath.Join(folder, "kiosk") // the kiosk's disk; a TPM has room of its own
	must(t, os.Rename(dir, source))
	must(t, os.Mkdir(dir, 0o700))
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ci must not leave the full disk out: ", err)
		}
		fmt.Fprintf(os.Stderr, "NOT TESTED: a full disk, since a small one cannot be mounted here: %v\n", err)
		t.Skip("a small disk cannot be mounted: ", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) }) // after the desk's own
	copyState(t, dir, source)
	d := startDesk(t, folder)

	filler := filepath.Join(dir, "filler")
	fill := func() {
		f, err := os.OpenFile(filler, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		must(t, err)
		defer f.Close()
		for _, n := range []int{1 << 20, 4096} {
			for err = nil; err == nil; _, err = f.Write(make([]byte, n)) {
			}
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
		}
	}
	fill()
	d.walkUp("enrolled-1", "granted")
	d.walkUp("stranger-1", "denied")

	// What was set aside for the log is taken away under it, as a disk does that promised more than it has.
	files, err := filepath.Glob(filepath.Join(d.disk(), "audit", "*[.]*")) // segments and spares
	must(t, err)
	for _, path := range files {
		used := (int64(len(bytes.TrimRight(read(t, path), "\x00"))) + 4095) / 4096 * 4096
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, used, 1<<20-used))
		must(t, f.Close())
	}
	fill()
	for try := 0; ; try++ {
		s, err := d.state()
		must(t, err)
		if s.says("the audit log cannot be written: nobody is granted") {
			break
		}
		if try == 400 { // some come too late, or two at once, and write nothing
			t.Fatalf("records find room on a full disk: %+v", s)
		}
		d.act("tamper", []string{"on", "off"}[try%2])
		time.Sleep(50 * time.Millisecond) // the page shows it as soon
	}
	d.act("tamper", "off")
	d.walkUp("enrolled-1", "denied")
	d.act("rex", "")
	d.until(untilReleased, "REX works on a full disk", func(s state) bool { return s.Door.Released })

	// A start on it, too.
	time.Sleep(pressed)
	d.pull(func(string) {})
	d.until(10*time.Second, "the start says that there is no room", func(s state) bool { return s.says("there is no room on the disk") })
	d.act("rex", "")
	d.until(untilReleased, "REX works after a start on a full disk", func(s state) bool { return s.Door.Released })
	time.Sleep(pressed)
	d.pull(func(string) { must(t, os.Remove(filler)) })
	d.untilWell(20 * time.Second)
	d.walkUp("enrolled-1", "granted")
	d.stop()
}
