//go:build !kiosk

package runner

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/firmware/deadman"
)

// ending says how one run of a child ended.
type ending struct {
	reason  string
	refused bool // trying again at once is useless
	lived   time.Duration
}

// firstExtra is the descriptor that a child finds its first extra file at.
const firstExtra = 3

// once runs one child from start to end. When ctx ends it asks with SIGTERM and insists with SIGKILL.
func (r *Runner) once(ctx context.Context, i int) ending {
	// The parent-death signal is sent when the starting *thread* ends, so that thread has to stay with the child.
	// The kernel drops the signal from a child that changes its user or group; ours only give up privileges otherwise.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	p := r.programs[i]
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Dir, cmd.Env = p.Dir, p.Env
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would inherit ours
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // Ctrl-C in the terminal reaches the desk alone, which then ends the children in order
	}

	var readers sync.WaitGroup
	stdout, outEnd, err := os.Pipe()
	if err != nil {
		return ending{reason: fmt.Sprintf("open pipe: %v", err)}
	}
	defer stdout.Close()
	stderr, errEnd, err := os.Pipe()
	if err != nil {
		outEnd.Close()
		return ending{reason: fmt.Sprintf("open pipe: %v", err)}
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = outEnd, errEnd

	var line *deadman.Line
	if p.Watched {
		if line, err = deadman.NewLine(); err != nil {
			return ending{reason: err.Error()}
		}
		defer line.Close()
		cmd.ExtraFiles = []*os.File{line.Far()}
		cmd.Args = append(cmd.Args, "-deadman", fmt.Sprint(firstExtra))
	}
	started := time.Now()
	err = cmd.Start()
	outEnd.Close()
	errEnd.Close()
	if err != nil {
		return ending{reason: fmt.Sprintf("start %q: %v", p.Path, err), refused: true}
	}
	pid := cmd.Process.Pid
	r.set(i, func(s *Status) { s.Phase, s.PID = Running, pid })

	var last string // of stderr; readers.Wait orders it before our read
	readers.Go(func() { r.out.copy(p.Name, stdout) })
	readers.Go(func() { last = r.out.copy(p.Name, stderr) })

	watching, stopWatching := context.WithCancel(ctx)
	if line != nil {
		readers.Go(func() {
			if err := deadman.Watch(watching, line, pid, deadman.Config{
				Limits: deadman.DefaultLimits(), Now: func() time.Duration { return time.Since(started) },
				Log: func(format string, args ...any) { r.out.write(p.Name, fmt.Sprintf(format, args...)) },
			}); watching.Err() == nil {
				r.out.write(p.Name, fmt.Sprintf("killed: %v", err))
				_ = r.Kill(p.Name) // it may have ended by itself meanwhile
			}
		})
	}
	r.await(ctx, i, pid)
	stopWatching()
	werr := cmd.Wait()
	lived := time.Since(started)

	// What is left in the pipes is read; a grandchild that holds them open must not hold up the restart.
	deadline := time.Now().Add(200 * time.Millisecond)
	stdout.SetReadDeadline(deadline)
	stderr.SetReadDeadline(deadline)
	readers.Wait()

	end := ending{reason: "exit status 0", lived: lived}
	if werr != nil {
		end.reason = werr.Error()
	}
	if cmd.ProcessState.ExitCode() == exitConfig {
		end.refused = true
		if last != "" {
			end.reason = last
		}
	}
	return end
}

// await returns when the child has ended, still unreaped, and its PID is out of the status.
func (r *Runner) await(ctx context.Context, i, pid int) {
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		// WNOWAIT leaves the zombie: until cmd.Wait reaps it nobody else can be given its PID, and Kill cannot hit a stranger.
		for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}()
	select {
	case <-exited:
	case <-ctx.Done():
		// Errors mean that the child is gone already.
		_ = syscall.Kill(-pid, syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(grace):
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			<-exited
		}
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // whatever the child itself had started
	r.set(i, func(s *Status) { s.Phase, s.PID = Waiting, 0 })
}
