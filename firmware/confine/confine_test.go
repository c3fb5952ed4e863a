package confine

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
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
