package confine

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// confined runs in the child: it opens what a program opens at start, confines itself and tries everything.
func confined(name, dir string) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		panic(err)
	}
	// Threads that exist before Apply and are not the one that calls it.
	orders, answers := make(chan func() error), make(chan error)
	for range 3 {
		go func() {
			runtime.LockOSThread()
			for f := range orders {
				answers <- f()
				time.Sleep(2 * time.Millisecond) // so that another of them takes the next order
			}
		}()
	}

	var o outcome
	report, err := Apply(profiles(dir)[name])
	o.Report = report
	if err != nil {
		o.Err = err.Error()
	}
	o.Deeds = make(map[string]string)
	for deed, f := range deeds(dir, pair) {
		o.Deeds[deed] = text(f())
		for range 3 {
			orders <- f
			if again := text(<-answers); (again == "") != (o.Deeds[deed] == "") {
				o.Deeds[deed] = fmt.Sprintf("differs by thread: %q, %q", o.Deeds[deed], again)
			}
		}
	}
	json.NewEncoder(os.Stdout).Encode(o)
}

func text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

func closing(c interface{ Close() error }, err error) error {
	if err == nil {
		c.Close()
	}
	return err
}

// deeds are real acts, forbidden or needed.
func deeds(dir string, pair [2]int) map[string]func() error {
	state, run, models, strange := filepath.Join(dir, "state"), filepath.Join(dir, "run"), filepath.Join(dir, "models"), filepath.Join(dir, "strange")
	socket := func(domain, kind int) func() error {
		return func() error {
			fd, err := unix.Socket(domain, kind, 0)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}
	}
	opened := func(path string, flags int) func() error {
		return func() error {
			f, err := os.OpenFile(path, flags, 0o600)
			return closing(f, err)
		}
	}
	return map[string]func() error{
		"exec":           func() error { return exec.Command("/bin/true").Run() },
		"inet socket":    socket(unix.AF_INET, unix.SOCK_STREAM),
		"inet6 socket":   socket(unix.AF_INET6, unix.SOCK_DGRAM),
		"netlink socket": socket(unix.AF_NETLINK, unix.SOCK_RAW),
		"unix socket":    socket(unix.AF_UNIX, unix.SOCK_SEQPACKET),
		"udp": func() error {
			c, err := net.Dial("udp", "127.0.0.1:9")
			return closing(c, err)
		},
		"mptcp": func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
			if err == nil {
				unix.Close(fd)
			}
			return err
		},
		"raw":                 socket(unix.AF_INET, unix.SOCK_RAW),
		"packets of a stream": socket(unix.AF_INET, unix.SOCK_SEQPACKET),
		"open by message": func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, &unix.SockaddrInet4{Port: 8884, Addr: [4]byte{127, 0, 0, 1}})
		},
		"tcp":         connected("127.0.0.1:8883"),
		"tcp strange": connected("127.0.0.1:8884"),
		"tcp serve": func() error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			return closing(l, err)
		},
		"names": opened("/etc/resolv.conf", os.O_RDONLY),
		"serve": func() error {
			path := filepath.Join(run, fmt.Sprintf("s%d", time.Now().UnixNano()))
			l, err := net.Listen("unixpacket", path)
			if err != nil {
				return err
			}
			defer l.Close()
			c, err := net.Dial("unixpacket", path)
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := l.Accept()
			return closing(s, err)
		},
		"abstract": func() error {
			c, err := net.Dial("unix", abstract(dir))
			return closing(c, err)
		},
		"ptrace":        func() error { return unix.PtraceSeize(os.Getppid()) },
		"signal":        func() error { return unix.Kill(os.Getppid(), 0) },
		"read strange":  opened(filepath.Join(strange, "file"), os.O_RDONLY),
		"write strange": opened(filepath.Join(strange, "file"), os.O_WRONLY),
		"append":        opened(filepath.Join(strange, "file"), os.O_WRONLY|os.O_APPEND),
		"make strange":  opened(filepath.Join(strange, fmt.Sprint(time.Now().UnixNano())), os.O_WRONLY|os.O_CREATE),
		// 62 is the number of kill on amd64, and the descriptor our own process id: the hole of go-seccomp-bpf v1.6.0
		"flags 62": func() error {
			fd, err := unix.Openat(os.Getpid(), filepath.Join(models, "file"), 62, 0o600)
			if err == nil {
				unix.Close(fd)
			}
			return err
		},
		"write models": opened(filepath.Join(models, "file"), os.O_RDWR),
		"read models":  opened(filepath.Join(models, "file"), os.O_RDONLY),
		"write null":   opened("/dev/null", os.O_WRONLY),
		"reopen device": func() error {
			f, err := os.OpenFile(device, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGSID); err != unix.ENOTTY {
				return err
			}
			return nil
		},
		"remove": func() error {
			return os.Remove(filepath.Join(strange, "file"))
		},
		"executable memory": func() error {
			b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err == nil {
				unix.Munmap(b)
			}
			return err
		},
		"limit parent": func() error {
			return unix.Prlimit(os.Getppid(), unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
		},
		"read parent's limit": func() error {
			return unix.Prlimit(os.Getppid(), unix.RLIMIT_NPROC, nil, &unix.Rlimit{})
		},
		"limit": func() error {
			return unix.Prlimit(0, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
		},
		"read limit": func() error {
			return errors.Join(unix.Prlimit(0, unix.RLIMIT_STACK, nil, &unix.Rlimit{}), unix.Prlimit(os.Getpid(), unix.RLIMIT_STACK, nil, &unix.Rlimit{}))
		},
		"move parent": func() error {
			return unix.SchedSetaffinity(os.Getppid(), processors())
		},
		"move": func() error { return unix.SchedSetaffinity(0, processors()) },
		"own": func() error {
			_, err := unix.FcntlInt(uintptr(pair[0]), unix.F_SETOWN, os.Getppid())
			return err
		},
		"own signal": func() error {
			_, err := unix.FcntlInt(uintptr(pair[0]), unix.F_SETSIG, 0)
			return err
		},
		"own by ioctl": func() error {
			return unix.IoctlSetPointerInt(pair[0], fiosetown, os.Getppid())
		},
		"descriptors": func() error {
			fd, err := unix.FcntlInt(uintptr(pair[0]), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return err
			}
			_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			return errors.Join(err, unix.Close(fd))
		},
		"hidden": func() error {
			if n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); n != 0 || err != nil {
				return fmt.Errorf("dumpable %d, %v", n, err)
			}
			return nil
		},
		"dumpable": func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) },
		"core limit": func() error {
			return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
		},
		"state": func() error { return writeDurably(filepath.Join(state, "new")) },
		"run":   func() error { return writeDurably(filepath.Join(run, "new")) },
		"bolt": func() error {
			db, err := bbolt.Open(filepath.Join(state, "bolt"), 0o600, &bbolt.Options{Timeout: time.Second})
			if err != nil {
				return err
			}
			defer db.Close()
			return db.Update(func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte("b"))
				if err != nil {
					return err
				}
				return b.Put([]byte("k"), make([]byte, 100_000))
			})
		},
		"lock memory": func() error {
			page := make([]byte, 4096)
			if err := unix.Mlock(page); err != nil {
				return err
			}
			return unix.Munlock(page)
		},

		// what every program needs
		"threads": func() error {
			done := make(chan struct{})
			for range 8 {
				go func() {
					runtime.LockOSThread() // its thread ends with it
					time.Sleep(time.Millisecond)
					done <- struct{}{}
				}()
			}
			for range 8 {
				<-done
			}
			runtime.GC()
			return nil
		},
		"random": func() error {
			_, err := rand.Read(make([]byte, 32))
			return err
		},
		"packets": func() error {
			if err := unix.Sendto(pair[0], []byte("x"), 0, nil); err != nil {
				return err
			}
			_, _, err := unix.Recvfrom(pair[1], make([]byte, 8), 0)
			return err
		},
	}
}

// processors is any set that every machine has.
func processors() *unix.CPUSet {
	var set unix.CPUSet
	set.Fill()
	return &set
}

// connected is well when the network was asked, whatever it said.
func connected(addr string) func() error {
	return func() error {
		c, err := net.Dial("tcp", addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		return closing(c, err)
	}
}

// abstract is a socket without a file, which the parent serves.
func abstract(dir string) string { return "@lintel" + strings.ReplaceAll(dir, "/", "-") }

func writeDurably(path string) error {
	f, err := os.OpenFile(path+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString("x"); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o600), syscall.Fallocate(int(f.Fd()), 0, 0, 4096), f.Sync(), f.Truncate(1)); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
