package deadman

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is what Reboot does to the machine, from mild to rude. Each may hang.
type Machine interface {
	Sync()
	Restart() error // in order: drivers are told. Does not return when it works.
	Force() error   // at once: nobody is told. Does not return when it works.
}

// How long each step of Reboot may take.
const (
	// syncBound is for a card that is slow, not for one that is dead. What the door has acknowledged is on it already.
	syncBound = 3 * time.Second
	// restartBound is for the drivers' own ends. The kernel stops most watchdogs when it begins to restart (softdog's, the Raspberry Pi's,
	// i6300esb's and sp805's among them), so a driver that hangs here would hang for good.
	restartBound = 5 * time.Second
	forceBound   = time.Second
)

// ErrStands means that the machine could not be restarted. If it has a watchdog that nobody feeds, that is what is left.
var ErrStands = errors.New("machine does not restart")

// Reboot restarts the machine. It returns only if it could not, after nine seconds at most.
func Reboot(m Machine, log func(format string, args ...any)) error {
	try := func(what string, bound time.Duration, f func() error) error {
		ended := make(chan error, 1)
		go func() { ended <- f() }()
		err := fmt.Errorf("not over after %v", bound)
		select {
		case err = <-ended:
		case <-time.After(bound):
		}
		if err != nil {
			log("dead-man: %s: %v", what, err)
		}
		return err
	}
	_ = try("sync", syncBound, func() error { m.Sync(); return nil })
	return errors.Join(ErrStands, try("restart", restartBound, m.Restart), try("force restart", forceBound, m.Force))
}

// Kernel is the machine that this process runs on. It must have CAP_SYS_BOOT, as PID 1 does.
type Kernel struct{}

// Sync writes out all file systems.
func (Kernel) Sync() { unix.Sync() }

// Restart is reboot(2).
func (Kernel) Restart() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) }

// Force is sysrq b.
func (Kernel) Force() error { return os.WriteFile("/proc/sysrq-trigger", []byte("b"), 0) }
