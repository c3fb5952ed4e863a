//go:build !kiosk

package swtpm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// ErrAbsent is what the desk says where swtpm is not installed.
var ErrAbsent = errors.New("run: sudo apt-get install swtpm")

const (
	startWait = 10 * time.Second // for the first answer: about 20 ms on an idle machine, more beside a build
	stopWait  = 5 * time.Second  // for swtpm to write its state and end
	maxSocket = 107              // bytes of a socket's path: sun_path of unix(7)
)

// Process is a running swtpm. It serves one connection at a time: whoever comes second waits.
type Process struct {
	socket  string
	process *os.Process
	ended   chan struct{}
	err     error // why it ended; set before ended is closed

	once sync.Once
}

// Installed is ErrAbsent where the program is not to be found, and nil elsewhere.
func Installed() error {
	if _, err := exec.LookPath("swtpm"); err != nil {
		return ErrAbsent
	}
	return nil
}

// Start is StartAt with the socket in the same folder.
func Start(dir string) (*Process, error) { return StartAt(dir, filepath.Join(dir, "socket")) }

// StartAt starts swtpm on the state in dir, which it makes when absent (mode 0700), and waits until it answers on the socket. The process ends with
// Stop, or with this one.
func StartAt(dir, socket string) (*Process, error) {
	if err := Installed(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start swtpm: %w", err)
	}
	p := &Process{socket: socket, ended: make(chan struct{})}
	if len(p.socket) > maxSocket {
		return nil, fmt.Errorf("start swtpm: path %q is longer than a socket's may be", p.socket)
	}
	if err := os.Remove(p.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("start swtpm: %w", err)
	}
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir+",mode=0600",
		"--server", "type=unixio,path="+p.socket+",mode=0600", "--flags", "startup-clear,not-need-init")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true} // not the terminal's interrupt: whoever uses the TPM ends first
	started := make(chan error)
	go p.supervise(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start swtpm: %w", err)
	}
	if err := p.awaitAnswer(); err != nil {
		return nil, errors.Join(fmt.Errorf("start swtpm: %w", err), p.Stop())
	}
	return p, nil
}

// supervise owns the process from start to end, on one thread: Pdeathsig fires when the thread that started it ends.
func (p *Process) supervise(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	said := &words{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.process = cmd.Process
	started <- nil
	if err := cmd.Wait(); err != nil {
		p.err = fmt.Errorf("%w: %q", err, said.String())
	}
	close(p.ended)
}

// awaitAnswer waits until the TPM answers: swtpm listens before it has looked at its state.
func (p *Process) awaitAnswer() error {
	until := time.Now().Add(startWait)
	for {
		err := p.ask(until)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended at once: %w", p.err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(until) {
			return fmt.Errorf("no answer within %v: %w", startWait, err)
		}
	}
}

// ask draws one random byte.
func (p *Process) ask(until time.Time) error {
	c, err := net.Dial("unix", p.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(until); err != nil {
		return err
	}
	// TPM_ST_NO_SESSIONS, 12 bytes, TPM2_CC_GetRandom, 1 (TPM 2.0 part 3, 16.1); the answer has a header of 10, a size of 2 and the byte.
	if _, err := c.Write([]byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 1}); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 13))
	return err
}

// Socket is the path that tpm.Open takes.
func (p *Process) Socket() string { return p.socket }

// Pid is the process id.
func (p *Process) Pid() int { return p.process.Pid }

// Ended is closed when the process has ended, by Stop or by itself. It is not started again: that would be a TPM reset that nobody measured for.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Stop ends swtpm and waits for it. The state stays.
func (p *Process) Stop() error {
	var err error
	p.once.Do(func() {
		select {
		case <-p.ended:
			err = p.err
			return
		default:
		}
		p.process.Signal(syscall.SIGCONT) // one that a test has stopped would not hear the next
		p.process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(stopWait):
			p.process.Kill()
			<-p.ended
			err = errors.New("stop swtpm: it had to be killed")
		}
	})
	return err
}

// words keeps the first that swtpm says, which is where it tells what is wrong. Only supervise's copying goroutine writes it, before Wait returns.
type words struct{ bytes.Buffer }

// Write never fails: swtpm must not block on what nobody reads.
func (t *words) Write(b []byte) (int, error) {
	const most = 1024
	t.Buffer.Write(b[:min(len(b), most-min(t.Len(), most))])
	return len(b), nil
}
