package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// longest is how long a child lives after the first thing that it says: opening, some hundred operations.
const longest = 60 * time.Millisecond

// command is a child that works in dir and says on the returned pipe what it does.
func command(dir string, h *history, seed uint64, operations int) (*exec.Cmd, *os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self, "-child", dir, "-seed", strconv.FormatUint(seed, 10), "-operations", strconv.Itoa(operations),
		"-anchor", fmt.Sprintf("%x", h.anchor))
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = os.Stderr
	return cmd, r, nil
}

// kill runs a child after the other in one folder and kills each; it returns how many lines they said.
func kill(parent string, cuts int, rng *rand.Rand, report func(string, error)) (int, error) {
	dir := filepath.Join(parent, "killed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	h := newHistory()
	for i := range cuts {
		if err := killOne(dir, h, rng); err != nil {
			return h.lines, err
		}
		err := check(dir, h)
		report(fmt.Sprintf("kill %d", i), err)
		if err != nil {
			// What comes after would be measured by a history that is not true any more.
			for i++; i < cuts; i++ {
				report(fmt.Sprintf("kill %d", i), fmt.Errorf("not made after an unclean one"))
			}
			return h.lines, nil
		}
	}
	return h.lines, nil
}

func killOne(dir string, h *history, rng *rand.Rand) error {
	cmd, r, err := command(dir, h, rng.Uint64(), 0)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := cmd.Start(); err != nil {
		return err
	}
	cmd.ExtraFiles[0].Close()
	// Some children die while they open.
	end := time.AfterFunc(time.Second, func() { cmd.Process.Kill() })
	if rng.IntN(8) == 0 {
		end.Reset(time.Duration(rng.Int64N(int64(longest))))
	}
	first := true
	err = lines(bufio.NewReader(r), func(line string) error {
		if first {
			first = false
			end.Reset(time.Duration(rng.Int64N(int64(longest))))
		}
		return h.hear(line)
	})
	if err != nil {
		cmd.Process.Kill()
	}
	if state := cmd.Wait(); err == nil && cmd.ProcessState.Exited() {
		return fmt.Errorf("child ended by itself: %w", state)
	}
	return err
}
