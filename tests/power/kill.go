package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// How long a child lives, at the longest: some dozen operations after the first thing that it says, or while it opens.
const (
	working = 150 * time.Millisecond
	opening = 300 * time.Millisecond
)

// command is a child that works in dir and says on the returned pipe what it does.
func command(dir, chipDir string, seed uint64, operations int) (*exec.Cmd, *os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self, "-child", dir, "-seed", strconv.FormatUint(seed, 10), "-operations", strconv.Itoa(operations), "-tpm", chipDir)
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = os.Stderr
	return cmd, r, nil
}

// kill runs a child after the other in one folder and kills each; it returns what they said. The TPM runs through: a power cut
// takes nothing from its NV.
func kill(parent string, cuts int, rng *rand.Rand, report func(string, error)) (h *history, err error) {
	dir, chipDir := filepath.Join(parent, "killed"), filepath.Join(parent, "tpm")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	p, err := startChip(chipDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	h = newHistory()
	for i := range cuts {
		if err := killOne(dir, chipDir, h, rng); err != nil {
			return h, err
		}
		err := checkKilled(dir, chipDir, h)
		report(fmt.Sprintf("kill %d", i), err)
		if err != nil {
			// What comes after would be measured by a history that is not true any more.
			for i++; i < cuts; i++ {
				report(fmt.Sprintf("kill %d", i), fmt.Errorf("not made after an unclean one"))
			}
			return h, nil
		}
	}
	return h, nil
}

// checkKilled checks with the TPM that the child has left, and keeps the vault's file as the older one of the next child's changes.
func checkKilled(dir, chipDir string, h *history) (err error) {
	c, err := openChip(chipDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := check(dir, h, c); err != nil {
		return err
	}
	h.before, err = os.ReadFile(vaultFile(dir))
	return err
}

func killOne(dir, chipDir string, h *history, rng *rand.Rand) error {
	cmd, r, err := command(dir, chipDir, rng.Uint64(), 0)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := cmd.Start(); err != nil {
		return err
	}
	cmd.ExtraFiles[0].Close()
	// Some children die while they open.
	life := 10 * time.Second
	if rng.IntN(8) == 0 {
		life = time.Duration(rng.Int64N(int64(opening)))
	}
	end := time.AfterFunc(life, func() { cmd.Process.Kill() })
	opened := false
	err = lines(bufio.NewReader(r), func(line string) error {
		if !opened && strings.HasPrefix(line, "ok ") {
			opened = true
			end.Reset(time.Duration(rng.Int64N(int64(working))))
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
