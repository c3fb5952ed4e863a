//go:build linux

// Command lab boots a machine of its own and runs the hardware suites in it: on real kernel interfaces, with no hardware.
//
//	make lab
//
// The machine is a User-Mode Linux of Debian's sources (package kernel) that boots in a quarter of a second and has cameras, lines, a TPM, a watchdog
// and a disk that can be cut. Each suite is a package whose tests carry the build tag lab; it is compiled here and runs there, in a copy of this
// machine's files that forgets what is written to it. See suites.go for the table, and package vm for what a suite can ask of its machine.
//
//	       runner (this program)                          machine
//	kernel, plan, disk ──────────────── boot ───────────► init: mounts, modules, lo
//	listens ◄──── channel: up, beat, out, ended ────────── init ──► test program ──► /dev/video*, /dev/gpiochip*, /dev/tpmrm0, …
//	cuts the power, boots again ◄─── cut, reset ─────────────────────────┘
//
// A machine that is silent, or breaks down, is lost: it is killed and its boot tried again, three times in all. (The cause of one loss in sixty
// boots is taken away in kernel/fragment.config.) More than one loss in a run, and in more than one of twenty boots, is a failure. A test that skips has failed:
// here nothing is absent.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lintel-access/lintel/tests/lab/kernel"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return // the usage was printed
		}
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

const usage = `usage: lab [-suite name,…] [-long] [-keep] [-kernel]

Builds the laboratory's kernel (once: about seven minutes, 2 GB of disk while it works), boots it for each suite, prints each test's line,
and then "lab: N passed, N failed". Exit status 1 unless all passed. Consoles are kept in .lintel/lab/console.

`

var errFailed = errors.New("not everything passed")

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprint(progress, usage)
		flags.PrintDefaults()
		fmt.Fprintln(progress, "suites:")
		for _, s := range suites() {
			fmt.Fprintf(progress, "  %-10s %s\n", s.name, s.about)
		}
	}
	names := flags.String("suite", "", "run these suites only")
	long := flags.Bool("long", false, "run the suites at full length")
	keep := flags.Bool("keep", false, "keep what was built and written for the run, disks too")
	only := flags.Bool("kernel", false, "build the kernel and no more")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag; see -h", flags.Arg(0))
	}
	chosen, err := choose(suites(), *names)
	if err != nil {
		return err
	}
	top, err := tree(ctx)
	if err != nil {
		return err
	}
	cache := filepath.Join(top, ".lintel", "lab")
	k, err := kernel.Ensure(ctx, cache, progress)
	if err != nil {
		return err
	}
	if *only {
		fmt.Fprintln(out, "lab: kernel", k.Program())
		return nil
	}
	b := bench{tree: top, kernel: k, consoles: filepath.Join(cache, "console"), long: *long, out: out, progress: progress}
	if err := os.MkdirAll(b.consoles, 0o755); err != nil {
		return err
	}
	ground, err := occupy(filepath.Join(cache, "run"))
	if err != nil {
		return err
	}
	b.dir = ground.Name()
	defer func() {
		if *keep {
			kept := filepath.Join(cache, "kept", filepath.Base(b.dir))
			err = errors.Join(err, os.MkdirAll(filepath.Dir(kept), 0o755), os.Rename(b.dir, kept))
			fmt.Fprintln(progress, "kept in", kept)
		}
		os.RemoveAll(b.dir)
		ground.Close()
	}()
	return b.all(ctx, chosen)
}

// all runs the suites one after the other and prints the account.
func (b *bench) all(ctx context.Context, chosen []suite) error {
	passed, failed := 0, 0
	for _, s := range chosen {
		start := time.Now()
		fmt.Fprintf(b.out, "== %s: %s\n", s.name, s.about)
		tests, err := b.run(ctx, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && len(tests) == 0 {
			err = errors.New("it has no test")
		}
		if err != nil {
			fmt.Fprintf(b.out, "FAIL suite %s: %v\n", s.name, err)
			failed++
		}
		for _, t := range tests {
			t.print(b.out)
			if t.ok() {
				passed++
			} else {
				failed++
			}
		}
		fmt.Fprintf(b.out, "== %s: %.1f s\n", s.name, time.Since(start).Seconds())
	}
	fmt.Fprintf(b.out, "lab: %d boots, %d lost\n", b.boots, b.lost)
	if tooMany(b.lost, b.boots) {
		fmt.Fprintln(b.out, "FAIL: the machine of more than one boot in twenty was lost")
		failed++
	}
	fmt.Fprintf(b.out, "lab: %d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		return errFailed
	}
	return nil
}

// tooMany judges losses: one in a run may be this machine's, overloaded.
func tooMany(lost, boots int) bool { return lost > 1 && lost*20 > boots }

// choose finds suites by their names, in the table's order.
func choose(all []suite, names string) ([]suite, error) {
	if names == "" {
		return all, nil
	}
	var chosen []suite
	wanted := strings.Split(names, ",")
	for _, s := range all {
		if i := slices.Index(wanted, s.name); i >= 0 {
			chosen, wanted = append(chosen, s), slices.Delete(wanted, i, i+1)
		}
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("there is no suite %q; see -h", wanted[0])
	}
	return chosen, nil
}

// tree is the folder of the module that is worked in.
func tree(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(out))
	if err != nil || !filepath.IsAbs(mod) || mod == os.DevNull {
		return "", fmt.Errorf("find go.mod: %q, %v", mod, err)
	}
	return filepath.Dir(mod), nil
}

// occupy makes a folder below dir for this run, locked as long as the file is open, and removes those of runs that were killed.
func occupy(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	entrance, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer entrance.Close()
	if err := unix.Flock(int(entrance.Fd()), unix.LOCK_EX); err != nil { // for no longer than this function takes
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		left, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // its run has just ended
		}
		if unix.Flock(int(left.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(left.Name())
		}
		left.Close()
	}
	name, err := os.MkdirTemp(dir, "")
	if err != nil {
		return nil, err
	}
	own, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(own.Fd()), unix.LOCK_EX); err != nil {
		own.Close()
		return nil, err
	}
	return own, nil
}
