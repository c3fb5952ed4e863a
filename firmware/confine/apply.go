package confine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Report is what Apply achieved.
type Report struct {
	Profile  string
	Threads  int      // seen, each of them filtered
	Denied   []string // forbidden acts that were tried and failed
	Degraded []string // what this kernel cannot enforce; shown as degraded modes
}

// scopes is the version of Landlock that can forbid abstract sockets (Linux 6.12).
const scopes = 6

// ports is the version of Landlock that can forbid TCP ports (Linux 6.7). Debian 12's kernel has version 2.
const ports = 4

// Apply confines the whole process to p, for good, and proves it. It must come after everything that p forbids has been done and
// may be called once. After an error the process may be half confined and must end.
func Apply(p Profile) (Report, error) {
	r := Report{Profile: p.name}
	if p.name == "" {
		return r, errors.New("confine: a profile of no program")
	}
	abi, err := llsys.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		abi = 0
		r.Degraded = append(r.Degraded, "landlock absent: files are guarded by system call and mode alone")
	} else if abi < scopes {
		r.Degraded = append(r.Degraded, fmt.Sprintf("landlock version %d: abstract sockets of others can be reached", abi))
	}
	if abi < ports && len(p.ports) > 0 {
		r.Degraded = append(r.Degraded, fmt.Sprintf("landlock version %d: every TCP port can be reached, not headquarters' alone", abi))
	}
	if abi > 0 {
		if err := restrictPaths(p); err != nil {
			return r, fmt.Errorf("confine %v: %w", p, err)
		}
	}
	if err := dropPrivileges(p); err != nil {
		return r, fmt.Errorf("confine %v: %w", p, err)
	}
	table, err := arch.GetInfo("")
	if err != nil {
		return r, fmt.Errorf("confine %v: %w", p, err)
	}
	filter, err := assemble(p.grants(runtime.GOARCH), table)
	if err != nil {
		return r, fmt.Errorf("confine %v: %w", p, err)
	}
	if err := install(filter); err != nil {
		return r, fmt.Errorf("confine %v: %w", p, err)
	}
	if r.Threads, r.Denied, err = prove(p, abi > 0); err != nil {
		return r, fmt.Errorf("prove confinement of %v: %w", p, err)
	}
	return r, nil
}

// grants is everything that p may call on a processor.
func (p Profile) grants(goarch string) []grant {
	return slices.Concat(basic(), peculiar(goarch), p.calls)
}

// restrictPaths hides all files but those of p, and all of TCP but connecting to its ports.
func restrictPaths(p Profile) error {
	// Version 7 is what has been tested; later ones forbid more, which must be tried before it is asked for. Signals are scoped by
	// the filter: before Linux 6.12.26 Landlock's own scope broke signals between threads, which the Go runtime needs.
	config := landlock.V7
	config.Scoped = llsys.ScopeAbstractUnixSocket
	rules := []landlock.Rule{
		landlock.RODirs(append([]string{fmt.Sprintf("/proc/%d", os.Getpid())}, p.readOnly...)...), // the proof reads /proc
		landlock.RWDirs(p.readWrite...),
		landlock.ROFiles(p.optional...).IgnoreIfMissing(),
	}
	if p.device != "" { // a bare SPI bus is spoken to by ioctl
		rules = append(rules, landlock.RWFiles(p.device).WithIoctlDev().IgnoreIfMissing())
	}
	for _, port := range p.ports {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	if err := config.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("restrict files: %w", err)
	}
	return nil
}

// dropPrivileges gives up all capabilities on every thread, core images and surplus descriptors.
func dropPrivileges(p Profile) error {
	for _, l := range []struct {
		resource int
		most     uint64
	}{
		{unix.RLIMIT_CORE, 0}, // a core image holds templates and keys
		{unix.RLIMIT_NOFILE, p.files},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("limit resource %d: %w", l.resource, err)
		}
	}
	// Nobody of the same user attaches to the process or reads its memory.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid core image: %w", err)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if _, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&none[0])), 0); errno != 0 {
		return fmt.Errorf("drop capabilities: %w", errno)
	}
	return nil
}
