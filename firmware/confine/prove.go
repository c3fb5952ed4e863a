package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// act is a forbidden system call with arguments that do nothing even where it is allowed: an unconfined process gets EINVAL,
// EFAULT or EBADF, a confined one EPERM.
type act struct {
	name   string
	number uintptr
	args   [4]uintptr
}

const (
	nowhere = ^uintptr(0) // no descriptor, no process, no flag that exists
	noType  = 0xffff      // no socket type
	// noProcess is a process that there is none of: process ids end at 2^22.
	noProcess = 0x7fffffff
)

// atCwd is unix.AT_FDCWD as an argument.
const atCwd = ^uintptr(99)

var (
	noAnyone = []act{
		{"execute a program", unix.SYS_EXECVE, [4]uintptr{}},
		{"execute a descriptor", unix.SYS_EXECVEAT, [4]uintptr{nowhere}},
		{"start a process", unix.SYS_CLONE, [4]uintptr{unix.CLONE_SIGHAND}}, // invalid without CLONE_VM
		{"trace a process", unix.SYS_PTRACE, [4]uintptr{0x7fff}},
		{"read another's memory", unix.SYS_PROCESS_VM_READV, [4]uintptr{nowhere}},
		{"write another's memory", unix.SYS_PROCESS_VM_WRITEV, [4]uintptr{nowhere}},
		{"take another's descriptor", unix.SYS_PIDFD_GETFD, [4]uintptr{nowhere, nowhere, nowhere}},
		{"signal another process", unix.SYS_KILL, [4]uintptr{1, 0}},
		{"set a limit", unix.SYS_PRLIMIT64, [4]uintptr{0, unix.RLIMIT_CORE, 1}},
		{"read another's limit", unix.SYS_PRLIMIT64, [4]uintptr{noProcess}},
		{"set another's processors", unix.SYS_SCHED_SETAFFINITY, [4]uintptr{noProcess}},
		{"have another signalled", unix.SYS_FCNTL, [4]uintptr{nowhere, unix.F_SETOWN}},
		{"have another signalled by number", unix.SYS_FCNTL, [4]uintptr{nowhere, unix.F_SETOWN_EX}},
		{"choose a descriptor's signal", unix.SYS_FCNTL, [4]uintptr{nowhere, unix.F_SETSIG}},
		{"have another signalled by ioctl", unix.SYS_IOCTL, [4]uintptr{nowhere, fiosetown}},
		{"mount", unix.SYS_MOUNT, [4]uintptr{}},
		{"change the root", unix.SYS_PIVOT_ROOT, [4]uintptr{}},
		{"enter a namespace", unix.SYS_SETNS, [4]uintptr{nowhere}},
		{"make a namespace", unix.SYS_UNSHARE, [4]uintptr{1}},
		{"load bpf", unix.SYS_BPF, [4]uintptr{nowhere}},
		{"use kernel keys", unix.SYS_KEYCTL, [4]uintptr{nowhere}},
		{"load a module", unix.SYS_INIT_MODULE, [4]uintptr{}},
		{"load a module file", unix.SYS_FINIT_MODULE, [4]uintptr{nowhere}},
		{"load a kernel", unix.SYS_KEXEC_LOAD, [4]uintptr{0, 0, 0, nowhere}},
		{"use io_uring", unix.SYS_IO_URING_SETUP, [4]uintptr{}},
		{"catch page faults", unix.SYS_USERFAULTFD, [4]uintptr{nowhere}},
		{"count performance", unix.SYS_PERF_EVENT_OPEN, [4]uintptr{}},
		{"open by handle", unix.SYS_OPEN_BY_HANDLE_AT, [4]uintptr{nowhere}},
		{"open with openat2", unix.SYS_OPENAT2, [4]uintptr{nowhere}},
		{"make memory executable", unix.SYS_MPROTECT, [4]uintptr{1, 0, unix.PROT_EXEC}},
		{"become dumpable", unix.SYS_PRCTL, [4]uintptr{unix.PR_SET_DUMPABLE, nowhere}},
		{"change the clock", unix.SYS_CLOCK_SETTIME, [4]uintptr{nowhere}},
	}
	noRawNetwork = []act{
		{"open a netlink socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_NETLINK, noType}},
		{"open a packet socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_PACKET, noType}},
		{"open a vsock socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_VSOCK, noType}},
		{"open an alg socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_ALG, noType}},
	}
	noOddTransport = []act{
		{"open a multipath socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_INET, noType, unix.IPPROTO_MPTCP}},
		{"open a raw socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_INET, unix.SOCK_RAW, noType}},
		{"connect by a message", unix.SYS_SENDTO, [4]uintptr{nowhere, 0, 0, unix.MSG_FASTOPEN}},
	}
	noDatagrams = []act{
		{"open a datagram socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_INET, unix.SOCK_DGRAM, noType}},
	}
	noNetwork = append([]act{
		{"open an internet socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_INET, noType}},
		{"open an internet 6 socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_INET6, noType}},
	}, noRawNetwork...)
	noSocket = []act{
		{"open a local socket", unix.SYS_SOCKET, [4]uintptr{unix.AF_UNIX, noType}},
		{"open a socket pair", unix.SYS_SOCKETPAIR, [4]uintptr{unix.AF_UNIX, noType}},
		{"connect", unix.SYS_CONNECT, [4]uintptr{nowhere}},
		{"bind", unix.SYS_BIND, [4]uintptr{nowhere}},
		{"listen", unix.SYS_LISTEN, [4]uintptr{nowhere}},
		{"accept", unix.SYS_ACCEPT4, [4]uintptr{nowhere}},
	}
	noWriting = []act{
		{"open for writing", unix.SYS_OPENAT, [4]uintptr{atCwd, 0, unix.O_WRONLY}},
		{"open for reading and writing", unix.SYS_OPENAT, [4]uintptr{atCwd, 0, unix.O_RDWR}},
		{"create a file", unix.SYS_OPENAT, [4]uintptr{atCwd, 0, unix.O_CREAT}},
		{"truncate on opening", unix.SYS_OPENAT, [4]uintptr{atCwd, 0, unix.O_TRUNC}},
		{"open a nameless file", unix.SYS_OPENAT, [4]uintptr{atCwd, 0, unix.O_TMPFILE}},
		{"truncate", unix.SYS_FTRUNCATE, [4]uintptr{nowhere}},
		{"remove a file", unix.SYS_UNLINKAT, [4]uintptr{nowhere}},
		{"rename a file", unix.SYS_RENAMEAT2, [4]uintptr{nowhere, 0, nowhere}},
		{"make a folder", unix.SYS_MKDIRAT, [4]uintptr{nowhere}},
		{"make a device", unix.SYS_MKNODAT, [4]uintptr{nowhere}},
		{"link a file", unix.SYS_LINKAT, [4]uintptr{nowhere, 0, nowhere}},
		{"change a mode", unix.SYS_FCHMODAT, [4]uintptr{nowhere}},
	}
)

// proofThreads is on how many threads at once the forbidden acts are tried. The filter's presence is read from the kernel for
// every thread; that Landlock holds can only be tried.
const proofThreads = 4

// prove tries what p forbids and returns how many threads are filtered and which acts failed as they must.
func prove(p Profile, landlocked bool) (threads int, denied []string, err error) {
	acts := slices.Concat(noAnyone, p.denied)
	errs := make([]error, proofThreads)
	var all, met sync.WaitGroup
	met.Add(proofThreads)
	for i := range errs {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			met.Done()
			met.Wait() // so that no two of them share a thread
			errs[i] = tryAll(acts, landlocked)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, nil, err
	}
	for _, a := range acts {
		denied = append(denied, a.name)
	}
	if landlocked {
		denied = append(denied, strangeFolder)
	}
	threads, err = filteredThreads()
	return threads, denied, err
}

const strangeFolder = "look into a strange folder"

func tryAll(acts []act, landlocked bool) error {
	var broken []error
	for _, a := range acts {
		_, _, errno := unix.RawSyscall6(a.number, a.args[0], a.args[1], a.args[2], a.args[3], 0, 0)
		if errno != unix.EPERM {
			broken = append(broken, fmt.Errorf("%s: got %q, want it forbidden", a.name, errno.Error()))
		}
	}
	if landlocked {
		fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != unix.EACCES && err != unix.EPERM {
			broken = append(broken, fmt.Errorf("%s: got %v, want it forbidden", strangeFolder, err))
		}
		if err == nil {
			unix.Close(fd)
		}
	}
	return errors.Join(broken...)
}

// filteredThreads reads the kernel's word on each thread and counts them.
func filteredThreads() (int, error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0, err
	}
	seen := 0
	for _, task := range tasks {
		status, err := os.ReadFile(filepath.Join("/proc/self/task", task.Name(), "status"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return 0, err
		}
		for _, want := range []string{"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n", "\nCapPrm:\t0000000000000000\n", "\nCapEff:\t0000000000000000\n"} {
			if !strings.Contains(string(status), want) {
				return 0, fmt.Errorf("thread %s lacks %q", task.Name(), strings.TrimSpace(want))
			}
		}
		seen++
	}
	if seen == 0 {
		return 0, errors.New("no thread found")
	}
	return seen, nil
}
