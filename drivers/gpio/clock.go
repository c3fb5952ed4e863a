package gpio

import (
	"time"

	"golang.org/x/sys/unix"
)

// now is CLOCK_MONOTONIC.
func now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("clock_gettime(CLOCK_MONOTONIC): " + err.Error()) // unreachable: the clock is mandatory on Linux
	}
	return time.Duration(t.Nano())
}
