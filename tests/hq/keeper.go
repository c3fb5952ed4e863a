//go:build !kiosk

package main

import (
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// keeper runs one program and starts it again whenever it ends, as init does, until it is stopped.
type keeper struct {
	make func() *exec.Cmd
	said tail

	mu      sync.Mutex
	cmd     *exec.Cmd // nil while it does not run
	starts  int
	stopped chan struct{}
	ended   chan struct{}
}

// again is the pause between an end and the next start.
const again = 100 * time.Millisecond

// keep starts a program.
func keep(command func() *exec.Cmd) *keeper {
	k := &keeper{make: command, stopped: make(chan struct{}), ended: make(chan struct{})}
	go k.run()
	return k
}

func (k *keeper) run() {
	// The kernel ends a child with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(k.ended)
	for {
		k.mu.Lock()
		select {
		case <-k.stopped:
			k.mu.Unlock()
			return
		default:
		}
		cmd := k.make()
		cmd.Stdout, cmd.Stderr = &k.said, &k.said
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		err := cmd.Start()
		if err == nil {
			k.cmd = cmd
			k.starts++
		}
		k.mu.Unlock()
		if err == nil {
			err = cmd.Wait()
		}
		k.mu.Lock()
		k.cmd = nil
		k.mu.Unlock()
		if err != nil {
			k.said.Write([]byte("[ended: " + err.Error() + "]\n"))
		}
		select {
		case <-k.stopped:
		case <-time.After(again):
		}
	}
}

// kill ends the program in mid-word; it starts again by itself.
func (k *keeper) kill() { k.signal(syscall.SIGKILL) }

func (k *keeper) signal(s syscall.Signal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cmd != nil {
		_ = k.cmd.Process.Signal(s) // it may have ended by itself
	}
}

// stop asks the program to end, insists after a while, and starts it no more. It may be called again.
func (k *keeper) stop() { k.end(syscall.SIGTERM) }

// drop is stop without asking.
func (k *keeper) drop() { k.end(syscall.SIGKILL) }

func (k *keeper) end(s syscall.Signal) {
	if k == nil {
		return
	}
	k.mu.Lock()
	select {
	case <-k.stopped:
	default:
		close(k.stopped)
	}
	k.mu.Unlock()
	k.signal(s)
	select {
	case <-k.ended:
	case <-time.After(15 * time.Second):
		k.kill()
		<-k.ended
	}
}

// pid is the running program's, or 0.
func (k *keeper) pid() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cmd == nil {
		return 0
	}
	return k.cmd.Process.Pid
}

// tail is the end of what a program says.
type tail struct {
	mu   sync.Mutex
	text string
}

const tailed = 64 << 10

// Write takes what the program says.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text += string(b)
	if len(t.text) > tailed {
		t.text = t.text[len(t.text)-tailed:]
	}
	return len(b), nil
}

func (t *tail) has(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Contains(t.text, text)
}

// clear forgets what was said, so that what is said next can be waited for.
func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = ""
}

// last is the last few lines.
func (t *tail) last(lines int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := strings.Split(strings.TrimSpace(t.text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], " | ")
}
