package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// Host starts children and gives them photographs. The zero value of a duration stands for the default.
type Host struct {
	Program string   // to run with Word as its first argument; empty: this program
	Args    []string // after Word
	Bundle  [32]byte // of the model bundle that references must be of
	Start   time.Duration
	Each    time.Duration // for one photograph
}

const (
	defaultStart = time.Minute      // hashing and loading the models takes about a second on an idle machine
	defaultEach  = 30 * time.Second // a photograph of 50 million pixels takes some seconds
	maxComplaint = 512              // bytes of what a child writes to its standard error; the first are kept
)

// References works on the photographs of one person, in a child of their own. There is a result for each photograph; the error says that no child could
// do any work, which is no photograph's fault. A child that fails costs the photograph that it was working on, and another one takes the rest.
func (h *Host) References(ctx context.Context, photos [][]byte) ([]Result, error) {
	if len(photos) == 0 || len(photos) > MaxPhotos {
		return nil, fmt.Errorf("extract references: %d photographs, want 1 to %d", len(photos), MaxPhotos)
	}
	results := make([]Result, 0, len(photos))
	for len(results) < len(photos) {
		more, err := h.batch(ctx, photos[len(results):])
		if err != nil {
			return nil, fmt.Errorf("extract references: %w", err)
		}
		results = append(results, more...)
	}
	return results, nil
}

// batch has one child work until it fails or is done. It returns at least one result, or an error.
func (h *Host) batch(ctx context.Context, photos [][]byte) (results []Result, err error) {
	c, err := h.start(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	for _, p := range photos {
		if len(p) > MaxPhoto {
			results = append(results, Result{Outcome: TooLarge})
			continue
		}
		r, err := c.ask(p, or(h.Each, defaultEach))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return append(results, Result{Outcome: Failed, Why: fmt.Errorf("ask child: %w", c.blame(err))}), nil
		}
		results = append(results, r)
	}
	return results, nil
}

// child is one running child. Whoever started it ends it.
type child struct {
	cmd       *exec.Cmd
	in        io.WriteCloser
	out       *os.File // a pipe, so that reading has a deadline
	complaint *first
}

func (h *Host) start(ctx context.Context) (*child, error) {
	program := h.Program
	if program == "" {
		program = "/proc/self/exe" // the file that runs, even if another one has taken its name since
	}
	cmd := exec.CommandContext(ctx, program, append([]string{Word}, h.Args...)...)
	cmd.Env = []string{}                                  // nothing of what headquarters was started with
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the terminal is for headquarters, which then ends the child
	complaint := new(first)
	cmd.Stderr = complaint
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	c := &child{cmd: cmd, in: in, out: out.(*os.File), complaint: complaint}
	if err := c.greet(h.Bundle, or(h.Start, defaultStart)); err != nil {
		return nil, fmt.Errorf("start child: %w", c.blame(err))
	}
	return c, nil
}

func (c *child) greet(bundle [32]byte, within time.Duration) error {
	var hello Hello
	if err := c.hear(&hello, within); err != nil {
		return err
	}
	if hello.Denied == 0 {
		return errors.New("it has not proved that it is confined")
	}
	if hello.Bundle != bundle {
		return fmt.Errorf("its models are %x, not the bundle %x of the kiosks", hello.Bundle[:8], bundle[:8])
	}
	return nil
}

// ask gives the child a photograph and waits for its answer.
func (c *child) ask(photo []byte, within time.Duration) (Result, error) {
	sent := make(chan error, 1)
	go func() { sent <- WriteFrame(c.in, photo) }() // ends with the child: a pipe without a reader takes nothing
	var a Answer
	if err := c.hear(&a, within); err != nil {
		return Result{}, err
	}
	select {
	case err := <-sent:
		if err != nil {
			return Result{}, err
		}
	case <-time.After(time.Second):
		return Result{}, errors.New("it answered before it had heard the question")
	}
	return a.result()
}

// result believes the child as far as numbers can be checked.
func (a Answer) result() (Result, error) {
	r := Result{Outcome: a.Outcome, Quality: a.Quality}
	switch {
	case a.Outcome == 0 || a.Outcome >= Failed || !(a.Quality >= 0 && a.Quality <= 1):
		return Result{}, fmt.Errorf("read answer: outcome %d of quality %g", a.Outcome, a.Quality)
	case a.Outcome != Extracted && len(a.Reference) > 0:
		return Result{}, errors.New("read answer: a reference of a photograph that gave none")
	case a.Outcome != Extracted:
		return r, nil
	}
	defer clear(a.Reference)
	var err error
	if r.Reference, err = Decode(a.Reference); err != nil {
		return Result{}, fmt.Errorf("read answer: %w", err)
	}
	return r, nil
}

// hear reads one message into v.
func (c *child) hear(v any, within time.Duration) error {
	if err := c.out.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	data, err := ReadFrame(c.out, maxAnswer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("it did not answer within %v", within)
	}
	if err != nil {
		return fmt.Errorf("it ended or broke off: %w", err)
	}
	defer clear(data)
	return wire.Unmarshal(data, v)
}

// end kills the child: it has nothing to tidy up.
func (c *child) end() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()         // how it ended was seen in what it said
}

// blame ends the child and adds to an error what it had to say for itself.
func (c *child) blame(err error) error {
	c.end()
	if c.complaint.buf.Len() == 0 {
		return err
	}
	return fmt.Errorf("%w; its last words: %q", err, c.complaint.buf.String())
}

// first keeps the first bytes that are written to it. It is read after the child has ended.
type first struct{ buf bytes.Buffer }

func (f *first) Write(p []byte) (int, error) {
	f.buf.Write(p[:min(len(p), maxComplaint-f.buf.Len())])
	return len(p), nil
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
