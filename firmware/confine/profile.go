// Package confine takes from a running program what it no longer needs: after start-up eye opens no file for writing and no
// socket, door reaches no network, link writes no file outside its folder, and none of them starts a program, gains a privilege
// or looks into another process.
//
//	no_new_privs ─► Landlock (files, TCP) ─► capabilities, limits, no core image ─► seccomp (system calls) ─► proof
//
// Apply ends with the proof: it tries what is now forbidden, on several threads, and reads the kernel's word for every thread.
// A program whose proof fails must stop.
package confine

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Profile is what one program keeps. The zero Profile is nobody's, and Apply refuses it.
type Profile struct {
	name      string
	readOnly  []string // folders whose files it may read
	readWrite []string // folders in which it may do everything but execute
	optional  []string // files it may read, if they exist
	device    string   // that it may open again, if it exists; empty: none
	calls     []grant  // system calls besides those every Go program needs
	denied    []act    // what must fail for this program besides what must fail for all
	files     uint64   // most descriptors open at once
	ports     []uint16 // TCP ports of others that it may connect to; it never listens
}

// Eye is the profile of the program that parses what an attacker holds in front of the lens. It has opened the models, the
// library, the frames and door's socket before; it may still read files below readOnly.
func Eye(readOnly ...string) Profile {
	return Profile{
		name:     "eye",
		readOnly: readOnly,
		files:    64, // it has about 15
		calls: []grant{
			{name: "openat", arg: 2, test: noneOf, bits: writes}, // sysfs and its own /proc entries; Landlock says which
			descriptorCalls, // the camera's buffers are exchanged by ioctl
		},
		denied: slices.Concat(noSocket, noWriting, noNetwork),
	}
}

// Extractor is the profile of headquarters' child that parses photographs of people who are to be enrolled. It has loaded the models before, and
// speaks on the descriptors that it was started with.
func Extractor() Profile {
	return Profile{
		name:   "extractor",
		files:  32,                                                            // it has about ten
		calls:  []grant{{name: "openat", arg: 2, test: noneOf, bits: writes}}, // its own /proc entries, for the proof
		denied: slices.Concat(noSocket, noWriting, noNetwork),
	}
}

// Door is the profile of the program that decides. state holds vault and audit log, run its sockets; both must exist. tpm is the TPM's device, which
// is opened again after it fell silent; empty where it answers on a socket in run.
func Door(state, run, tpm string) Profile {
	return Profile{
		name:      "door",
		readWrite: []string{state, run},
		device:    tpm,
		files:     256, // segments, vault, lines and sockets are about 30
		calls: slices.Concat(changeFiles, localSockets, serveSockets, []grant{
			descriptorCalls,                    // GPIO lines are requested and set by ioctl
			{name: "mlock"}, {name: "munlock"}, // templates stay out of swap
		}),
		denied: noNetwork,
	}
}

// Reach is what link may reach of the network. The zero Reach is nothing.
type Reach struct {
	Port  uint16 // of headquarters' broker
	Names bool   // the broker has a name instead of an address: name servers may be asked
}

// dns is the port of name servers (RFC 7766), asked by TCP when an answer is too long for UDP.
const dns = 53

// Link is the profile of the program that talks to strangers. run, which must exist, is where it stages bytes. Without a
// headquarters to call it needs no network and gets none; with one, TCP to that port and no other, and UDP only if it has a name to look up. UDP to name
// servers cannot be told from other UDP: who wants none gives the broker by its address, and a firewall. Landlock before version 4 does not know ports;
// Apply says so.
func Link(run string, to Reach) Profile {
	p := Profile{
		name:      "link",
		readWrite: []string{run},
		files:     256,
		calls:     slices.Concat(changeFiles, localSockets),
		denied:    noNetwork,
	}
	if to.Port != 0 {
		p.ports = []uint16{to.Port}
		p.calls = slices.Concat(changeFiles, dial(to.Names))
		p.denied = slices.Concat(noRawNetwork, noOddTransport)
		if !to.Names {
			p.denied = append(p.denied, noDatagrams...)
		}
	}
	if to.Port != 0 && to.Names {
		p.ports = append(p.ports, dns)
		p.optional = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"}
	}
	return p
}

// descriptorCalls is ioctl without what has the kernel signal another process, as F_SETOWN does, or writes into a terminal what nobody typed.
var descriptorCalls = grant{name: "ioctl", arg: 1, test: notOneOf, values: []uint32{fiosetown, siocspgrp, unix.TIOCSTI}}

// Requests of ioctl, linux/sockios.h.
const (
	fiosetown = 0x8901
	siocspgrp = 0x8902
)

// Bits of openat that lead to a file being written or made. Reading is the absence of all of them.
const writes = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC | 0o20000000 // __O_TMPFILE without its O_DIRECTORY

var (
	changeFiles = always("openat", "unlinkat", "renameat", "renameat2", "mkdirat", "fchmod", "fchmodat", "ftruncate", "fallocate",
		"fsync", "fdatasync", "sync_file_range", "flock", "msync", "pwrite64", "fstatfs", "statfs")

	localSockets = append(always("connect"),
		grant{name: "socket", arg: 0, test: oneOf, values: []uint32{unix.AF_UNIX}})

	serveSockets = always("bind", "listen", "accept4")
)

// dial is what opens TCP, and with datagrams UDP. Every other transport is out: Landlock knows the ports of TCP alone, and a socket of MPTCP would walk past
// it on kernels before 6.14.
func dial(datagrams bool) []grant {
	protocols := &grant{arg: 2, test: oneOf, values: []uint32{0, unix.IPPROTO_TCP}}
	types := &grant{arg: 1, test: oneOf, values: socketTypes(unix.SOCK_STREAM), and: protocols}
	if datagrams {
		udp := &grant{arg: 2, test: oneOf, values: []uint32{0, unix.IPPROTO_UDP}}
		types.or = &grant{arg: 1, test: oneOf, values: socketTypes(unix.SOCK_DGRAM), and: udp}
	}
	return append(always("connect"), grant{name: "socket", arg: 0, test: oneOf, values: []uint32{unix.AF_UNIX},
		or: &grant{arg: 0, test: oneOf, values: []uint32{unix.AF_INET, unix.AF_INET6}, and: types}})
}

// socketTypes is a type of socket with the flags that may stand in the same argument.
func socketTypes(kind uint32) []uint32 {
	return []uint32{kind, kind | unix.SOCK_CLOEXEC, kind | unix.SOCK_NONBLOCK, kind | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}
}

// basic is what the Go runtime, glibc's threads and an open socket need. No path can be changed and nothing be started by these.
func basic() []grant {
	self := []uint32{uint32(os.Getpid())}
	return slices.Concat(
		always(
			// hot: the filter is walked in this order on kernels without the verdict cache of Linux 5.11
			"futex", "read", "write", "nanosleep", "clock_nanosleep", "epoll_pwait", "recvmsg", "sched_yield",
			"rt_sigreturn", "rt_sigprocmask", "madvise", "getpid", "gettid", "clock_gettime",
			// memory
			"munmap", "mremap", "brk", "mincore", "membarrier", "rseq",
			// threads and signals
			"exit", "exit_group", "set_robust_list", "sigaltstack", "rt_sigaction", "restart_syscall", "sched_getaffinity", "getcpu",
			// descriptors that are open already
			"readv", "writev", "pread64", "close", "close_range", "lseek", "dup3", "fstat", "pipe2", "eventfd2", "epoll_create1",
			"epoll_ctl", "ppoll", "pselect6", "recvfrom", "getsockopt", "setsockopt", "getsockname", "getpeername", "shutdown",
			// looking without touching
			"statx", "getdents64", "readlinkat", "faccessat", "faccessat2", "getcwd",
			// harmless facts
			"getrandom", "clock_getres", "gettimeofday", "uname", "sysinfo", "getrusage", "getuid", "geteuid", "getgid",
			"getegid", "getppid",
		),
		[]grant{
			// memory that is executable was mapped at start; nothing becomes code later
			{name: "mmap", arg: 2, test: noneOf, bits: unix.PROT_EXEC},
			{name: "mprotect", arg: 2, test: noneOf, bits: unix.PROT_EXEC},
			// no message that opens its own connection: Landlock would not be asked for the port
			{name: "sendmsg", arg: 2, test: noneOf, bits: unix.MSG_FASTOPEN},
			{name: "sendto", arg: 3, test: noneOf, bits: unix.MSG_FASTOPEN},
			// threads, not processes
			{name: "clone", arg: 0, test: allOf, bits: unix.CLONE_THREAD},
			// nothing by which the kernel would signal another process (F_SETOWN, F_SETSIG, F_NOTIFY, F_SETLEASE)
			{name: "fcntl", arg: 1, test: oneOf, values: []uint32{unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
				unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW, unix.F_ADD_SEALS, unix.F_GET_SEALS}},
			// its own limits are read, and none is set; the calling thread alone moves to other processors
			{name: "prlimit64", arg: 0, test: oneOf, values: append([]uint32{0}, self...), null: 2},
			{name: "sched_setaffinity", arg: 0, test: oneOf, values: []uint32{0}},
			// to itself: the runtime's preemption
			{name: "tgkill", arg: 0, test: oneOf, values: self},
			{name: "kill", arg: 0, test: oneOf, values: self},
			// names of threads and of memory; not PR_SET_DUMPABLE
			{name: "prctl", arg: 0, test: oneOf, values: []uint32{unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_VMA, unix.PR_GET_DUMPABLE}},
		},
	)
}

// peculiar is what one processor alone has: the old names that glibc still uses on amd64, and fstatat, which has two names.
func peculiar(goarch string) []grant {
	if goarch == "amd64" {
		return always("newfstatat", "epoll_wait", "poll", "time")
	}
	return always("fstatat")
}

func always(names ...string) []grant {
	list := make([]grant, len(names))
	for i, n := range names {
		list[i].name = n
	}
	return list
}

// String is the program's name.
func (p Profile) String() string { return p.name }
