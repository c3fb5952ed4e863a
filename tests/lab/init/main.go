//go:build linux

// Command init is the first process of the laboratory's machine. It makes the machine ready, runs the one test program that the plan names
// in a copy of the host's file system that forgets what is written to it, says on the channel how that ended, and takes the power away.
package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/plan"
)

func main() {
	c := &channel{}
	verb, rest := plan.Ended, ""
	if outcome, err := run(c); err != nil {
		verb, rest = plan.Broken, err.Error()
	} else {
		rest = outcome
	}
	c.say(verb, rest)
	if c.file == nil { // there is no other way to be heard
		fmt.Fprintln(os.Stderr, "init:", rest)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// run does it all; the outcome is that of the test program.
func run(c *channel) (outcome string, err error) {
	if err := mountAll(mount{"dev", "/dev", "devtmpfs", 0, ""}); err != nil {
		return "", err
	}
	if err := c.open(); err != nil { // first, so that whatever fails is heard
		return "", err
	}
	p, err := plan.Read()
	if err != nil {
		return "", err
	}
	if err := mountKernel(); err != nil {
		return "", err
	}
	if err := loadModules(p.Modules); err != nil {
		return "", err
	}
	if err := mountHost(p.Outside); err != nil {
		return "", err
	}
	if err := raiseLoopback(); err != nil {
		return "", err
	}
	c.say(plan.Up, fmt.Sprintf("%s %.2f", release(), uptime().Seconds()))
	alive := time.NewTicker(time.Second)
	defer alive.Stop()
	go func() { // until the power is gone
		for range alive.C {
			c.say(plan.Beat, "")
		}
	}()
	return test(p, c)
}

// channel is where the runner listens.
type channel struct {
	mu   sync.Mutex
	file *os.File
}

// open opens the channel for bytes as they are: no echo, no carriage returns.
func (c *channel) open() error {
	f, err := os.OpenFile(plan.Channel, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return fmt.Errorf("ask settings of %q: %w", plan.Channel, err)
	}
	t.Oflag &^= unix.OPOST
	t.Iflag, t.Lflag = 0, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return fmt.Errorf("set %q: %w", plan.Channel, err)
	}
	c.file = f
	return nil
}

func (c *channel) say(v plan.Verb, rest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		c.file.Write(plan.Line(v, rest)) // nobody could be told that it cannot be said
	}
}

func release() string {
	var u unix.Utsname
	unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:])
}

func uptime() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &t)
	return time.Duration(t.Nano())
}
