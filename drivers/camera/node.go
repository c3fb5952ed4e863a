package camera

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A node is an open video device. Tests put a small camera of their own in its place.
type node interface {
	// ioctl returns the kernel's errno. arg points to the structure that the request names.
	ioctl(request uintptr, arg unsafe.Pointer) error
	mmap(offset int64, length int) ([]byte, error)
	munmap(b []byte) error
	// wait sleeps until a frame is there, wake was called or the time is over. It reports whether the device is in trouble, of which
	// the next attempt to dequeue then knows more.
	wait(most time.Duration) (trouble bool, err error)
	// wake ends a wait, or the next one. It may be called at any time, after close too.
	wake()
	now() time.Duration // CLOCK_MONOTONIC
	close() error
}

// device is the node of a real kernel.
type device struct {
	fd    int
	polls [2]unix.PollFd // the camera and the bell
	left  unix.Timespec
	clock unix.Timespec

	mu   sync.Mutex // guards bell against a wake after close
	bell int        // an eventfd, -1 when closed
}

func openDevice(path string) (*device, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	d := &device{fd: fd, bell: bell}
	d.polls = [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(bell), Events: unix.POLLIN}}
	return d, nil
}

func (d *device) ioctl(request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd), request, uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// mmap maps for reading only: nothing of ours writes to a frame.
func (d *device) mmap(offset int64, length int) ([]byte, error) {
	return unix.Mmap(d.fd, offset, length, unix.PROT_READ, unix.MAP_SHARED)
}

func (d *device) munmap(b []byte) error { return unix.Munmap(b) }

// wait uses ppoll, which is the one of its family that exists on every architecture and knows no limit of descriptors.
func (d *device) wait(most time.Duration) (trouble bool, err error) {
	d.left = unix.NsecToTimespec(int64(most))
	switch _, err := unix.Ppoll(d.polls[:], &d.left, nil); err {
	case nil:
	case unix.EINTR:
		return false, nil
	default:
		return false, err
	}
	if d.polls[1].Revents != 0 {
		var rings [8]byte
		unix.Read(d.bell, rings[:]) // EAGAIN means that it is silent again already
	}
	return d.polls[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0, nil
}

func (d *device) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bell >= 0 {
		var once [8]byte
		binary.NativeEndian.PutUint64(once[:], 1)
		unix.Write(d.bell, once[:]) // EAGAIN means that it rings already
	}
}

func (d *device) now() time.Duration {
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &d.clock); err != nil {
		panic("clock_gettime(CLOCK_MONOTONIC): " + err.Error()) // unreachable: the clock is mandatory on Linux
	}
	return time.Duration(d.clock.Nano())
}

func (d *device) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := unix.Close(d.bell)
	d.bell = -1
	if e := unix.Close(d.fd); e != nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("close camera: %w", err)
	}
	return nil
}
