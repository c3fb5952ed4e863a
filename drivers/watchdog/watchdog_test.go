package watchdog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dog is a driver under the kernel's watchdog core, as far as drivers/watchdog/watchdog_dev.c of Linux 6.1 goes.
type dog struct {
	options  Flags
	identity string
	timeout  int32
	step     int32 // it rounds up to multiples of this many seconds
	most     int32
	left     int32 // -1: it does not know
	boot     int32
	nowayout bool
	old      bool // it knows no WDIOC_SETOPTIONS
	gone     bool

	running, closed, magic bool
	fed                    int
}

func (d *dog) info() (*unix.WatchdogInfo, error) {
	if d.identity == "" {
		return nil, unix.ENOTTY
	}
	i := &unix.WatchdogInfo{Options: uint32(d.options), Version: 7}
	copy(i.Identity[:], d.identity)
	return i, nil
}

func (d *dog) feed() error {
	switch {
	case d.gone:
		return unix.ENODEV
	case !d.options.Has(CanFeed):
		return unix.EOPNOTSUPP
	}
	d.fed++
	return nil
}

func (d *dog) write(b byte) error {
	if d.gone {
		return unix.ENODEV
	}
	d.magic = b == 'V'
	d.fed++
	return nil
}

func (d *dog) call(request uintptr, v *int32) error {
	if d.gone {
		return unix.ENODEV
	}
	switch request {
	case unix.WDIOC_SETTIMEOUT:
		if !d.options.Has(CanSet) {
			return unix.EOPNOTSUPP
		}
		if *v > d.most {
			return unix.EINVAL
		}
		d.timeout = (*v + d.step - 1) / d.step * d.step
		*v = d.timeout
	case unix.WDIOC_GETTIMEOUT:
		if d.timeout == 0 {
			return unix.EOPNOTSUPP
		}
		*v = d.timeout
	case unix.WDIOC_GETTIMELEFT:
		if d.left < 0 {
			return unix.EOPNOTSUPP
		}
		*v = d.left
	case unix.WDIOC_GETBOOTSTATUS:
		*v = d.boot
	case unix.WDIOC_SETOPTIONS:
		if d.old {
			return unix.ENOTTY
		}
		if d.nowayout {
			return unix.EBUSY
		}
		d.running = *v&unix.WDIOS_DISABLECARD == 0
	default:
		return unix.ENOTTY
	}
	return nil
}

func (d *dog) close() error {
	d.closed = true
	if d.running && (d.magic || !d.options.Has(MagicClose)) {
		d.running, d.magic = d.nowayout, false // a timer that does not run keeps the permission
	}
	return nil
}

// usual is softdog, running.
func usual() *dog {
	return &dog{options: CanFeed | CanSet | MagicClose, identity: "Software Watchdog", timeout: 60, step: 1, most: 65535, left: -1, running: true}
}

func opened(t *testing.T, d *dog) *Device {
	t.Helper()
	w, err := identify("/dev/watchdog", d)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestIdentify(t *testing.T) {
	d := usual()
	d.identity = "Evil\x1b[2J\xff dog"
	w := opened(t, d)
	if got, want := w.Info(), (Info{Identity: "Evil·[2J· dog", Firmware: 7, Options: CanFeed | CanSet | MagicClose}); got != want {
		t.Errorf("Info() = %+v, want %+v", got, want)
	}
	d.identity = strings.Repeat("x", 40) // no zero byte in its 32
	if got := opened(t, d).Info().Identity; got != strings.Repeat("x", 32) {
		t.Errorf("identity without an end reads %q", got)
	}
	d.gone = true
	if _, err := identify("/dev/watchdog", d); !errors.Is(err, ErrAbsent) || !d.closed {
		t.Errorf("a device that vanishes while it is opened: %v, closed %v", err, d.closed)
	}
	d.identity, d.gone, d.closed = "", false, false
	if _, err := identify("/dev/watchdog", d); !errors.Is(err, ErrNotWatchdog) || !d.closed {
		t.Errorf("a device that cannot say what it is: %v, closed %v", err, d.closed)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.WriteFile(file, []byte("text"), 0o600), unix.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		filepath.Join(dir, "none"): ErrAbsent,
		file:                       ErrNotWatchdog,
		pipe:                       ErrNotWatchdog, // and does not wait for a reader
		dir:                        ErrNotWatchdog,
		"/dev/null":                ErrNotWatchdog, // a device, but it answers ENOTTY
	} {
		d, err := Open(path)
		if !errors.Is(err, want) || d != nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%q) = %v, %v; want %v", path, d, err, want)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "text" {
		t.Errorf("the file that is no watchdog reads %q, %v afterwards", text, err)
	}
}

func TestFeed(t *testing.T) {
	for name, options := range map[string]Flags{"by ioctl": CanFeed | MagicClose, "by a written byte": MagicClose} {
		d := usual()
		d.options = options
		w := opened(t, d)
		if err := errors.Join(w.Feed(), w.Feed()); err != nil || d.fed != 3 || d.magic { // the first by opening it
			t.Errorf("%s: %v, fed %d times, magic %v", name, err, d.fed, d.magic)
		}
		d.gone = true
		if err := w.Feed(); !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: a vanished device: %v", name, err)
		}
	}
}

func TestFeedAllocatesNothing(t *testing.T) {
	w := opened(t, usual())
	if n := testing.AllocsPerRun(100, func() { _ = w.Feed() }); n != 0 {
		t.Errorf("a feed allocates %v times", n)
	}
}

func TestSetTimeout(t *testing.T) {
	for _, c := range []struct {
		name      string
		bend      func(*dog)
		ask, want time.Duration
		err       error
	}{
		{"taken", func(*dog) {}, 10 * time.Second, 10 * time.Second, nil},
		{"rounded by the driver", func(d *dog) { d.step = 60 }, 10 * time.Second, time.Minute, ErrTimeout},
		{"too long", func(d *dog) { d.most = 15 }, 16 * time.Second, time.Minute, ErrTimeout},
		{"cannot be set", func(d *dog) { d.options = CanFeed }, 10 * time.Second, time.Minute, ErrTimeout},
		{"cannot be set or read", func(d *dog) { d.options, d.timeout = CanFeed, 0 }, 10 * time.Second, 0, ErrUnsupported},
		{"vanished", func(d *dog) { d.gone = true }, 10 * time.Second, 0, ErrAbsent},
		{"half a second", func(*dog) {}, 1500 * time.Millisecond, 0, ErrTimeout},
		{"none", func(*dog) {}, 0, 0, ErrTimeout},
		{"negative", func(*dog) {}, -time.Second, 0, ErrTimeout},
		{"more than an int", func(*dog) {}, (1 << 31) * time.Second, 0, ErrTimeout},
	} {
		d := usual()
		w := opened(t, d)
		c.bend(d)
		got, err := w.SetTimeout(c.ask)
		if got != c.want || !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%s: SetTimeout(%v) = %v, %v; want %v, %v", c.name, c.ask, got, err, c.want, c.err)
		}
	}
}

func TestTimeLeft(t *testing.T) {
	d := usual()
	w := opened(t, d)
	if _, err := w.TimeLeft(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a driver that does not know: %v", err)
	}
	d.left = 9
	if left, err := w.TimeLeft(); err != nil || left != 9*time.Second {
		t.Errorf("TimeLeft() = %v, %v", left, err)
	}
	d.left, d.timeout = 0, -5
	if _, err := w.Timeout(); err == nil {
		t.Error("a negative time-out is believed")
	}
}

func TestBootStatus(t *testing.T) {
	d := usual()
	w := opened(t, d)
	for raw, want := range map[int32]string{
		0: "none", unix.WDIOF_CARDRESET: "watchdog reset", unix.WDIOF_CARDRESET | unix.WDIOF_OVERHEAT: "overheat, watchdog reset",
		-1 << 31: "0x80000000", // drivers say -1 too: everything
	} {
		d.boot = raw
		if s, err := w.BootStatus(); err != nil || s.String() != want || s.Has(CardReset) != (raw&unix.WDIOF_CARDRESET != 0) {
			t.Errorf("boot status %#x reads %q, %v; want %q", raw, s, err, want)
		}
	}
}

// Only Disarm stops the timer.
func TestOnlyDisarmStops(t *testing.T) {
	for _, c := range []struct {
		name           string
		bend           func(*dog)
		end            func(*Device) error
		want           error
		runs, released bool
	}{
		{"close", func(*dog) {}, (*Device).Close, nil, true, true},
		{"close after somebody who did not use a permission to stop", func(d *dog) { d.magic = true }, (*Device).Close, nil, true, true},
		{"disarm", func(*dog) {}, (*Device).Disarm, nil, false, true},
		{"disarm an old driver", func(d *dog) { d.old = true }, (*Device).Disarm, nil, false, true},
		{"disarm under nowayout", func(d *dog) { d.nowayout = true }, (*Device).Disarm, ErrRunsOn, true, false},
		{"close under nowayout", func(d *dog) { d.nowayout = true }, (*Device).Close, nil, true, true},
	} {
		d := usual()
		c.bend(d)
		w := opened(t, d)
		if err := w.Feed(); err != nil {
			t.Fatal(err)
		}
		if err := c.end(w); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if d.running != c.runs || d.closed != c.released {
			t.Errorf("%s: runs %v, closed %v", c.name, d.running, d.closed)
		}
		if d.magic {
			t.Errorf("%s: leaves a permission to stop to the next holder", c.name)
		}
		if c.released {
			if err := w.Feed(); err == nil {
				t.Errorf("%s: a closed device is fed", c.name)
			}
			if err := w.Close(); err != nil {
				t.Errorf("%s: closed twice: %v", c.name, err)
			}
		}
	}
}

// The zero Device is closed, and says so.
func TestZeroDevice(t *testing.T) {
	var d Device
	_, e1 := d.Timeout()
	_, e2 := d.SetTimeout(time.Second)
	for _, err := range []error{d.Feed(), d.Disarm(), e1, e2} {
		if !errors.Is(err, errClosed) {
			t.Errorf("zero device: %v", err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
