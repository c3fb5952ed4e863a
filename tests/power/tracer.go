package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// syscallInfo is the kernel's struct ptrace_syscall_info (Linux 5.3), the same on every architecture.
type syscallInfo struct {
	op      uint8
	_       [3]uint8
	arch    uint32
	ip, sp  uint64
	payload [7]uint64 // entry: number and six arguments; exit: result, and whether it is an error
}

const (
	getSyscallInfo = 0x420e // PTRACE_GET_SYSCALL_INFO
	infoEntry      = 1
	infoExit       = 2
)

// call is a system call in which a thread is.
type call struct {
	number uint64
	args   [6]uint64
}

// tracer records what a child does to the files under root.
type tracer struct {
	root   string
	pid    int
	memory *os.File
	open   map[int]*opened // by descriptor, those under root
	inside map[int]call    // by thread
	events []event
}

// opened is a descriptor of the child.
type opened struct {
	path string
	at   int64 // where the next write without an offset goes
}

// observe runs the child to its end under ptrace and returns what it did, in the order in which its calls returned.
func observe(argv []string, pipe *os.File, root string) ([]event, error) {
	// The kernel takes ptrace calls from the thread alone that began.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Files: []*os.File{nil, nil, os.Stderr, pipe}, Env: os.Environ(), Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start traced child (ptrace must be allowed here): %w", err)
	}
	t := &tracer{root: root, pid: p.Pid, open: map[int]*opened{}, inside: map[int]call{}}
	if err := t.run(); err != nil {
		p.Kill()
		return nil, err
	}
	return t.events, nil
}

func (t *tracer) run() error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(t.pid, &status, 0, nil); err != nil {
		return err
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(t.pid, options); err != nil {
		return fmt.Errorf("set ptrace options: %w", err)
	}
	var err error
	if t.memory, err = os.Open(fmt.Sprintf("/proc/%d/mem", t.pid)); err != nil {
		return err
	}
	defer t.memory.Close()
	thread, signal := t.pid, 0
	for {
		if err := syscall.PtraceSyscall(thread, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("continue child: %w", err)
		}
		for {
			if thread, err = syscall.Wait4(-1, &status, syscall.WALL, nil); err != nil && !errors.Is(err, syscall.EINTR) {
				return fmt.Errorf("wait for child: %w", err)
			}
			if err != nil || status.Exited() && thread != t.pid || status.Signaled() && thread != t.pid {
				continue
			}
			break
		}
		signal = 0
		switch {
		case status.Exited():
			if status.ExitStatus() != 0 {
				return fmt.Errorf("traced child ended with status %d", status.ExitStatus())
			}
			return nil
		case status.Signaled():
			return fmt.Errorf("traced child was ended by %v", status.Signal())
		case status.StopSignal() == syscall.SIGTRAP|0x80:
			if err := t.stopped(thread); err != nil {
				if _, gone := inspect(thread); errors.Is(gone, syscall.ESRCH) {
					continue // the child's end took the thread from where it stood
				}
				return err
			}
		case status.StopSignal() == syscall.SIGTRAP, status.StopSignal() == syscall.SIGSTOP:
			// A new thread, on either side of its birth.
		default:
			signal = int(status.StopSignal()) // the Go runtime's own signals
		}
	}
}

// inspect says what a stopped thread stopped at.
func inspect(thread int) (info syscallInfo, err error) {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return info, fmt.Errorf("read system call (Linux 5.3 or later is needed): %w", errno)
	}
	return info, nil
}

// stopped looks at a thread that enters or leaves a system call.
func (t *tracer) stopped(thread int) error {
	info, err := inspect(thread)
	if err != nil {
		return err
	}
	switch info.op {
	case infoEntry:
		c := call{number: info.payload[0]}
		copy(c.args[:], info.payload[1:])
		t.inside[thread] = c
	case infoExit:
		c, result := t.inside[thread], int64(info.payload[0])
		delete(t.inside, thread)
		if result >= 0 {
			return t.returned(c, result)
		}
	}
	return nil
}

// returned records a call that did what it was asked.
func (t *tracer) returned(c call, result int64) error {
	fd := int(int32(c.args[0]))
	switch c.number {
	case unix.SYS_OPENAT:
		path, err := t.path(c.args[0], c.args[1])
		if err != nil {
			return err
		}
		delete(t.open, int(result))
		if !t.under(path) {
			return nil
		}
		t.open[int(result)] = &opened{path: path}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if truncate := c.args[2]&unix.O_TRUNC != 0; !info.IsDir() {
			t.onFile(int(result), func(d *disk, path string) { d.open(path, truncate) })
		}
	case unix.SYS_WRITE:
		if fd == pipe {
			data, err := t.bytes(c.args[1], int(result))
			t.events = append(t.events, event{line: strings.TrimSuffix(string(data), "\n")})
			return err
		}
		if f := t.open[fd]; f != nil {
			f.at += result
			return t.wrote(fd, c, f.at-result, result)
		}
	case unix.SYS_PWRITE64:
		return t.wrote(fd, c, int64(c.args[3]), result)
	case unix.SYS_CLOSE:
		delete(t.open, fd)
	case unix.SYS_FTRUNCATE:
		t.changed(fd, change{off: int64(c.args[1]), cut: true})
	case unix.SYS_FALLOCATE:
		t.changed(fd, change{off: int64(c.args[2] + c.args[3])})
	}
	return t.returnedNames(c, fd)
}

func (t *tracer) wrote(fd int, c call, off, n int64) error {
	if t.open[fd] == nil {
		return nil
	}
	data, err := t.bytes(c.args[1], int(n))
	t.changed(fd, change{off: off, data: data})
	return err
}

func (t *tracer) changed(fd int, c change) {
	t.onFile(fd, func(d *disk, path string) {
		f := d.files[path]
		f.waiting = append(f.waiting, c)
	})
}

func (t *tracer) returnedNames(c call, fd int) error {
	switch c.number {
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		t.onFile(fd, func(d *disk, path string) {
			if f := d.files[path]; f != nil {
				f.sync()
			} else {
				d.syncFolder(path)
			}
		})
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		from, err := t.path(c.args[0], c.args[1])
		if err != nil {
			return err
		}
		to, err := t.path(c.args[2], c.args[3])
		if err != nil {
			return err
		}
		t.forget(to)
		for _, f := range t.open {
			if f.path == from {
				f.path = to
			}
		}
		t.events = append(t.events, event{change: func(d *disk) { d.rename(from, to) }})
	case unix.SYS_LINKAT:
		from, err := t.path(c.args[0], c.args[1])
		if err != nil {
			return err
		}
		to, err := t.path(c.args[2], c.args[3])
		if err != nil {
			return err
		}
		t.events = append(t.events, event{change: func(d *disk) { d.link(from, to) }})
	case unix.SYS_UNLINKAT:
		path, err := t.path(c.args[0], c.args[1])
		if err != nil || !t.under(path) {
			return err
		}
		t.forget(path)
		t.events = append(t.events, event{change: func(d *disk) { d.remove(path) }})
	}
	return nil
}

// forget leaves descriptors alone whose file has no name any more: a power cut leaves nothing of it.
func (t *tracer) forget(path string) {
	for fd, f := range t.open {
		if f.path == path {
			delete(t.open, fd)
		}
	}
}

// onFile records a change of the file that is open as fd, if it is one of ours.
func (t *tracer) onFile(fd int, change func(d *disk, path string)) {
	if f := t.open[fd]; f != nil {
		path := f.path
		t.events = append(t.events, event{change: func(d *disk) { change(d, path) }})
	}
}

func (t *tracer) under(path string) bool { return strings.HasPrefix(path, t.root+"/") }

// path reads a path argument. The child is given absolute paths, so anything else is none of its files.
func (t *tracer) path(folder, address uint64) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := t.memory.ReadAt(b, int64(address))
	if n == 0 {
		return "", fmt.Errorf("read path: %w", err)
	}
	s, _, found := strings.Cut(string(b[:n]), "\x00")
	if !found {
		return "", errors.New("read path: it does not end")
	}
	if !filepath.IsAbs(s) && int32(folder) != unix.AT_FDCWD {
		return "", fmt.Errorf("child uses the relative path %q", s)
	}
	return filepath.Clean(s), nil
}

func (t *tracer) bytes(address uint64, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := t.memory.ReadAt(b, int64(address)); err != nil {
		return nil, fmt.Errorf("read what was written: %w", err)
	}
	return b, nil
}
