//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/plan"
)

const (
	host  = "/host"  // the host's files, read-only
	layer = "/layer" // what is written over them, in memory
	root  = "/root"  // both together: where tests run
)

type mount struct {
	from, to, kind string
	flags          uintptr
	data           string
}

func mountAll(mounts ...mount) error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.to, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.from, m.to, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s on %q: %w", m.kind, m.to, err)
		}
	}
	return nil
}

// mountKernel mounts what the kernel shows of itself.
func mountKernel() error {
	return mountAll(
		mount{"proc", "/proc", "proc", 0, ""},
		mount{"sysfs", "/sys", "sysfs", 0, ""},
		mount{"configfs", "/sys/kernel/config", "configfs", 0, ""},
		mount{"debugfs", "/sys/kernel/debug", "debugfs", 0, ""},
		mount{"tracefs", "/sys/kernel/tracing", "tracefs", 0, ""},
	)
}

// mountHost makes the root that tests see.
func mountHost(outside string) error {
	if err := mountAll(mount{"layer", layer, "tmpfs", 0, ""}); err != nil {
		return err
	}
	for _, d := range []string{layer + "/over", layer + "/work"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	return mountAll(
		mount{"host", host, "hostfs", unix.MS_RDONLY, "/"},
		mount{"root", root, "overlay", 0, "lowerdir=" + host + ",upperdir=" + layer + "/over,workdir=" + layer + "/work"},
		// Outlives the machine: synchronous, because the machine may be killed at any moment after a write.
		mount{"outside", plan.Outside, "hostfs", unix.MS_SYNCHRONOUS, outside},
		mount{"scratch", plan.Scratch, "tmpfs", 0, ""},
		mount{plan.Dir, root + plan.Dir, "", unix.MS_BIND | unix.MS_REC, ""},
		mount{"/proc", root + "/proc", "", unix.MS_BIND, ""},
		mount{"/sys", root + "/sys", "", unix.MS_BIND | unix.MS_REC, ""},
		mount{"/dev", root + "/dev", "", unix.MS_BIND, ""},
		mount{"shm", root + "/dev/shm", "tmpfs", 0, ""},
	)
}

// loadModules loads all modules, with the parameters that the plan has for them.
func loadModules(parameters map[string]string) error {
	files, err := filepath.Glob(plan.Modules + "/*.ko")
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("load modules: there are none")
	}
	for _, file := range files {
		_, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".ko"), "-")
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), parameters[name], 0)
		f.Close()
		if err != nil {
			return fmt.Errorf("load module %s %q: %w", name, parameters[name], err)
		}
	}
	return nil
}

// raiseLoopback brings up lo, which has 127.0.0.1 from then on.
func raiseLoopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("raise lo: %w", err)
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("raise lo: %w", err)
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("raise lo: %w", err)
	}
	return nil
}
