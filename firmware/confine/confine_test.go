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
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elastic/go-seccomp-bpf/arch"
	"go.etcd.io/bbolt"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The test binary runs itself as the program that is to be confined: confinement cannot be taken back.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "confined" {
		confined(os.Args[2], os.Args[3])
		return
	}
	os.Exit(m.Run())
}

// outcome is what a confined child tells its parent: its report, and an error text for each deed, empty where it went well.
type outcome struct {
	Report Report
	Err    string
	Deeds  map[string]string
}

// device stands for the TPM's: every machine has it, and it knows no ioctl.
const device = "/dev/zero"

func profiles(dir string) map[string]Profile {
	state, run := filepath.Join(dir, "state"), filepath.Join(dir, "run")
	return map[string]Profile{
		"eye":           Eye(filepath.Join(dir, "models")),
		"door":          Door(state, run, device),
		"link":          Link(run, Reach{}),
		"link, network": Link(run, Reach{Port: 8883}),
		"link, names":   Link(run, Reach{Port: 8883, Names: true}),
		"extractor":     Extractor(),
	}
}

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

// Control: C21
// Control: C22
func TestProfiles(t *testing.T) {
	always := []string{"threads", "random", "packets", "read limit", "move", "descriptors", "hidden"}
	may := map[string][]string{
		"eye":           append([]string{"read models"}, always...),
		"door":          append([]string{"unix socket", "serve", "state", "run", "bolt", "lock memory", "reopen device"}, always...),
		"link":          append([]string{"unix socket", "run"}, always...),
		"link, network": append([]string{"unix socket", "run", "inet socket", "tcp"}, always...),
		"link, names":   append([]string{"unix socket", "run", "inet socket", "inet6 socket", "udp", "tcp", "names"}, always...),
		"extractor":     always,
	}
	for name, allowed := range may {
		t.Run(name, func(t *testing.T) {
			o := confine(t, name)
			if o.Err != "" {
				t.Fatal(o.Err)
			}
			landlocked, scoped, ported := true, true, true
			for _, d := range o.Report.Degraded {
				t.Logf("THIS KERNEL DOES NOT ENFORCE ALL, AND IT IS NOT ASSERTED: %s", d)
				landlocked = landlocked && !strings.HasPrefix(d, "landlock absent")
				scoped = scoped && !strings.Contains(d, "abstract sockets")
				ported = ported && !strings.Contains(d, "TCP port")
			}
			if o.Report.Threads < 5 || len(o.Report.Denied) < len(noAnyone) {
				t.Errorf("report %+v", o.Report)
			}
			for deed, failed := range o.Deeds {
				want := slices.Contains(allowed, deed)
				if !want && (!scoped && deed == "abstract" || !ported && deed == "tcp strange") {
					continue
				}
				if !landlocked && !want && strings.Contains("abstract read strange write strange append make strange write models read models write null reopen device remove flags 62 names tcp strange tcp serve", deed) {
					continue
				}
				if (failed == "") != want {
					t.Errorf("%s: %q, allowed %v", deed, failed, want)
				}
				if !want && !strings.Contains(failed, "not permitted") && !strings.Contains(failed, "permission denied") {
					t.Errorf("%s failed for another reason: %q", deed, failed)
				}
			}
		})
	}
}

func confine(t *testing.T, name string) outcome {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"state", "run", "models", "strange"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, d, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", abstract(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command(os.Args[0], "confined", name, dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	var o outcome
	if err := json.Unmarshal(out, &o); err != nil {
		t.Fatalf("child said %q: %v", out, err)
	}
	return o
}

func TestZeroProfileIsRefused(t *testing.T) {
	if _, err := Apply(Profile{}); err == nil {
		t.Error("confined to nothing in particular")
	}
}

// The proof is worth something only if it fails for a process that is not confined, at each of its acts.
//
// Control: C21
func TestProofFailsUnconfined(t *testing.T) {
	for _, p := range profiles(t.TempDir()) {
		if _, _, err := prove(p, true); err == nil {
			t.Errorf("%v: proven without confinement", p)
		}
	}
	capable := []string{"mount", "change the root", "load a module", "load a kernel", "change the clock", "load bpf", "use io_uring",
		"load a module file", "open by handle", "catch page faults", "signal another process", "use kernel keys", "count performance", "open a raw socket"}
	for _, a := range slices.Concat(noAnyone, noNetwork, noSocket, noWriting, noOddTransport, noDatagrams) {
		if err := tryAll([]act{a}, false); err == nil && (os.Getuid() == 0 || !slices.Contains(capable, a.name)) {
			t.Errorf("%s: fails without confinement too, so it proves nothing", a.name)
		}
	}
	if _, err := filteredThreads(); err == nil {
		t.Error("unfiltered threads pass for filtered ones")
	}
}

// Every name in the table is a system call on both processors that we build for.
func TestTableOnBothProcessors(t *testing.T) {
	for goarch, table := range map[string]*arch.Info{"amd64": arch.X86_64, "arm64": arch.AARCH64} {
		for name, p := range profiles("/x") {
			filter, err := assemble(p.grants(goarch), table)
			if err != nil {
				t.Errorf("%s on %s: %v", name, goarch, err)
			}
			if len(filter) > 4096 {
				t.Errorf("%s on %s: %d instructions, the kernel takes 4096", name, goarch, len(filter))
			}
		}
	}
	if table, err := arch.GetInfo(""); err != nil || (table != arch.X86_64 && table != arch.AARCH64) {
		t.Errorf("this processor: %v, %v", table, err)
	}
}

// The filter of eye against every system call number with arguments that have fooled such filters: run by an interpreter of
// classic BPF, so that the whole table is asked and not only what a child can try.
func TestFilterHasNoHole(t *testing.T) {
	table := arch.X86_64
	grants := Eye("/x").grants("amd64")
	raw, err := assemble(grants, table)
	if err != nil {
		t.Fatal(err)
	}
	prog := make([]bpf.Instruction, len(raw))
	for i, r := range raw {
		prog[i] = r.Disassemble()
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	byNumber := make(map[int]grant)
	for _, g := range grants {
		byNumber[table.SyscallNames[g.name]] = g
	}
	passes := func(g grant, arg uint32) bool {
		if g.null != 0 {
			return false // the upper half of what is asked here never is
		}
		switch g.test {
		case anything:
			return g.name != ""
		case noneOf:
			return arg&g.bits == 0
		case allOf:
			return arg&g.bits == g.bits
		}
		return slices.Contains(g.values, arg) == (g.test == oneOf)
	}
	for nr := range 512 {
		for arg := range uint32(512) {
			for _, value := range []uint32{arg, arg << 14, uint32(os.Getpid())} {
				want := passes(byNumber[nr], value)
				if got := verdict(t, vm, uint32(table.ID), uint32(nr), value) == unix.SECCOMP_RET_ALLOW; got != want {
					t.Fatalf("call %d (%s) with arguments %d: passes %v, want %v", nr, table.SyscallNumbers[nr], value, got, want)
				}
			}
		}
	}
	self := uint64(os.Getpid())
	for _, tt := range []struct {
		args [6]uint64
		want bool
	}{
		{[6]uint64{0, 7, 0, 1 << 40}, true}, {[6]uint64{self, 7, 0, 1 << 40}, true}, {[6]uint64{1, 7, 0, 1 << 40}, false},
		{[6]uint64{0, 7, 0xc000012000}, false}, {[6]uint64{0, 7, 1 << 32}, false}, {[6]uint64{self, 7, 1}, false},
	} {
		if got := judged(t, vm, uint32(table.ID), uint32(table.SyscallNames["prlimit64"]), tt.args) == unix.SECCOMP_RET_ALLOW; got != tt.want {
			t.Errorf("prlimit64(%#x) passes: %v", tt.args, got)
		}
	}
	if v := verdict(t, vm, uint32(table.ID), uint32(table.SyscallNames["clone3"]), 0); v != unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS) {
		t.Errorf("clone3: %#x", v)
	}
	for _, foreign := range [][2]uint32{{uint32(arch.I386.ID), 0}, {uint32(table.ID), x32Bit}, {uint32(table.ID), 1 << 31}} {
		if v := verdict(t, vm, foreign[0], foreign[1], 0); v != unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM) {
			t.Errorf("foreign call %#x: %#x", foreign, v)
		}
	}
}

// verdict asks the filter about a call all of whose arguments have this low half; what stands in the upper one must not matter.
func verdict(t *testing.T, vm *bpf.VM, machine, nr, value uint32) uint32 {
	var args [6]uint64
	for i := range args {
		args[i] = 0xdeadbeef<<32 | uint64(value)
	}
	return judged(t, vm, machine, nr, args)
}

// judged asks the filter. The interpreter reads big-endian words, as packets have them, so the data is laid out that way.
func judged(t *testing.T, vm *bpf.VM, machine, nr uint32, args [6]uint64) uint32 {
	data := make([]byte, 64)
	put := func(off int, v uint32) {
		data[off], data[off+1], data[off+2], data[off+3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
	}
	put(offNumber, nr)
	put(offArch, machine)
	for i, arg := range args {
		put(offArgs+8*i, uint32(arg))
		put(offArgs+8*i+4, uint32(arg>>32))
	}
	v, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(v)
}
