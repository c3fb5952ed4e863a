package watchdog

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Each error that somebody branches on. The kernel's own error stays in the chain.
var (
	// ErrAbsent means that the machine has no such device, or has lost it.
	ErrAbsent = errors.New("watchdog is absent")
	// ErrBusy means that another process holds the device, under this name or another.
	ErrBusy = errors.New("watchdog is held by another process")
	// ErrNotWatchdog means that the path is something else. It was not written to.
	ErrNotWatchdog = errors.New("device is no watchdog")
	// ErrTimeout means that the driver does not run with the time-out that was asked for.
	ErrTimeout = errors.New("watchdog does not take the time-out")
	// ErrUnsupported means that the driver has no such function.
	ErrUnsupported = errors.New("watchdog driver cannot do that")
	// ErrRunsOn means that the timer cannot be stopped (nowayout): it must be fed on, or the machine resets.
	ErrRunsOn = errors.New("watchdog cannot be stopped")
)

// failed says what was being done when the kernel refused, and which of our words that is.
func failed(doing string, err error) error {
	for _, known := range []struct {
		errno unix.Errno
		word  error
	}{
		{unix.ENOENT, ErrAbsent}, {unix.ENXIO, ErrAbsent}, {unix.ENODEV, ErrAbsent},
		{unix.EOPNOTSUPP, ErrUnsupported}, {unix.ENOTTY, ErrUnsupported},
	} {
		if errors.Is(err, known.errno) {
			return fmt.Errorf("%s: %w: %w", doing, known.word, err)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
