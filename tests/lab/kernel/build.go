package kernel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// builder works in a folder of its own, from nothing: what an interrupted one left is thrown away.
type builder struct {
	work     string
	lock     *os.File // every program that it starts holds it too, so that none of an interrupted build is still writing when the next begins
	progress io.Writer
}

// build makes the kernel and its modules, and gives the folder the name dir at the very end.
func (b builder) build(ctx context.Context, dir string) error {
	start := time.Now()
	if err := os.RemoveAll(b.work); err != nil {
		return err
	}
	at := func(name string) string { p, _ := filepath.Abs(filepath.Join(b.work, name)); return p }
	for _, d := range []string{"source", "objects", "loopback", "installed", "out/modules"} {
		if err := os.MkdirAll(at(d), 0o755); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.progress, "kernel: unpacking %s …\n", source)
	if err := b.run(ctx, "tar", "-xf", "/usr/src/"+source+".tar.xz", "-C", at("source"), "--strip-components=1"); err != nil {
		return err
	}
	if err := b.run(ctx, "sh", "-c", `cd "$0" && apt-get -qq download v4l2loopback-dkms=`+loopback+` && dpkg-deb -x v4l2loopback-dkms_*.deb .`, at("loopback")); err != nil {
		return err
	}
	if err := allowLandlock(at("source/arch/um/Kconfig")); err != nil {
		return err
	}
	compile := func(args ...string) error {
		return b.run(ctx, "make", append([]string{"-C", at("source"), "ARCH=um", "O=" + at("objects"), "-j", strconv.Itoa(runtime.NumCPU())}, args...)...)
	}
	if err := compile("defconfig"); err != nil {
		return err
	}
	if err := b.configure(at("objects/.config"), compile); err != nil {
		return err
	}
	drivers, err := filepath.Glob(at("loopback/usr/src/v4l2loopback-*"))
	if err != nil || len(drivers) != 1 {
		return fmt.Errorf("find source of v4l2loopback: %q, %v", drivers, err)
	}
	install := []string{"modules_install", "INSTALL_MOD_STRIP=1", "INSTALL_MOD_PATH=" + at("installed")}
	for _, args := range [][]string{
		{"linux", "modules"}, {"M=" + drivers[0], "modules"},
		install, append(install, "M="+drivers[0]),
	} {
		if err := compile(args...); err != nil {
			return err
		}
	}
	if err := collect(at("installed"), at("out/modules"), "vivid", "v4l2loopback"); err != nil {
		return err
	}
	if err := b.run(ctx, "strip", "-o", at("out/linux"), at("objects/linux")); err != nil {
		return err
	}
	if err := os.Rename(at("out"), dir); err != nil {
		return err
	}
	fmt.Fprintf(b.progress, "kernel: built in %.0f s\n", time.Since(start).Seconds())
	return os.RemoveAll(b.work)
}

// allowLandlock takes away the ban that fragment.config tells of.
func allowLandlock(kconfig string) error {
	text, err := os.ReadFile(kconfig)
	if err != nil {
		return err
	}
	ban := []byte("\tselect ARCH_EPHEMERAL_INODES\n")
	if bytes.Count(text, ban) != 1 {
		return fmt.Errorf("%q is not as the patch for Landlock wants it", kconfig)
	}
	return os.WriteFile(kconfig, bytes.Replace(text, ban, nil, 1), 0o644)
}

// configure adds the fragment, of which the last word on an option counts, and looks whether it was obeyed.
func (b builder) configure(file string, compile func(...string) error) error {
	defaults, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(defaults, fragment...), 0o644); err != nil {
		return err
	}
	if err := compile("olddefconfig"); err != nil {
		return err
	}
	config, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return unset(fragment, string(config))
}

const (
	tellEvery = 10 * time.Second
	lastWords = 15 // lines of output that an error repeats
)

// run runs a program to its end, and tells every ten seconds how many objects a compilation has made.
func (b builder) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.ExtraFiles = []*os.File{b.lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with all that it starts it is stopped at once
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	start, told, objects := time.Now(), time.Now(), 0
	var last []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "  CC") {
			objects++
		}
		last = append(last[max(0, len(last)-lastWords+1):], lines.Text())
		if time.Since(told) >= tellEvery {
			told = time.Now()
			fmt.Fprintf(b.progress, "kernel: %d objects, %.0f s …\n", objects, time.Since(start).Seconds())
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w\n%s", name, err, strings.Join(last, "\n"))
	}
	return nil
}

// collect copies modules and what they depend on to out, named by the order in which they load.
func collect(installed, out string, modules ...string) error {
	found, err := filepath.Glob(filepath.Join(installed, "lib/modules/*/modules.dep"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("find modules.dep: %q, %v", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	order, err := loadOrder(string(text), modules...)
	if err != nil {
		return err
	}
	for i, path := range order {
		ko, err := os.ReadFile(filepath.Join(filepath.Dir(found[0]), path))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, fmt.Sprintf("%02d-%s", i, filepath.Base(path))), ko, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// loadOrder reads a modules.dep, where each module is followed by what it needs, last first.
func loadOrder(dep string, modules ...string) (order []string, err error) {
	taken := map[string]bool{}
	take := func(path string) {
		if !taken[path] {
			taken[path] = true
			order = append(order, path)
		}
	}
	for _, m := range modules {
		found := false
		for line := range strings.Lines(dep) {
			path, needs, ok := strings.Cut(line, ":")
			if !ok || strings.TrimSuffix(filepath.Base(path), ".ko") != m {
				continue
			}
			found = true
			needed := strings.Fields(needs)
			for i := len(needed) - 1; i >= 0; i-- {
				take(needed[i])
			}
			take(path)
		}
		if !found {
			return nil, errors.New("no module " + m + " was built")
		}
	}
	return order, nil
}
