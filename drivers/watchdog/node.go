package watchdog

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// node is the device as the kernel shows it; tests have one of their own.
type node interface {
	info() (*unix.WatchdogInfo, error)
	feed() error
	write(b byte) error
	call(request uintptr, v *int32) error // an ioctl on an int
	close() error
}

type device struct{ fd int }

// open looks before it opens: opening starts a watchdog, and would hang on a pipe.
func open(path string) (node, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return nil, ErrNotWatchdog
	}
	// Close-on-exec: a child that inherits it could feed it, and would keep it open.
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	return device{fd}, nil
}

func (d device) info() (*unix.WatchdogInfo, error) { return unix.IoctlGetWatchdogInfo(d.fd) }
func (d device) feed() error                       { return unix.IoctlWatchdogKeepalive(d.fd) }
func (d device) close() error                      { return unix.Close(d.fd) }

func (d device) write(b byte) error {
	_, err := unix.Write(d.fd, []byte{b})
	return err
}

func (d device) call(request uintptr, v *int32) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd), request, uintptr(unsafe.Pointer(v)))
	if errno != 0 {
		return errno
	}
	return nil
}
