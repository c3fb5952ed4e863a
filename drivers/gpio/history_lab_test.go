//go:build lab

package gpio

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// record has the kernel keep every write to an output from now on; written is what was written, as in "0 1 0". It knows no lines: nothing
// else may write meanwhile.
func record() (written func() (string, error), err error) {
	const tracefs = "/sys/kernel/tracing"
	if _, err := os.Stat(tracefs + "/trace"); err != nil {
		if err := unix.Mount("tracefs", tracefs, "tracefs", 0, ""); err != nil {
			return nil, fmt.Errorf("mount tracefs (does this kernel have CONFIG_ENABLE_DEFAULT_TRACERS?): %w", err)
		}
	}
	for _, f := range [][2]string{{"tracing_on", "1"}, {"events/gpio/gpio_value/enable", "1"}, {"trace", ""}} {
		if err := os.WriteFile(tracefs+"/"+f[0], []byte(f[1]), 0o644); err != nil {
			return nil, err
		}
	}
	return func() (string, error) {
		text, err := os.ReadFile(tracefs + "/trace")
		var writes []string
		for line := range strings.Lines(string(text)) { // … gpio_value: 512 set 1
			if _, level, found := strings.Cut(line, " set "); found {
				writes = append(writes, strings.TrimSpace(level))
			}
		}
		return strings.Join(writes, " "), err
	}, nil
}

// history runs a program to its end and returns every level that the wire had meanwhile, as in "0 1 0".
//
// It stops each thread of the program where it enters and leaves the kernel, and looks at the simulated wire there, from the other end.
// A process moves a line by a system call alone, and here by one at a time; so no level that lasted from one call to the next escapes, however
// short, which no polling could promise. What could remain, two writes within a single call, record sees.
// TestHistorySeesPeriphsPulse shows both instruments on a pulse that is there.
func history(p *probe, argv ...string) (levels string, output string, err error) {
	// The kernel takes ptrace calls from the thread alone that began.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, in, err := os.Pipe()
	if err != nil {
		return "", "", err
	}
	defer out.Close()
	child, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Files: []*os.File{os.Stdin, in, in}, Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	in.Close()
	if err != nil {
		return "", "", fmt.Errorf("start traced program: %w", err)
	}
	defer child.Kill()
	text := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		_, _ = b.ReadFrom(out)
		text <- b.String()
	}()

	var seen []byte
	look := func() error {
		high, err := p.high()
		if err != nil {
			return err
		}
		if level := byte('0' + bit(high)); len(seen) == 0 || seen[len(seen)-1] != level {
			seen = append(seen, ' ', level)
		}
		return nil
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(child.Pid, &status, 0, nil); err != nil {
		return "", "", err
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(child.Pid, options); err != nil {
		return "", "", err
	}
	for thread := child.Pid; ; {
		if err := look(); err != nil {
			return "", "", err
		}
		signal := 0
		if status.Stopped() {
			switch s := status.StopSignal(); s {
			case syscall.SIGTRAP, syscall.SIGTRAP | 0x80, syscall.SIGSTOP: // ours
			default:
				signal = int(s)
			}
			if err := syscall.PtraceSyscall(thread, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return "", "", err
			}
		}
		if thread, err = syscall.Wait4(-1, &status, unix.WALL, nil); err != nil {
			return "", "", err
		}
		if thread == child.Pid && (status.Exited() || status.Signaled()) {
			break
		}
	}
	if err := look(); err != nil {
		return "", "", err
	}
	output = <-text
	if status.ExitStatus() != 0 {
		err = fmt.Errorf("traced program ended by %v: %s", status, output)
	}
	return string(seen[1:]), output, err
}
