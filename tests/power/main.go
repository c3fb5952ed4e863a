// Command power cuts the power, again and again, and holds what is found afterwards to what had been acknowledged.
//
//	make power
//
// A child process administers a sealed vault in all ways that there are, and keeps an audit log with checkpoints and an anchor. It says on
// a pipe what it is about to do and what has been acknowledged to it. The cuts are of two kinds, half and half:
//
//	killed  the child is killed (SIGKILL) at a random moment, and the next one goes on in the same folder: what the kernel had, stays.
//	        The TPM is firmware/root over one swtpm, which lives on: its NV keeps what it was asked to write.
//	cut     one child is traced to its end, every write, sync and rename. The disk is then built as it may stand after a power cut at
//	        a boundary between two of them: what was synced is there; of the rest all, nothing, or any part, torn within pages.
//	        A swtpm cannot go back in time, so the TPM is a double with the counter and the anchor of that boundary; where a raise or an
//	        anchor was under way, both with and without it.
//
// After each cut vault and log are opened. Every acknowledged record, person, revocation, suspension, deletion, lockdown, lockout,
// policy, checkpoint, anchor and cursor must be there, besides it only what had been begun; the vault of before the last acknowledged
// restricting change must be refused as rolled back; the log must contain the last anchor and the last checkpoint, and take one more
// record.
//
// In the laboratory (tests/lab, suites replay and cuts) the same worker meets real ones, and the same check follows: each crash point of what a file
// system wrote to its disk, and a machine of its own that is killed with all that runs in it.
//
// With -bench it measures instead, each with its limit: durable appends against raw writes with fsync, what a million events need on the
// disk, and the start with 10,000 people x 5 templates; with -full too, it fills a log of the default size and measures its opening
// and checking (350 MB, a minute).
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return // the usage was printed
		}
		fmt.Fprintln(os.Stderr, "power:", err)
		os.Exit(1)
	}
}

const usage = `usage: power [-cuts n] [-seed n] [-dir folder]
       power -bench [-full] [-dir folder]

Cuts the power n times, prints each cut that was not clean, and then "power: N cuts, N clean". Exit status 1 unless all are clean.
200 cuts take a minute. The folder, for everything that is written, is a new temporary one by default.

`

var errUnclean = errors.New("not every cut was clean")

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("power", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprint(progress, usage)
		flags.PrintDefaults()
	}
	cuts := flags.Int("cuts", 200, "how many cuts")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of everything that is random, but not of the scheduler")
	dir := flags.String("dir", "", "where to work; a temporary folder by default")
	measure := flags.Bool("bench", false, "measure durable appends and the budget instead")
	full := flags.Bool("full", false, "with -bench: fill a log of the default size")
	child := flags.String("child", "", "folder of a child process; not for people")
	operations := flags.Int("operations", 0, "of a child process, then it ends; 0: until it is killed")
	chipDir := flags.String("tpm", "", "folder of a child's TPM; empty: a double")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *child != "" {
		return work(*child, *chipDir, *seed, *operations)
	}
	if *dir == "" {
		temporary, err := os.MkdirTemp("", "power")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		*dir = temporary
	}
	if *measure {
		return bench(*dir, *full, out)
	}
	if *cuts < 2 {
		return fmt.Errorf("%d cuts, want 2 or more", *cuts)
	}
	fmt.Fprintf(progress, "seed %d\n", *seed)
	clean, err := cutAll(*dir, *cuts, *seed, out, progress)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "power: %d cuts, %d clean\n", *cuts, clean)
	if clean != *cuts {
		return errUnclean
	}
	return nil
}

// cutAll makes half of the cuts by killing and half by tracing, and counts the clean ones.
func cutAll(dir string, cuts int, seed uint64, out, progress io.Writer) (clean int, err error) {
	rng := rand.New(rand.NewPCG(seed, 0))
	report := func(what string, err error) {
		if err == nil {
			clean++
			return
		}
		fmt.Fprintf(out, "%s: NOT CLEAN: %v\n", what, err)
	}
	start := time.Now()
	killed := cuts / 2
	h, err := kill(dir, killed, rng, report)
	if err != nil {
		return clean, fmt.Errorf("kill: %w", err)
	}
	fmt.Fprintf(progress, "%d killed in the midst of %d lines, %d older vaults refused, %.1f s\n", killed, h.lines, h.seen.older, time.Since(start).Seconds())
	start = time.Now()
	h, boundaries, err := trace(dir, cuts-killed, rng, report)
	if err != nil {
		return clean, fmt.Errorf("trace: %w", err)
	}
	fmt.Fprintf(progress, "%d cut at boundaries among %d, %d while the TPM was writing, %d older vaults refused, %.1f s\n",
		cuts-killed, boundaries, h.seen.twice, h.seen.older, time.Since(start).Seconds())
	return clean, nil
}
