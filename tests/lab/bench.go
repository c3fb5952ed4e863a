//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lintel-access/lintel/tests/lab/kernel"
	"github.com/lintel-access/lintel/tests/lab/plan"
)

// bench is one run of the laboratory. Nothing of it is shared with another that runs at the same time but the kernel.
type bench struct {
	tree, dir, consoles string
	kernel              kernel.Kernel
	long                bool
	out, progress       io.Writer

	boots, lost int
}

// tries is how often a boot is tried whose machine is lost.
const tries = 3

var errNoTests = errors.New("the package has no test")

// run runs a suite, booting as often as it asks for, and returns its tests: those that failed in any boot, and all of the last.
func (b *bench) run(ctx context.Context, s suite) ([]test, error) {
	dir := filepath.Join(b.dir, s.name)
	if err := os.MkdirAll(filepath.Join(dir, "outside"), 0o755); err != nil {
		return nil, err
	}
	p := plan.Plan{
		Suite: s.name, Program: filepath.Join(dir, "tests"), Folder: filepath.Join(b.tree, s.folder), Run: s.run,
		Outside: filepath.Join(dir, "outside"), Modules: usual(), Deadline: s.deadline, Long: b.long,
	}
	if b.long && s.long > 0 {
		p.Deadline = s.long
	}
	for name, parameters := range s.modules {
		p.Modules[name] = parameters
	}
	start := time.Now()
	if err := b.compile(ctx, s, p.Program); err != nil {
		return nil, err
	}
	if err := b.goBuild(ctx, false, "build", "-trimpath", "-o", filepath.Join(dir, "init"), "./tests/lab/init"); err != nil {
		return nil, err
	}
	if s.programs {
		p.Programs = filepath.Join(dir, "programs") + string(filepath.Separator) // with the separator go build takes it for a folder
		if err := b.goBuild(ctx, false, "build", "-trimpath", "-o", p.Programs, "./firmware/cmd/door", "./firmware/cmd/link"); err != nil {
			return nil, err
		}
		if err := b.goBuild(ctx, true, "build", "-trimpath", "-o", p.Programs, "./firmware/cmd/eye"); err != nil {
			return nil, err
		}
	}
	if s.disk > 0 {
		if err := makeDisk(ctx, filepath.Join(dir, "disk"), s.disk); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(b.progress, "%s: compiled in %.1f s\n", s.name, time.Since(start).Seconds())
	var tests []test
	most := max(s.boots, 1)
	if b.long {
		most = max(s.longBoots, most)
	}
	for ; p.Boot < most; p.Boot++ {
		r, end, err := b.boot(ctx, s, p, dir)
		if err != nil {
			return append(tests, r.failed()...), fmt.Errorf("boot %d: %w", p.Boot, err)
		}
		if !end.again {
			return append(tests, r.tests...), end.judge(r)
		}
		tests = append(tests, r.failed()...)
	}
	return tests, fmt.Errorf("it asked for more than %d boots", most)
}

// boot boots once, and again when the machine is lost.
func (b *bench) boot(ctx context.Context, s suite, p plan.Plan, dir string) (record, ending, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return record{}, ending{}, err
	}
	if err := b.writeDisk(filepath.Join(dir, "initrd"), filepath.Join(dir, "init"), text); err != nil {
		return record{}, ending{}, err
	}
	for try := 1; ; try++ {
		b.boots++
		m := machine{kernel: b.kernel.Program(), dir: dir, memory: max(s.memory, 512), disk: s.disk > 0, deadline: p.Deadline}
		r, end, err := m.run(ctx)
		// Under a name of its own first: another laboratory may be writing the same.
		console := filepath.Join(b.consoles, fmt.Sprintf("%s-%d.log", s.name, try))
		if e := os.Rename(filepath.Join(dir, "console"), console); err == nil {
			err = e
		}
		if p.Boot == 0 && err == nil && end.up > 0 {
			fmt.Fprintf(b.progress, "%s: up after %.2f s (kernel %s)\n", s.name, end.up.Seconds(), end.release)
		}
		if !errors.Is(err, errLost) {
			return r, end, err
		}
		b.lost++
		fmt.Fprintf(b.out, "%s: boot %d: %v (try %d of %d); the end of %s:\n%s\n", s.name, p.Boot, err, try, tries, console, lastOf(console))
		if try == tries {
			return r, end, err
		}
	}
}

// lastOf is the last that a machine said on its console.
func lastOf(console string) []byte {
	const most = 3000               // bytes: a panic with its stack
	text, _ := os.ReadFile(console) // it is named beside
	return text[max(0, len(text)-most):]
}

// compile makes the test program of a suite.
func (b *bench) compile(ctx context.Context, s suite, to string) error {
	if err := b.goBuild(ctx, s.cgo, "test", "-c", "-tags", "lab", "-o", to, "./"+s.folder); err != nil {
		return err
	}
	if _, err := os.Stat(to); err != nil {
		return errNoTests // go test -c says so, and is content
	}
	return nil
}

func (b *bench) goBuild(ctx context.Context, cgo bool, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.tree
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if cgo {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// makeDisk makes an empty ext4 disk of so many MB.
func makeDisk(ctx context.Context, file string, size int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(size) << 20); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "/sbin/mkfs.ext4", "-q", "-F", file).CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %q", err, out)
	}
	return nil
}

// writeDisk writes the initial RAM disk: init, the plan, the modules.
func (b *bench) writeDisk(file, init string, planText []byte) error {
	modules, err := b.kernel.Modules()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(init)
	if err != nil {
		return err
	}
	var a archive
	a.add("init", 0o755, program)
	a.folder(plan.Dir[1:])
	a.add(plan.File[1:], 0o644, planText)
	a.folder(plan.Modules[1:])
	for _, m := range modules {
		ko, err := os.ReadFile(m)
		if err != nil {
			return err
		}
		a.add(filepath.Join(plan.Modules[1:], filepath.Base(m)), 0o644, ko)
	}
	return os.WriteFile(file, a.end(), 0o644)
}
