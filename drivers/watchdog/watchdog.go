package watchdog

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// Path is the first watchdog of the machine.
const Path = "/dev/watchdog"

// Info is what a driver says of itself.
type Info struct {
	Identity string // printable, at most 32 bytes
	Firmware uint32 // version; 0 on most
	Options  Flags
}

// Device is an open watchdog. Its methods may be called by several goroutines; the zero Device is closed.
type Device struct {
	mu   sync.Mutex
	node node // nil when closed
	info Info
}

// errClosed needs no word of its own: nobody branches on a mistake.
var errClosed = errors.New("watchdog is closed")

// Open opens the watchdog at path, which starts its timer: from here on the machine resets unless it is fed. The error is ErrAbsent, ErrBusy or
// ErrNotWatchdog if it is one of those.
func Open(path string) (*Device, error) {
	n, err := open(path)
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if err != nil {
		return nil, failed(fmt.Sprintf("open watchdog %q", path), err)
	}
	return identify(path, n)
}

// identify makes a Device of a node that turns out to be a watchdog.
func identify(path string, n node) (*Device, error) {
	raw, err := n.info()
	if err != nil {
		n.close() // it is no watchdog, or a broken one: nothing was started that could be stopped
		return nil, fmt.Errorf("identify watchdog %q: %w: %w", path, ErrNotWatchdog, err)
	}
	// The kernel remembers a permission to stop that an earlier holder gave and did not use; a written byte takes it back, and no ioctl does.
	if err := n.write(0); err != nil {
		n.close()
		return nil, failed(fmt.Sprintf("feed watchdog %q", path), err)
	}
	return &Device{node: n, info: Info{Identity: printable(raw.Identity[:]), Firmware: raw.Version, Options: Flags(raw.Options)}}, nil
}

// Info is what the driver said when it was opened.
func (d *Device) Info() Info { return d.info }

// Feed starts the timer anew. ErrAbsent means that the device has vanished.
func (d *Device) Feed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.node == nil:
		return failed("feed watchdog", errClosed)
	case !d.info.Options.Has(CanFeed):
		return named("feed watchdog", d.node.write(0)) // any byte but the magic one
	}
	return named("feed watchdog", d.node.feed())
}

// SetTimeout asks for a time-out of whole seconds, reads back what the driver runs with and returns that. Another one than was asked for is
// ErrTimeout, too: the driver counts in steps of its own, or cannot be set. The timer starts anew.
func (d *Device) SetTimeout(want time.Duration) (time.Duration, error) {
	doing := fmt.Sprintf("set time-out of watchdog to %v", want)
	if want < time.Second || want%time.Second != 0 || want/time.Second > 1<<31-1 {
		return 0, fmt.Errorf("%s: %w: it counts in whole seconds, from 1", doing, ErrTimeout)
	}
	seconds := int32(want / time.Second)
	if err := d.call(doing, unix.WDIOC_SETTIMEOUT, &seconds); err != nil {
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, ErrUnsupported) {
			return 0, err
		}
		stands, e := d.Timeout() // worth telling: whoever cannot set it may be content with it
		return stands, errors.Join(fmt.Errorf("%w: %w", ErrTimeout, err), e)
	}
	got, err := d.Timeout()
	if err == nil && got != want {
		err = fmt.Errorf("%s: %w: it runs with %v", doing, ErrTimeout, got)
	}
	return got, err
}

// Timeout is how long the device waits for a feed. ErrUnsupported if the driver does not know.
func (d *Device) Timeout() (time.Duration, error) {
	return d.seconds("read time-out of watchdog", unix.WDIOC_GETTIMEOUT)
}

// TimeLeft is how long it still waits, in whole seconds. Many drivers do not know: ErrUnsupported.
func (d *Device) TimeLeft() (time.Duration, error) {
	return d.seconds("read time left of watchdog", unix.WDIOC_GETTIMELEFT)
}

// BootStatus is why the machine was reset last, as far as the hardware remembers. Zero says nothing, not that the power was off: most drivers,
// the Raspberry Pi's and softdog among them, report no cause at all.
func (d *Device) BootStatus() (Flags, error) {
	var v int32
	err := d.call("read boot status of watchdog", unix.WDIOC_GETBOOTSTATUS, &v)
	return Flags(uint32(v)), err
}

// Close gives the device up and lets its timer run: the machine resets unless somebody opens and feeds it in time. A driver without MagicClose in
// its options stops the timer all the same. A second time does nothing.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.close()
}

func (d *Device) close() error {
	if d.node == nil {
		return nil
	}
	err := d.node.close()
	d.node = nil
	return named("close watchdog", err)
}

// Disarm stops the timer and gives the device up, on purpose. ErrRunsOn says that the kernel keeps it running, nowayout: then the device is
// still open and must be fed on.
func (d *Device) Disarm() error {
	off := int32(unix.WDIOS_DISABLECARD)
	err := d.call("stop watchdog", unix.WDIOC_SETOPTIONS, &off)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case errors.Is(err, unix.EBUSY): // the kernel's answer under nowayout
		return fmt.Errorf("stop watchdog: %w", ErrRunsOn)
	case errors.Is(err, ErrUnsupported) && d.node != nil:
		// An old driver. To others the magic byte would be a permission that waits for the next holder's end.
		err = named("stop watchdog", d.node.write('V'))
	}
	if err != nil {
		return err
	}
	return d.close()
}

func (d *Device) seconds(doing string, request uintptr) (time.Duration, error) {
	var v int32
	if err := d.call(doing, request, &v); err != nil {
		return 0, err
	}
	if v < 0 {
		return 0, fmt.Errorf("%s: driver says %d s", doing, v)
	}
	return time.Duration(v) * time.Second, nil
}

func (d *Device) call(doing string, request uintptr, v *int32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.node == nil {
		return failed(doing, errClosed)
	}
	return named(doing, d.node.call(request, v))
}

// named is failed for calls that may have succeeded.
func named(doing string, err error) error {
	if err == nil {
		return nil
	}
	return failed(doing, err)
}

// printable takes a driver's text for a log: up to its zero byte, and nothing that could steer a terminal.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, strings.ToValidUTF8(unix.ByteSliceToString(b), "·"))
}
