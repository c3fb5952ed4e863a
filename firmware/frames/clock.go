package frames

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is CLOCK_MONOTONIC, the clock of all stamps. It is one clock for all processes of the machine, which time.Now's hidden
// monotonic reading cannot be when it crosses a process boundary.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("clock_gettime(CLOCK_MONOTONIC): " + err.Error()) // unreachable: the clock is mandatory on Linux
	}
	return time.Duration(ts.Nano())
}
