//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/plan"
)

// machine is one boot.
type machine struct {
	kernel, dir string
	memory      int // MB
	disk        bool
	deadline    time.Duration
}

// ending says how a boot ended.
type ending struct {
	up      time.Duration // from start to the last mount
	release string        // of the kernel
	again   bool          // it asked for another boot, by a cut or a reset
	status  string        // of the test program
}

var errLost = errors.New("the machine was lost")

const (
	// beat is how often a machine that lives says something.
	beat = time.Second
	// silence is how long it may say nothing. A boot takes a quarter of a second on an idle host.
	silence = 20 * beat
	// grace is what a machine may take beyond the deadline of its tests, for boot and end.
	grace = 30 * time.Second
	// burial is how long the processes of a killed machine may take to vanish.
	burial = 10 * time.Second
)

// judge holds the status of the test program to the tests that it ran: one that ended otherwise than its tests say has a reason of its own.
func (e ending) judge(r record) error {
	if e.status == "exit status 0" || e.status == "exit status 1" && len(r.failed()) > 0 {
		return nil
	}
	return fmt.Errorf("its program ended with %s\n%s", e.status, strings.Join(r.rest, "\n"))
}

// run boots the machine and listens until it ends. It is over, with every process of it, when run returns.
func (m *machine) run(ctx context.Context) (r record, end ending, err error) {
	runtime.LockOSThread() // Pdeathsig fires when the thread ends that started the machine
	defer runtime.UnlockOSThread()
	cmd, channel, err := m.start()
	if err != nil {
		return r, end, fmt.Errorf("start machine: %w", err)
	}
	defer channel.Close()
	lines := make(chan string, 64)
	go func() { // ends with the machine: nobody else holds the other end of the channel
		defer close(lines)
		for s := bufio.NewScanner(channel); s.Scan(); {
			lines <- s.Text()
		}
	}()
	defer func() {
		cmd.Process.Kill()
		buried := time.After(burial)
		for {
			select {
			case _, ok := <-lines:
				if ok {
					continue
				}
			case <-buried:
				err = errors.Join(err, errors.New("processes of the machine outlive it"))
			}
			cmd.Wait() // killed: its status says nothing
			return
		}
	}()
	end, err = m.listen(ctx, &r, lines)
	return r, end, err
}

// start starts the kernel in a process namespace of its own: User-Mode Linux leaves its children behind when it is killed, but
// nothing outlives the first process of a namespace. That one is a shell: a kernel that panics kills itself with SIGABRT, over and over, and the
// first process of a namespace is deaf to that.
func (m *machine) start() (*exec.Cmd, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "channel"), os.NewFile(uintptr(pair[1]), "channel")
	defer theirs.Close()
	console, err := os.Create(filepath.Join(m.dir, "console"))
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	defer console.Close()
	args := []string{"--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"}
	if os.Getuid() != 0 {
		args = append(args, "--user", "--map-root-user")
	}
	// The paths are relative: no space or comma of a folder's name may reach the kernel's command line.
	args = append(args, "sh", "-c", `"$0" "$@"; exit`, m.kernel, fmt.Sprintf("mem=%dM", m.memory), "initrd=initrd", "rdinit=/init", "con=null", "con0=null,fd:1", "con1=fd:3",
		"console=tty0", "quiet", "uml_dir=uml/")
	if m.disk {
		args = append(args, "ubd0=disk")
	}
	cmd := exec.Command("unshare", args...)
	cmd.Dir = m.dir
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + m.dir, "TMPDIR=" + memoryFolder(m.memory, m.dir)}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // an interrupt at the terminal is the runner's alone
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, nil, err
	}
	return cmd, ours, nil
}

// memoryFolder is where the machine's memory lies: a file that must be executable. Shared memory is faster, but small in some containers.
func memoryFolder(megabytes int, otherwise string) string {
	const shared = "/dev/shm"
	var s unix.Statfs_t
	if unix.Statfs(shared, &s) != nil || s.Flags&unix.ST_NOEXEC != 0 || s.Bavail*uint64(s.Bsize) < uint64(megabytes+64)<<20 {
		return otherwise
	}
	return shared
}

// listen follows the machine to its end.
func (m *machine) listen(ctx context.Context, r *record, lines <-chan string) (end ending, err error) {
	start := time.Now()
	silent, late := time.NewTimer(silence), time.NewTimer(m.deadline+grace)
	defer silent.Stop()
	defer late.Stop()
	var cut, reset <-chan time.Time
	heard := start
	for {
		select {
		case <-ctx.Done():
			return end, ctx.Err()
		case <-silent.C:
			return end, fmt.Errorf("%w: silent for %v", errLost, silence)
		case <-late.C:
			return end, fmt.Errorf("%w: not over after %v", errLost, m.deadline+grace)
		case <-cut:
			end.again = true
			return end, nil
		case <-reset:
			if pause := time.Since(heard); pause > 5*beat {
				return end, fmt.Errorf("%w: silent for %v before its reset", errLost, pause.Round(time.Second))
			}
			return end, errors.New("it said that it would reset, and did not")
		case line, ok := <-lines:
			silent.Reset(silence)
			heard = time.Now()
			verb, rest := plan.Split(line)
			switch {
			case !ok && reset != nil, verb == plan.Up && reset != nil: // ended, or begun anew in the same process
				end.again = true
				return end, nil
			case !ok, verb == plan.Up && end.up > 0:
				return end, fmt.Errorf("%w: it broke down", errLost)
			}
			switch verb {
			case plan.Up:
				end.up, end.release = time.Since(start), rest
			case plan.Beat:
			case plan.Out:
				r.add(rest)
			case plan.Ended:
				end.status = rest
				return end, nil
			case plan.Broken:
				return end, errors.New("the machine: " + rest)
			case plan.Cut, plan.Reset:
				d, err := plan.ParseMilliseconds(rest)
				if err != nil {
					return end, err
				}
				if verb == plan.Cut {
					cut = time.After(d)
				} else {
					reset = time.After(d)
				}
			default:
				return end, fmt.Errorf("the machine said %q", line)
			}
		}
	}
}
