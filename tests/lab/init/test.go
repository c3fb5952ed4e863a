//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/plan"
)

const (
	// margin is how much earlier than the plan's deadline a test program is to give up by itself: it then says where it stood.
	margin = 5 * time.Second
	// longest is how much of a line of output is kept, bytes.
	longest = 16 << 10
)

// test runs the test program and passes on what it says, line by line. A program that does not end in time is killed.
func test(p plan.Plan, c *channel) (outcome string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), p.Deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Program, "-test.v=test2json", "-test.count=1", "-test.run="+p.Run,
		"-test.timeout="+max(p.Deadline-margin, p.Deadline/2).String())
	cmd.Dir = p.Folder
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + plan.Scratch, "TMPDIR=" + plan.Scratch}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Setsid: true}
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start tests: %w", err)
	}
	w.Close()
	passed := make(chan struct{})
	go func() { // ends when no process holds the pipe any more
		defer close(passed)
		lines := bufio.NewReaderSize(r, longest)
		for {
			line, long, err := lines.ReadLine()
			if err != nil {
				return
			}
			c.say(plan.Out, string(line))
			for long && err == nil {
				_, long, err = lines.ReadLine()
			}
		}
	}()
	err = cmd.Wait()
	unix.Kill(-1, unix.SIGKILL) // all that it has started and left
	<-passed
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("killed after %v", p.Deadline), nil
	case errors.As(err, &exit):
		return exit.String(), nil
	case err != nil:
		return "", fmt.Errorf("run tests: %w", err)
	}
	return "exit status 0", nil
}
