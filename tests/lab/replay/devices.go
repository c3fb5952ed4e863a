//go:build linux

package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attach makes a disk of a file, until detach.
func attach(file string) (device string, detach func() error, err error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return "", nil, err
	}
	defer f.Close() // the disk has its own
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", nil, err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return "", nil, fmt.Errorf("find free loop device: %w", err)
	}
	device = fmt.Sprintf("/dev/loop%d", n)
	set := func(request uint, arg int) error {
		d, err := os.OpenFile(device, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer d.Close() // a disk that nobody has open forgets what it has cached: what is changed in the file then counts
		if err := unix.IoctlSetInt(int(d.Fd()), request, arg); err != nil {
			return fmt.Errorf("set %q (%#x): %w", device, request, err)
		}
		return nil
	}
	return device, func() error { return set(unix.LOOP_CLR_FD, 0) }, set(unix.LOOP_SET_FD, int(f.Fd()))
}

// Commands of linux/dm-ioctl.h.
const (
	dmCreate  = 3
	dmRemove  = 4
	dmSuspend = 6 // without a flag: resume
	dmLoad    = 9
	dmMessage = 14
)

// logged is a disk that writes into a log, another disk, what is written to it.
type logged struct {
	path, name string
	control    *os.File
}

// mapLogged makes a logged disk of the one at device.
func mapLogged(name, device, log string, bytes int64) (*logged, error) {
	control, err := os.OpenFile("/dev/mapper/control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	dev, err := mapper(control, dmCreate, name, nil)
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	d := &logged{path: fmt.Sprintf("/dev/dm-%d", unix.Minor(dev)), name: name, control: control}
	// struct dm_target_spec: first sector, sectors, status, offset of the next, type[16]; then its parameters
	target := binary.NativeEndian.AppendUint64(make([]byte, 8), uint64(bytes/sector))
	target = append(target, make([]byte, 8)...)
	target = append(target, "log-writes\x00\x00\x00\x00\x00\x00"+device+" "+log+"\x00"...)
	for _, step := range []struct {
		command uintptr
		payload []byte
	}{{dmLoad, target}, {dmSuspend, nil}} {
		if _, err := mapper(control, step.command, name, step.payload); err != nil {
			return nil, errors.Join(err, d.remove())
		}
	}
	return d, nil
}

// told has the kernel log, at once, that a mark was made.
func (d *logged) told() error {
	// struct dm_target_msg: a sector, and the message
	_, err := mapper(d.control, dmMessage, d.name, append(make([]byte, 8), "mark "+toldMark+"\x00"...))
	return err
}

func (d *logged) remove() error {
	_, err := mapper(d.control, dmRemove, d.name, nil)
	return errors.Join(err, d.control.Close())
}

// mapper has the device-mapper do something with the device of that name.
func mapper(control *os.File, command uintptr, name string, payload []byte) (dev uint64, err error) {
	const size, nameAt, devAt = 312, 48, 40 // of struct dm_ioctl
	arg := make([]byte, size, size+len(payload)+8)
	arg = append(arg, payload...)
	for at, v := range map[int]uint32{0: 4, 12: uint32(len(arg)), 16: size, 20: uint32(min(len(payload), 1))} { // version, data_size, data_start, target_count
		binary.NativeEndian.PutUint32(arg[at:], v)
	}
	copy(arg[nameAt:nameAt+127], name)
	request := 3<<30 | size<<16 | 0xfd<<8 | command
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), request, uintptr(unsafe.Pointer(&arg[0]))); errno != 0 {
		return 0, fmt.Errorf("map %q (command %d, %q): %w", name, command, strings.Trim(string(payload), "\x00"), errno)
	}
	return binary.NativeEndian.Uint64(arg[devAt:]), nil
}
